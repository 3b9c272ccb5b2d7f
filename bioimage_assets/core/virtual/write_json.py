"""A virtual plate in, one JSON file of references out, as kerchunk specifies it and fsspec reads it.

https://fsspec.github.io/kerchunk/spec.html (version 1). The key ``bioimage_assets``, which other readers pass over, says what the
files were when the references were made, and where this file was: sources that move together with it are found again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

import orjson

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.settings.dataset import OmeZarrVersion
from bioimage_assets.core.storage.replace_whole import replace_file
from bioimage_assets.core.stores.open import absolute_uri
from bioimage_assets.core.virtual.chunk_keys import StoredArray, ZarrFormat, build_stored_array
from bioimage_assets.core.virtual.model import WHOLE_FILE, SourceFile, VirtualPlate
from bioimage_assets.core.virtual.source_locations import locate_sources
from bioimage_assets.core.virtual.store_documents import (
    Documents,
    build_array_store_documents,
    build_group_store_documents,
)

OWN_KEY = "bioimage_assets"


def write_kerchunk_json(
    plate: VirtualPlate, groups: Documents, target_uri: str, version: OmeZarrVersion = "0.5", *, absolute: bool = False,
    storage_options: Mapping[str, object] | None = None,
) -> None:  # fmt: skip
    """Write the file, replacing an older one whole; the same plate gives the same bytes.

    Parameters
    ----------
    plate
        Its arrays must be expressible in the Zarr of that version: v2 for 0.4, v3 for 0.5.
    groups
        Attributes of each group, of the same version of OME-Zarr.
    target_uri
        A local file or an object.
    absolute
        Sources are where they are now: they are not looked for beside the file after it moved.

    Raises
    ------
    UsageError
        An array cannot be expressed in that version.
    BioimageError
        The file cannot be written.
    """
    text = build_kerchunk_json(plate, groups, target_uri, version, absolute=absolute)
    replace_file(target_uri, text.encode(), storage_options)


def build_kerchunk_json(
    plate: VirtualPlate,
    groups: Documents,
    target_uri: str,
    version: OmeZarrVersion = "0.5",
    *,
    absolute: bool = False,
) -> str:
    """Text of the file."""
    locations = _name_sources(plate.sources, target_uri)
    documents = _Documents()
    parts = [
        f'"version":1,"refs":{{{_join(_list_references(plate, groups, version, locations, documents))}}}'
    ]
    facts = [
        _describe_source(location, source) for location, source in zip(locations, plate.sources, strict=True)
    ]
    own = {"sources": facts} if absolute else {"written_at": absolute_uri(target_uri), "sources": facts}
    parts.append(f"{_dump(OWN_KEY)}:{_dump(own)}")
    return "{" + ",".join(parts) + "}\n"


class _Documents:
    """Documents as JSON inside of JSON; the many arrays of a plate share a few."""

    def __init__(self) -> None:
        self._texts: dict[int, tuple[object, str]] = {}

    def dump(self, document: Mapping[str, object]) -> str:
        """Text of a document as a JSON string."""
        known = self._texts.get(id(document))
        if known is None:
            known = self._texts[id(document)] = document, _dump(_dump(document))
        return known[1]


def _list_references(
    plate: VirtualPlate,
    groups: Documents,
    version: OmeZarrVersion,
    locations: list[str],
    documents: _Documents,
) -> Iterator[str]:
    zarr_format: ZarrFormat = 2 if version == "0.4" else 3
    for path, attributes in groups.items():
        for key, document in build_group_store_documents(path, attributes, zarr_format).items():
            yield f"{_dump(key)}:{_dump(_dump(document))}"
    names = [_dump(location) for location in locations]
    sizes = [source.size_bytes for source in plate.sources]
    for image in plate.images:
        for array in image.arrays:
            stored = build_stored_array(array, zarr_format)
            if stored is None:
                raise UsageError(
                    f"{array.path}: Zarr v{zarr_format} cannot express how this array is stored. Write another version of OME-Zarr."
                )
            for key, document in build_array_store_documents(array, stored.document, zarr_format).items():
                yield f"{_dump(key)}:{documents.dump(document)}"
            yield from _refer_to_chunks(array.path, stored, names, sizes)


def _refer_to_chunks(
    path: str, stored: StoredArray, names: list[str], sizes: list[int | None]
) -> Iterator[str]:
    """One reference per chunk: file, first byte, bytes; a file that is referred to whole is named alone."""
    refs = stored.refs
    start = _dump(f"{path}/")[:-1]
    columns = zip(stored.keys, refs.source.tolist(), refs.offset.tolist(), refs.size.tolist(), strict=True)
    for key, source, offset, size in columns:
        is_whole = size == WHOLE_FILE or (offset == 0 and size == sizes[source])
        place = names[source] if is_whole else f"{names[source]},{offset},{size}"
        yield f'{start}{key}":[{place}]'


def _name_sources(sources: Sequence[SourceFile], target_uri: str) -> list[str]:
    """Plain paths of local files, whatever their URIs were, and addresses of others, in full."""
    if all(source.uri.startswith("/") for source in sources):
        return [source.uri for source in sources]
    return locate_sources(sources, target_uri, absolute=True)


def _describe_source(location: str, source: SourceFile) -> list[object]:
    """Location, size, time of the last change in ns, ETag."""
    return [location, source.size_bytes, source.modified_ns, source.etag]


def _join(parts: Iterator[str]) -> str:
    return ",\n".join(parts)


def _dump(value: object) -> str:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # of integers beyond 64 bits, as odd fill values are
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
