"""A plate at one glance: one field of each well, small, in one contrast per channel for the whole plate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
from PIL import Image

from bioimage_assets.core.model.identity import site_order
from bioimage_assets.core.model.image import LISTED
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.pictures.channel_colours import Crop, compose, name_colours, share_limits
from bioimage_assets.core.pictures.drawing import Drawing, NotDrawn
from bioimage_assets.core.pictures.geometry import PlateGeometry, choose_geometry, well_place
from bioimage_assets.core.pictures.plate_map import label_wells
from bioimage_assets.core.pictures.style import INK, finish, new_figure, style

MAX_WELLS = 384
_WIDTH_PX = 1440  # of all wells together: 60 pixels a well with 384 of them
_MAX_TILE_PX = 240
_GAP_PX = 2
_DPI = 150
_GREY = 0.9


class ThumbnailReader(Protocol):
    """Reads fields of about ``size_px`` pixels, in order; the reason in place of one that cannot be read."""

    def __call__(
        self, fields: Sequence[Mapping[str, object]], *, size_px: int
    ) -> Sequence[Crop | NotDrawn]: ...


def choose_fields(image_assets: pa.Table) -> dict[str, dict[str, object]]:
    """Row of the first field of each well, by well, in the order of the plate; label images and unopened ones are none."""
    chosen: dict[str, tuple[tuple[int, str], int]] = {}
    columns = image_assets.select(["well_id", "site_id", "image_kind", "scan_status"]).to_pylist()
    for number, row in enumerate(columns):
        if row["image_kind"] == "label" or row["scan_status"] == LISTED or well_place(row["well_id"]) is None:
            continue
        order = site_order(row["site_id"])
        if row["well_id"] not in chosen or order < chosen[row["well_id"]][0]:
            chosen[row["well_id"]] = (order, number)
    wells = sorted(chosen, key=lambda well: well_place(well) or (0, 0))
    return {well: image_assets.slice(chosen[well][1], 1).to_pylist()[0] for well in wells}


def draw_thumbnails(
    image_assets: pa.Table,
    read: ThumbnailReader,
    title: str,
    *,
    geometry: PlateGeometry | None = None,
) -> Drawing:
    """Draw one field of each well; wells without one, or whose pixels cannot be read, are grey."""
    fields = choose_fields(image_assets)
    if not fields:
        return NotDrawn(title, "no image of this plate is in a well")
    if len(fields) > MAX_WELLS:
        return NotDrawn(
            title, f"{count_words(len(fields), 'well')} are more than the {MAX_WELLS} that can be told apart"
        )
    declared = (None, None) if geometry is None else (geometry.row_count, geometry.column_count)
    shape = choose_geometry(fields, row_count=declared[0], column_count=declared[1])
    tile = min(_MAX_TILE_PX, _WIDTH_PX // shape.column_count)
    made = read(list(fields.values()), size_px=tile)
    tiles = dict(zip(fields, made, strict=True))
    crops = [crop for crop in made if isinstance(crop, Crop)]
    if not crops:
        first = next(missing for missing in made if isinstance(missing, NotDrawn))
        return NotDrawn(title, f"no pixels could be read; the first: {first.reason}", is_odd=True)
    with style():
        mosaic = _build_mosaic(tiles, shape, tile)
        figure = new_figure(mosaic.shape[1] / _DPI + 0.5, mosaic.shape[0] / _DPI + 0.6)
        axis = figure.add_subplot()
        axis.imshow(mosaic, interpolation="nearest")
        label_wells(axis, shape, pitch=tile + _GAP_PX, middle=tile / 2)
        axis.tick_params(labelcolor=INK)
        axis.set_title(title, fontsize=12)
        return finish(figure, "plate_thumbnails", title, _caption(crops, len(fields)), dpi=_DPI)


def _build_mosaic(tiles: Mapping[str, Crop | NotDrawn], shape: PlateGeometry, tile: int) -> np.ndarray:
    limits = share_limits([crop for crop in tiles.values() if isinstance(crop, Crop)])
    step = tile + _GAP_PX
    mosaic = np.ones((shape.row_count * step - _GAP_PX, shape.column_count * step - _GAP_PX, 3))
    for row in range(shape.row_count):
        for column in range(shape.column_count):
            mosaic[row * step : row * step + tile, column * step : column * step + tile] = _GREY
    for well, crop in tiles.items():
        place = well_place(well)
        if place is not None and isinstance(crop, Crop):
            y, x = place[0] * step, place[1] * step
            mosaic[y : y + tile, x : x + tile] = _fit(compose(crop, limits), tile)
    return mosaic


def _fit(pixels: np.ndarray, tile: int) -> np.ndarray:
    """The middle square of a field in the size of a tile."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = np.round(pixels[top : top + side, left : left + side] * 255).astype(np.uint8)
    way = Image.Resampling.BOX if side >= tile else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(square).resize((tile, tile), way), np.float64) / 255


def _caption(crops: Sequence[Crop], well_count: int) -> str:
    channels = ", ".join(name_colours(crops[0].channel_names))
    unread = well_count - len(crops)
    parts = [
        "The middle of the first field of each well, from a coarse level",
        "one contrast per channel for all wells" + (f" ({channels})" if channels else ""),
        "grey: no image" + (f", or not read ({count_words(unread, 'well')})" if unread else ""),
    ]
    return "; ".join(parts) + "."
