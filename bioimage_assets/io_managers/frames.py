"""Values of assets become Arrow data, and Arrow data become what an asset's parameter is annotated with."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bioimage_assets.core.errors import UsageError


def build_arrow(value: Any, partition_column: str | None, keys: list[str]) -> Any:
    """Turn a table, reader, relation, data frame, or a mapping of partition key to one of them into Arrow.

    Readers and relations stay streams. The partition column is added where it is missing and there is
    only one partition; UsageError otherwise, and for types that are no table.
    """
    import pyarrow as pa

    from bioimage_assets.core.arrow_frames import to_arrow, to_table

    if isinstance(value, Mapping):
        parts = [to_table(build_arrow(part, partition_column, [key])) for key, part in value.items()]
        if unknown := sorted(set(value) - set(keys)):
            raise UsageError(f"Rows were given for partition {unknown[0]!r}, which this run does not write.")
        return pa.concat_tables(parts, promote_options="permissive")
    data = to_arrow(value, who="An asset returned data")
    if partition_column is None or partition_column in data.schema.names:
        return data
    if len(keys) != 1:
        raise UsageError(
            f"The data of {len(keys)} partitions have no column {partition_column!r} that tells them apart. "
            "Add it, or return a dictionary of partition key to data."
        )
    return _with_constant(data, partition_column, keys[0])


def _with_constant(data: Any, name: str, value: str) -> Any:
    import pyarrow as pa

    schema = pa.schema([pa.field(name, pa.string(), nullable=False), *data.schema])

    def batches() -> Iterator[Any]:
        for batch in data.to_batches() if isinstance(data, pa.Table) else data:
            column = pa.repeat(pa.scalar(value, pa.string()), batch.num_rows)
            yield pa.RecordBatch.from_arrays([column, *batch.columns], schema=schema)

    reader = pa.RecordBatchReader.from_batches(schema, batches())
    return reader.read_all() if isinstance(data, pa.Table) else reader


def build_value(open_table: Callable[[Sequence[str] | None], Any], annotation: Any) -> Any:
    """Open a stored table as the annotated type; a ``pa.Table`` where there is no annotation.

    ``open_table`` gives a ``pa.RecordBatchReader`` of the named columns, or of all. Readers, relations and lazy frames stream:
    they hold some batches of the table, however large it is.
    """
    from bioimage_assets.core.arrow_frames import type_name
    from bioimage_assets.io_managers.table_source import TableSource

    kind = type_name(annotation)
    if kind == "pyarrow.RecordBatchReader":
        return open_table(None)
    if kind == "duckdb.DuckDBPyRelation":
        return TableSource(open_table).scan_duckdb()
    if kind == "polars.LazyFrame":
        return TableSource(open_table).scan_polars()
    if kind == "pandas.DataFrame":
        return open_table(None).read_all().to_pandas()
    if kind == "polars.DataFrame":
        import polars

        return polars.DataFrame(open_table(None).read_all())
    if kind == "pyarrow.Table" or annotation is None or not _is_data_type(annotation):
        return open_table(None).read_all()
    raise UsageError(
        f"A parameter is annotated {annotation!r}, which is no table type; use pyarrow.Table, pyarrow.RecordBatchReader, "
        "duckdb.DuckDBPyRelation, polars.LazyFrame, a pandas or polars DataFrame, or no annotation."
    )


def _is_data_type(annotation: Any) -> bool:
    """Tell a real class from ``Any``, ``object`` and ``None``, which leave the choice open."""
    return isinstance(annotation, type) and annotation not in (object, type(None)) and annotation is not Any
