"""Reads a sample of a plate: fields and cells of measurements and images, within the budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.joins.query import query_metadata_table
from bioimage_assets.core.pixels.location import ImageGeometry, read_geometry
from bioimage_assets.core.pixels.witness_cells import CellTable, build_cell_sets, find_radius
from bioimage_assets.core.pixels.witness_columns import find_witness_columns, match_channels
from bioimage_assets.core.pixels.witness_fields import CellSet, FieldMaps, FieldReader, MapGrid, build_maps
from bioimage_assets.core.pixels.witness_judge import Sample
from bioimage_assets.core.pixels.witness_plan import ReadPlan, plan_reads
from bioimage_assets.core.pixels.witness_sample import (
    choose_fields,
    count_linked,
    list_fields,
    read_cells,
    rereadable,
)
from bioimage_assets.core.pixels.witness_verdict import UndecidedCause, WitnessOptions
from bioimage_assets.core.pixels.witness_well_maps import Field

# A store that is out of reach answers each request after a long wait.
MAX_UNREADABLE = 4
_IMAGE_COLUMNS = ("plate_key", "image_id", "well_id", "site_id", "acquisition_id", "image_kind")


class UndecidedError(Exception):
    """Raised where nothing can be compared; the cause and the reason make the verdict."""

    def __init__(self, cause: UndecidedCause, reason: str) -> None:
        super().__init__(reason)
        self.cause: UndecidedCause = cause


def read_sample(
    cells: object, image_assets: pa.Table, options: WitnessOptions, reader: FieldReader,
    storage_options: Mapping[str, object] | None, findings: list[Finding],
) -> Sample:  # fmt: skip
    """Choose fields and cells, and read them; UndecidedError where there is nothing to compare."""
    source = rereadable(cells, storage_options)
    columns = find_witness_columns(source.schema.names)
    if "image_id" not in source.schema.names:
        raise UndecidedError("no-cells", "The measurements are linked to no images.")
    if columns.place is None and not columns.image_means:
        raise UndecidedError(
            "no-centres",
            "The measurements say nowhere in the image a cell is: no centre (Location_Center, AreaShape_Center), no bounding "
            "box, and no mean intensity of whole images.",
        )
    linked = count_linked(source)
    images = _images_of_the_plate(image_assets, linked)
    fields = list_fields(images)
    if not linked or not fields:
        raise UndecidedError("no-cells", "No measured cell is linked to an image.")
    chosen = choose_fields(fields, linked, options.max_fields)
    table = CellTable(read_cells(source, columns, [field.image_id for field in chosen]), columns)
    if columns.place is not None and not table.count:
        raise UndecidedError("no-centres", "No linked cell has a centre or bounding box that is a number.")
    geometries = _read_geometries(
        image_assets.filter(pc.equal(image_assets["plate_key"], images["plate_key"][0])), chosen, findings
    )
    geometry = _common_geometry(geometries)
    row = table.first_row()
    channel_of_value = match_channels((*table.value_names, *table.mean_names), geometry, row)
    plan = plan_reads(
        geometry, find_radius(table, geometry), _order_channels(geometry, channel_of_value.values()),
        float(np.median([count for count in linked.values() if count])), len(chosen), options,
    )  # fmt: skip
    if plan.field_count < len(chosen):
        chosen = choose_fields(chosen, linked, plan.field_count) if plan.field_count else []
    return _read_fields(chosen, fields, geometries, table, plan, channel_of_value, options, reader, findings)


def _images_of_the_plate(image_assets: pa.Table, linked: Mapping[str, int]) -> pa.Table:
    """Images, not labels, of the plate that most rows are linked to."""
    images = query_metadata_table(image_assets, columns=_IMAGE_COLUMNS)
    images = images.filter(pc.equal(images["image_kind"], "image"))
    counts: Counter[str] = Counter()
    for plate, image_id in zip(images["plate_key"].to_pylist(), images["image_id"].to_pylist(), strict=True):
        counts[plate] += linked.get(image_id, 0)
    plate = counts.most_common(1)[0][0] if counts else None
    return images.filter(pc.equal(images["plate_key"], plate))


def _read_geometries(
    image_assets: pa.Table, chosen: Sequence[Field], findings: list[Finding]
) -> dict[str, ImageGeometry]:
    ids = pa.array([field.image_id for field in chosen], pa.string())
    rows = image_assets.filter(
        pc.and_(pc.is_in(image_assets["image_id"], ids), pc.equal(image_assets["image_kind"], "image"))
    )
    found = {}
    for row in rows.to_pylist():
        try:
            found[row["image_id"]] = read_geometry(row)
        except BioimageError as error:
            findings.append(Finding("pixels-unreadable", "warning", row["image_id"], str(error)))
    usable = {key: one for key, one in found.items() if "y" in one.axes and "x" in one.axes}
    if not usable:
        why = f" ({findings[0].message})" if findings else ""
        raise UndecidedError("pixels-unreadable", f"No image of the sample can be opened{why}.")
    return usable


def _common_geometry(geometries: Mapping[str, ImageGeometry]) -> ImageGeometry:
    """An image of the commonest shape; others are left out of the sample."""
    shapes = Counter((one.axes, one.levels[0].shape) for one in geometries.values())
    axes, shape = shapes.most_common(1)[0][0]
    return next(one for one in geometries.values() if (one.axes, one.levels[0].shape) == (axes, shape))


def _order_channels(geometry: ImageGeometry, measured: Iterable[int]) -> list[int]:
    count = geometry.channel_count
    first = dict.fromkeys(channel for channel in measured if channel < count)
    return list(first | dict.fromkeys(range(count)))


def _read_fields(
    chosen: Sequence[Field], fields: Sequence[Field], geometries: Mapping[str, ImageGeometry], table: CellTable,
    plan: ReadPlan, channel_of_value: Mapping[str, int], options: WitnessOptions, reader: FieldReader,
    findings: list[Finding],
) -> Sample:  # fmt: skip
    geometry = _common_geometry(geometries)
    shape = geometry.levels[0].shape
    sets = build_cell_sets(table, geometries, plan, options)
    typical = int(np.median([own.count for own in sets.values() if own.count] or [1]))
    read: list[tuple[Field, CellSet, FieldMaps]] = []
    grid: MapGrid | None = None
    for field in chosen:
        own = geometries.get(field.image_id)
        if own is None or own.levels[0].shape != shape or len(own.levels) <= plan.level or reader.is_spent:
            continue
        if len(findings) >= MAX_UNREADABLE > len(read):
            break
        try:
            planes = reader.read(own, plan, sets[field.image_id].plane)
        except BioimageError as error:
            findings.append(Finding("pixels-unreadable", "warning", field.image_id, str(error)))
            continue
        grid = grid or _build_grid(geometry, plan, planes.shape[1:])
        read.append(
            (
                field,
                sets[field.image_id],
                build_maps(planes, find_radius(table, geometry) / grid.scale, typical),
            )
        )
    if grid is None:
        why = (
            f" ({findings[0].message})"
            if findings
            else f": the budget of {options.max_bytes} bytes allows none"
        )
        raise UndecidedError("pixels-unreadable", f"No image of the sample was read{why}.")
    names = tuple(_name_channel(geometry, channel) for channel in plan.channels)
    positions = {channel: number for number, channel in enumerate(plan.channels)}
    return Sample(
        tuple(one[0] for one in read), tuple(one[1] for one in read), tuple(one[2] for one in read), grid, names,
        table.value_names, tuple(positions.get(channel_of_value.get(name, -1)) for name in table.value_names),
        tuple({field.well for field in fields if field.well is not None}), table.columns.place is not None,
        tuple(positions.get(channel_of_value.get(name, -1)) for name in table.mean_names),
    )  # fmt: skip


def _build_grid(geometry: ImageGeometry, plan: ReadPlan, shape: Sequence[int]) -> MapGrid:
    height, width = (geometry.levels[0].shape[geometry.axes.index(axis)] for axis in "yx")
    # Levels are read in whole pixels: the box begins where its first one does.
    start_y, start_x = (int(start // plan.step * plan.step) for start in (plan.box.y_start, plan.box.x_start))
    box = replace(plan.box, y_start=start_y, x_start=start_x)
    return MapGrid(box, plan.step * plan.bin_px, (int(shape[0]), int(shape[1])), (height, width))


def _name_channel(geometry: ImageGeometry, channel: int) -> str:
    name = geometry.channel_names[channel] if channel < len(geometry.channel_names) else None
    return name or f"channel {channel}"
