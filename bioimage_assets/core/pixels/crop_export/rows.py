"""Cells of a plan become rows of an export: those that were cut with their pixels, the others with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from bioimage_assets.core.errors import (
    BioimageError,
    MissingTableError,
    StoreError,
    StoreNotFoundError,
    UsageError,
)
from bioimage_assets.core.pixels.boxes import PixelBox
from bioimage_assets.core.pixels.crop_export.cut import CutWindow, WindowCutter
from bioimage_assets.core.pixels.crop_export.images import PlateImages
from bioimage_assets.core.pixels.crop_export.ome_values import (
    OME_COLUMN,
    OmeImage,
    PixelEncoding,
    build_ome_values,
    ome_type,
)
from bioimage_assets.core.pixels.crop_export.options import CropExport
from bioimage_assets.core.pixels.crop_export.plan import KEYS
from bioimage_assets.core.pixels.locate import OBJECT_ID_COLUMN, CropChoice
from bioimage_assets.core.pixels.location import ImageGeometry

BOX = pa.struct({name: pa.int32() for name in ("y_start", "y_stop", "x_start", "x_stop")})
_CARRIED = "carried_"
# Pixels that wait to be written as one batch.
_BATCH_BYTES = 32 << 20
REFUSED_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in KEYS),
        ("window", BOX),
        ("reason_code", pa.string()),
        ("reason", pa.string()),
    ]
)


def crop_schema(plan: pa.Schema, encoding: PixelEncoding) -> pa.Schema:
    """Columns of the crops; those that were carried along stand before the pixels, under their own names."""
    carried = [
        pa.field(field.name.removeprefix(_CARRIED), field.type)
        for field in plan
        if field.name.startswith(_CARRIED)
    ]
    own = [
        *((name, pa.string()) for name in KEYS),
        ("source_uri", pa.string()),
        ("array_path", pa.string()),
        ("box", BOX),
        ("window", BOX),
        ("outside_fraction", pa.float64()),
        ("z_start", pa.int32()),
        ("z_stop", pa.int32()),
        ("t_start", pa.int32()),
        ("t_stop", pa.int32()),
        ("channel_names", pa.list_(pa.string())),
        ("pixel_size_y_um", pa.float64()),
        ("pixel_size_x_um", pa.float64()),
        ("qc_passed", pa.bool_()),
    ]
    fields = [pa.field(name, kind) for name, kind in own]
    known = {field.name for field in fields}
    twice = [field.name for field in carried if field.name in known or field.name == OME_COLUMN]
    if twice:
        raise UsageError(
            f"Column {twice[0]!r} is written by the export itself; carry it along under another name."
        )
    return pa.schema([*fields, *carried, pa.field(OME_COLUMN, ome_type(encoding))])


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Some cells of a part, in its order: those that were cut, and those that could not be."""

    crops: pa.RecordBatch
    refused: pa.RecordBatch


@dataclass(frozen=True, slots=True)
class _Cell:
    row: Mapping[str, object]
    window: PixelBox
    geometry: ImageGeometry
    cut: CutWindow


def cut_rows(
    plan: pa.Table,
    images: PlateImages,
    cutter: WindowCutter,
    export: CropExport,
    schema: pa.Schema,
    encoding: PixelEncoding,
) -> Iterator[RowBatch]:
    """Cut the cells of a part, in batches of about 32 MB of pixels."""
    cells: list[_Cell] = []
    refused: list[dict[str, object]] = []
    waiting = 0
    for row in _iter_rows(plan):
        window = _window(row, export.size_px)
        try:
            cell = _cut(row, window, images, cutter, export)
        except BioimageError as error:
            refused.append(_refuse(row, window, error))
            continue
        cells.append(cell)
        waiting += cell.cut.pixels.nbytes
        if waiting >= _BATCH_BYTES:
            yield _batch(cells, refused, schema, encoding)
            cells, refused, waiting = [], [], 0
    yield _batch(cells, refused, schema, encoding)


def _iter_rows(plan: pa.Table) -> Iterator[dict[str, object]]:
    for batch in plan.to_batches(max_chunksize=256):
        yield from batch.to_pylist()


def _window(row: Mapping[str, object], size_px: int) -> PixelBox:
    y, x = int(row["y_start"]), int(row["x_start"])  # type: ignore[call-overload]
    return PixelBox(y, y + size_px, x, x + size_px)


def _cut(
    row: Mapping[str, object],
    window: PixelBox,
    images: PlateImages,
    cutter: WindowCutter,
    export: CropExport,
) -> _Cell:
    if row["reason_code"] is not None:
        raise _PlannedRefusalError(str(row["reason_code"]), str(row["reason"]))
    geometry = images.find(row["plate_key"], row["dataset_id"], str(row["image_id"]))  # type: ignore[arg-type]
    _require_overlap(geometry, window)
    choice = CropChoice(channels=export.channels, z=row["z"], t=row["t"])  # type: ignore[arg-type]
    return _Cell(row, window, geometry, cutter.cut(geometry, window, choice))


class _PlannedRefusalError(BioimageError):
    """A cell that was refused when the export was planned."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.reason_code = code


class _OutsideError(BioimageError):
    """A window that shares no pixel with its image."""


def _require_overlap(geometry: ImageGeometry, window: PixelBox) -> None:
    if "y" not in geometry.axes or "x" not in geometry.axes:
        return  # refused by the cutter, which says so
    height, width = (geometry.levels[0].shape[geometry.axes.index(axis)] for axis in "yx")
    inside = window.clipped(height, width)
    if inside.y_stop <= inside.y_start or inside.x_stop <= inside.x_start:
        raise _OutsideError(
            f"The window, rows {window.y_start} to {window.y_stop} and columns {window.x_start} to {window.x_stop}, lies "
            f"outside of image {geometry.image_id} of {height} × {width} pixels."
        )


def _refuse(row: Mapping[str, object], window: PixelBox, error: BioimageError) -> dict[str, object]:
    has_place = row["reason_code"] != "no-place"
    return {
        **{name: row[name] for name in KEYS},
        "window": _box(window) if has_place else None,
        "reason_code": _code(error),
        "reason": str(error),
    }


def _code(error: BioimageError) -> str:
    if isinstance(error, _PlannedRefusalError):
        return error.reason_code
    kinds: tuple[tuple[type[BioimageError], str], ...] = (
        (_OutsideError, "outside-image"),
        (StoreNotFoundError, "file-gone"),
        (StoreError, "unreadable"),
        (MissingTableError, "image-unknown"),
    )
    return next((code for kind, code in kinds if isinstance(error, kind)), "not-possible")


def _batch(
    cells: Sequence[_Cell],
    refused: Sequence[Mapping[str, object]],
    schema: pa.Schema,
    encoding: PixelEncoding,
) -> RowBatch:
    ome = build_ome_values([_ome_image(cell) for cell in cells], encoding)
    plain = pa.schema([field for field in schema if field.name != OME_COLUMN])
    columns = pa.Table.from_pylist([_values(cell, plain.names) for cell in cells], schema=plain)
    arrays = [column.combine_chunks() for column in columns.columns]
    flat = [array.chunk(0) if isinstance(array, pa.ChunkedArray) else array for array in arrays]
    return RowBatch(
        pa.RecordBatch.from_arrays([*flat, ome], schema=schema),
        pa.RecordBatch.from_pylist(list(refused), schema=REFUSED_SCHEMA),
    )


def _ome_image(cell: _Cell) -> OmeImage:
    sizes = (cell.geometry.pixel_size_y_um, cell.geometry.pixel_size_x_um)
    return OmeImage(str(cell.row[OBJECT_ID_COLUMN]), cell.cut.pixels, cell.cut.channel_names, sizes)


def _values(cell: _Cell, names: Iterable[str]) -> dict[str, object]:
    location, row = cell.cut.location, cell.row
    own: dict[str, object] = {name: row[name] for name in (*KEYS, "qc_passed")}
    own |= {
        "source_uri": location.uri,
        "array_path": location.array_path,
        "box": _stored_box(row),
        "window": _box(cell.window),
        "outside_fraction": _outside(cell),
        "channel_names": [name or f"C{number}" for number, name in enumerate(cell.cut.channel_names)],
        "pixel_size_y_um": cell.geometry.pixel_size_y_um,
        "pixel_size_x_um": cell.geometry.pixel_size_x_um,
    }
    for axis in "zt":
        own[f"{axis}_start"], own[f"{axis}_stop"] = location.interval(axis) or (0, 1)
    return {name: own[name] if name in own else row[f"{_CARRIED}{name}"] for name in names}


def _outside(cell: _Cell) -> float:
    """Share of the window that lies outside of the image."""
    y, x = cell.cut.location.interval("y") or (0, 0), cell.cut.location.interval("x") or (0, 0)
    side = cell.window.y_stop - cell.window.y_start
    return 1 - (y[1] - y[0]) * (x[1] - x[0]) / side**2


def _box(box: PixelBox) -> dict[str, int]:
    return {"y_start": box.y_start, "y_stop": box.y_stop, "x_start": box.x_start, "x_stop": box.x_stop}


def _stored_box(row: Mapping[str, object]) -> dict[str, object] | None:
    if row["box_y_start"] is None:
        return None
    return {name: row[f"box_{name}"] for name in ("y_start", "y_stop", "x_start", "x_stop")}
