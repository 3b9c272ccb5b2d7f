"""Joins staged object tables and the image table into cells, a window of images at a time.

Equal to CytoTable's ``cellprofiler_csv`` join wherever every cell has its parents; a cell without one keeps
its row with nulls instead of vanishing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.measurements.columns import resolve_duplicates
from bioimage_assets.core.measurements.csv_staging import WIDE_COLUMNS, StagedTable
from bioimage_assets.core.measurements.duckdb_engine import window_rows
from bioimage_assets.core.measurements.image_table import ImageTable
from bioimage_assets.core.measurements.join_plan import JoinPlan
from bioimage_assets.core.measurements.model import PlateContext
from bioimage_assets.core.measurements.object_keys import object_number, staged_relation

_HIDDEN_ROLES = ("unit", "image", "object")
_POSITION_NAMES = ("Metadata_Plate", "Metadata_Well", "Metadata_Site")


@dataclass(frozen=True, slots=True)
class Window:
    """Images that are joined together: whole folders, or a range of image numbers of one folder."""

    first_unit: int
    last_unit: int
    first_image: int
    last_image: int


@dataclass(frozen=True, slots=True)
class CellColumns:
    """Where each measured column comes from: SQL expression, output name, type, tables in join order.

    ``positions`` are the driver's own columns of plate, well and site, for images that the image table
    does not place.
    """

    expressions: tuple[str, ...]
    names: tuple[str, ...]
    kinds: tuple[pa.DataType, ...]
    positions: Mapping[str, str]


def select_columns(plan: JoinPlan, carried: Collection[str] = ()) -> CellColumns:
    """Measured columns of all joined tables; metadata columns of an object table are taken from the driver only.

    What the image table gives to each cell (``carried``) is not taken from an object table again.
    """
    expressions: list[str] = []
    names: list[str] = []
    kinds: list[pa.DataType] = []
    for rank, table in enumerate(plan.joined):
        if table.name in plan.connecting:
            continue
        for index, column in enumerate(table.columns):
            is_metadata = column.output.startswith("Metadata_") and column.role == "text"
            if column.role in _HIDDEN_ROLES or column.output in _POSITION_NAMES or (is_metadata and rank > 0):
                continue
            if column.output in carried:
                continue
            expressions.append(f"t{rank}.c{index}")
            names.append(column.output)
            kinds.append(column.kind)
    own = {column.output: f"t0.c{i}" for i, column in enumerate(plan.driver.columns)}
    positions = {name: own[name] for name in _POSITION_NAMES if name in own}
    return CellColumns(tuple(expressions), tuple(names), tuple(kinds), positions)


def plan_windows(counts: dict[tuple[int, int, int], int], max_rows: int) -> list[Window]:
    """Cut the images into windows of about ``max_rows`` rows, in the order of folders and image numbers.

    A window is several whole folders or a part of one, so that staged row groups can be skipped by range.
    """
    per_unit: dict[int, dict[int, int]] = {}
    for (unit, _, image), count in counts.items():
        images = per_unit.setdefault(unit, {})
        images[image] = images.get(image, 0) + count
    windows: list[Window] = []
    open_units: list[int] = []
    open_rows = 0
    # What an int64 column holds.
    whole = (-(2**63), 2**63 - 1)
    for unit in sorted(per_unit):
        rows = sum(per_unit[unit].values())
        if open_units and open_rows + rows > max_rows:
            windows.append(Window(open_units[0], open_units[-1], *whole))
            open_units, open_rows = [], 0
        if rows > max_rows:
            windows += _split_unit(unit, per_unit[unit], max_rows)
        else:
            open_units.append(unit)
            open_rows += rows
    if open_units:
        windows.append(Window(open_units[0], open_units[-1], *whole))
    return windows


def _split_unit(unit: int, images: dict[int, int], max_rows: int) -> list[Window]:
    windows: list[Window] = []
    start: int | None = None
    rows = 0
    last = 0
    for image in sorted(images):
        if start is not None and rows + images[image] > max_rows:
            windows.append(Window(unit, unit, start, last))
            start, rows = None, 0
        start = image if start is None else start
        rows += images[image]
        last = image
    if start is not None:
        windows.append(Window(unit, unit, start, last))
    return windows


def build_window_query(plan: JoinPlan, columns: CellColumns, window: Window) -> str:
    """SQL of the cells of one window: the driver's rows in file order with the columns of their parents."""
    driver = plan.driver
    aliases = {table.name: f"t{rank}" for rank, table in enumerate(plan.joined)}
    joins = []
    for link in plan.links:
        child, parent = aliases[link.child], aliases[link.parent]
        parent_table, child_table = plan.tables[link.parent], plan.tables[link.child]
        number = f"{child}.{link.slot or object_number(child_table)}"
        own = f"{parent}.{link.back_slot or object_number(parent_table)}"
        joins.append(
            f"LEFT JOIN ({_windowed(parent_table, window)}) {parent} ON {parent}.unit = {child}.unit "
            f"AND {parent}.block = {child}.block AND {parent}.{parent_table.slot('image')} = {child}.{child_table.slot('image')} "
            f"AND {own} = {number}"
        )
    keys = f"t0.unit AS k_unit, t0.block AS k_block, t0.{driver.slot('image')} AS k_image, t0.{object_number(driver)} AS k_object"
    measured = "".join(f", {expression} AS m{i}" for i, expression in enumerate(columns.expressions))
    measured += "".join(f", {expression} AS {name}" for name, expression in columns.positions.items())
    return (
        f"SELECT {keys}, i.image_row AS k_image_row{measured} FROM ({_windowed(driver, window)}) t0 {' '.join(joins)} "
        "LEFT JOIN image_rows i ON i.unit = t0.unit AND i.block = t0.block AND i.image = "
        f"t0.{driver.slot('image')} ORDER BY t0.unit, t0.file_row_number"
    )


def _windowed(table: StagedTable, window: Window) -> str:
    image = table.slot("image")
    return (
        f"SELECT * FROM {staged_relation(table)} WHERE unit BETWEEN {window.first_unit} AND {window.last_unit} "
        f"AND {image} BETWEEN {window.first_image} AND {window.last_image} AND {object_number(table)} IS NOT NULL"
    )


@dataclass(frozen=True, slots=True)
class CellStream:
    """All that is needed to give the cells of a plate window by window; ``schema`` is that of every batch."""

    plan: JoinPlan
    columns: CellColumns
    images: ImageTable | None
    units: tuple[str, ...]
    with_unit: bool
    context: PlateContext
    schema: pa.Schema


def build_cell_stream(
    plan: JoinPlan, images: ImageTable | None, units: Sequence[str], with_unit: bool, context: PlateContext
) -> tuple[CellStream, tuple[str, ...]]:
    """Fix the schema of the plate's single-cell table; also returns the column names that had to change."""
    columns = select_columns(plan, images.carried_names() if images is not None else ())
    fields = [
        (name, pa.string()) for name in ("plate_key", "dataset_id", "Metadata_ObjectID", *_POSITION_NAMES)
    ]
    fields += [("Metadata_TableNumber", pa.string())] if with_unit else []
    fields += [("Metadata_ImageNumber", pa.int64()), ("Metadata_ObjectNumber", pa.int64())]
    if images is not None:
        fields += [(name, images.table.schema.field(name).type) for name in images.carried_names()]
    fields += list(zip(columns.names, columns.kinds, strict=True))
    names, changed = resolve_duplicates([name for name, _ in fields])
    schema = pa.schema([pa.field(name, kind) for name, (_, kind) in zip(names, fields, strict=True)])
    return CellStream(plan, columns, images, tuple(units), with_unit, context, schema), changed


def stream_cells(
    connection: duckdb.DuckDBPyConnection, stream: CellStream, windows: Sequence[Window]
) -> Iterator[pa.RecordBatch]:
    """Give the cells, one batch or more per window; at most one window is in memory."""
    connection.register("image_rows", _image_rows(stream.images))
    if len(stream.schema) > WIDE_COLUMNS:
        connection.execute("SET threads=1")  # each thread holds a piece of every column
    for window in windows:
        try:
            table = connection.sql(build_window_query(stream.plan, stream.columns, window)).to_arrow_table()
        except duckdb.OutOfMemoryException as error:
            raise MeasurementError(
                f"{stream.context.plate_key}: the join of {len(stream.schema)} columns needs more memory than the "
                f"{stream.context.memory_limit_bytes >> 20} MB it may hold; expected up to about 10,000 columns. Raise memory_limit_bytes of "
                "read_measurements, or give the measurements as one Parquet table, which needs no join."
            ) from error
        yield from _finish(stream, table).to_batches(max_chunksize=window_rows(len(stream.schema)))


def _image_rows(images: ImageTable | None) -> pa.Table:
    if images is None:
        empty = pa.array([], pa.int64())
        return pa.table({"unit": empty, "block": empty, "image": empty, "image_row": empty})
    keys = images.table.select(["unit", "block", "image"])
    return keys.append_column("image_row", pa.array(range(keys.num_rows), pa.int64()))


def _finish(stream: CellStream, table: pa.Table) -> pa.Table:
    """Put key and image columns in front of the measured ones and give everything its name and type."""
    table = table.combine_chunks()
    unit = pc.take(pa.array(stream.units, pa.string()), table["k_unit"])
    rows = table.num_rows
    parts: list[pa.Array | pa.ChunkedArray] = [
        pa.array([stream.context.plate_key] * rows, pa.string()),
        pa.array([stream.context.dataset_id] * rows, pa.string()),
        build_object_ids(stream.context.plate_key, unit if stream.with_unit else None, table),
    ]
    parts += _image_columns(stream, table)
    parts[6:6] = [*([unit] if stream.with_unit else []), table["k_image"], table["k_object"]]
    parts += [table[f"m{i}"] for i in range(len(stream.columns.names))]
    cast = [part.cast(field.type) for part, field in zip(parts, stream.schema, strict=True)]
    return pa.Table.from_arrays(cast, schema=stream.schema)


def _image_columns(stream: CellStream, table: pa.Table) -> list[pa.Array | pa.ChunkedArray]:
    """Plate, well and site of each cell's image, else of the cell's own columns, then the carried image columns."""
    images = stream.images
    image_row = table["k_image_row"]
    position: list[pa.Array | pa.ChunkedArray] = []
    known = (images.plate, images.well, images.site) if images is not None else (None, None, None)
    for name, values in zip(_POSITION_NAMES, known, strict=True):
        column = pa.nulls(table.num_rows, pa.string()) if values is None else pc.take(values, image_row)
        if name in stream.columns.positions:
            column = pc.coalesce(column, table[name])
        position.append(
            pc.coalesce(column, stream.context.plate_name) if name == "Metadata_Plate" else column
        )
    if images is None:
        return position
    return position + [pc.take(images.table[name], image_row) for name in images.carried_names()]


def build_object_ids(plate_key: str, unit: pa.ChunkedArray | None, table: pa.Table) -> pa.ChunkedArray:
    """Ids ``<plate_key>/[<folder>/]<ImageNumber>[~<restart>]/<ObjectNumber>``, unique because the plate's keys are."""
    image = table["k_image"].cast(pa.string())
    block = table["k_block"]
    if pc.max(block).as_py():
        suffix = pc.binary_join_element_wise("~", pc.add(block, 1).cast(pa.string()), "")
        image = pc.if_else(pc.greater(block, 0), pc.binary_join_element_wise(image, suffix, ""), image)
    parts = [plate_key, *([] if unit is None else [unit]), image, table["k_object"].cast(pa.string())]
    return pc.binary_join_element_wise(*parts, "/")
