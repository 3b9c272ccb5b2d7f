"""A stored table that can be gone through more than once: each pass opens it anew, and holds a few batches in memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class TableSource:
    """Opens a table as a stream, all its columns or some of them.

    DuckDB and polars ask for a pass whenever they need one; a bare reader would be empty at the second, without a word.
    Each pass sees the table as it is then.
    """

    open: Callable[[Sequence[str] | None], pa.RecordBatchReader]

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Export one pass (https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html)."""
        return self.open(None).__arrow_c_stream__(requested_schema)

    def scan_duckdb(self) -> Any:
        """A relation on a connection of its own; every query of it is one pass."""
        import duckdb

        return duckdb.connect().from_arrow(self)

    def scan_polars(self) -> Any:
        """A lazy frame; only the columns that a query uses are read, and rows are filtered batch by batch."""
        import polars
        from polars.io.plugins import register_io_source

        def read(
            columns: list[str] | None, wanted: Any, row_limit: int | None, _: int | None
        ) -> Iterator[Any]:
            left = row_limit
            for batch in self.open(columns):
                rows = polars.DataFrame(pa.Table.from_batches([batch]))
                rows = rows if wanted is None else rows.filter(wanted)
                rows = rows if left is None else rows.head(left)
                left = None if left is None else left - rows.height
                yield rows
                if left == 0:
                    return

        with self.open(None) as reader:
            empty = polars.DataFrame(reader.schema.empty_table())
        return register_io_source(read, schema=empty.schema)
