"""Streams the ``chunk_index`` rows of scanned TIFF images, exact to the byte.

Source of truth: TIFF 6.0 (strips, tiles), OME-TIFF specification (planes, sub-resolutions). Directories are read
again, pixels never; a chunk with offset or count 0, or beyond the end of its file, is not present.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import pyarrow as pa

from bioimage_assets.core.errors import LimitExceededError
from bioimage_assets.core.formats.ome_tiff.chunk_rows import ChunkRows
from bioimage_assets.core.formats.ome_tiff.head_store import WINDOW_FILES, HeadStore
from bioimage_assets.core.formats.ome_tiff.locations import key_below
from bioimage_assets.core.formats.ome_tiff.page_reader import PageReader
from bioimage_assets.core.model.image import ImageRecord
from bioimage_assets.core.model.scan import ScanOptions, StoreScan
from bioimage_assets.core.stores.base import Store
from bioimage_assets.core.stores.open import open_store


def build_tiff_chunks(scan: StoreScan, options: ScanOptions | None = None) -> Iterator[pa.RecordBatch]:
    """Give the chunk rows of scanned TIFF images in batches, in the order of the images, planes, levels and chunks.

    The row limit is checked at once; every file's directories are read while the stream is read, whatever
    ``options.observe_chunks`` says, since the keys are in them. Files that broke since the scan give no rows.

    Raises
    ------
    LimitExceededError
        The images' shapes promise more rows than ``options.max_chunk_rows``; nothing was read.
    StoreChangedError
        While streaming: a file was removed or changed size while it was read.
    """
    options = options or ScanOptions()
    _check_limit(scan, options)
    return _stream(scan, options)


def _stream(scan: StoreScan, options: ScanOptions) -> Iterator[pa.RecordBatch]:
    folder = _folder_of(scan)
    store = HeadStore(
        open_store(folder, storage_options=options.storage_options, follow_symlinks=options.follow_symlinks)
    )
    rows = ChunkRows()
    given = 0
    try:
        sizes = _remote_sizes(store, scan, folder)
        reader = PageReader(store, rows, options.levels, sizes, len(scan.images) == 1)
        for window in _windows(scan, folder):
            store.fetch_heads((key for _, keys in window for key in keys), sizes)
            for image, keys in window:
                for _ in reader.read_image(image, keys[0]):
                    given += _count_rows(rows, given, scan, options)
                    yield rows.flush()
    finally:
        store.close()
    if _count_rows(rows, given, scan, options):
        yield rows.flush()


def _count_rows(rows: ChunkRows, given: int, scan: StoreScan, options: ScanOptions) -> int:
    """Number of the waiting rows; LimitExceededError where they and those given are too many."""
    rows.gather()
    if given + rows.count > options.max_chunk_rows:
        raise LimitExceededError(
            f"{scan.uri}: strips that do not follow one another are more rows than the limit of "
            f"{options.max_chunk_rows:,}. Ask for fewer levels or raise max_chunk_rows."
        )
    return rows.count


def _remote_sizes(store: Store, scan: StoreScan, folder: str) -> dict[str, int]:
    """Sizes of the files of a remote folder, in one listing per folder instead of one request per file."""
    # For a single image a listing costs more than asking for its file.
    if not store.is_remote or not store.can_list or len(scan.images) < 2:
        return {}
    keys = (key for window in _windows(scan, folder) for _, keys in window for key in keys)
    folders = dict.fromkeys(key.rpartition("/")[0] for key in keys)
    return {item.key: item.size_bytes for name in folders for item in store.list_level(name)[1]}


def _windows(scan: StoreScan, folder: str) -> Iterator[list[tuple[ImageRecord, list[str]]]]:
    """Images with the keys of their files, in groups of bounded file count."""
    window: list[tuple[ImageRecord, list[str]]] = []
    count = 0
    for image in scan.images:
        own = dict.fromkeys(record.path for record in image.files if record.role == "image")
        keys = list(own) or [key_below(folder, image.uri)]
        window.append((image, keys))
        count += len(keys)
        if count >= WINDOW_FILES:
            yield window
            window, count = [], 0
    if window:
        yield window


def _folder_of(scan: StoreScan) -> str:
    """Folder that the scan's keys are relative to: the scanned folder, or the one that holds the scanned file."""
    uris = {image.uri for image in scan.images}
    is_folder = any(image.files and image.uri == scan.uri for image in scan.images) or any(
        uri.startswith(scan.uri.rstrip("/") + "/") for uri in uris
    )
    return scan.uri if is_folder else scan.uri.rpartition("/")[0]


def _check_limit(scan: StoreScan, options: ScanOptions) -> None:
    rows = 0
    for image in scan.images:
        for level in image.levels:
            if options.levels is not None and level.level not in options.levels:
                continue
            chunk = level.chunk_shape or level.shape
            grid = [-(-size // step) for size, step in zip(level.shape, chunk, strict=True)]
            # Too low for strips that are not contiguous; the stream counts them while it is read.
            if chunk[-1] >= level.shape[-1]:  # strips: folded, so a page is one row at best
                grid = grid[:-2] if image.axes is None or not image.axes.endswith("s") else grid[:-3]
            rows += prod(grid)
    if rows > options.max_chunk_rows:
        raise LimitExceededError(
            f"{scan.uri}: the chunk index would hold {rows:,} rows or more, the limit is {options.max_chunk_rows:,}. "
            "Ask for fewer levels or raise max_chunk_rows."
        )
