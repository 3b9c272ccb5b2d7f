"""Maintenance of an Iceberg table: compact small files, expire old snapshots, delete unreferenced files.

Never runs by itself. Readers and writers may go on beside it: the files of a tagged or kept snapshot are
never touched, and files younger than the age guard may belong to a write that has not committed yet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.table import FileScanTask, Table

from bioimage_assets.core.catalog.columns_in_files import find_columns_in_files
from bioimage_assets.core.catalog.commit import replace_files
from bioimage_assets.core.catalog.data_files import DataFileWriter
from bioimage_assets.core.catalog.evolution import identity_column, stored_arrow_schema
from bioimage_assets.core.catalog.file_reader import read_scan
from bioimage_assets.core.catalog.filters import partition_filter
from bioimage_assets.core.catalog.locks import commit_lock
from bioimage_assets.core.catalog.retry import call_with_retry, catalog_errors
from bioimage_assets.core.catalog.session import (
    Identifier,
    parse_identifier,
)
from bioimage_assets.core.catalog.unreferenced_files import StoredFile, check_location, find_orphans

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class MaintenanceOptions:
    """What to keep.

    Parameters
    ----------
    keep_snapshots
        The newest so many are kept whatever their age. An in-flight writer needs its base to be among them.
    snapshot_age_s
        Younger snapshots are kept; tagged ones always are.
    orphan_age_s
        Younger unreferenced files are kept: they may belong to a write that has not committed yet.
    small_file_bytes
        Files below this size count as small.
    min_small_files
        A partition with at least so many small files is rewritten into few large ones.
    """

    keep_snapshots: int = 20
    snapshot_age_s: float = 7 * _DAY_S
    orphan_age_s: float = _DAY_S
    small_file_bytes: int = 16 * 1024 * 1024
    min_small_files: int = 5


@dataclass(frozen=True, slots=True)
class MaintenanceReport:
    """What maintenance did to one table, or would do (``is_dry_run``).

    ``skipped_partitions`` were changed by somebody else meanwhile; they are left for the next time.
    """

    identifier: str
    is_dry_run: bool
    snapshot_count: int
    expired_snapshots: tuple[int, ...]
    orphan_files: tuple[str, ...]
    orphan_bytes: int
    compacted_partitions: tuple[str, ...]
    compacted_file_count: int
    skipped_partitions: tuple[str, ...] = ()


def maintain_table(
    catalog: Catalog,
    identifier: str | Sequence[str],
    *,
    options: MaintenanceOptions | None = None,
    dry_run: bool = True,
) -> MaintenanceReport:
    """Compact small files, expire old snapshots, then delete unreferenced files; report all of it.

    A dry run, the default, changes nothing; its orphans are those that exist already, not the ones that
    expiring would make. Safe to stop at any time and to repeat.

    Examples
    --------
    >>> from bioimage_assets import open_catalog, register_store
    >>> catalog = open_catalog("embedded")
    >>> _ = register_store("data/experiment.zarr", catalog, "bioimage.cytotable")
    >>> maintain_table(catalog, "bioimage.cytotable.image_assets").is_dry_run
    True
    """
    chosen = options or MaintenanceOptions()
    parts = parse_identifier(identifier)
    with catalog_errors(f"Maintaining {'.'.join(parts)}"):
        # First of all: what is removed later is taken from folders that the metadata name.
        check_location(catalog.load_table(parts))
        # Compaction before expiry before orphans: each makes work for the next.
        crowded = find_small_files(catalog.load_table(parts), chosen)
        skipped = [] if dry_run else _compact(catalog, parts, sorted(crowded))
        # Loaded again: compaction committed meanwhile.
        snapshot_count = len(catalog.load_table(parts).snapshots())
        expired = _expire(catalog, parts, chosen, dry_run=dry_run)
        now = datetime.now(UTC)
        orphans = find_orphans(catalog, parts, now - timedelta(seconds=chosen.orphan_age_s))
        if not dry_run:
            _delete(catalog.load_table(parts), orphans)
    done = [key for key in crowded if key not in skipped]
    return MaintenanceReport(
        identifier=".".join(parts),
        is_dry_run=dry_run,
        snapshot_count=snapshot_count,
        expired_snapshots=expired,
        orphan_files=tuple(sorted(file.uri for file in orphans)),
        orphan_bytes=sum(file.size_bytes for file in orphans),
        compacted_partitions=tuple(sorted(done)),
        compacted_file_count=sum(crowded[key] for key in done),
        skipped_partitions=tuple(sorted(skipped)),
    )


def find_small_files(table: Table, options: MaintenanceOptions) -> dict[str, int]:
    """Number of small files per partition that has too many; an unpartitioned table is the partition ``""``."""
    column = identity_column(table)
    if column is None and not table.spec().is_unpartitioned():
        return {}
    tasks = table.scan().plan_files()
    counts = Counter(
        _partition(task) for task in tasks if task.file.file_size_in_bytes < options.small_file_bytes
    )
    return {key: count for key, count in counts.items() if count >= options.min_small_files}


def _partition(task: FileScanTask) -> str:
    return str(task.file.partition[0]) if len(task.file.partition) else ""


def _compact(catalog: Catalog, parts: Identifier, keys: Sequence[str]) -> list[str]:
    """Rewrite partitions one by one; give those that somebody else changed meanwhile."""
    return [key for key in keys if not _compact_partition(catalog, parts, key)]


def _compact_partition(catalog: Catalog, parts: Identifier, key: str) -> bool:
    table = catalog.load_table(parts)
    column = identity_column(table)
    rows_filter = AlwaysTrue() if column is None else partition_filter(column, [key])
    scan = table.scan(row_filter=rows_filter)
    tasks = list(scan.plan_files())
    removed = [task.file for task in tasks]
    schema = stored_arrow_schema(table)
    held = find_columns_in_files(tasks, table.schema())
    if held is not None:  # the rewritten file keeps the columns of its plate, and no others
        scan = scan.update(selected_fields=tuple(held))
        schema = pa.schema([schema.field(name) for name in held])
    batches = (batch for rows in read_scan(scan) for batch in rows.to_batches())
    writer = DataFileWriter(table, column, None if column is None else frozenset([key]))
    writer.write(pa.RecordBatchReader.from_batches(_nullable(schema), batches))
    try:
        with commit_lock(catalog, parts):
            # Committed against the very state that was read: a plate replaced meanwhile is a conflict, not a retry.
            replace_files(table, writer.files, removed, rows_filter, {"bioimage.maintenance": "compaction"})
    except (CommitFailedException, ValidationException):
        writer.discard()
        return False
    return True


def _nullable(schema: pa.Schema) -> pa.Schema:
    return pa.schema([field.with_nullable(True) for field in schema])


def _expire(
    catalog: Catalog, parts: Identifier, options: MaintenanceOptions, *, dry_run: bool
) -> tuple[int, ...]:
    def expire() -> tuple[int, ...]:
        table = catalog.load_table(parts)
        ids = expired_snapshots(table, options, datetime.now(UTC))
        if ids and not dry_run:
            # PyIceberg removes metadata only; the files are found as orphans afterwards.
            table.maintenance.expire_snapshots().by_ids(list(ids)).commit()
        return ids

    if dry_run:
        return expire()
    with commit_lock(catalog, parts):
        return call_with_retry(expire)


def expired_snapshots(table: Table, options: MaintenanceOptions, now: datetime) -> tuple[int, ...]:
    """Snapshots that are old, not among the newest, and neither tagged nor the present one; oldest first."""
    protected = {ref.snapshot_id for ref in table.refs().values()}
    before_ms = (now - timedelta(seconds=options.snapshot_age_s)).timestamp() * 1000
    by_age = sorted(table.snapshots(), key=lambda snapshot: snapshot.timestamp_ms)
    candidates = by_age[: -options.keep_snapshots] if options.keep_snapshots else by_age
    return tuple(
        snapshot.snapshot_id
        for snapshot in candidates
        if snapshot.timestamp_ms < before_ms and snapshot.snapshot_id not in protected
    )


def _delete(table: Table, files: Sequence[StoredFile]) -> None:
    for file in files:
        try:
            table.io.delete(file.uri)
        except FileNotFoundError:  # Somebody else's maintenance was faster.
            continue
