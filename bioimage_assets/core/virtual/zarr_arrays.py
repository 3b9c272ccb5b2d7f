"""Images of Zarr stores in, virtual arrays out: one per level, with the array's own document and one in the other version of Zarr.

A chunk is a reference to its file or object, in an archive to its bytes there; the chunks inside of shards are references into the shards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bioimage_assets.core.errors import StoreError, UnsupportedStoreError
from bioimage_assets.core.formats.zarr.array import ZarrArray
from bioimage_assets.core.formats.zarr.documents import JsonObject, parse_json_object
from bioimage_assets.core.formats.zarr.v2 import build_v2_array
from bioimage_assets.core.formats.zarr.v3 import build_v3_array
from bioimage_assets.core.model.store_paths import join_path
from bioimage_assets.core.stores.open import is_archive, open_store
from bioimage_assets.core.virtual.chunk_columns import KINDS, NOTHING, LevelChunks
from bioimage_assets.core.virtual.image_rows import ImageRow, LevelShape
from bioimage_assets.core.virtual.model import WHOLE_FILE, ChunkRefs, VirtualArray
from bioimage_assets.core.virtual.source_table import SourceTable
from bioimage_assets.core.virtual.zarr_conversion import DTYPES, build_v2_from_v3, build_v3_from_v2

_OBJECT, _INNER = KINDS.index("object"), KINDS.index("inner")
_V3_NAME, _V2_NAME = "zarr.json", ".zarray"


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """The document of one array as it is stored."""

    zarr_format: int
    document: JsonObject
    array: ZarrArray


class ArrayDocuments:
    """Documents of the arrays of some stores, read with as many requests at a time as the store allows; equal ones are parsed once."""

    def __init__(
        self, images: Sequence[ImageRow], storage_options: Mapping[str, object] | None = None
    ) -> None:
        self._found: dict[tuple[str, str], StoredDocument | StoreError] = {}
        self._parsed: dict[tuple[int, bytes], StoredDocument] = {}
        self._archives: dict[str, bool] = {}
        by_store: dict[str, list[str]] = {}
        for image in images:
            by_store.setdefault(image.uri, []).extend(level.path for level in image.levels)
        for uri, paths in by_store.items():
            self._archives[uri] = is_archive(uri)
            try:
                self._read_store(uri, list(dict.fromkeys(paths)), storage_options)
            except StoreError as error:
                self._found |= {(uri, path): error for path in paths}

    def find(self, image: ImageRow, level: LevelShape) -> StoredDocument:
        """Document of a level's array; the StoreError that reading it gave."""
        found = self._found[image.uri, level.path]
        if isinstance(found, StoreError):
            raise found
        return found

    def is_archive(self, image: ImageRow) -> bool:
        """Whether the store of an image is one file."""
        return self._archives[image.uri]

    def _read_store(
        self, uri: str, paths: Sequence[str], storage_options: Mapping[str, object] | None
    ) -> None:
        store = open_store(uri, storage_options=storage_options)
        try:
            for zarr_format, name in ((3, _V3_NAME), (2, _V2_NAME)):
                # Where both are, as after an upgrade in place, v3 is the array.
                waiting = [
                    path for path in paths if not isinstance(self._found.get((uri, path)), StoredDocument)
                ]
                found = store.get_many([join_path(path, name) for path in waiting]) if waiting else {}
                for path in waiting:
                    self._found[uri, path] = self._parse(uri, path, zarr_format, found[join_path(path, name)])
        finally:
            store.close()

    def _parse(
        self, uri: str, path: str, zarr_format: int, raw: bytes | StoreError | None
    ) -> StoredDocument | StoreError:
        if raw is None:
            return UnsupportedStoreError(
                f"its array {path!r} has no document any more. Scan the plate again."
            )
        if isinstance(raw, StoreError):
            return raw
        known = self._parsed.get((zarr_format, raw))
        if known is not None:
            return known
        place = f"{uri}/{path}"
        try:
            document = parse_json_object(raw, place)
            array = build_v3_array(document, place) if zarr_format == 3 else build_v2_array(document, place)
        except StoreError as error:
            return error
        known = self._parsed[zarr_format, raw] = StoredDocument(zarr_format, _name_fill(document), array)
        return known


def _name_fill(document: JsonObject) -> JsonObject:
    """The document whose fill value is JSON: NaN and infinities, which some write as such, by their names."""
    fill = document.get("fill_value")
    if not isinstance(fill, float) or math.isfinite(fill):
        return document
    return {**document, "fill_value": "NaN" if math.isnan(fill) else "Infinity" if fill > 0 else "-Infinity"}


def build_zarr_arrays(
    image: ImageRow,
    path: str,
    levels: Mapping[str, LevelChunks],
    sources: SourceTable,
    documents: ArrayDocuments,
) -> tuple[VirtualArray, ...]:
    """Arrays of all levels.

    Parameters
    ----------
    levels
        Rows of the chunk index by the path of their array in the store.

    Raises
    ------
    UnsupportedStoreError
        The image cannot be expressed; the message goes on after "image … ".
    StoreError
        A document cannot be read.
    """
    if len(set(image.axes)) != len(image.axes) or not set(image.axes) <= set("tczyx"):
        raise UnsupportedStoreError(f"its axes {','.join(image.axes)} are others than t, c, z, y and x.")
    arrays = []
    for number, level in enumerate(image.levels):
        stored = documents.find(image, level)
        if stored.array.shape != level.shape:
            raise UnsupportedStoreError(
                f"its array {level.path!r} is {stored.array.shape}, it was {level.shape} when scanned. Scan the plate again."
            )
        if stored.array.dtype not in DTYPES:
            raise UnsupportedStoreError(f"its data type {stored.array.dtype:.60} is none that pixels have.")
        if stored.array.stored_shape is None:
            raise UnsupportedStoreError(f"the chunks of its array {level.path!r} have no common shape.")
        chunks = levels.get(level.path)
        if chunks is None:
            raise UnsupportedStoreError(
                f"the chunk index has no rows of its array {level.path!r}. Scan the plate again."
            )
        arrays.append(
            _build_array(
                image, level, f"{path}/{number}", stored, chunks, sources, documents.is_archive(image)
            )
        )
    return tuple(arrays)


def _build_array(
    image: ImageRow, level: LevelShape, path: str, stored: StoredDocument, chunks: LevelChunks, sources: SourceTable, is_archive: bool
) -> VirtualArray:  # fmt: skip
    array = stored.array
    refs = _refer_to_objects(image, level, chunks, sources, is_archive)
    inner = (
        None if array.shard_shape is None else _refer_into_shards(image, level, chunks, sources, is_archive)
    )
    v3, v2 = _build_documents(image, stored, has_inner=inner is not None)
    return VirtualArray(
        path,
        array.shape,
        array.stored_shape or (),
        array.dtype,
        image.axes,
        v3,
        v2,
        refs,
        inner if v2 is not None else None,
    )


def _build_documents(
    image: ImageRow, stored: StoredDocument, *, has_inner: bool
) -> tuple[JsonObject | None, JsonObject | None]:
    """Documents for v3 and v2, None where one cannot say it; UnsupportedStoreError where neither can."""
    document, array = stored.document, stored.array
    if stored.zarr_format == 2:
        try:
            return build_v3_from_v2(document, array, image.axes), document
        except UnsupportedStoreError:
            return None, document
    named = (
        document if array.dimension_names is not None else {**document, "dimension_names": list(image.axes)}
    )
    if array.shard_shape is not None and not has_inner:
        return named, None
    try:
        return named, build_v2_from_v3(document, array)
    except UnsupportedStoreError:
        return named, None


def _refer_to_objects(
    image: ImageRow, level: LevelShape, chunks: LevelChunks, sources: SourceTable, is_archive: bool
) -> ChunkRefs:
    rows = chunks.select((chunks.kind == _OBJECT) & ~chunks.is_absent)
    names = [rows.all_names[code] for code in rows.names.tolist()]
    if is_archive:
        _check_offsets(rows)
        number = sources.add(image.uri)
        return ChunkRefs(rows.coords, np.full(len(rows), number, np.int32), rows.offset, rows.stored)
    numbers = np.array([sources.add(image.object_uri(level, name)) for name in names], np.int32)
    # The size was listed with the store; where nobody could list it, the object is as long as it is.
    return ChunkRefs(
        rows.coords,
        numbers,
        np.zeros(len(rows), np.int64),
        np.where(rows.stored == NOTHING, WHOLE_FILE, rows.stored),
    )


def _refer_into_shards(
    image: ImageRow, level: LevelShape, chunks: LevelChunks, sources: SourceTable, is_archive: bool
) -> ChunkRefs | None:
    """References to the chunks inside of shards, None where their places are not known."""
    rows = chunks.select((chunks.kind == _INNER) & ~chunks.is_absent)
    if len(rows) and int(rows.offset.min()) == NOTHING:
        return None
    if is_archive:
        numbers = np.full(len(rows), sources.add(image.uri), np.int32)
    else:
        codes, inverse = np.unique(rows.names, return_inverse=True)
        found = [sources.add(image.object_uri(level, rows.all_names[code])) for code in codes.tolist()]
        numbers = np.array(found, np.int32)[inverse] if found else np.zeros(0, np.int32)
    return ChunkRefs(rows.coords, numbers, rows.offset, rows.stored)


def _check_offsets(rows: LevelChunks) -> None:
    if len(rows) and int(rows.offset.min()) == NOTHING:
        raise UnsupportedStoreError(
            "its archive packs the chunks once more, so that no reference leads to them. Write it without compression (zip -0)."
        )
