"""Which partitions of a table have other rows than before, read from the event log: every one of every run.

Dagster's ``@asset_sensor`` is given the newest materialisation alone, so of a run of fifty plates it sees one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import dagster as dg

from bioimage_assets.partitions import PLATES

EVENTS_PER_LOOK = 200


@dataclass(frozen=True, slots=True)
class PlateChange:
    """A plate whose table has other rows than before; ``storage_id`` is the event that says so."""

    plate_key: str
    storage_id: int

    @property
    def run_key(self) -> str:
        """Key for a run request: the same change asks for one run, however often it is seen."""
        return f"{self.plate_key}@{self.storage_id}"


@dataclass(frozen=True, slots=True)
class PlateChanges:
    """What one look found, in the order of the event log, and the cursor that the next look begins with."""

    changes: tuple[PlateChange, ...]
    cursor: str | None


def plate_changes(
    context: dg.SensorEvaluationContext,
    table: str | dg.AssetKey,
    *,
    limit: int = EVENTS_PER_LOOK,
    partitions_def: dg.DynamicPartitionsDefinition = PLATES,
) -> PlateChanges:
    """Plates whose table was stored with other rows since the cursor of the sensor.

    A plate that was run again with the same result is left out, and so is one that was removed since. A plate may be named at
    two looks, never at none.

    Parameters
    ----------
    context
        The sensor's. Its cursor is the last event that was looked at; without one the look begins with the first event,
        so that plates that are stored already are named, too.
    table
        Asset of plates.
    limit
        Events that one look reads; what comes after them is left to the next look.
    partitions_def
        Dynamic partitions of the table, where they are not plates.

    Examples
    --------
    ::

        @dg.sensor(job=my_job)
        def when_joined(context: dg.SensorEvaluationContext) -> dg.SensorResult:
            found = plate_changes(context, "joined_profiles")
            requests = [dg.RunRequest(run_key=c.run_key, partition_key=c.plate_key) for c in found.changes]
            return dg.SensorResult(run_requests=requests, cursor=found.cursor)
    """
    key = dg.AssetKey.from_coercible(table)
    wanted = dg.AssetRecordsFilter(asset_key=key, after_storage_id=int(context.cursor or 0))
    records = context.instance.fetch_materializations(wanted, limit=limit, ascending=True).records
    if not records:
        return PlateChanges((), context.cursor)
    known = set(context.instance.get_dynamic_partitions(partitions_def.name or ""))
    changed = find_changes(context.instance, records)
    changes = (PlateChange(name, at) for (_, name), at in changed.items() if name in known)
    ordered = sorted(changes, key=lambda change: change.storage_id)
    return PlateChanges(tuple(ordered), str(records[-1].storage_id))


def find_changes(
    instance: dg.DagsterInstance, records: Iterable[dg.EventLogRecord]
) -> dict[tuple[dg.AssetKey, str], int]:
    """Partitions whose rows differ from those before the given events, and the last event of each."""
    last: dict[tuple[dg.AssetKey, str], dg.EventLogRecord] = {}
    first: dict[tuple[dg.AssetKey, str], int] = {}
    for record in records:
        if record.partition_key and record.asset_key:
            part = record.asset_key, record.partition_key
            last[part] = record
            first.setdefault(part, record.storage_id)
    changed = {}
    for part, record in last.items():
        made_of = read_fingerprint(record)
        # An event that does not say what the rows were made of may stand for other rows.
        if made_of is None or made_of != _fingerprint_before(instance, *part, first[part]):
            changed[part] = record.storage_id
    return changed


def read_fingerprint(record: dg.EventLogRecord) -> str | None:
    """Fingerprint of a plate's table: that of the plate alone, also where a batch was materialised."""
    event = record.asset_materialization
    if event is None:
        return None
    value = event.metadata.get("fingerprint")
    return str(value.value) if value is not None else (event.tags or {}).get("dagster/data_version")


def _fingerprint_before(
    instance: dg.DagsterInstance, table: dg.AssetKey, plate_key: str, storage_id: int
) -> str | None:
    """Fingerprint of the plate before an event; a batch records a plate twice, the second time with its own."""
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=table, asset_partitions=[plate_key], before_storage_id=storage_id),
        limit=1,
    ).records
    return read_fingerprint(records[0]) if records else None
