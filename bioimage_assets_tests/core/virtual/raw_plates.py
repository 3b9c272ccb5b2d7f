"""Virtual plates whose chunks are stretches of plain files of samples: what writers are tried with, without any image format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from bioimage_assets.core.virtual.model import (
    WHOLE_FILE,
    ChunkRefs,
    SourceFile,
    VirtualArray,
    VirtualImage,
    VirtualPlate,
)
from bioimage_assets_tests.core.virtual.shells import make_field, make_rows

WELLS = ("A01", "B03")
SHAPE, CHUNK = (2, 5, 6), (1, 5, 3)
HEADER_BYTES = 16


def make_raw_plate(folder: Path, *, whole_files: bool = False) -> tuple[pa.Table, VirtualPlate]:
    """One field in two wells, a file each (a file per chunk with ``whole_files``); the last chunk of B03 is not stored."""
    rows = make_rows(
        *(make_field(well, "0", shape=list(SHAPE), channel_names=["DNA", "ER"]) for well in WELLS)
    )
    sources: list[SourceFile] = []
    images = tuple(
        _make_image(folder, number, well, sources, whole_files) for number, well in enumerate(WELLS)
    )
    return rows, VirtualPlate("P1", images, tuple(sources))


def pixels_of(number: int) -> np.ndarray:
    """(c, y, x): what the field of the well with this number holds, zero where its chunk is not stored."""
    pixels = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE) + 1 + 1000 * number
    if number == 1:
        pixels[1, :, 3:] = 0
    return pixels


def _make_image(folder: Path, number: int, well: str, sources: list[SourceFile], whole: bool) -> VirtualImage:
    folder.mkdir(parents=True, exist_ok=True)
    all_coords = [(c, 0, x) for c in range(2) for x in range(2)]
    coords = all_coords[: 3 if number == 1 else 4]
    pixels = pixels_of(number)
    chunks = [pixels[c : c + 1, :, 3 * x : 3 * x + 3].tobytes() for c, _, x in coords]
    if whole:
        files = [_write(folder / f"{well} #{n}.bin", chunk) for n, chunk in enumerate(chunks)]
        source = np.arange(len(chunks)) + len(sources)
        offset, size = np.zeros(len(chunks)), np.full(len(chunks), WHOLE_FILE)
    else:
        files = [_write(folder / f"{well} 50%.bin", b"h" * HEADER_BYTES + b"".join(chunks))]
        source = np.full(len(chunks), len(sources))
        offset = HEADER_BYTES + np.arange(len(chunks)) * len(chunks[0])
        size = np.full(len(chunks), len(chunks[0]))
    sources += files
    refs = ChunkRefs(
        np.array(coords, np.int32), source.astype(np.int32), offset.astype(np.int64), size.astype(np.int64)
    )
    path = "A/1/0" if well == "A01" else "B/3/0"
    array = VirtualArray(f"{path}/0", SHAPE, CHUNK, "uint16", ("c", "y", "x"), _DOCUMENT_3, _DOCUMENT_2, refs)
    return VirtualImage(path, f"P1:{well}:0", (array,))


def _write(path: Path, content: bytes) -> SourceFile:
    path.write_bytes(content)
    stat = path.stat()
    return SourceFile(str(path), stat.st_size, stat.st_mtime_ns)


_DOCUMENT_3 = {
    "zarr_format": 3, "node_type": "array", "shape": list(SHAPE), "data_type": "uint16", "fill_value": 0, "attributes": {},
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(CHUNK)}},
    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}], "dimension_names": ["c", "y", "x"],
}  # fmt: skip
_DOCUMENT_2 = {
    "zarr_format": 2, "shape": list(SHAPE), "chunks": list(CHUNK), "dtype": "<u2", "fill_value": 0, "order": "C",
    "compressor": None, "filters": None, "dimension_separator": "/",
}  # fmt: skip
