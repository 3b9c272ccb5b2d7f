"""Flat profile tables of one plate (Parquet or CSV) become one stream of rows with the plate's keys in front."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.columns import (
    TEXT_PREFIXES,
    SourceColumn,
    join_names,
    resolve_duplicates,
)
from bioimage_assets.core.measurements.csv_staging import StagedTable, stage_csv_files
from bioimage_assets.core.measurements.engine import open_engine, window_rows
from bioimage_assets.core.measurements.model import PlateContext, PlateMeasurements, SourceKind
from bioimage_assets.core.measurements.positions import (
    check_plate_names,
    parse_position,
    text_array,
    text_column,
)
from bioimage_assets.core.measurements.table_columns import TableColumn, TableLayout, plan_table

_INTEGER_NAMES = ("imagenumber", "objectnumber")


@dataclass(frozen=True, slots=True)
class TableFile:
    """A Parquet file with the column names it stands for, and the file the user gave."""

    path: str
    names: tuple[str, ...]
    given: str


def describe_profile_column(name: str) -> SourceColumn:
    """Type of a column of a flat CSV by its name: metadata is text, numbers of images and objects are integers."""
    bare = name.strip()
    if bare.removeprefix("Metadata_").lower() in _INTEGER_NAMES:
        return SourceColumn(name, "image", bare, pa.int64())
    for prefix in ("", "Image_"):
        if bare.startswith(tuple(prefix + text for text in TEXT_PREFIXES)):
            return SourceColumn(name, "text", bare, pa.string())
    return SourceColumn(name, "number", bare, pa.float64())


def read_csv_tables(paths: Sequence[str], context: PlateContext) -> PlateMeasurements:
    """Read flat CSV files of one plate; they are staged as Parquet first."""
    staged, findings = stage_csv_files(
        open_engine(context), "table", list(enumerate(paths)), describe_profile_column, context.staging_dir
    )
    result = read_parquet_tables(name_staged_files(staged), context, findings)
    return replace(result, source_files=tuple(paths))


def name_staged_files(staged: StagedTable) -> list[TableFile]:
    """Staged files with the output names of their columns; a file holds only those that its CSVs had."""
    names, _ = resolve_duplicates([column.output for column in staged.columns])
    files = []
    for path in staged.paths:
        slots = [name for name in pq.read_schema(path).names if name not in ("unit", "block")]
        files.append(
            TableFile(path, tuple(names[int(slot.removeprefix("c"))] for slot in slots), staged.name)
        )
    return files


def list_parquet_tables(paths: Sequence[str]) -> list[TableFile]:
    """Describe Parquet files, each column under a name of its own; MeasurementError where one is no Parquet file."""
    files = []
    for path in paths:
        try:
            names = pq.read_schema(path).names
        except (pa.ArrowInvalid, OSError) as error:
            raise MeasurementError(
                f"{path} is no readable Parquet file: {error}. It may still be written."
            ) from error
        files.append(TableFile(path, resolve_duplicates(names)[0], path))
    return files


def _find_renamed(files: Sequence[TableFile]) -> list[Finding]:
    """Findings for Parquet columns that share a name with an earlier one; staged files have other names anyway."""
    findings = []
    for file in files:
        stored = pq.read_schema(file.path).names
        changed = [new for new, old in zip(file.names, stored, strict=False) if new != old]
        if changed and file.path == file.given:
            text = f"Column names occur more than once; the later ones are now {join_names(changed)}."
            findings.append(Finding("duplicate-columns", "warning", "", text, file.given))
    return findings


def read_parquet_tables(
    files: Sequence[TableFile],
    context: PlateContext,
    findings: Sequence[Finding] = (),
    kind: SourceKind = "table",
) -> PlateMeasurements:
    """Read flat Parquet files of one plate as one table; columns are matched by name, missing ones are null.

    Key columns are read twice (ids are checked before the first row is given), all others once, a few
    thousand rows at a time.
    """
    schema, odd = _unify([_named_schema(file) for file in files])
    layout, more = plan_table(schema, context, has_own_ids=_has_own_ids(files, context))
    all_findings = [*findings, *_find_renamed(files), *odd, *more]
    keys = _read_keys(files, layout, schema)
    ids, odd = build_row_ids(keys, layout, context)
    all_findings += odd
    if layout.plate_source is not None:
        plates = text_array(keys.column(schema.names[layout.plate_source]).unique().to_pylist())
        all_findings += check_plate_names(plates.to_pylist(), context)
    batches = _stream(files, layout, schema, ids, context)
    reader = pa.RecordBatchReader.from_batches(layout.schema, batches)
    given = tuple(dict.fromkeys(file.given for file in files))
    return PlateMeasurements(reader, len(ids), tuple(all_findings), None, given, kind, layout.grain)


def _has_own_ids(files: Sequence[TableFile], context: PlateContext) -> bool:
    """Whether the files are ``single_cells`` of this very plate, so that their ids are already right."""
    for file in files:
        if "plate_key" not in file.names or "Metadata_ObjectID" not in file.names:
            return False
        stored = pq.read_schema(file.path).names
        column = stored[len(stored) - len(file.names) + file.names.index("plate_key")]
        keys = pq.read_table(file.path, columns=[column]).column(0).unique().to_pylist()
        if keys != [context.plate_key]:
            return False
    return bool(files)


def _named_schema(file: TableFile) -> pa.Schema:
    """Schema of a file under the names that its columns stand for (staged files have positional names)."""
    schema = pq.read_schema(file.path)
    start = len(schema.names) - len(file.names)
    fields = [schema.field(start + i).with_name(name) for i, name in enumerate(file.names)]
    return pa.schema(fields)


def _unify(schemas: Sequence[pa.Schema]) -> tuple[pa.Schema, list[Finding]]:
    """One schema for all files: the first file's columns, then what others add."""
    if all(schema.equals(schemas[0]) for schema in schemas):
        return schemas[0], []
    try:
        schema = pa.unify_schemas([s.remove_metadata() for s in schemas], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise MeasurementError(
            f"The measurement files of one plate have incompatible columns: {error}."
        ) from error
    text = "The measurement files of the plate have different columns; missing ones are null."
    return schema, [Finding("different-columns", "warning", "", text)]


def _read_keys(files: Sequence[TableFile], layout: TableLayout, schema: pa.Schema) -> pa.Table:
    """The columns that name a row, for all rows; small even for a big plate."""
    wanted = [schema.names[i] for i in dict.fromkeys((*layout.id_sources, *_plate_of(layout)))]
    parts = []
    for file in files:
        positions = [file.names.index(name) for name in wanted if name in file.names]
        stored = pq.read_schema(file.path).names
        shift = len(stored) - len(file.names)
        part = pq.ParquetFile(file.path).read(columns=[stored[shift + i] for i in positions])
        first = part.schema.names.index
        named = {file.names[p]: part.column(first(stored[shift + p])) for p in positions}
        rows = pq.read_metadata(file.path).num_rows
        arrays = [named.get(name, pa.nulls(rows, schema.field(name).type)) for name in wanted]
        fields = [schema.field(name) for name in wanted]
        cast = [array.cast(field.type) for array, field in zip(arrays, fields, strict=True)]
        parts.append(pa.table(cast, schema=pa.schema(fields)) if cast else pa.table({"": pa.nulls(rows)}))
    return pa.concat_tables(parts)


def _whole(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _plate_of(layout: TableLayout) -> tuple[int, ...]:
    return () if layout.plate_source is None else (layout.plate_source,)


def build_row_ids(
    keys: pa.Table, layout: TableLayout, context: PlateContext
) -> tuple[pa.ChunkedArray, list[Finding]]:
    """Ids of all rows: plate key, then what names the row (image and object number, else well and site).

    Where that is missing or not unique, the row's number completes it (``r12``), and that is a finding.
    """
    rows = keys.num_rows
    if layout.has_own_ids:
        return pa.chunked_array([keys.column(0).combine_chunks().cast(pa.string())]), []
    prefix = pa.scalar(context.plate_key)
    number = pc.binary_join_element_wise("r", pa.array(range(rows), pa.int64()).cast(pa.string()), "")
    count = len(layout.id_sources)
    if not count:
        ids = pc.binary_join_element_wise(prefix, number, "/")
        return pa.chunked_array([ids]), []
    parts = [_whole(text_column(keys.column(i))) for i in range(count)]
    complete = parts[0].is_valid()
    for part in parts[1:]:
        complete = pc.and_(complete, part.is_valid())
    named = pc.binary_join_element_wise(prefix, *parts, "/")
    ids = pc.if_else(complete, named, pc.binary_join_element_wise(prefix, number, "/"))
    findings = []
    lost = rows - (pc.sum(complete).as_py() or 0)
    if lost:
        text = f"{lost} row(s) have no image or object number; they are named by their row number."
        findings.append(Finding("rows-without-key", "warning", "", text))
    if len(ids.unique()) < rows:
        ids, odd = _tell_apart(ids, layout)
        findings += odd
    return pa.chunked_array([ids]), findings


def _tell_apart(ids: pa.Array, layout: TableLayout) -> tuple[pa.Array, list[Finding]]:
    """Number the rows of equal ids; a finding where an object number should have made them unique."""
    seen: Counter[str] = Counter()
    result = []
    for name in ids.to_pylist():
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name}~{seen[name]}")
    repeated = sum(count > 1 for count in seen.values())
    if not layout.has_object_number:
        return pa.array(result, pa.string()), []
    text = (
        f"{repeated} object(s) occur more than once (same image and object number); kept, and told apart by their order. "
        "Two runs in one file? Convert one plate at a time."
    )
    return pa.array(result, pa.string()), [
        Finding("duplicate-objects", "error", "Metadata_ObjectNumber", text)
    ]


def _stream(
    files: Sequence[TableFile],
    layout: TableLayout,
    schema: pa.Schema,
    ids: pa.ChunkedArray,
    context: PlateContext,
) -> Iterator[pa.RecordBatch]:
    """Rows of all files in order, with keys, names and types of the layout."""
    offset = 0
    size = window_rows(len(layout.columns))
    for file in files:
        shift = len(pq.read_schema(file.path).names) - len(file.names)
        where = {name: shift + i for i, name in enumerate(file.names)}
        # Column chunks are read in pieces: a file of one huge row group is not held whole.
        for batch in pq.ParquetFile(file.path, pre_buffer=False, buffer_size=1 << 20).iter_batches(
            batch_size=size
        ):
            yield _finish(batch, layout, schema, where, ids.slice(offset, batch.num_rows), context)
            offset += batch.num_rows


def _finish(
    batch: pa.RecordBatch, layout: TableLayout, schema: pa.Schema, where: dict[str, int], ids: pa.ChunkedArray,
    context: PlateContext,
) -> pa.RecordBatch:  # fmt: skip
    arrays = [
        ids.combine_chunks() if column.role == "id" else _build_column(batch, column, schema, where, context)
        for column in layout.columns
    ]
    return pa.record_batch(arrays, schema=layout.schema)


def _build_column(
    batch: pa.RecordBatch,
    column: TableColumn,
    schema: pa.Schema,
    where: dict[str, int],
    context: PlateContext,
) -> pa.Array:
    """One column of the result for one batch; null where this file does not have it."""
    if column.source is None:
        return pa.array([column.constant] * batch.num_rows, column.kind)
    position = where.get(schema.names[column.source])
    if position is None:
        return pa.nulls(batch.num_rows, column.kind)
    array = batch.column(position)
    if column.role == "text":
        return _whole(text_column(array))
    if column.role == "parsed":
        part = column.constant or ""
        default = context.plate_name if part == "plate" else None
        pattern = context.settings.file_pattern
        values = [
            parse_position(name, pattern)[part] if isinstance(name, str) else None
            for name in array.to_pylist()
        ]
        return pa.array([default if value is None else value for value in values], pa.string())
    return cast_column(array, column.kind, column.name)


def cast_column(array: pa.Array, kind: pa.DataType, name: str) -> pa.Array:
    """Give an array its stored type; MeasurementError names the column where a value does not fit."""
    if array.type.equals(kind):
        return array
    try:
        if pa.types.is_integer(kind) and pa.types.is_floating(array.type):
            array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
        return array.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise MeasurementError(f"Column {name!r} cannot be stored as {kind}: {error}.") from error
