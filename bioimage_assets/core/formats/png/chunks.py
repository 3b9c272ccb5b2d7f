"""``chunk_index`` rows of PNG plates: each file is one stored object that holds one plane, and is decoded as a whole.

There is no offset: pixels do not begin at a place in the file that could be read without what stands before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from bioimage_assets.core.errors import LimitExceededError
from bioimage_assets.core.formats.ome_tiff.page_codec import (
    PNG_COMPRESSION,
    PageCodec,
    natural_bits,
    write_page_codec,
)
from bioimage_assets.core.model.image import FileRecord, ImageRecord
from bioimage_assets.core.model.scan import ScanOptions, StoreScan
from bioimage_assets.core.stores.base import Store
from bioimage_assets.core.stores.open import open_store
from bioimage_assets.core.tables.schemas import CHUNK_INDEX

_BATCH_FILES = 50_000


class _PlaneOfFile(NamedTuple):
    """One file of an image; its key is relative to the scanned folder."""

    image: ImageRecord
    key: str
    file: FileRecord | None


def build_png_chunks(scan: StoreScan, options: ScanOptions) -> Iterator[pa.RecordBatch]:
    """Give one row per file in the order of the images; each folder is listed once, for what is there and its size.

    LimitExceededError, before anything is listed, where there are more files than ``options.max_chunk_rows``.
    """
    planes = [plane for image in scan.images for plane in _planes_of(image, scan.uri)]
    if options.levels is not None and 0 not in options.levels:
        planes = []
    if len(planes) > options.max_chunk_rows:
        raise LimitExceededError(
            f"{scan.uri}: the chunk index would hold {len(planes):,} rows, the limit is {options.max_chunk_rows:,}. "
            "Raise max_chunk_rows."
        )
    return _stream(scan, planes, options)


def _planes_of(image: ImageRecord, root_uri: str) -> Iterator[_PlaneOfFile]:
    files = [file for file in image.files if file.role == "image"]
    if files:
        yield from (_PlaneOfFile(image, file.path, file) for file in files)
    else:
        yield _PlaneOfFile(image, image.uri.removeprefix(f"{root_uri.rstrip('/')}/"), None)


def _stream(
    scan: StoreScan, planes: Sequence[_PlaneOfFile], options: ScanOptions
) -> Iterator[pa.RecordBatch]:
    store = open_store(
        scan.uri, storage_options=options.storage_options, follow_symlinks=options.follow_symlinks
    )
    try:
        sizes = _list_sizes(store, planes)
        for start in range(0, len(planes), _BATCH_FILES):
            yield _build_batch(planes[start : start + _BATCH_FILES], sizes)
    finally:
        store.close()


def _list_sizes(store: Store, planes: Sequence[_PlaneOfFile]) -> dict[str, int]:
    folders = dict.fromkeys(plane.key.rpartition("/")[0] for plane in planes)
    return {item.key: item.size_bytes for folder in folders for item in store.list_level(folder)[1]}


def _build_batch(planes: Sequence[_PlaneOfFile], sizes: dict[str, int]) -> pa.RecordBatch:
    images = [plane.image for plane in planes]
    stored = [sizes.get(plane.key) for plane in planes]
    columns: dict[str, pa.Array] = {
        "plate_key": pa.array([image.plate_key for image in images], pa.string()),
        "dataset_id": pa.array([image.dataset_id for image in images], pa.string()),
        "plate_id": pa.array([image.plate_id for image in images], pa.string()),
        "image_id": pa.array([image.image_id for image in images], pa.string()),
        "array_path": pa.array([image.levels[0].path for image in images], pa.string()),
        "level": pa.array([0] * len(planes), pa.int32()),
        "kind": pa.array(["object"] * len(planes), pa.string()),
        "chunk_key": pa.array([_key_of(plane) for plane in planes], pa.string()),
        "chunk_coords": pa.array([_coords_of(plane) for plane in planes], pa.list_(pa.int32())),
        "nominal_bytes": pa.array([_nominal_bytes(image) for image in images], pa.int64()),
        "stored_bytes": pa.array(stored, pa.int64()),
        "is_present": pa.array([size is not None for size in stored], pa.bool_()),
        "codec": pa.array([_codec_of(image) for image in images], pa.string()),
    }
    empty = {
        field.name: pa.nulls(len(planes), field.type) for field in CHUNK_INDEX if field.name not in columns
    }
    columns |= empty
    return pa.RecordBatch.from_arrays([columns[name] for name in CHUNK_INDEX.names], schema=CHUNK_INDEX)


def _key_of(plane: _PlaneOfFile) -> str:
    """Relative to the image's ``uri``, which is the folder of a field of several files, or the file itself."""
    return plane.key if plane.file is not None else plane.key.rpartition("/")[2]


def _coords_of(plane: _PlaneOfFile) -> list[int]:
    file = plane.file
    place = {} if file is None else {"c": file.c, "z": file.z, "t": file.t}
    return [place.get(axis) or 0 for axis in plane.image.axes or ""]


def _codec_of(image: ImageRecord) -> str:
    """How the file is decoded, in the words of TIFF pages, which may hold PNGs, too."""
    extents = dict(zip(image.axes or "", image.shape, strict=True))
    height, width = extents["y"], extents["x"]
    bits = natural_bits(image.dtype)
    page = PageCodec(
        PNG_COMPRESSION, image.dtype, height, width, None, height, bits, samples=extents.get("s", 1)
    )
    return write_page_codec(page)


def _nominal_bytes(image: ImageRecord) -> int:
    return prod(image.chunk_shape or image.shape) * np.dtype(image.dtype).itemsize
