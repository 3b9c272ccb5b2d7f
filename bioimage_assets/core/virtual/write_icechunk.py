"""A virtual plate in, an Icechunk repository out: transactions over references, each with what its file was when it was made.

https://icechunk.io/en/stable/virtual/. A run is one commit on ``main``: who reads sees the plate before or after it, and a killed run leaves
no trace that anybody sees. A plate that did not change makes no commit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from bioimage_assets.core.errors import BioimageError, UsageError
from bioimage_assets.core.virtual.icechunk_stores import (
    add_containers,
    build_credentials,
    list_containers,
    name_location,
    open_storage,
    require_icechunk,
)
from bioimage_assets.core.virtual.model import WHOLE_FILE, SourceFile, VirtualArray, VirtualPlate
from bioimage_assets.core.virtual.store_documents import (
    Documents,
    build_array_store_documents,
    build_group_store_documents,
)

if TYPE_CHECKING:
    import icechunk

_DIGEST = "bioimage_assets_digest"
_BRANCH = "main"


def write_icechunk(
    plate: VirtualPlate,
    groups: Documents,
    target_uri: str,
    *,
    storage_options: Mapping[str, object] | None = None,
) -> bool:
    """Commit the plate, as OME-Zarr 0.5; False where the repository holds exactly it already and nothing was written.

    Parameters
    ----------
    plate
        Arrays that Zarr v3 cannot express must not be among them.
    groups
        Attributes of each group, of OME-Zarr 0.5.
    target_uri
        A local folder or ``s3://`` prefix: the repository, made where there is none.

    Raises
    ------
    MissingExtraError
        Icechunk is not installed.
    UsageError
        Files or target are where Icechunk does not reach, an array is expressed in Zarr v2 alone, or the size of a whole file is not known.
    BioimageError
        The repository cannot be written, or another writer committed at the same time.
    """
    library = require_icechunk()
    options = dict(storage_options or {})
    documents = dict(_list_documents(plate, groups))
    digest = _digest(plate, documents)
    uris = [source.uri for source in plate.sources]
    list_containers(uris)  # refuses files out of its reach before there is a folder
    try:
        repository = _open_repository(library, target_uri, uris, options)
        session = repository.writable_session(_BRANCH)
        if _read_digest(repository, session) == digest:
            return False
        sync(_fill(session.store, plate, documents))
        session.commit(f"virtual plate {plate.name}", metadata={_DIGEST: digest})
    except library.IcechunkError as error:
        raise BioimageError(
            f"The Icechunk repository {target_uri} cannot be written: {_first_line(error)}. What it held before is unchanged."
        ) from error
    return True


def open_icechunk(target_uri: str, storage_options: Mapping[str, object] | None = None) -> Any:
    """A read-only Zarr store of the newest state of a repository; all containers that it names may be read.

    Raises
    ------
    BioimageError
        There is no repository, or it cannot be read.
    """
    library = require_icechunk()
    options = dict(storage_options or {})
    storage = open_storage(target_uri, options)
    try:
        config = library.Repository.fetch_config(storage)
        credentials = build_credentials(config, options) if config is not None else {}
        repository = library.Repository.open(storage, authorize_virtual_chunk_access=credentials)
        return repository.readonly_session(_BRANCH).store
    except library.IcechunkError as error:
        raise BioimageError(
            f"{target_uri}: no Icechunk repository can be read there: {_first_line(error)}."
        ) from error


def _open_repository(
    library: Any, target_uri: str, uris: Sequence[str], options: Mapping[str, object]
) -> icechunk.Repository:
    """Open or make the repository. It keeps the containers of earlier commits, whose files can still be read."""
    storage = open_storage(target_uri, options)
    known = library.Repository.fetch_config(storage) if library.Repository.exists(storage) else None
    config, is_new = add_containers(known, uris, options)
    credentials = build_credentials(config, options)
    if known is None:
        return library.Repository.create(storage, config, credentials)
    repository = library.Repository.open(storage, config, credentials)
    if is_new:
        repository.save_config()
    return repository


def _read_digest(repository: icechunk.Repository, session: icechunk.Session) -> str | None:
    newest = next(iter(repository.ancestry(snapshot_id=session.snapshot_id)), None)
    found = newest.metadata.get(_DIGEST) if newest is not None else None
    return None if found is None else str(found)


def _list_documents(plate: VirtualPlate, groups: Documents) -> Iterable[tuple[str, bytes]]:
    """``zarr.json`` of every group and array by its key."""
    for path, attributes in groups.items():
        for key, document in build_group_store_documents(path, attributes, 3).items():
            yield key, _write_json(document)
    for image in plate.images:
        for array in image.arrays:
            if array.metadata_v3 is None:
                raise UsageError(
                    f"{array.path}: Zarr v3 cannot express how this array is stored; write JSON or Parquet as OME-Zarr 0.4."
                )
            for key, document in build_array_store_documents(array, array.metadata_v3, 3).items():
                yield key, _write_json(document)


async def _fill(store: icechunk.IcechunkStore, plate: VirtualPlate, documents: Mapping[str, bytes]) -> None:
    await store.clear()
    buffers = default_buffer_prototype().buffer
    for key, text in documents.items():
        await store.set(key, buffers.from_bytes(text))
    locations = [name_location(source.uri) for source in plate.sources]
    for image in plate.images:
        for array in image.arrays:
            if len(array.refs):
                specs = _build_specs(array, plate.sources, locations)
                refused = await store.set_virtual_refs_async(f"/{array.path}", specs)
                if refused:  # they would read as the fill value
                    raise UsageError(_explain_refused(array.path, specs, refused))


def _explain_refused(path: str, specs: Sequence[Any], refused: Sequence[Any]) -> str:
    lost = next((spec.location for spec in specs if tuple(spec.index) == tuple(refused[0])), "")
    return (
        f"{path}: Icechunk takes {len(refused)} of {len(specs)} references for none of the repository's containers, {lost} among them. "
        "Write JSON or Parquet instead."
    )


def _build_specs(array: VirtualArray, sources: tuple[SourceFile, ...], locations: list[str]) -> list[Any]:
    library = require_icechunk()
    refs = array.refs
    rows = zip(
        refs.coords.tolist(), refs.source.tolist(), refs.offset.tolist(), refs.size.tolist(), strict=True
    )
    return [
        library.VirtualChunkSpec(
            index=coords,
            location=locations[source],
            offset=0 if size == WHOLE_FILE else offset,
            length=_measure(sources[source]) if size == WHOLE_FILE else size,
            etag_checksum=_strong_etag(sources[source]),
            last_updated_at_checksum=_last_change(sources[source]),
        )
        for coords, source, offset, size in rows
    ]


def _measure(source: SourceFile) -> int:
    if source.size_bytes is None:
        raise UsageError(
            f"{source.uri}: its size is not known, and Icechunk references have a length; write JSON."
        )
    return source.size_bytes


def _strong_etag(source: SourceFile) -> str | None:
    """A weak one (RFC 9110, 8.8.3) never matches in a conditional request."""
    return None if source.etag is None or source.etag.startswith("W/") else source.etag


def _last_change(source: SourceFile) -> datetime | None:
    """The full second after the last change: Icechunk keeps seconds and refuses files that changed after them."""
    if source.etag is not None or source.modified_ns is None:
        return None
    return datetime.fromtimestamp(-(-source.modified_ns // 1_000_000_000), UTC)


def _digest(plate: VirtualPlate, documents: Mapping[str, bytes]) -> str:
    """Of everything that is written: documents, references and what their files were."""
    digest = blake2b(digest_size=16)
    for key, text in documents.items():
        digest.update(f"{key}\0{len(text)}\0".encode() + text)
    for source in plate.sources:
        digest.update(_write_json([source.uri, source.size_bytes, source.modified_ns, source.etag]))
    for image in plate.images:
        for array in image.arrays:
            for column in (array.refs.coords, array.refs.source, array.refs.offset, array.refs.size):
                digest.update(f"{column.dtype}{column.shape}".encode() + column.tobytes())
    return digest.hexdigest()


def _write_json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
