"""What a run of a list says in the event log, as Dagster does for runs of assets: what it intends, and what is current."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent, DagsterEventBatchMetadata

from bioimage_assets.plate_at_work import list_tries

if TYPE_CHECKING:
    from bioimage_assets.core.storage.state import StorageState


@dataclass(frozen=True)
class ListContext:
    """What a step asks of its run, for the plates of a list."""

    op: dg.OpExecutionContext
    partition_keys: Sequence[str]

    @property
    def has_partition_key(self) -> bool:
        """Whether it is one plate."""
        return len(self.partition_keys) == 1

    @property
    def partition_key(self) -> str:
        """The plate, where it is one."""
        (key,) = self.partition_keys
        return key

    @property
    def run(self) -> dg.DagsterRun:
        """The run of the list."""
        return self.op.run

    @property
    def run_id(self) -> str:
        """Its id."""
        return self.op.run_id

    @property
    def instance(self) -> dg.DagsterInstance:
        """Where it is written down."""
        return self.op.instance

    @property
    def resources(self) -> Any:
        """Resources of the run."""
        return self.op.resources

    @property
    def log(self) -> dg.DagsterLogManager:
        """Log of the run."""
        return self.op.log

    @property
    def retry_number(self) -> int:
        """How often the step was tried before."""
        return self.op.retry_number

    def log_event(self, event: Any) -> None:
        """Write an event about a plate."""
        self.op.log_event(event)


def record_current(
    context: dg.OpExecutionContext, state: "StorageState", plates: Sequence[str], tables: Sequence[str]
) -> int:
    """Record tables that are stored as they would be built now, where the event log says something else of them."""
    from bioimage_assets.core.storage.plate_table import StoredTable
    from bioimage_assets.io_managers.plate_batch import DATA_VERSION_TAG, UNCHANGED, describe_stored

    log, recorded, made = context.instance.event_log_storage, 0, dg.DagsterEventType.ASSET_MATERIALIZATION
    for name in tables if plates else ():
        asset = dg.AssetKey(name)
        known = log.get_latest_tags_by_partition(asset, made, [DATA_VERSION_TAG])
        open_ends = log.get_latest_asset_partition_materialization_attempts_without_materializations(asset)
        for key in plates:
            fingerprint = state.fingerprint(name, key) or ""
            if key not in open_ends and known.get(key, {}).get(DATA_VERSION_TAG) == fingerprint:
                continue
            table = StoredTable(state.row_count(name, key), fingerprint, UNCHANGED)
            context.log_event(
                dg.AssetMaterialization(
                    name,
                    partition=key,
                    metadata=describe_stored(table),
                    tags={DATA_VERSION_TAG: fingerprint},
                )
            )
            recorded += 1
    return recorded


def plan_materializations(
    context: dg.OpExecutionContext, plates: Sequence[str], tables: Sequence[str]
) -> None:
    """Say what is intended, as Dagster does for assets: while the run goes on it is under way, and failed if it is not
    there afterwards. The steps of the run read from it which plates they are to build.
    """
    planned = [(name, key) for name in sorted(tables) for key in plates]
    for number, (name, key) in enumerate(planned, 1):
        event = DagsterEvent.build_asset_materialization_planned_event(
            context.job_name,
            str(context.op_handle),
            AssetMaterializationPlannedData(dg.AssetKey(name), partition=key, partitions_subset=None),
        )
        batch = DagsterEventBatchMetadata(context.run_id, number == len(planned))
        context.instance.report_dagster_event(event, context.run_id, logging.DEBUG, batch_metadata=batch)


@dataclass(frozen=True)
class PlannedList:
    """What a run of a list, or the try that began it, said it would make; ``run_ids`` are this run and the tries up to that."""

    plates: tuple[str, ...] = ()
    tables: frozenset[str] = frozenset()
    run_ids: tuple[str, ...] = ()


def read_planned(instance: dg.DagsterInstance, run: dg.DagsterRun) -> PlannedList:
    """Read what is to be made from the event log: Dagster goes on with a run in another one, at the step that failed.

    A run that a person has executed again as a whole has a plan of its own, and what failed before is not its failure.
    """
    plates: dict[str, None] = {}
    tables: set[str] = set()
    run_ids: list[str] = []
    for one in list_tries(instance, run):
        run_ids.append(one.run_id)
        for entry in instance.all_logs(one.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED):
            event = entry.get_dagster_event()
            if event.partition is not None and event.asset_key is not None:
                plates[event.partition] = None
                tables.add(event.asset_key.to_user_string())
        if plates:
            break
    return PlannedList(tuple(plates), frozenset(tables), tuple(run_ids))
