"""Reads flat profile tables of one plate (Parquet or CSV), with the plate's keys in front of each row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.columns import (
    TEXT_PREFIXES,
    SourceColumn,
    canonical_name,
)
from bioimage_assets.core.measurements.csv_staging import stage_csv_files
from bioimage_assets.core.measurements.duckdb_engine import open_engine, window_rows
from bioimage_assets.core.measurements.flat_table_columns import TableColumn, TableLayout, plan_table
from bioimage_assets.core.measurements.flat_table_files import (
    TableFile,
    find_renamed,
    name_staged_files,
    read_named_schema,
    unify_table_schemas,
)
from bioimage_assets.core.measurements.model import Grain, PlateContext, PlateMeasurements, SourceKind
from bioimage_assets.core.measurements.positions import (
    PLATE_NAMES,
    SITE_NAMES,
    WELL_NAMES,
    check_plate_names,
    expect_names,
    parse_position,
    text_array,
    text_column,
)
from bioimage_assets.core.measurements.row_ids import build_row_ids, whole_array
from bioimage_assets.core.measurements.row_images import KeptRows, keep_one_analysis_of_rows
from bioimage_assets.core.measurements.text_numbers import find_text_numbers, parse_text_numbers
from bioimage_assets.core.model.well_columns import join_well

_INTEGER_NAMES = ("imagenumber", "objectnumber")
_POSITION_NAMES = frozenset(
    name.lower() for name in (*PLATE_NAMES, *WELL_NAMES, *SITE_NAMES, "Row", "Column", "Col")
)


def describe_profile_column(name: str) -> SourceColumn:
    """Type of a column of a flat CSV by its name: metadata is text, numbers of images and objects are integers."""
    bare = name.strip()
    usual = canonical_name(bare)
    if usual.removeprefix("Metadata_").lower() in _INTEGER_NAMES:
        return SourceColumn(name, "image", bare, pa.int64())
    for prefix in ("", "Image_"):
        if (
            usual.startswith(tuple(prefix + text for text in TEXT_PREFIXES))
            or bare.lower() in _POSITION_NAMES
        ):
            return SourceColumn(name, "text", bare, pa.string())
    return SourceColumn(name, "number", bare, pa.float64())


def read_csv_tables(paths: Sequence[str], context: PlateContext) -> PlateMeasurements:
    """Read flat CSV files of one plate; they are staged as Parquet first."""
    staged, findings = stage_csv_files(
        open_engine(context), "table", list(enumerate(paths)), describe_profile_column, context.staging_dir, context.limits.max_columns,
    )  # fmt: skip
    result = read_parquet_tables(name_staged_files(staged), context, findings)
    return replace(result, source_files=tuple(paths))


def read_parquet_tables(
    files: Sequence[TableFile],
    context: PlateContext,
    findings: Sequence[Finding] = (),
    kind: SourceKind = "table",
) -> PlateMeasurements:
    """Read flat Parquet files of one plate as one table; columns are matched by name, missing ones are null.

    Key columns, and texts that should be numbers, are read twice (ids and types are settled before the first row is
    given), all others once, a few thousand rows at a time.
    """
    schema, odd = unify_table_schemas([read_named_schema(file) for file in files])
    numbers, text_findings = find_text_numbers(files, schema, context.settings)
    if any(finding.code == "text-features" for finding in findings):
        text_findings = [finding for finding in text_findings if finding.code != "text-features"]
    layout, more = plan_table(schema, context, has_own_ids=_has_own_ids(files, context), text_numbers=numbers)
    all_findings = [*findings, *find_renamed(files), *odd, *text_findings, *more]
    kept, odd = keep_one_analysis_of_rows(files, layout, schema, context)
    all_findings += odd
    keys = kept.filter(_read_keys(files, layout, schema))
    ids, odd = build_row_ids(keys, layout, context, kept.known_repeats)
    all_findings += odd
    if layout.plate_source is not None:
        plates = text_array(keys.column(schema.names[layout.plate_source]).unique().to_pylist())
        all_findings += check_plate_names(plates.to_pylist(), context)
    batches = _stream(files, layout, schema, ids, context, kept)
    reader = pa.RecordBatchReader.from_batches(layout.schema, batches)
    given = tuple(dict.fromkeys(file.given for file in files))
    grain: Grain = "cell" if _repeats(keys, layout) else layout.grain
    return PlateMeasurements(reader, len(ids), tuple(all_findings), None, given, kind, grain)


def _repeats(keys: pa.Table, layout: TableLayout) -> bool:
    """Whether several rows are of one image or well: then they are cells without a number."""
    if layout.has_object_number or not layout.id_sources:
        return True
    names = keys.column_names[: len(layout.id_sources)]
    return bool(keys.group_by(names).aggregate([]).num_rows < keys.num_rows)


def _has_own_ids(files: Sequence[TableFile], context: PlateContext) -> bool:
    """Whether the files are ``single_cells`` of this very plate, so that their ids are already right."""
    for file in files:
        if "plate_key" not in file.names or "Metadata_ObjectID" not in file.names:
            return False
        keys = (
            pq.read_table(file.path, columns=[file.stored_names()["plate_key"]])
            .column(0)
            .unique()
            .to_pylist()
        )
        if keys != [context.plate_key]:
            return False
    return bool(files)


def _read_keys(files: Sequence[TableFile], layout: TableLayout, schema: pa.Schema) -> pa.Table:
    """The columns that name a row, for all rows; small even for a big plate."""
    wanted = [schema.names[i] for i in dict.fromkeys((*layout.id_sources, *_plate_of(layout)))]
    parts = []
    for file in files:
        stored = {name: column for name, column in file.stored_names().items() if name in wanted}
        part = pq.ParquetFile(file.path).read(columns=list(stored.values()))
        first = part.schema.names.index
        named = {name: part.column(first(column)) for name, column in stored.items()}
        rows = pq.read_metadata(file.path).num_rows
        arrays = [named.get(name, pa.nulls(rows, schema.field(name).type)) for name in wanted]
        fields = [schema.field(name) for name in wanted]
        cast = [array.cast(field.type) for array, field in zip(arrays, fields, strict=True)]
        parts.append(pa.table(cast, schema=pa.schema(fields)) if cast else pa.table({"": pa.nulls(rows)}))
    return pa.concat_tables(parts)


def _plate_of(layout: TableLayout) -> tuple[int, ...]:
    return () if layout.plate_source is None else (layout.plate_source,)


def _stream(
    files: Sequence[TableFile],
    layout: TableLayout,
    schema: pa.Schema,
    ids: pa.ChunkedArray,
    context: PlateContext,
    kept: KeptRows,
) -> Iterator[pa.RecordBatch]:
    """Rows of all files in order, with keys, names and types of the layout; those that are kept."""
    offset = row = 0
    # A number as text takes about three times the room of the number.
    texts = sum(column.role == "text-number" for column in layout.columns)
    size = window_rows(len(layout.columns) + 2 * texts)
    names = schema.names
    for file in files:
        where = file.positions()
        # Column chunks are read in pieces: a file of one huge row group is not held whole.
        for batch in pq.ParquetFile(file.path, pre_buffer=False, buffer_size=1 << 20).iter_batches(
            batch_size=size
        ):
            some = kept.filter_batch(batch, row)
            row += batch.num_rows
            try:
                yield _finish(some, layout, names, where, ids.slice(offset, some.num_rows), context)
            except MeasurementError as error:
                raise MeasurementError(f"{file.given}: {error}") from error
            offset += some.num_rows


def _finish(
    batch: pa.RecordBatch, layout: TableLayout, names: Sequence[str], where: dict[str, int], ids: pa.ChunkedArray,
    context: PlateContext,
) -> pa.RecordBatch:  # fmt: skip
    arrays = [
        ids.combine_chunks() if column.role == "id" else _build_column(batch, column, names, where, context)
        for column in layout.columns
    ]
    return pa.record_batch(arrays, schema=layout.schema)


def _build_column(
    batch: pa.RecordBatch,
    column: TableColumn,
    names: Sequence[str],
    where: dict[str, int],
    context: PlateContext,
) -> pa.Array:
    """One column of the result for one batch; null where this file does not have it."""
    if column.source is None:
        return pa.array([column.constant] * batch.num_rows, column.kind)
    position = where.get(names[column.source])
    if position is None:
        return pa.nulls(batch.num_rows, column.kind)
    array = batch.column(position)
    _check_text(array, column.name)
    if column.role == "text-number":
        return parse_text_numbers(array, column.constant or ".")
    if column.role == "text":
        return whole_array(text_column(array))
    if column.role == "well":
        other = where.get(names[column.other or 0])
        if other is None:
            return pa.nulls(batch.num_rows, pa.string())
        parts = (whole_array(text_column(batch.column(at))).to_pylist() for at in (position, other))
        return pa.array(map(join_well, *parts), pa.string())
    if column.role == "parsed":
        part = column.constant or ""
        default = context.plate_name if part == "plate" else None
        pattern = context.settings.file_pattern
        cells = array.to_pylist()
        expect_names(cells, pattern)
        values = [parse_position(name, pattern)[part] if isinstance(name, str) else None for name in cells]
        return pa.array([default if value is None else value for value in values], pa.string())
    return cast_column(array, column.kind, column.name)


def _check_text(array: pa.Array, name: str) -> None:
    """Refuse texts that are none: readers of what is stored would fail over them."""
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        try:
            array.validate(full=True)
        except pa.ArrowInvalid as error:
            raise MeasurementError(
                f"Column {name!r}: expected text in UTF-8, found other bytes ({error}). Write the file again, the column decoded."
            ) from error


def cast_column(array: pa.Array, kind: pa.DataType, name: str) -> pa.Array:
    """Give an array its stored type; MeasurementError names the column where a value does not fit."""
    if array.type.equals(kind):
        return array
    try:
        if pa.types.is_integer(kind) and pa.types.is_floating(array.type):
            # pandas makes whole numbers with a gap floats, the gap NaN.
            array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
        return array.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise MeasurementError(
            f"Column {name!r} cannot be stored as {kind}: {str(error)[:200]}. Write the column again with values of that type, or "
            "without it."
        ) from error
