"""Reads the tables of a stranger's SQLite file row by row, within what the file can hold and a time limit.

Nothing of its schema is trusted (https://www.sqlite.org/security.html): no extension, no function with effects, no write.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.measurements.limits import MeasurementLimits
from bioimage_assets.core.sql import quote_identifier

# How often a statement is looked at, in steps of SQLite's machine: some milliseconds.
_STEPS = 100_000
# Steps that reading a table takes for each of its bytes are one or two: a value is a byte at least, and a step.
_STEPS_PER_BYTE = 16
_SMALL_FILE_BYTES = 1 << 18  # the limit of steps would be too small for what an empty database needs
# Bytes that a row takes at least: its size, its number, and the size of its header.
_ROW_BYTES = 3
_PRAGMAS = ("trusted_schema=OFF", "cell_size_check=ON", "query_only=ON", "mmap_size=0")


class Database:
    """Tables and views of an open file, by the connection that ``open_database`` guards."""

    def __init__(self, connection: sqlite3.Connection, path: str, limits: MeasurementLimits) -> None:
        self.path = path
        self._connection = connection
        self._limits = limits
        log = f"{path}-wal"
        self._size = os.path.getsize(path) + (os.path.getsize(log) if os.path.isfile(log) else 0)
        self._steps = 0
        self._is_view = False
        self._started = time.monotonic()
        connection.set_progress_handler(self._is_over, _STEPS)

    def list_tables(self) -> list[str]:
        """Names of the tables in alphabetic order; virtual ones, which are code, and those that hold their data are none."""
        found = self._execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY name"
        ).fetchall()
        virtual = tuple(f"{name}_" for name, sql in found if _is_virtual(sql))
        return [
            name for name, sql in found if not _is_virtual(sql) and not (virtual and name.startswith(virtual))
        ]

    def list_views(self) -> list[str]:
        """Names of the views in alphabetic order."""
        return [
            row[0]
            for row in self._execute("SELECT name FROM sqlite_master WHERE type = 'view' ORDER BY name")
        ]

    def list_columns(self, name: str) -> list[str]:
        """Names of the stored columns of a table, or of those of a view; generated ones repeat others."""
        return [row[1] for row in self._execute(f"PRAGMA table_info({quote_identifier(name)})")]

    def list_values(self, name: str, column: str) -> list[object]:
        """The different values of a column."""
        query = f"SELECT DISTINCT {quote_identifier(column)} FROM {quote_identifier(name)}"
        return [row[0] for row in self._execute(query, name)]

    def read_rows(
        self, name: str, columns: Sequence[str], batch_rows: int
    ) -> Iterator[list[tuple[object, ...]]]:
        """All rows of a table in batches; MeasurementError where it gives more than its file has room for."""
        listed = ", ".join(quote_identifier(column) for column in columns)
        cursor = self._execute(f"SELECT {listed} FROM {quote_identifier(name)}", name)
        is_view, count = self._is_view, 0
        while batch := cursor.fetchmany(batch_rows):
            count += len(batch)
            if not is_view and count > self._size // _ROW_BYTES:
                raise MeasurementError(
                    f"{self.path}: the table {name} gives more rows than the {self._size} bytes of its file have room for; expected a sound "
                    "database. Its pages point to each other: copy it again, or dump it (sqlite3 file .recover)."
                )
            yield batch

    def _execute(self, query: str, name: str | None = None) -> sqlite3.Cursor:
        self._steps, self._started = 0, time.monotonic()
        self._is_view = name is not None and name in self.list_views()
        self._steps, self._started = 0, time.monotonic()
        return self._connection.execute(query)

    def _is_over(self) -> bool:
        """Whether the statement is stopped: a table by the steps that its file can need, a view by time."""
        self._steps += _STEPS
        if self._is_view:
            return time.monotonic() - self._started > self._limits.max_query_s
        return self._steps > _STEPS_PER_BYTE * max(self._size, _SMALL_FILE_BYTES)


def _is_virtual(statement: str | None) -> bool:
    return (statement or "").lower().startswith("create virtual")


@contextmanager
def open_database(path: str, limits: MeasurementLimits) -> Iterator[Database]:
    """Open a file for reading; MeasurementError where it is not a database, is damaged, or exceeds the limits."""
    if not os.path.isfile(path):
        raise MeasurementError(f"{path}: expected a SQLite database, found something that is no file.")
    uri = f"{Path(path).absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limits.max_value_bytes)
            connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
            connection.setlimit(sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0)
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
            yield Database(connection, path, limits)
    except sqlite3.Error as error:
        raise MeasurementError(
            f"{path}: expected a SQLite database of CellProfiler or cytominer-database, found: {_explain(error, limits)}. It may still "
            "be written, or be cut off: copy it again."
        ) from error


def _explain(error: sqlite3.Error, limits: MeasurementLimits) -> str:
    if str(error) == "interrupted":
        return f"one that was still working without an end (a view is stopped after {limits.max_query_s:g} s)"
    if "too big" in str(error):
        return f"a row of more than {limits.max_value_bytes} bytes"
    return str(error)
