"""Replace the rows of some partitions in one snapshot: all of them or none.

Data files are written first, then one commit removes the partitions' old files and adds the new ones.
A lost race repeats the commit, not the writing. One commit is one snapshot, so neither a reader nor
time travel ever meets a partition that is half there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict, Unpack

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import AlwaysTrue, BooleanExpression

from bioimage_assets.core.arrow_frames import TableOrStream
from bioimage_assets.core.catalog.data_files import DataFileWriter
from bioimage_assets.core.catalog.drafts import check_layout, draft_table
from bioimage_assets.core.catalog.evolution import PARTITION_COLUMN, Wanted
from bioimage_assets.core.catalog.filters import partition_filter
from bioimage_assets.core.catalog.landing import CommitResult, Landing, exchange, land, write_files
from bioimage_assets.core.catalog.retry import catalog_errors
from bioimage_assets.core.catalog.session import Identifier, parse_identifier
from bioimage_assets.core.errors import UsageError


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
        check_layout(table, partition_column)
        replaced = partition_filter(partition_column, plate_keys)
        landing = Landing(catalog, parts, replaced, dict(snapshot_properties or {}), lock_path)
        return exchange(landing, DataFileWriter(table, partition_column, frozenset(plate_keys)), ())


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
    """Draft the table, write its files, then exchange the rows that ``replaced`` selects; ``keys`` are the only partitions allowed."""
    parts = parse_identifier(identifier)
    wanted = Wanted(data.schema, schema, partition_column)
    _require_declared(parts, wanted)
    with catalog_errors(f"Writing {'.'.join(parts)}"):
        draft = draft_table(catalog, parts, wanted, by_partition=keys is not None)
        allowed = None if keys is None else frozenset(keys)
        written = write_files(draft.table, allowed, data)
        return land(
            Landing(catalog, parts, replaced, dict(snapshot_properties or {}), lock_path),
            draft,
            wanted,
            written,
        )


def _require_declared(parts: Identifier, wanted: Wanted) -> None:
    if wanted.declared is None:
        return
    given = wanted.given.names
    if missing := [f.name for f in wanted.declared if not f.nullable and f.name not in given]:
        raise UsageError(f"Data for {'.'.join(parts)} lack required column(s): {', '.join(missing)}.")
