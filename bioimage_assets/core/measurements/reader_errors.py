"""The project's error for what libraries raise over a stranger's file: that plate fails, and says over what."""

from __future__ import annotations

import csv
import errno
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from bioimage_assets.core.errors import BioimageError, MeasurementError
from bioimage_assets.core.measurements.columns import join_names

FOREIGN_ERRORS = (
    pa.ArrowException, duckdb.Error, sqlite3.Error, csv.Error, zlib.error, zipfile.BadZipFile, OSError, EOFError, ValueError,
    LookupError, OverflowError, RecursionError, MemoryError,
)  # fmt: skip
_KINDS = "CellProfiler, CytoTable, DeepProfiler, IN Carta or AnnData"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def as_measurement_errors(sources: Sequence[str], plate_key: str) -> Iterator[None]:
    """Raise MeasurementError for what a library raised over the measurements of one plate.

    What is known to happen is said where it happens; this is for the rest, so that no file stops other plates. A full
    disk stays what it is: it is not a fault of the file.
    """
    try:
        yield
    except BioimageError:
        raise
    except FOREIGN_ERRORS as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            raise
        raise MeasurementError(
            f"The measurements of {plate_key} ({join_names(sources, 3)}) cannot be read: expected tables as {_KINDS} write them, found "
            f"{type(error).__name__}: {str(error)[:2_000] or 'no more said'}. Write the files again, or move them away."
        ) from error
