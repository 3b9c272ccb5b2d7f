"""Spark by Spark Connect: a cluster, Databricks, or Sail, at an address ``sc://host:port``.

https://spark.apache.org/docs/latest/spark-connect-overview.html. Only the client is installed here; files are read by
the server, so it needs their paths and its own credentials.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from importlib import metadata
from urllib.parse import quote

import numpy as np
import pyarrow as pa
from grpc import RpcError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as sf
from pyspark.sql.pandas.types import from_arrow_schema, from_arrow_type

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
from bioimage_assets.core.engines.polars_engine import PolarsEngine
from bioimage_assets.core.engines.products import add_products, multiply_block
from bioimage_assets.core.engines.table_source import Part, StoredColumn, TableSource, is_spelt
from bioimage_assets.core.errors import ProfilingError

_VALUE = "__value_"
# Functions that need all values of a group at once.
_WHOLE_GROUP = frozenset({"median", "lower_quartile", "upper_quartile", "median_deviation"})
_GLOB = frozenset("[]{}*?\\ %#")


@dataclass(frozen=True, slots=True)
class SparkEngine:
    """A Spark Connect server, asked in sessions of their own: a server ends one that rests, Sail after five minutes.

    None of its sessions is left at the server.
    """

    open_session: Callable[[], SparkSession]
    remote: str
    server_version: str
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    # A cluster wants all there is; what its memory allows is for ``memory_bytes`` to say.
    batch_rows: int = 1 << 62
    name: str = "spark"

    @property
    def version(self) -> str:
        """Version of the client and what the server says of itself."""
        return f"pyspark-client {metadata.version('pyspark-client')}, server {self.server_version}"

    def group(self, rows: Rows, keys: Sequence[str], measures: Sequence[Measure]) -> pa.Table:
        """Reduce rows by keys."""
        columns = list_measured(measures)
        with _session(self, rows.source) as session:
            frame = _scan_rows(session, rows, [*keys, *columns])
            names = {name: f"{_VALUE}{position}" for position, name in enumerate(columns)}
            values = [_number(name).alias(alias) for name, alias in names.items()]
            frame = frame.select([_key(name, rows) for name in keys] + values or [sf.lit(0).alias(_VALUE)])
            if keys and any(measure.function in _WHOLE_GROUP for measure in measures):
                # Rows of a group come together first. Halves of a group are lists of its values otherwise, which are
                # made, sent and merged: twice the processor time of one worker, so that two were no faster.
                frame = frame.repartition(*map(_column, keys))
            if any(measure.function == "median_deviation" for measure in measures):
                frame = _with_medians(frame, keys, measures, names)
            reduced = [_reduce(measure, names).alias(measure.output) for measure in measures]
            grouped = frame.groupBy([_column(name) for name in keys]) if keys else frame
            return grouped.agg(*reduced).toArrow()

    def collect(self, rows: Rows, columns: Sequence[str], scaled: Sequence[Scaled] = ()) -> pa.Table:
        """Rows in stored order, read by this process: a server gives them in any, and another one for other columns."""
        return PolarsEngine(self.memory_bytes).collect(rows, columns, scaled)

    def products(self, rows: Rows, columns: Sequence[str], centers: np.ndarray) -> Products:
        """Multiply where the rows are; the server runs Python of the client's version with numpy and pyarrow."""
        width = len(columns)

        def multiply(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            yield from _multiply_batches(batches, centers)

        with _session(self, rows.source) as session:
            frame = _scan_rows(session, rows, columns)
            numbers = frame.select([_number(name).alias(f"v{place}") for place, name in enumerate(columns)])
            sums = numbers.mapInArrow(multiply, "part binary").toArrow()
        total = multiply_block(np.empty((0, width)), centers)
        for part in sums["part"].to_pylist():
            total = add_products(total, Products(*np.frombuffer(part).reshape(4, width, width)))
        return total


def _multiply_batches(batches: Iterable[pa.RecordBatch], centers: np.ndarray) -> Iterator[pa.RecordBatch]:
    """Sums of one partition of rows, as one row of bytes; runs at the server."""
    total: Products | None = None
    for batch in batches:
        block = np.column_stack(
            [column.to_numpy(zero_copy_only=False).astype(np.float64) for column in batch.columns]
        )
        total = add_products(total, multiply_block(block, centers))
    if total is not None:
        part = np.stack([total.products, total.counts, total.sums, total.squares]).tobytes()
        yield pa.RecordBatch.from_pydict({"part": pa.array([part], pa.binary())})


@contextmanager
def _session(engine: SparkEngine, source: TableSource) -> Iterator[SparkSession]:
    session = engine.open_session()
    try:
        yield session
    except (PySparkException, RpcError) as error:
        # A server that is gone would be called again for many minutes, and one that is there ends the session itself.
        session.client.close()
        raise ProfilingError(
            f"Spark at {engine.remote.split(';', 1)[0]} could not read or reduce table {source.name!r} "
            f"({source.place}): {error}. The server opens the files itself: it needs the same paths, "
            "and credentials of its own for a bucket."
        ) from error
    finally:
        session.stop()


def _scan_rows(session: SparkSession, rows: Rows, columns: Sequence[str]) -> DataFrame:
    frame = _scan(session, rows.source, rows.list_stored(columns))
    if rows.join:
        frame = _join(session, frame, rows.join)
    for condition in rows.where:
        frame = frame.filter(_condition(condition))
    return frame


def _join(session: SparkSession, frame: DataFrame, join: Join) -> DataFrame:
    other = _scan(session, join.source, join.stored_columns)
    other = other.withColumn(join.is_matched, sf.lit(True))
    joined = frame.join(other, on=list(join.on), how="left")
    return joined.withColumn(join.is_matched, sf.coalesce(_column(join.is_matched), sf.lit(False)))


def _scan(session: SparkSession, source: TableSource, columns: Sequence[str]) -> DataFrame:
    """Some columns of all parts, in the types of the whole table."""
    source.require(columns)
    columns = source.or_any(columns)
    fields = [source.schema.field(name) for name in columns]
    # Sail merges the schemas of all files of a scan, and refuses where it cannot; Spark takes the first one's.
    alike = source.alike(columns, in_all=True)
    frames = [_scan_alike(session, parts, stored, fields) for parts, stored in alike]
    if not frames:
        return session.createDataFrame([], from_arrow_schema(pa.schema(fields)))
    return reduce(DataFrame.unionAll, frames)


def _scan_alike(
    session: SparkSession,
    parts: tuple[Part, ...],
    stored: Mapping[str, StoredColumn],
    fields: Sequence[pa.Field],
) -> DataFrame:
    if parts[0].rows is not None:
        names = [column.name for column in stored.values()] or [parts[0].rows.column_names[0]]
        tables = [part.rows.select(names) for part in parts if part.rows is not None]
        frame = session.createDataFrame(pa.concat_tables(tables))
    else:
        frame = session.read.option("recursiveFileLookup", "true").parquet(
            *(_spark_path(part.uri) for part in parts)
        )
        _check_complete(frame, parts)
    return frame.select([_stored_column(field, stored.get(field.name)) for field in fields])


def _check_complete(frame: DataFrame, parts: tuple[Part, ...]) -> None:
    """Look that the server sees all rows: a path that leads to nothing is no error to Sail. Footers are read."""
    found, expected = frame.count(), sum(part.row_count for part in parts)
    if found != expected:
        raise ProfilingError(
            f"The Spark server sees {found} rows in {len(parts)} files ({parts[0].uri} …), expected {expected}: a file is gone or "
            "was replaced meanwhile, or these paths lead elsewhere on the server. Build the table again, or give the "
            "server the same paths."
        )


def _stored_column(field: pa.Field, stored: StoredColumn | None) -> Column:
    kind = from_arrow_type(field.type)
    if stored is None:
        return sf.lit(None).cast(kind).alias(field.name)
    column = _column(stored.name)
    if is_spelt(stored.type, field.type):
        return sf.regexp_replace(column.cast("string"), r"\.0$", "").alias(field.name)
    return (column if stored.type == field.type else column.cast(kind)).alias(field.name)


def _spark_path(uri: str) -> str:
    """A path that is not taken for a pattern."""
    if "://" in uri or not _GLOB & set(uri):
        return uri
    return f"file://{quote(uri)}"


def _column(name: str) -> Column:
    return sf.col("`" + name.replace("`", "``") + "`")


def _number(name: str) -> Column:
    return sf.nanvl(_column(name).cast("double"), sf.lit(None).cast("double"))


def _key(name: str, rows: Rows) -> Column:
    if rows.is_float(name):
        # Sail tells -0.0 from 0.0.
        return (_number(name) + sf.lit(0.0)).alias(name)
    return _column(name)


def _condition(condition: Condition) -> Column:
    match condition:
        case IsIn(column, values):
            return _column(column).isin(list(values))
        case IsNotTrue(column):
            return ~sf.coalesce(_column(column).cast("boolean"), sf.lit(False))
        case IsPositive(column):
            return _number(column) > 0
        case HasValue(columns):
            return sf.coalesce(*(_number(name) for name in columns)).isNotNull()


def _with_medians(
    frame: DataFrame, keys: Sequence[str], measures: Sequence[Measure], names: Mapping[str, str]
) -> DataFrame:
    """Rows with the medians of their group beside the values whose deviation from it is asked for."""
    wanted = [names[m.column] for m in measures if m.function == "median_deviation"]
    medians = [sf.median(alias).alias(f"{alias}_median") for alias in wanted]
    if not keys:
        return frame.crossJoin(frame.agg(*medians))
    own = {name: f"__key_{position}" for position, name in enumerate(keys)}
    grouped = frame.groupBy([_column(name).alias(alias) for name, alias in own.items()]).agg(*medians)
    same = reduce(lambda a, b: a & b, [_column(n).eqNullSafe(sf.col(alias)) for n, alias in own.items()])
    return frame.join(grouped, same, "inner")


def _reduce(measure: Measure, names: Mapping[str, str]) -> Column:
    if measure.function == "rows":
        return sf.count(sf.lit(1))
    alias = names[measure.column]
    values = sf.col(alias)
    match measure.function:
        case "values":
            return sf.count(values)
        case "infinite":
            return sf.count_if(sf.abs(values) == sf.lit(float("inf")))
        case "distinct":
            return sf.count_distinct(values + sf.lit(0.0))
        case "sum":
            return sf.sum(values)
        case "mean":
            return sf.avg(values)
        case "variance":
            return sf.var_pop(values)
        case "min":
            return sf.min(values)
        case "max":
            return sf.max(values)
        case "median":
            return sf.median(values)
        case "lower_quartile":
            return sf.percentile(values, sf.lit(0.25))
        case "upper_quartile":
            return sf.percentile(values, sf.lit(0.75))
        case "median_deviation":
            return sf.median(sf.abs(values - sf.col(f"{alias}_median")))
