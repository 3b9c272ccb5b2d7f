"""Replace the rows of some partitions in one snapshot: all of them or none.

Data files are written first, then one commit removes the partitions' old files and adds the new ones.
A lost race repeats the commit, not the writing. One commit is one snapshot, so neither a reader nor
time travel ever meets a partition that is half there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.table import Table

from bioimage_assets.core.arrow_frames import TableOrStream
from bioimage_assets.core.catalog.commit import commit_files
from bioimage_assets.core.catalog.data_files import DataFileWriter
from bioimage_assets.core.catalog.evolution import (
    PARTITION_COLUMN,
    ensure_table,
    evolve_table,
    identity_column,
)
from bioimage_assets.core.catalog.filters import partition_filter
from bioimage_assets.core.catalog.locks import commit_lock
from bioimage_assets.core.catalog.retry import catalog_errors
from bioimage_assets.core.catalog.session import Identifier, parse_identifier
from bioimage_assets.core.errors import CommitError, UsageError


@dataclass(frozen=True, slots=True)
class CommitResult:
    """What one replacement did.

    ``snapshot_id`` is None only for a table that never had a row. ``partition_rows`` counts the rows now
    in every named partition (0 for one that was emptied); ``schema_changes`` has a sentence per change.
    """

    identifier: str
    snapshot_id: int | None
    row_count: int
    file_count: int
    partition_rows: Mapping[str, int]
    schema_changes: tuple[str, ...] = ()


class WriteWords(TypedDict, total=False):
    """What may be said of a write besides its rows.

    ``schema`` is the declared schema of the table, whose nullability rules; default: that of the data.
    ``snapshot_properties`` are text pairs for the snapshot's summary (run, fingerprint, code version).
    ``lock_path`` is a file lock held while committing; default: beside a SQLite catalog, none for other catalogs.
    """

    schema: pa.Schema | None
    snapshot_properties: Mapping[str, str] | None
    lock_path: str | Path | None


def replace_partitions(
    catalog: Catalog,
    identifier: str | Sequence[str],
    data: TableOrStream,
    plate_keys: Sequence[str],
    *,
    partition_column: str = PARTITION_COLUMN,
    **words: Unpack[WriteWords],
) -> CommitResult:
    """Exchange the rows of the named partitions for ``data``, atomically; safe to repeat.

    Parameters
    ----------
    data
        Rows of these partitions only (UsageError otherwise, nothing written). A partition without rows is
        emptied. A reader is consumed once, with about 128 MB in memory at a time.
    words
        See :class:`WriteWords`.

    Raises
    ------
    SchemaConflictError
        Before anything is written where the columns clash, before anything is committed where values do.
    CommitError
        The commit did not land within its deadline; the table is unchanged.
    """
    if not plate_keys:
        raise UsageError("replace_partitions needs at least one partition key.")
    replaced = partition_filter(partition_column, plate_keys)
    return _write(catalog, identifier, data, replaced, plate_keys, partition_column, **words)


def replace_table(
    catalog: Catalog, identifier: str | Sequence[str], data: TableOrStream, **words: Unpack[WriteWords]
) -> CommitResult:
    """Exchange all rows of a table for ``data`` in one snapshot; for tables that are not kept by plate."""
    return _write(catalog, identifier, data, AlwaysTrue(), None, PARTITION_COLUMN, **words)


def remove_partitions(
    catalog: Catalog,
    identifier: str | Sequence[str],
    plate_keys: Sequence[str],
    *,
    snapshot_properties: Mapping[str, str] | None = None,
    lock_path: str | Path | None = None,
    partition_column: str = PARTITION_COLUMN,
) -> CommitResult:
    """Empty partitions of an existing table in one snapshot; earlier snapshots still show their rows.

    MissingTableError where the table does not exist; partitions that have no rows are not an error.
    """
    parts = parse_identifier(identifier)
    with catalog_errors(f"Removing partitions from {'.'.join(parts)}"):
        table = catalog.load_table(parts)
        _check_layout(table, partition_column)
        writer = DataFileWriter(table, partition_column, frozenset(plate_keys))
        nothing = table.schema().as_arrow().empty_table()
        return _write_and_commit(
            catalog,
            parts,
            writer,
            nothing,
            partition_filter(partition_column, plate_keys),
            snapshot_properties,
            lock_path,
            (),
        )


def _write(
    catalog: Catalog,
    identifier: str | Sequence[str],
    data: TableOrStream,
    replaced: BooleanExpression,
    keys: Sequence[str] | None,
    partition_column: str,
    schema: pa.Schema | None = None,
    snapshot_properties: Mapping[str, str] | None = None,
    lock_path: str | Path | None = None,
) -> CommitResult:
    """Make the table fit, then exchange the rows that ``replaced`` selects; ``keys`` are the only partitions allowed."""
    parts = parse_identifier(identifier)
    with catalog_errors(f"Writing {'.'.join(parts)}"):
        table, changes = _prepare(catalog, parts, data.schema, schema, partition_column)
        if keys is not None:
            _check_layout(table, partition_column)
        writer = DataFileWriter(table, identity_column(table), None if keys is None else frozenset(keys))
        return _write_and_commit(
            catalog, parts, writer, data, replaced, snapshot_properties, lock_path, changes
        )


def _prepare(
    catalog: Catalog, parts: Identifier, given: pa.Schema, declared: pa.Schema | None, partition_column: str
) -> tuple[Table, tuple[str, ...]]:
    """Load the table, made and grown as the data need it, with a sentence per schema change."""
    if declared is not None and (
        missing := [f.name for f in declared if not f.nullable and f.name not in given.names]
    ):
        raise UsageError(f"Data for {'.'.join(parts)} lack required column(s): {', '.join(missing)}.")
    table = ensure_table(catalog, parts, declared or given, partition_column=partition_column)
    changes: tuple[str, ...] = ()
    if declared is not None:
        table, changes = evolve_table(catalog, table, declared, is_declared=True)
    if declared is None or not given.equals(declared):
        table, further = evolve_table(catalog, table, given)
        changes += further
    return table, changes


def _write_and_commit(
    catalog: Catalog,
    parts: Identifier,
    writer: DataFileWriter,
    data: TableOrStream,
    replaced: BooleanExpression,
    snapshot_properties: Mapping[str, str] | None,
    lock_path: str | Path | None,
    changes: tuple[str, ...],
) -> CommitResult:
    with ExitStack() as cleanup:
        cleanup.callback(writer.discard)
        writer.write(data)
        cleanup.pop_all()
    try:
        with commit_lock(catalog, parts, lock_path):
            snapshot_id = commit_files(
                catalog, parts, writer.files, replaced, dict(snapshot_properties or {})
            )
    except (CommitFailedException, ValidationException, CommitError):
        # These say that the commit did not land. After any other failure it may have: the files then stay,
        # for maintenance to judge.
        writer.discard()
        raise
    rows = dict.fromkeys(writer.keys or (), 0) | writer.partition_rows
    return CommitResult(".".join(parts), snapshot_id, writer.row_count, len(writer.files), rows, changes)


def _check_layout(table: Table, partition_column: str) -> None:
    if identity_column(table) != partition_column:
        raise UsageError(
            f"{'.'.join(table.name())} is not partitioned by {partition_column!r} (found {table.spec()}), so its partitions "
            "cannot be replaced file by file. Copy its rows into a new table with replace_table()."
        )
