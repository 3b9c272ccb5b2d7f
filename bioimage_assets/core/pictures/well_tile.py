"""A picture of one number per well in a few hundred bytes, small enough for a line of metadata.

Dagster shows Markdown of less than 1000 characters in place and hides longer one behind a link. A plate of
384 wells as an indexed PNG, one pixel per well (https://www.w3.org/TR/png-3/), inside an SVG that enlarges it,
stays below that; a plate of 1536 wells does with fewer colours.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Mapping

import numpy as np

from bioimage_assets.core.pictures.geometry import PlateGeometry

# The picture is about this wide; wells of small plates are not drawn larger than the second number.
WIDTH_PX = 300
MAX_WELL_PX = 24  # of one well: 96 wells are 288 x 192 pixels
# Viridis in fifteen steps; the first entry stands for wells without a value.
_EMPTY = "e5e7eb"
_VIRIDIS = "440154481b6d46327e3f4788365c8d2e6e8e277f8e21918c1fa1872db27d4ac16d73d056a0da39d0e11cfde725"
_SCALE = [_VIRIDIS[start : start + 6] for start in range(0, len(_VIRIDIS), 6)]


def build_well_tile(geometry: PlateGeometry, values: Mapping[str, float | None], *, colours: int = 15) -> str:
    """Draw a plate map as an SVG data URI, from the lowest value (dark) to the highest (bright).

    ``colours`` is 15 or 3; wells without a value are grey. Wells outside the plate raise UsageError.
    """
    laid = geometry.grid(values)
    bits, scale = (4, _SCALE) if colours > 3 else (2, [_SCALE[0], _SCALE[7], _SCALE[14]])
    png = _indexed_png(_steps(laid, len(scale)), bits, [_EMPTY, *scale])
    well_px = min(MAX_WELL_PX, max(1, WIDTH_PX // laid.shape[1]))
    width, height = laid.shape[1] * well_px, laid.shape[0] * well_px
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
        f'<image width="{width}" height="{height}" style="image-rendering:pixelated" '
        f'href="data:image/png;base64,{base64.b64encode(png).decode()}"/></svg>'
    )
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _steps(laid: np.ndarray, count: int) -> np.ndarray:
    """Palette entries: 0 without a value, 1 to ``count`` from the lowest to the highest value."""
    known = np.isfinite(laid)
    steps = np.zeros(laid.shape, dtype=np.uint8)
    if known.any():
        # Halved: the largest value minus the lowest may be more than a number can hold.
        values = laid[known] / 2
        low, high = float(values.min()), float(values.max())
        share = (values - low) / (high - low) if high > low else np.full(int(known.sum()), 0.5)
        steps[known] = 1 + np.minimum(count - 1, np.floor(share * count)).astype(np.uint8)
    return steps


def _indexed_png(steps: np.ndarray, bits: int, palette: list[str]) -> bytes:
    per_byte = 8 // bits
    height, width = steps.shape
    padded = np.zeros((height, -(-width // per_byte) * per_byte), dtype=np.uint8)
    padded[:, :width] = steps
    packed = np.zeros((height, padded.shape[1] // per_byte), dtype=np.uint8)
    for place in range(per_byte):
        packed |= padded[:, place::per_byte] << (8 - bits * (place + 1))
    rows = np.hstack([np.zeros((height, 1), dtype=np.uint8), packed])  # filter 0 before every row
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _part(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 3, 0, 0, 0)),
            _part(b"PLTE", bytes.fromhex("".join(palette))),
            _part(b"IDAT", zlib.compress(rows.tobytes(), 9)),
            _part(b"IEND", b""),
        )
    )


def _part(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))
