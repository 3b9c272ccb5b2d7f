"""Any frame as Arrow: pyarrow, pandas, polars and DuckDB, told by name so that no library is imported for it."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias, runtime_checkable

import pyarrow as pa

from bioimage_assets.core.errors import UsageError

_STREAM_ROWS = 100_000  # rows of a batch that DuckDB gives
_PLAIN = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
_KNOWN = {
    "pyarrow": ("Table", "RecordBatchReader"),
    "pandas": ("DataFrame",),
    "polars": ("DataFrame", "LazyFrame"),
    "duckdb": ("DuckDBPyRelation",),
}


@runtime_checkable
class ArrowStream(Protocol):
    """Anything with the Arrow C stream interface: polars and pandas frames, DuckDB relations, readers."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Export the stream."""
        ...


TableOrStream: TypeAlias = pa.Table | pa.RecordBatchReader
ArrowData: TypeAlias = "pa.Table | pa.RecordBatchReader | pa.RecordBatch | ArrowStream"


def type_name(kind: object) -> str:
    """Name a table type by library and class, without importing the library; empty for anything else."""
    name = getattr(kind, "__name__", "")
    package = getattr(kind, "__module__", "").split(".", 1)[0].lstrip("_")
    return f"{package}.{name}" if name in _KNOWN.get(package, ()) else ""


def to_arrow(value: object, *, who: str = "The data are") -> TableOrStream:
    """A table, or a stream where the value is one (reader, DuckDB relation, lazy frame); views become plain columns.

    Named levels of a pandas index are columns, a bare one is left out. UsageError for what is not a table.
    """
    if type_name(type(value)) == "polars.LazyFrame":
        value = _stream_lazy_frame(value)
    if isinstance(value, pa.RecordBatch):
        value = pa.Table.from_batches([value])
    elif type_name(type(value)) == "duckdb.DuckDBPyRelation":
        value = _stream_relation(value)
    if isinstance(value, TableOrStream):
        plain = _plain_schema(value.schema)
        return value if plain.equals(value.schema) else value.cast(plain)
    if isinstance(value, ArrowStream):
        table = pa.table(value)
        index = [name for name in table.column_names if name.startswith("__index_level_")]
        return to_arrow(table.drop_columns(index))
    raise UsageError(
        f"{who} of type {type(value).__module__}.{type(value).__name__}, which is no table; expected pyarrow, pandas, polars or "
        "a DuckDB relation."
    )


def to_table(value: object) -> pa.Table:
    """As ``to_arrow``, a stream read whole."""
    data = to_arrow(value)
    return data.read_all() if isinstance(data, pa.RecordBatchReader) else data


def _stream_relation(relation: object) -> pa.RecordBatchReader:
    # DuckDB 2 renamed the streaming call; both names give a pa.RecordBatchReader.
    name = "to_arrow_reader" if hasattr(relation, "to_arrow_reader") else "fetch_arrow_reader"
    return getattr(relation, name)(_STREAM_ROWS)


def _stream_lazy_frame(frame: Any) -> object:
    """Batches as the query gives them (polars 1.34); before that the whole result."""
    if not hasattr(frame, "collect_batches"):
        return frame.collect()
    schema = _plain_schema(frame.collect_schema().to_frame().to_arrow().schema)
    batches = (
        batch
        for rows in frame.collect_batches(maintain_order=True)
        for batch in rows.to_arrow().cast(schema).to_batches()
    )
    return pa.RecordBatchReader.from_batches(schema, batches)


def _plain_schema(schema: pa.Schema) -> pa.Schema:
    """``string_view`` and ``binary_view`` (polars) as plain types: Arrow cannot take rows of views."""
    return pa.schema([f.with_type(_PLAIN.get(f.type, f.type)) for f in schema], schema.metadata)
