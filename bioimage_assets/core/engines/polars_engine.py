"""The default engine: polars in this process, streaming where a reduction allows it (https://docs.pola.rs)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pyarrow as pa

from bioimage_assets.core.engines.engine import DEFAULT_MEMORY_BYTES, Products
from bioimage_assets.core.engines.plan import (
    Condition,
    HasValue,
    IsIn,
    IsNotTrue,
    IsPositive,
    Join,
    Measure,
    Rows,
    Scaled,
    list_measured,
)
from bioimage_assets.core.engines.products import add_products, multiply_block, read_matrix
from bioimage_assets.core.engines.table_source import Part, StoredColumn, TableSource, is_spelt
from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.stores.clients import REMOTE_SCHEMES, plan_client

_VALUE = "__value:"  # a column may be a key and be measured


@dataclass(frozen=True, slots=True)
class PolarsEngine:
    """polars on this machine; ``memory_bytes`` bounds what is held of values that have to be held."""

    memory_bytes: int = DEFAULT_MEMORY_BYTES
    # Measured: the groups of three plates at once take a third longer than those of one after the other.
    batch_rows: int = 1 << 19
    name: str = "polars"

    @property
    def version(self) -> str:
        """As ``polars 2.1.0``."""
        return f"polars {pl.__version__}"

    def group(self, rows: Rows, keys: Sequence[str], measures: Sequence[Measure]) -> pa.Table:
        """Reduce rows by keys."""
        columns = list_measured(measures)
        needed = rows.source.or_any([*keys, *columns])
        frame = _scan_rows(rows, needed)
        values = [_number(name).alias(_VALUE + name) for name in columns]
        chosen = [_key(name, rows) for name in keys] + values
        # Without any column no row would be left to count.
        frame = frame.select(chosen or [pl.col(name) for name in needed])
        reduced = [_reduce(measure).alias(measure.output) for measure in measures]
        grouped = frame.group_by(list(keys)).agg(reduced) if keys else frame.select(reduced)
        return _collect(grouped, rows.source)

    def collect(self, rows: Rows, columns: Sequence[str], scaled: Sequence[Scaled] = ()) -> pa.Table:
        """Rows in the order of the parts."""
        frame = _scan_rows(rows, [*columns, *(each.column for each in scaled)])
        numbers = [((_number(s.column) - s.center) / s.scale).alias(s.column) for s in scaled]
        return _collect(frame.select([pl.col(name) for name in columns] + numbers), rows.source)

    def products(self, rows: Rows, columns: Sequence[str], centers: np.ndarray) -> Products:
        """Multiply block by block in this process."""
        # A quarter: while a block is multiplied there are copies of it.
        max_rows = max(1, self.memory_bytes // (4 * 8 * max(1, len(columns))))
        total: Products | None = None
        for source in rows.source.chunk(max_rows):
            block = read_matrix(self, replace(rows, source=source), columns)
            total = add_products(total, multiply_block(block, centers))
        return total if total is not None else multiply_block(np.empty((0, len(columns))), centers)


def _collect(frame: pl.LazyFrame, source: TableSource) -> pa.Table:
    with _readable(source):
        return frame.collect(engine="streaming").to_arrow()


@contextmanager
def _readable(source: TableSource) -> Iterator[None]:
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ProfilingError(
            f"polars could not read or reduce table {source.name!r} ({source.place}): {error}"
        ) from error


def _scan_rows(rows: Rows, columns: Sequence[str]) -> pl.LazyFrame:
    frame = _scan(rows.source, rows.list_stored(columns))
    if rows.join:
        frame = _join(frame, rows.join)
    for condition in rows.where:
        frame = frame.filter(_condition(condition))
    return frame


def _join(frame: pl.LazyFrame, join: Join) -> pl.LazyFrame:
    other = _scan(join.source, join.stored_columns)
    other = other.with_columns(pl.lit(True).alias(join.is_matched))
    joined = frame.join(other, on=list(join.on), how="left", nulls_equal=False)
    return joined.with_columns(pl.col(join.is_matched).fill_null(False))


def _scan(source: TableSource, columns: Sequence[str]) -> pl.LazyFrame:
    """Some columns of all parts, in the types of the whole table."""
    source.require(columns)
    fields = [source.schema.field(name) for name in columns]
    kinds = dict(pl.DataFrame(pa.schema(fields).empty_table()).schema) if fields else {}
    frames = [_scan_alike(source, parts, stored, kinds) for parts, stored in source.alike(columns)]
    return pl.concat(frames) if frames else pl.LazyFrame(schema=kinds)


def _scan_alike(
    source: TableSource,
    parts: tuple[Part, ...],
    stored: Mapping[str, StoredColumn],
    kinds: Mapping[str, pl.DataType],
) -> pl.LazyFrame:
    if parts[0].rows is not None:
        tables = [
            part.rows.select([c.name for c in stored.values()]) for part in parts if part.rows is not None
        ]
        frame = pl.concat([_from_arrow(table) for table in tables])
    else:
        # Names of plates may hold what stands for patterns elsewhere; folders of Iceberg look like Hive's.
        frame = pl.scan_parquet(
            [part.uri for part in parts],
            glob=False,
            hive_partitioning=False,
            storage_options=list_polars_options(parts[0].uri, source.options),
            missing_columns="insert",
            extra_columns="ignore",
        )
    return frame.select(
        [_stored_column(source, name, stored.get(name), kind).alias(name) for name, kind in kinds.items()]
    )


def _stored_column(source: TableSource, name: str, stored: StoredColumn | None, kind: pl.DataType) -> pl.Expr:
    if stored is None:
        return pl.lit(None, dtype=kind)
    column = pl.col(stored.name).cast(kind)
    is_number = is_spelt(stored.type, source.schema.field(name).type)
    return column.str.replace(r"\.0$", "") if is_number else column


def _from_arrow(table: pa.Table) -> pl.LazyFrame:
    if table.num_columns == 0:
        return pl.LazyFrame({"__row": np.zeros(table.num_rows, np.int8)})
    frame = pl.from_arrow(table)
    if not isinstance(frame, pl.DataFrame):
        raise TypeError(f"a table became {type(frame)}")
    return frame.lazy()


def list_polars_options(uri: str, options: Mapping[str, object]) -> dict[str, str] | None:
    """The project's storage options as polars' object stores take them; None for local files."""
    if uri.partition("://")[0].lower() not in REMOTE_SCHEMES:
        return None
    plan = plan_client(uri, options)
    given = {**plan.config, **plan.client_options}
    return {name: _spell(value) for name, value in given.items()}


def _spell(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Float64).fill_nan(None)


def _key(name: str, rows: Rows) -> pl.Expr:
    return pl.col(name).fill_nan(None) if rows.is_float(name) else pl.col(name)


def _condition(condition: Condition) -> pl.Expr:
    match condition:
        case IsIn(column, values):
            return pl.col(column).is_in(list(values))
        case IsNotTrue(column):
            return ~pl.col(column).cast(pl.Boolean).fill_null(False)
        case IsPositive(column):
            return _number(column) > 0
        case HasValue(columns):
            # One flat call: of a chain of 2,000 ``|`` polars takes 150 times as long.
            return pl.any_horizontal([_number(name).is_not_null() for name in columns])


def _median(values: pl.Expr) -> pl.Expr:
    """Of an even number of values exactly half their sum, as numpy has it; polars' own median interpolates."""
    return values.quantile(0.5, interpolation="midpoint")


def _reduce(measure: Measure) -> pl.Expr:
    if measure.function == "rows":
        return pl.len()
    values = pl.col(_VALUE + measure.column)
    match measure.function:
        case "values":
            return values.count()
        case "infinite":
            return values.is_infinite().sum()
        case "distinct":
            return values.drop_nulls().n_unique()
        case "sum":
            return values.sum()
        case "mean":
            return values.mean()
        case "variance":
            return values.var(ddof=0)
        case "min":
            return values.min()
        case "max":
            return values.max()
        case "median":
            return _median(values)
        case "lower_quartile":
            return values.quantile(0.25, interpolation="linear")
        case "upper_quartile":
            return values.quantile(0.75, interpolation="linear")
        case "median_deviation":
            return _median((values - _median(values)).abs())
