"""A virtual plate in, a folder of Parquet files out that fsspec's LazyReferenceMapper reads: one small file of references per array.

What that reader knows stands in its code alone: https://filesystem-spec.readthedocs.io/en/latest/api.html, ``fsspec.implementations.reference``.
It finds the references of a chunk by its number, which it computes from keys of Zarr v2 with dots (``A/1/0/0/0.0.1``); keys of Zarr v3
(``c/0/0/1``) and of v2 with slashes it does not understand (fsspec 2026.9). So this form is Zarr v2 with dots, and OME-Zarr 0.4.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.formats.zarr.v2 import build_v2_array
from bioimage_assets.core.storage.replace_whole import replace_folder
from bioimage_assets.core.stores.open import absolute_uri, local_path
from bioimage_assets.core.virtual.chunk_keys import build_stored_array
from bioimage_assets.core.virtual.model import (
    WHOLE_FILE,
    ChunkRefs,
    SourceFile,
    VirtualArray,
    VirtualPlate,
)
from bioimage_assets.core.virtual.source_locations import locate_sources
from bioimage_assets.core.virtual.store_documents import (
    Documents,
    build_array_store_documents,
    build_group_store_documents,
)

METADATA_NAME = ".zmetadata"
SOURCES_NAME = "sources.parquet"
WRITTEN_AT = "written_at"
"""Metadata of ``sources.parquet``: where the folder was when it was written."""
# References per file; a reader loads a file at a time. An array of a screen has a handful.
RECORD_SIZE = 100_000
_SOURCES = pa.schema(
    [
        pa.field("uri", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64()),
        pa.field("modified_ns", pa.int64()),
        pa.field("etag", pa.string()),
    ]
)


def write_kerchunk_parquet(
    plate: VirtualPlate, groups: Documents, target_uri: str, *, absolute: bool = False
) -> None:
    """Write the folder, replacing an older one whole; the same plate gives the same bytes.

    Parameters
    ----------
    plate
        Arrays that Zarr v2 cannot express must not be among them.
    groups
        Attributes of each group, of OME-Zarr 0.4.
    target_uri
        A local folder: one of a bucket cannot be replaced in one step.
    absolute
        Sources are where they are now: they are not looked for beside the folder after it moved.

    Raises
    ------
    UsageError
        The target is no local folder, or an array is expressed in Zarr v3 alone.
    BioimageError
        The folder cannot be written.
    """
    path = local_path(target_uri)
    if path is None:
        raise UsageError(
            f"{target_uri}: a folder of Parquet files cannot be replaced in one step in a bucket, so that readers would see "
            "half of it; write JSON or Icechunk there, or a local folder."
        )
    # fsspec knows no reference that is relative to the folder: it would take the working folder of whoever reads.
    locations = locate_sources(plate.sources, target_uri, absolute=True)
    metadata = _build_metadata(plate, groups)
    written_at = None if absolute else absolute_uri(target_uri)
    replace_folder(Path(path), lambda folder: _fill(folder, plate, locations, metadata, written_at))


def _fill(
    folder: Path,
    plate: VirtualPlate,
    locations: list[str],
    metadata: Mapping[str, object],
    written_at: str | None,
) -> None:
    names = np.array(locations, dtype=object)
    for image in plate.images:
        for array in image.arrays:
            _write_references(folder, array, names)
    pq.write_table(
        _build_sources(plate.sources, locations, written_at), folder / SOURCES_NAME, compression="zstd"
    )
    document = {
        "metadata": metadata,
        "record_size": RECORD_SIZE,
        # Readers of Zarr v2 then take every document from here, and list nothing.
        "zarr_consolidated_format": 1,
    }
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    (folder / METADATA_NAME).write_bytes(text.encode())


def _build_metadata(plate: VirtualPlate, groups: Documents) -> dict[str, object]:
    """Every document of Zarr v2 by its key."""
    found: dict[str, object] = {}
    for path, attributes in groups.items():
        found |= build_group_store_documents(path, attributes, 2)
    for image in plate.images:
        for array in image.arrays:
            found |= build_array_store_documents(array, _build_array_document(array), 2)
    return found


def _build_array_document(array: VirtualArray) -> Mapping[str, object]:
    if array.metadata_v2 is None:
        raise UsageError(
            f"{array.path}: Zarr v2 cannot express how this array is stored, and Parquet references are of Zarr v2; write JSON or "
            "Icechunk as OME-Zarr 0.5."
        )
    return {**array.metadata_v2, "dimension_separator": "."}


def _write_references(folder: Path, array: VirtualArray, locations: np.ndarray) -> None:
    """Columns path, offset and size of every chunk of the array in C order; a chunk that is not stored has no path."""
    stored = build_stored_array(array, 2)
    if stored is None or not len(stored.refs):
        return
    chunks = build_v2_array(stored.document, array.path).chunk_shape or array.chunk_shape
    grid = [-(-extent // chunk) for extent, chunk in zip(array.shape, chunks, strict=True)]
    number = np.ravel_multi_index(tuple(stored.refs.coords.T), grid)
    records = number // RECORD_SIZE
    (folder / array.path).mkdir(parents=True)
    for record in np.unique(records):
        chosen = np.flatnonzero(records == record)
        rows = number[chosen] - record * RECORD_SIZE
        count = min(RECORD_SIZE, math.prod(grid) - int(record) * RECORD_SIZE)
        table = _build_references(stored.refs, chosen, rows, count, locations)
        _write_table(folder / array.path / f"refs.{record}.parq", table)


def _build_references(
    refs: ChunkRefs, chosen: np.ndarray, rows: np.ndarray, count: int, locations: np.ndarray
) -> pa.Table:
    """One row per chunk of the grid, stored or not: a reader looks a row up by number. Offset and size 0 mean the whole file."""
    paths = np.full(count, None, dtype=object)
    offsets, sizes = np.zeros(count, np.int64), np.zeros(count, np.int64)
    is_whole = refs.size[chosen] == WHOLE_FILE
    paths[rows] = locations[refs.source[chosen]]
    offsets[rows] = np.where(is_whole, 0, refs.offset[chosen])
    sizes[rows] = np.where(is_whole, 0, refs.size[chosen])
    return pa.table({"path": pa.array(paths, pa.string()), "offset": offsets, "size": sizes})


def _build_sources(sources: tuple[SourceFile, ...], locations: list[str], written_at: str | None) -> pa.Table:
    """What the files were; the metadata say where the folder was, so that files that moved with it are found again."""
    columns = [
        locations,
        [source.size_bytes for source in sources],
        [source.modified_ns for source in sources],
        [source.etag for source in sources],
    ]
    return pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, _SOURCES, strict=True)],
        schema=_SOURCES.with_metadata({} if written_at is None else {WRITTEN_AT: written_at}),
    )


def _write_table(path: Path, table: pa.Table) -> None:
    """A file as small as it can be: there is one for every array."""
    pq.write_table(table, path, compression="zstd", write_statistics=False, store_schema=False)
