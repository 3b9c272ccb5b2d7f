"""Old runs leave the history of Dagster, except those that say how something is now.

The history grows by a megabyte for every plate that is built (docs/capacity.md), and what is current is told by the stored
tables. But the UI shows of each plate and table what its latest run left there: a run goes only when every table that it
made was made again since, and when nothing that it was to make is still missing.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

DAY_S = 86_400.0
# Where the last look ended, so that the next night goes on behind it.
CURSOR = "bioimage_assets/run_history"
EVENTS_PER_QUERY = 200
BACKFILL_TAG = "dagster/backfill"
_MADE = dg.DagsterEventType.ASSET_MATERIALIZATION


@dataclass
class PurgeReport:
    """What was removed, or would be; ``kept`` are old runs that say how something is now."""

    removed: list[str] = field(default_factory=list)
    kept: int = 0
    oldest: str = ""
    by_job: dict[str, int] = field(default_factory=dict)

    @property
    def looked_at(self) -> int:
        """Old runs that were looked at."""
        return len(self.removed) + self.kept


def purge_runs(
    instance: dg.DagsterInstance, *, keep_days: float, max_runs: int, is_dry_run: bool
) -> PurgeReport:
    """Remove finished runs older than ``keep_days`` that nothing needs any more, with their events and logs.

    At most ``max_runs`` are looked at; the next call goes on behind them, and after the last one begins anew. Safe to be
    stopped and to be repeated. ``keep_days`` of 0 removes nothing.
    """
    report = PurgeReport()
    if not keep_days:
        return report
    needed, reached = _Needed(instance), ""
    for record in _list_old(instance, time.time() - keep_days * DAY_S, max_runs):
        run, reached = record.dagster_run, record.create_timestamp.isoformat()
        if needed.holds(run):
            report.kept += 1
            continue
        report.removed.append(run.run_id)
        report.oldest = report.oldest or f"{record.create_timestamp:%Y-%m-%d}"
        report.by_job[run.job_name] = report.by_job.get(run.job_name, 0) + 1
        if not is_dry_run:
            delete_run(instance, run.run_id)
    if not is_dry_run:
        is_whole = report.looked_at < max_runs
        instance.daemon_cursor_storage.set_cursor_values({CURSOR: "" if is_whole else reached})
    return report


def _list_old(instance: dg.DagsterInstance, before_s: float, limit: int) -> list[dg.RunRecord]:
    """Finished runs created before a moment, the oldest first, behind those that were looked at last."""
    reached = instance.daemon_cursor_storage.get_cursor_values({CURSOR}).get(CURSOR)
    filters = dg.RunsFilter(
        statuses=FINISHED_STATUSES,
        created_before=datetime.fromtimestamp(before_s, UTC),
        created_after=datetime.fromisoformat(reached) if reached else None,
    )
    return list(instance.get_run_records(filters, limit=limit, ascending=True))


def delete_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Remove a run, its events, what its steps printed and, of SQLite, the file of its own."""
    instance.delete_run(run_id)
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    log = instance.event_log_storage
    if isinstance(log, SqliteEventLogStorage):
        Path(log.path_for_shard(run_id)).unlink(missing_ok=True)


class _Needed:
    """Which runs say how something is now; asked of the event log once per table, however many runs are asked about."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance, self._latest = instance, dict[dg.AssetKey, Mapping[str, int]]()
        log = instance.event_log_storage
        self._open = {
            run_id
            for asset in instance.get_asset_keys()
            for run_id, _ in log.get_latest_asset_partition_materialization_attempts_without_materializations(
                asset
            ).values()
        }
        self._backfills = {
            backfill.backfill_id
            for backfill in instance.get_backfills()
            if backfill.status not in BULK_ACTION_TERMINAL_STATUSES
        }

    def holds(self, run: dg.DagsterRun) -> bool:
        """Whether a run made the latest of anything, was to make what is still missing, or is of a backfill that goes on."""
        if run.run_id in self._open or run.tags.get(BACKFILL_TAG) in self._backfills:
            return True
        return any(self._is_latest(asset, keys, run.run_id) for asset, keys in self._list_made(run.run_id))

    def _list_made(self, run_id: str) -> list[tuple[dg.AssetKey, set[str]]]:
        """Partitions by asset that a run materialised; none for one without partitions."""
        made: dict[dg.AssetKey, set[str]] = {}
        for entry in self._instance.all_logs(run_id, of_type=_MADE):
            event = entry.get_dagster_event()
            if event.asset_key is not None:
                made.setdefault(event.asset_key, set()).update({event.partition} - {None})  # type: ignore[arg-type]
        return list(made.items())

    def _is_latest(self, asset: dg.AssetKey, keys: set[str], run_id: str) -> bool:
        if not keys:
            found = self._instance.fetch_materializations(asset, limit=1).records
            return bool(found) and found[0].run_id == run_id
        if asset not in self._latest:
            log = self._instance.event_log_storage
            self._latest[asset] = log.get_latest_storage_id_by_partition(asset, _MADE)
        ids = [self._latest[asset][key] for key in keys if key in self._latest[asset]]
        for start in range(0, len(ids), EVENTS_PER_QUERY):
            some = ids[start : start + EVENTS_PER_QUERY]
            of_them = dg.AssetRecordsFilter(asset_key=asset, storage_ids=some)
            if any(
                record.run_id == run_id
                for record in self._instance.fetch_materializations(of_them, limit=len(some)).records
            ):
                return True
        return False
