"""What tifffile, the independent reader, says about a file: series, chunk offsets and sizes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import tifffile

from bioimage_assets.core.formats.ome_tiff.chunks import build_tiff_chunks
from bioimage_assets.core.model.image import ImageRecord
from bioimage_assets.core.model.scan import ScanOptions, StoreScan
from bioimage_assets.core.pixels.location import ImageGeometry
from bioimage_assets.core.pixels.tiff_planes import TiffPlanes
from bioimage_assets.core.stores.pixel_store import ReadCount
from bioimage_assets.core.tables.schemas import CHUNK_INDEX


def read_series(path: Path) -> list[tuple[tuple[int, ...], str, str]]:
    """Shape, axes and dtype of each series."""
    with tifffile.TiffFile(path) as tiff:
        return [(series.shape, series.axes.lower(), series.dtype.name) for series in tiff.series]


def read_page_chunks(path: Path) -> list[tuple[str, list[int], list[int]]]:
    """Label, offsets and byte counts of every page and sub-page, in stored order."""
    with tifffile.TiffFile(path) as tiff:
        found = []
        for number, page in enumerate(tiff.pages):
            found.append((str(number), list(page.dataoffsets), list(page.databytecounts)))
            for level, sub in enumerate(page.pages or ()):
                found.append((f"{number}/{level}", list(sub.dataoffsets), list(sub.databytecounts)))
        return found


def read_chunks(scan: StoreScan, options: ScanOptions | None = None) -> pa.Table:
    """Chunk rows of a scan as one table."""
    return pa.Table.from_batches(list(build_tiff_chunks(scan, options)), schema=CHUNK_INDEX)


def assert_chunks_agree(scan: StoreScan, path: Path) -> None:
    """Every stored byte that tifffile finds is in exactly one row, at the same place."""
    rows = read_chunks(scan).to_pylist()
    expected = {label: (offsets, counts) for label, offsets, counts in read_page_chunks(path)}
    by_page: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        by_page.setdefault(str(row["chunk_key"]).rpartition("#")[2].partition(":")[0], []).append(row)
    assert set(by_page) == set(expected)
    for label, page_rows in by_page.items():
        offsets, counts = expected[label]
        if page_rows[0]["kind"] == "tile":
            assert [row["stored_offset"] or 0 for row in page_rows] == offsets
            assert [row["stored_bytes"] or 0 for row in page_rows] == counts
            continue
        assert sum(int(str(row["strip_count"])) for row in page_rows) == len(offsets)
        assert sum(int(str(row["stored_bytes"])) for row in page_rows) == sum(counts)
        first = 0
        for row in page_rows:
            assert row["stored_offset"] == offsets[first]
            first += int(str(row["strip_count"]))


def read_plane(image: ImageRecord, plane: Mapping[str, int], level: int = 0) -> np.ndarray:
    """Pixels of one plane of a scanned image, as a crop of it is read."""
    geometry = ImageGeometry(
        image.plate_key, image.dataset_id, image.image_id, image.format_family, image.uri, image.array_path,
        tuple(image.axes or ""), image.dtype, image.levels, image.channel_names or (), image.files, None, None,
    )  # fmt: skip
    sizes = dict(zip(image.axes or "", image.levels[level].shape, strict=True))
    with TiffPlanes(geometry, ReadCount()) as planes:
        return planes.read(plane, level, (0, sizes["y"]), (0, sizes["x"]))
