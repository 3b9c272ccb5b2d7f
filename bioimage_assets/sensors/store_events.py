"""Events about stores in the event log (taken, gone, held back), and what they say was taken before."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import dagster as dg

from bioimage_assets.core.model.plate_source import PlateSource

STORES = dg.AssetKey("image_stores")
DATA_VERSION_TAG = "dagster/data_version"
FULL_READ_EVERY_S = 300.0  # what another daemon wrote meanwhile is seen after this


@dataclass
class TakenMemory:
    """Versions as the event log gave them, up to one of its events; read anew now and then, since events can be wiped."""

    versions: dict[str, str] = field(default_factory=dict)
    storage_id: int = 0
    read_at_s: float = float("-inf")


def read_taken_versions(instance: dg.DagsterInstance, memory: TakenMemory | None = None) -> dict[str, str]:
    """Version under which each plate was taken last; one query of the event log, however many plates.

    With a memory only what was added since is asked for; everything every five minutes.
    """
    memory = memory or TakenMemory()
    log = instance.event_log_storage
    # Before the query: an event that comes in between is read twice, never missed.
    newest = log.get_maximum_record_id() or 0
    is_stale = time.monotonic() - memory.read_at_s > FULL_READ_EVERY_S
    tags = log.get_latest_tags_by_partition(
        STORES,
        dg.DagsterEventType.ASSET_MATERIALIZATION,
        [DATA_VERSION_TAG],
        after_cursor=None if is_stale else memory.storage_id,
    )
    if is_stale:
        memory.versions, memory.read_at_s = {}, time.monotonic()
    for key, value in tags.items():
        if DATA_VERSION_TAG in value:
            memory.versions[key] = value[DATA_VERSION_TAG]
    memory.storage_id = newest
    return memory.versions


def build_taken_event(source: PlateSource, version: str) -> dg.AssetMaterialization:
    """A plate is taken: what it is made of, and the version that later looks are compared with."""
    return dg.AssetMaterialization(
        STORES,
        partition=source.plate_key,
        metadata={
            "stores": list(source.store_uris),
            "measurements": list(source.measurement_uris),
            "signature": source.signature,
            "newest_change": dg.MetadataValue.timestamp(source.newest_mtime_s),
        },
        tags={DATA_VERSION_TAG: version},
    )


def build_gone_event(plate_key: str) -> dg.AssetMaterialization:
    """A plate's store is gone: its version is ``absent``; stored rows are kept."""
    from bioimage_assets.core.discovery.plates_to_take import ABSENT

    note = (
        "The store is gone from the watched roots. Stored rows are kept; "
        "'bioimage-assets partitions remove' removes them."
    )
    return dg.AssetMaterialization(
        STORES, partition=plate_key, metadata={"note": note}, tags={DATA_VERSION_TAG: ABSENT}
    )


def build_removed_event(plate_key: str) -> dg.AssetMaterialization:
    """A plate was removed by hand: nothing of it is taken any more, so that it is a new one where its files are there."""
    from bioimage_assets.core.discovery.plates_to_take import ABSENT

    note = "Removed with 'bioimage-assets partitions remove'."
    return dg.AssetMaterialization(
        STORES, partition=plate_key, metadata={"note": note}, tags={DATA_VERSION_TAG: ABSENT}
    )


def build_held_event(plate_key: str, code: str, reason: str) -> dg.AssetObservation:
    """A plate is held back: why."""
    return dg.AssetObservation(
        STORES, partition=plate_key, description=reason, metadata={"held": code, "reason": reason}
    )


def report_taken(instance: dg.DagsterInstance, source: PlateSource) -> None:
    """Say outside a sensor that a plate is taken, so that the sensor does not take it again."""
    version = read_version(instance, source.plate_key)
    if version is None or version.partition(".")[0] != source.signature:
        instance.report_runless_asset_event(build_taken_event(source, source.signature))


def read_version(instance: dg.DagsterInstance, plate_key: str) -> str | None:
    """Version under which one plate was taken last."""
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        STORES, dg.DagsterEventType.ASSET_MATERIALIZATION, [DATA_VERSION_TAG], asset_partitions=[plate_key]
    )
    return tags.get(plate_key, {}).get(DATA_VERSION_TAG)


def read_held(
    instance: dg.DagsterInstance, plate_keys: Iterable[str], *, limit: int = 1000
) -> Mapping[str, str]:
    """Why plates are held back or failed at present, from the newest ``limit`` observations."""
    wanted = set(plate_keys)
    reasons: dict[str, tuple[int, str]] = {}
    for record in instance.fetch_observations(dg.AssetRecordsFilter(asset_key=STORES), limit=limit).records:
        key, observation = record.partition_key, record.asset_observation
        if key in wanted and key not in reasons and observation is not None:
            reasons[key] = (record.storage_id, observation.description or "")
    held = {}
    for key, (storage_id, reason) in reasons.items():
        since = dg.AssetRecordsFilter(asset_key=STORES, asset_partitions=[key], after_storage_id=storage_id)
        # A plate that was taken since is not held any more.
        if not instance.fetch_materializations(since, limit=1).records:
            held[key] = reason
    return held
