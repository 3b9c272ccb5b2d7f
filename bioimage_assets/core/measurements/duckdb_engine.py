"""The SQL engine of the measurement readers: DuckDB with a memory limit, spilling beside the staged files."""

from __future__ import annotations

import duckdb

from bioimage_assets.core.measurements.model import PlateContext

# Rows of a staged row group: small enough to skip images that a window does not need.
ROW_GROUP_ROWS = 20_480
DEFAULT_MEMORY_LIMIT_BYTES = 1 << 30  # a worker of 4 GB runs the engine beside PyArrow and pandas
# Bytes of one window of joined rows; three to four copies of it exist while a batch is built.
WINDOW_BYTES = 64 << 20


def open_engine(context: PlateContext) -> duckdb.DuckDBPyConnection:
    """Open an in-memory DuckDB that needs no extension and no network."""
    return duckdb.connect(
        config={
            "memory_limit": f"{context.memory_limit_bytes // (1 << 20)}MB",
            "temp_directory": str(context.staging_dir / "spill"),
            "threads": 2,
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
    )


def window_rows(column_count: int) -> int:
    """Rows of one window so that it holds about ``WINDOW_BYTES`` of eight-byte values."""
    # Fewer than 512 rows cost more in calls than they save in memory; DuckDB's own vectors have 2,048.
    return max(512, min(50_000, WINDOW_BYTES // (8 * max(column_count, 1))))
