"""Files that were written for a draft become a snapshot: the table is made in the same commit, or grown before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, TableAlreadyExistsError, ValidationException
from pyiceberg.expressions import BooleanExpression
from pyiceberg.table import StagedTable, Table

from bioimage_assets.core.arrow_frames import TableOrStream
from bioimage_assets.core.catalog.commit import commit_files, create_with_files
from bioimage_assets.core.catalog.data_files import DataFileWriter
from bioimage_assets.core.catalog.drafts import Draft, check_layout, fits_files
from bioimage_assets.core.catalog.evolution import Wanted, grow_table, identity_column
from bioimage_assets.core.catalog.locks import commit_lock
from bioimage_assets.core.catalog.session import Identifier
from bioimage_assets.core.errors import CommitError, SchemaConflictError, UsageError


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


@dataclass(frozen=True, slots=True)
class Landing:
    """Where files go, and what they take the place of."""

    catalog: Catalog
    parts: Identifier
    replaced: BooleanExpression
    snapshot_properties: dict[str, str]
    lock_path: str | Path | None = None


def write_files(table: Table, keys: frozenset[str] | None, data: TableOrStream) -> DataFileWriter:
    """Write data files for a table or a draft of one; none is left where a row is refused."""
    writer = DataFileWriter(table, identity_column(table), keys)
    with ExitStack() as cleanup:
        cleanup.callback(writer.discard)
        writer.write(data)
        cleanup.pop_all()
    return writer


def land(landing: Landing, draft: Draft, wanted: Wanted, writer: DataFileWriter) -> CommitResult:
    """Commit what was written for a draft, and the table with it where it is new."""
    if draft.loaded is None:
        made = _create(landing, draft, writer)
        if made is not None:
            return made
    elif not draft.has_grown:
        return exchange(landing, writer, ())
    # The table was made by somebody else meanwhile, or must grow: a commit of its own, as PyIceberg cannot repeat
    # a change of the schema inside a commit of data.
    with _discarding(writer):
        table = draft.loaded or landing.catalog.load_table(landing.parts)
        if writer.keys is not None:
            check_layout(table, wanted.partition_column)
        table, changes = grow_table(landing.catalog, table, wanted)
        if not writer.files or fits_files(table, draft.table, writer.columns):
            fitting = writer
        else:
            # Numbers of columns, the place or the partitions came out otherwise than drafted.
            fitting = write_files(table, writer.keys, writer.read_back())
            writer.discard()
    return exchange(landing, fitting, changes)


def _create(landing: Landing, draft: Draft, writer: DataFileWriter) -> CommitResult | None:
    """Make the table and its first snapshot in one commit; None where somebody else was first."""
    assert isinstance(draft.table, StagedTable)
    with _discarding(writer), commit_lock(landing.catalog, landing.parts, landing.lock_path):
        try:
            snapshot_id = create_with_files(
                landing.catalog, draft.table, writer.files, landing.snapshot_properties
            )
        except TableAlreadyExistsError:
            return None
    return _describe(landing, writer, snapshot_id, draft.changes)


def exchange(landing: Landing, writer: DataFileWriter, changes: tuple[str, ...]) -> CommitResult:
    """Commit files to a table that can take them."""
    with _discarding(writer), commit_lock(landing.catalog, landing.parts, landing.lock_path):
        snapshot_id = commit_files(
            landing.catalog, landing.parts, writer.files, landing.replaced, landing.snapshot_properties
        )
    return _describe(landing, writer, snapshot_id, changes)


@contextmanager
def _discarding(writer: DataFileWriter) -> Iterator[None]:
    """Delete the files after errors that say that no commit landed.

    After any other failure it may have: the files then stay, for maintenance to judge.
    """
    try:
        yield
    except (CommitFailedException, ValidationException, CommitError, SchemaConflictError, UsageError):
        writer.discard()
        raise


def _describe(
    landing: Landing, writer: DataFileWriter, snapshot_id: int | None, changes: tuple[str, ...]
) -> CommitResult:
    rows = dict.fromkeys(writer.keys or (), 0) | writer.partition_rows
    return CommitResult(
        ".".join(landing.parts), snapshot_id, writer.row_count, len(writer.files), rows, changes
    )
