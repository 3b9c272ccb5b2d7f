"""Group rows of a table by any columns, in bounded memory; cells that failed quality control can be left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.engines.engine import Engine
from bioimage_assets.core.engines.plan import (
    HOLISTIC,
    Condition,
    IsNotTrue,
    Join,
    Measure,
    Rows,
    read_combination,
)
from bioimage_assets.core.engines.table_source import TableSource
from bioimage_assets.core.engines.tidy import key_field, tidy_groups
from bioimage_assets.core.errors import ProfilingError, UsageError

OBJECT_ID = "Metadata_ObjectID"
QC_FAILED = "Metadata_cqc_failed"
_CELLS, _JUDGED = "__cells", "__judged"


def aggregate(engine: Engine, rows: Rows, keys: Sequence[str], measures: Sequence[Measure]) -> pa.Table:
    """One row per combination of keys, sorted by them, null last; null is a key, and NaN counts as missing.

    Counts, sums, means, variances and extremes are streamed. Medians and quartiles hold the values of a group, so they are
    taken plate by plate where the partition column is a key, else some columns at a time; both within the engine's
    ``memory_bytes``, as far as one plate, or one column, goes.

    Examples
    --------
    >>> from bioimage_assets.core.engines.open_source import arrow_source
    >>> from bioimage_assets.core.engines.polars_engine import PolarsEngine
    >>> cells = arrow_source("cells", [pa.table({"well": ["A1", "A1", None], "area": [1.0, 3.0, float("nan")]})])
    >>> aggregate(PolarsEngine(), Rows(cells), ["well"], [Measure("median", "area")]).to_pylist()
    [{'well': 'A1', 'area': 2.0}, {'well': None, 'area': None}]
    """
    source = rows.source
    schema = _schema_of(rows)
    joined = set(rows.join.columns) if rows.join else set()
    source.require([*(name for name in keys if name not in joined), *_own_columns(rows, measures)])
    names = [measure.output for measure in measures]
    if twice := {name for name in names if names.count(name) > 1 or name in keys}:
        raise UsageError(f"Several columns of the result would be called {sorted(twice)[0]!r}.")
    fields = [key_field(schema, name) for name in keys]
    held = [measure for measure in measures if measure.function in HOLISTIC]
    streamed = [measure for measure in measures if measure.function not in HOLISTIC]
    columns = len({measure.column for measure in held})
    max_rows = max(1, engine.memory_bytes // (8 * max(1, columns)))
    is_by_partition = source.partition_column in keys
    if not held or source.row_count <= (min(max_rows, engine.batch_rows) if is_by_partition else max_rows):
        return tidy_groups(engine.group(rows, keys, measures), fields, measures)
    if is_by_partition:
        pieces = source.split(min(max_rows, engine.batch_rows))
        parts = [engine.group(restrict(rows, piece), keys, measures) for piece in pieces]
        return tidy_groups(pa.concat_tables(parts), fields, measures)
    width = max(1, engine.memory_bytes // (8 * source.row_count))
    blocks = [streamed] if streamed else []
    blocks += [held[start : start + width] for start in range(0, len(held), width)]
    tables = [tidy_groups(engine.group(rows, keys, block), fields, block) for block in blocks]
    return _beside(tables, keys, names)


def _schema_of(rows: Rows) -> pa.Schema:
    """Columns of the table and those that are joined to it."""
    joined = [rows.join.source.schema.field(name) for name in rows.join.columns] if rows.join else []
    return pa.schema([*rows.source.schema, *joined])


def _own_columns(rows: Rows, measures: Sequence[Measure]) -> list[str]:
    joined = (*rows.join.columns, rows.join.is_matched) if rows.join else ()
    return [measure.column for measure in measures if measure.column and measure.column not in joined]


def restrict(rows: Rows, source: TableSource) -> Rows:
    """The rows of a smaller source, joined to the same partitions of the other table."""
    join = rows.join
    if (
        join is not None
        and source.partition_column in join.on
        and None not in {p.partition for p in source.parts}
    ):
        join = replace(join, source=join.source.prune(source.partitions))
    return replace(rows, source=source, join=join)


def _beside(tables: Sequence[pa.Table], keys: Sequence[str], names: Sequence[str]) -> pa.Table:
    """Tables of the same groups next to each other."""
    first = tables[0]
    columns = {name: first[name] for name in keys}
    for table in tables:
        if table.select(list(keys)) != first.select(list(keys)):
            raise ProfilingError("The table changed while it was reduced. Build it again.")
        columns |= {name: table[name] for name in table.column_names if name not in keys}
    return pa.table({name: columns[name] for name in (*keys, *names)})


def aggregate_cells(
    engine: Engine,
    cells: TableSource,
    keys: Sequence[str],
    features: Sequence[str],
    *,
    operation: str = "median",
    qc: TableSource | None = None,
    where: Sequence[Condition] = (),
    count_name: str = "Metadata_Object_Count",
) -> pa.Table:
    """Median or mean cell of each combination of keys over all plates, with the number of cells in ``count_name``.

    With ``qc`` (``cosmicqc_profiles``) cells that failed are left out; a cell that was not judged did not fail.

    Raises
    ------
    ProfilingError
        Quality control does not know some of the cells, or knows one twice: it was made of other measurements.
    """
    function = read_combination(operation)
    measures = [Measure(function, name) for name in features]
    counted = Measure("rows", name=count_name)
    if qc is None:
        return aggregate(engine, Rows(cells, tuple(where)), keys, [counted, *measures])
    join = join_qc(engine, cells, qc)
    rows = Rows(cells, (*where, IsNotTrue(QC_FAILED)), join)
    judged = Measure("sum", join.is_matched, _JUDGED)
    table = aggregate(engine, rows, keys, [counted, judged, *measures])
    unknown = pc.sum(table[count_name]).as_py() or 0
    unknown -= int(pc.sum(table[_JUDGED]).as_py() or 0)
    if unknown:
        raise ProfilingError(
            f"{unknown} cells of {cells.name} have no row in {qc.name}; it was built from other measurements. Run quality "
            "control on these plates again."
        )
    return table.drop_columns([_JUDGED])


def join_qc(engine: Engine, cells: TableSource, qc: TableSource) -> Join:
    """The flags of quality control, after a look that no cell has two."""
    on = [name for name in (cells.partition_column, OBJECT_ID) if name in cells.schema.names]
    if OBJECT_ID not in on:
        raise ProfilingError(
            f"{cells.name} has no column {OBJECT_ID}, so that flags cannot be matched to its cells."
        )
    qc.require([*on, QC_FAILED])
    join = Join(qc, tuple(on), (QC_FAILED,))
    repeats = 0
    for part in qc.split(max(1, engine.memory_bytes // 64)):
        groups = engine.group(Rows(part), on, [Measure("rows", name=_CELLS)])
        repeats += part.row_count - groups.num_rows
    if repeats:
        raise ProfilingError(
            f"{qc.name} names the same cell ({OBJECT_ID}) more than once: {repeats} rows too many."
        )
    return join
