"""Objects of a Zarr store over HTTP: in whole or in part, as viewers ask for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from bioimage_assets.browse.answers import NotThereError
from bioimage_assets.browse.byte_ranges import NotInObjectError, read_range
from bioimage_assets.core.errors import KeyMissingError, StoreAccessError
from bioimage_assets.core.model.store_paths import is_safe_path

_PIECE_BYTES = 4 * 2**20


class ServedObjects(Protocol):
    """Objects by key, as a viewer asks for them."""

    def head(self, key: str) -> int:
        """Bytes of an object; KeyMissingError where there is none."""
        ...

    def read(self, key: str, offset: int, length: int) -> bytes:
        """A part of an object."""
        ...


def answer_object(request: Request, objects: ServedObjects, key: str) -> Response:
    """An object or a part of it: 200, 206, 404 where it is absent, 416 where it ends before the part begins."""
    if not is_safe_path(key):
        raise NotThereError("There is no such object.")
    try:
        size = objects.head(key)
    except (KeyMissingError, StoreAccessError) as error:
        raise NotThereError("There is no such object.") from error
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=60",
        "Content-Type": _name_type(key),
    }
    try:
        part = read_range(request.headers.get("range"), size)
    except NotInObjectError:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    offset, length = (0, size) if part is None else part
    headers["Content-Length"] = str(length)
    if part is not None:
        headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{size}"
    status = 200 if part is None else 206
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    if length <= _PIECE_BYTES:
        return Response(objects.read(key, offset, length), status, headers)
    return StreamingResponse(_stream(objects, key, offset, length), status, headers)


def _stream(objects: ServedObjects, key: str, offset: int, length: int) -> Iterator[bytes]:
    stop = offset + length
    for start in range(offset, stop, _PIECE_BYTES):
        yield objects.read(key, start, min(_PIECE_BYTES, stop - start))


def _name_type(key: str) -> str:
    is_document = key.rpartition("/")[2] in ("zarr.json", ".zattrs", ".zgroup", ".zarray", ".zmetadata")
    return "application/json" if is_document else "application/octet-stream"
