"""One snapshot that removes some data files and adds others, committed until it lands.

PyIceberg's own ``overwrite`` makes two snapshots (delete, then append), and time travel could land between them
(https://iceberg.apache.org/spec/#snapshots). This module and ``overwrite_snapshot`` are the only places that build
on library internals; ``evolution`` and ``new_tables`` look at what a transaction has staged.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.expressions import BooleanExpression
from pyiceberg.manifest import DataFile
from pyiceberg.table import CreateTableTransaction, StagedTable, Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Operation

from bioimage_assets.core.catalog.overwrite_snapshot import ClusteredReplace
from bioimage_assets.core.catalog.retry import UNKNOWN_OUTCOMES, call_with_retry
from bioimage_assets.core.catalog.session import Identifier

# Written into every snapshot, so that an attempt whose answer got lost is recognised instead of repeated.
COMMIT_ID_PROPERTY = "bioimage.commit-id"


_SETTLED_S = 0.3


class _Transaction(Transaction):
    """A transaction that derives its metadata once per change.

    PyIceberg 0.12 copies all metadata at each of some twenty looks per commit, so that a commit grew with the
    number of snapshots.
    """

    _derived: tuple[TableMetadata, object, TableMetadata] | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        """Metadata with the staged updates; both tuples and metadata are replaced, never changed."""
        if not self._updates:
            return self._table.metadata
        known = self._derived
        if known is None or known[0] is not self._table.metadata or known[1] is not self._updates:
            self._derived = known = (self._table.metadata, self._updates, super().table_metadata)
        return known[2]


def commit_files(
    catalog: Catalog,
    identifier: Identifier,
    added: Sequence[DataFile],
    replaced: BooleanExpression,
    snapshot_properties: dict[str, str],
) -> int | None:
    """Commit one snapshot: files whose rows match ``replaced`` go, ``added`` come; give the snapshot's id.

    ``replaced`` must select whole data files (an identity partition, or everything). Tried again against the table's newest state until it lands. Without anything to do no snapshot is made.
    """
    commit_id = uuid.uuid4().hex
    properties = snapshot_properties | {COMMIT_ID_PROPERTY: commit_id}

    def commit() -> int | None:
        table = catalog.load_table(identifier)
        # An earlier attempt may have landed although its answer got lost: the id in its summary says so.
        if (landed := find_commit(table, commit_id)) is not None:
            return landed
        # Planned anew in every attempt: another writer may have replaced the files of the first.
        removed = [task.file for task in table.scan(row_filter=replaced).plan_files()]
        if not added and not removed:
            current = table.current_snapshot()
            return current.snapshot_id if current else None
        return replace_files(table, added, removed, replaced, properties)

    return call_with_retry(commit)


def create_with_files(
    catalog: Catalog, staged: StagedTable, added: Sequence[DataFile], snapshot_properties: dict[str, str]
) -> int | None:
    """Create a staged table together with its first snapshot, in one commit; give the snapshot's id.

    Without files it has no snapshot. TableAlreadyExistsError where somebody else has made the table meanwhile; nothing is
    changed then.
    """
    properties = snapshot_properties | {COMMIT_ID_PROPERTY: uuid.uuid4().hex}

    def create() -> int | None:
        try:
            _check_not_there(catalog, staged)
            made = _create(staged, added, properties)
            _check_still_ours(catalog, staged)
            return made
        except (TableAlreadyExistsError, CommitFailedException, *UNKNOWN_OUTCOMES) as error:
            # Whose table is there, if any? The id is ours, so it also tells whether an answer got lost.
            try:
                found = catalog.load_table(staged.name())
            except NoSuchTableError:
                raise CommitFailedException(f"The table {'.'.join(staged.name())} was not made") from error
            if found.metadata.table_uuid == staged.metadata.table_uuid:
                return find_commit(found, properties[COMMIT_ID_PROPERTY])
            raise _MadeByOthersError(f"Table {'.'.join(staged.name())} already exists") from error

    try:
        return call_with_retry(create)
    except _MadeByOthersError as error:
        if not isinstance(catalog, SqlCatalog):
            time.sleep(
                _SETTLED_S
            )  # see _check_still_ours: what is written too early goes with the table that loses
        raise TableAlreadyExistsError(str(error)) from error


def _check_not_there(catalog: Catalog, staged: StagedTable) -> None:
    """Look once more before a table is made: SeaweedFS 4.48 makes one over another, whose commits are then gone.

    Of writers that wait for each other (``commit_lock``) none does so then.
    """
    if not isinstance(catalog, SqlCatalog) and catalog.table_exists(staged.name()):
        raise TableAlreadyExistsError(f"Table {'.'.join(staged.name())} already exists")


def _check_still_ours(catalog: Catalog, staged: StagedTable) -> None:
    """Look that the table was not made anew over ours.

    Of several that make one table at once a server must let one win; SeaweedFS 4.48 tells all of them that they did,
    and the last one stays. Some hundred milliseconds later it is settled whose it is. Databases keep the rule.
    """
    if isinstance(catalog, SqlCatalog):
        return
    time.sleep(2 * _SETTLED_S)
    if catalog.load_table(staged.name()).metadata.table_uuid != staged.metadata.table_uuid:
        raise _MadeByOthersError(
            f"Table {'.'.join(staged.name())} was made by somebody else at the same moment"
        )


class _MadeByOthersError(Exception):
    """Not worth another attempt, unlike the library's error of that meaning."""


def _create(
    staged: StagedTable, added: Sequence[DataFile], snapshot_properties: dict[str, str]
) -> int | None:
    transaction = CreateTableTransaction(staged)
    snapshot: ClusteredReplace | None = None
    if added:
        snapshot = ClusteredReplace(
            operation=Operation.APPEND,
            transaction=transaction,
            io=staged.io,
            snapshot_properties=snapshot_properties,
        )
        for data_file in added:
            snapshot.append_data_file(data_file)
        snapshot.commit()
    try:
        transaction.commit_transaction()
    except (TableAlreadyExistsError, CommitFailedException):
        # These say that nothing landed. PyIceberg 0.12 removes the manifests of other transactions only.
        if snapshot is not None:
            snapshot._clean_all_uncommitted()
        raise
    return None if snapshot is None else snapshot.snapshot_id


def find_commit(table: Table, commit_id: str) -> int | None:
    """Snapshot that an earlier attempt made although its answer got lost, None where there is none."""
    # The newest first: a landed attempt is among the last few.
    for snapshot in reversed(table.snapshots()):
        if (
            snapshot.summary is not None
            and snapshot.summary.additional_properties.get(COMMIT_ID_PROPERTY) == commit_id
        ):
            return snapshot.snapshot_id
    return None


def replace_files(
    table: Table,
    added: Iterable[DataFile],
    removed: Sequence[DataFile],
    replaced: BooleanExpression,
    snapshot_properties: dict[str, str],
) -> int:
    """Try one commit against the table as it was loaded; the library's conflict errors go to the caller."""
    transaction = _Transaction(table)
    snapshot = ClusteredReplace(
        operation=Operation.OVERWRITE if removed else Operation.APPEND,
        transaction=transaction,
        io=table.io,
        snapshot_properties=snapshot_properties,
    )
    # PyIceberg 0.12 takes the isolation level of deletes unless this is set, as its own overwrite sets it.
    snapshot._isolation_operation = Operation.OVERWRITE
    # Says to the conflict check which rows this commit replaces; the files themselves are named below.
    snapshot.delete_by_predicate(replaced)
    for data_file in removed:
        snapshot.delete_data_file(data_file)
    for data_file in added:
        snapshot.append_data_file(data_file)
    snapshot.commit()
    try:
        transaction.commit_transaction()
    except UNKNOWN_OUTCOMES as error:
        # The catalog's answer got lost. The snapshot id is ours, so its presence tells what happened.
        if table.refresh().snapshot_by_id(snapshot.snapshot_id) is None:
            raise CommitFailedException(
                f"Commit of snapshot {snapshot.snapshot_id} did not arrive"
            ) from error
    return snapshot.snapshot_id
