"""Builders of small PNGs: by imagecodecs, and by hand where a header must say something else."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import imagecodecs
import numpy as np

from bioimage_assets_tests.builders.tiff_plates import WELLS, cellvoyager_name


def write_png(path: Path, pixels: np.ndarray) -> Path:
    """Write one PNG of 8 or 16 bits, grey or with samples last."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels)))
    return path


def write_png_plate(
    folder: Path, name_of: Callable[[str, int, int], str] = cellvoyager_name, *, wells: Sequence[str] = WELLS, sites: int = 2,
    channels: int = 3,
) -> Path:  # fmt: skip
    """Write the planes of ``tiff_plates.write_named`` as PNGs of noise, each of its own, above 1,000 times its channel."""
    rng = np.random.default_rng(7)
    for well in wells:
        for site in range(1, sites + 1):
            for channel in range(1, channels + 1):
                noise = rng.integers(0, 1_000, (12, 16)).astype(np.uint16)
                write_png(
                    folder / Path(name_of(well, site, channel)).with_suffix(".png"),
                    noise + np.uint16(1_000 * channel),
                )
    return folder


def build_png(width: int, height: int, bits: int, colour: int, *, interlace: int = 0) -> bytes:
    """Compose a PNG whose header says anything, with its right checksum, and with nearly no pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlace)
    body = b"IDAT" + zlib.compress(b"\0" * 300)
    chunks = b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (header, body, b"IEND")
    )
    return b"\x89PNG\r\n\x1a\n" + chunks
