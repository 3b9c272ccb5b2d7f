"""Draws where the fields of a well lie, as vectors inside the page: no file, no plotting library."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.pictures.page_parts import InlineDrawing

_SIZE_PX = 360
_MARGIN_PX = 8
_MOST_FIELDS = 1_000
_MOST_LABELS = 150
_DOT_PX = 3
_FONT_PX = (7.0, 13.0)


class FieldBox(NamedTuple):
    """One field in stage coordinates; its size is 0 where the pixel size is not known."""

    site: str
    x_um: float
    y_um: float
    width_um: float
    height_um: float


def build_field_layout(well_id: str, boxes: Sequence[FieldBox]) -> InlineDrawing:
    """Draw the fields as rectangles, or as dots where their size is not known; x to the right, y upwards, as on the stage."""
    shown = boxes[:_MOST_FIELDS]
    left, right = min(b.x_um for b in shown), max(b.x_um + b.width_um for b in shown)
    low, high = min(b.y_um for b in shown), max(b.y_um + b.height_um for b in shown)
    scale = (_SIZE_PX - 2 * _MARGIN_PX) / (max(right - left, high - low) or 1.0)
    width, height = (side * scale + 2 * _MARGIN_PX for side in (right - left, high - low))
    parts = [
        _draw_field(
            box, (box.x_um - left) * scale, (high - box.y_um - box.height_um) * scale, scale, len(shown)
        )
        for box in shown
    ]
    label = f"Places of {count_words(len(shown), 'field')} of well {well_id}"
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.1f} {height:.1f}" width="{width:.0f}" height="{height:.0f}" '
        f'role="img" aria-label="{escape(label, quote=True)}">{"".join(parts)}</svg>'
    )
    more = (
        ""
        if len(shown) == len(boxes)
        else f" The first {len(shown):,} of {count_words(len(boxes), 'field')} are shown."
    )
    span = f"{right - left:,.0f} x {high - low:,.0f} µm"
    text = f"Where the {count_words(len(boxes), 'field')} of well {well_id} lie ({span}; x to the right, y upwards, as the stage counts them).{more}"
    return InlineDrawing(svg, text)


def _draw_field(box: FieldBox, x_px: float, y_px: float, scale: float, count: int) -> str:
    x, y = x_px + _MARGIN_PX, y_px + _MARGIN_PX
    width, height = box.width_um * scale, box.height_um * scale
    if not width or not height:
        shape = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_DOT_PX}" fill="#0072b2"/>'
    else:
        shape = (
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="#0072b2" fill-opacity="0.12" '
            'stroke="#0072b2"/>'
        )
    if count > _MOST_LABELS or not box.site:
        return shape
    size = min(max(height / 3, _FONT_PX[0]), _FONT_PX[1])
    place = f'x="{x + width / 2:.1f}" y="{y + height / 2:.1f}" font-size="{size:.1f}"'
    return f'{shape}<text {place} text-anchor="middle" dominant-baseline="central" fill="#1f2328">{escape(box.site[:12])}</text>'
