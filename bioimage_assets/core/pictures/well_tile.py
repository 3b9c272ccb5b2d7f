"""A picture of one number per well, with row letters and column numbers, small enough for a line of metadata.

Dagster shows Markdown of less than 1000 characters in place and hides longer one behind a link. A plate of
384 wells as an indexed PNG, one pixel per well (https://www.w3.org/TR/png-3/), inside an SVG that enlarges and labels it,
stays below that, with fewer colours where its values are noise. The SVG is percent-encoded, not base64: the PNG in it is
that already, and would grow by a third once more (https://www.rfc-editor.org/rfc/rfc2397).
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np

from bioimage_assets.core.pictures.geometry import PlateGeometry

# The picture is about this wide; wells are drawn neither larger nor smaller than the other numbers.
WIDTH_PX = 300
MAX_WELL_PX = 24  # of one well: 96 wells are 288 x 192 pixels
MIN_WELL_PX = 9  # 1536 wells are 432 x 288 pixels
FONT_PX = 9
_LEFT_PX, _TOP_PX = 14, 11  # what the labels take
_DIGIT_PX = 5
# Between two labels there is at least this much, else every second, or fourth, is drawn.
_ROW_PITCH_PX, _COLUMN_PITCH_PX = 10, 16
# Viridis in fifteen steps; the first entry stands for wells without a value.
_EMPTY = "e5e7eb"
_VIRIDIS = "440154481b6d46327e3f4788365c8d2e6e8e277f8e21918c1fa1872db27d4ac16d73d056a0da39d0e11cfde725"
_SCALE = [_VIRIDIS[start : start + 6] for start in range(0, len(_VIRIDIS), 6)]
Colours = Literal[15, 7, 3]
COLOURS: tuple[Colours, ...] = (15, 7, 3)
"""How many there may be; fewer make a shorter picture."""


def build_well_tile(
    geometry: PlateGeometry, values: Mapping[str, float | None], *, colours: Colours = 15
) -> str:
    """Draw a plate map as an SVG data URI, from the lowest value (dark) to the highest (bright).

    Fewer ``colours`` make a shorter URI; wells without a value are grey. Wells outside the plate raise UsageError.
    """
    laid = geometry.grid(values)
    scale = _SCALE[:: 14 // (colours - 1)]
    png = _indexed_png(_steps(laid, colours), 4 if colours > 3 else 2, [_EMPTY, *scale])
    well_px = min(MAX_WELL_PX, max(MIN_WELL_PX, WIDTH_PX // laid.shape[1]))
    width, height = laid.shape[1] * well_px, laid.shape[0] * well_px
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width + _LEFT_PX}' height='{height + _TOP_PX}' "
        f"font-size='{FONT_PX}' fill='gray'>"
        f"<image x='{_LEFT_PX}' y='{_TOP_PX}' width='{width}' height='{height}' image-rendering='pixelated' "
        f"href='data:image/png;base64,{base64.b64encode(png).decode()}'/>"
        f"{_label_rows(geometry.row_labels, well_px)}{_label_columns(geometry.column_labels, well_px)}</svg>"
    )
    return f"data:image/svg+xml,{_encode(svg)}"


def _label_rows(labels: Sequence[str], well_px: int) -> str:
    step = _choose_step(well_px, _ROW_PITCH_PX)
    places = [
        (1 + 6 * at, _TOP_PX + well_px * row + well_px // 2 + 3, letter)
        for row in range(0, len(labels), step)
        for at, letter in enumerate(labels[row])
    ]
    return _write(places)


def _label_columns(labels: Sequence[str], well_px: int) -> str:
    step = _choose_step(well_px, _COLUMN_PITCH_PX)
    places = [
        (
            _LEFT_PX + well_px * column + (well_px - _DIGIT_PX * len(labels[column])) // 2 + _DIGIT_PX * at,
            8,
            digit,
        )
        for column in range(0, len(labels), step)
        for at, digit in enumerate(labels[column])
    ]
    return _write(places, y=8)


def _choose_step(well_px: int, pitch_px: int) -> int:
    """Every label, every second or every fourth."""
    return next(step for step in (1, 2, 4) if step * well_px >= pitch_px or step == 4)


def _write(places: Iterable[tuple[int, int, str]], y: int | None = None) -> str:
    """One text element with a place for each character: an element for each label is several times as long."""
    xs, ys, characters = zip(*places, strict=True)
    listed = str(y) if y is not None else ",".join(map(str, ys))
    return f"<text x='{','.join(map(str, xs))}' y='{listed}'>{''.join(characters)}</text>"


def _encode(svg: str) -> str:
    """What a URL and a Markdown link may not hold, percent-encoded."""
    return svg.replace("<", "%3C").replace(">", "%3E").replace(" ", "%20")


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
