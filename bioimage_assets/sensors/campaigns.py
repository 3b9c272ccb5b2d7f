"""The sensor that registers campaigns and rebuilds their tables after plates of their datasets, or their file, changed."""

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg

from bioimage_assets.core.model.fingerprint import combine_fingerprints
from bioimage_assets.core.model.identity import dataset_of
from bioimage_assets.core.model.left_out import say_left_out
from bioimage_assets.jobs.pipelines import campaign_pipeline
from bioimage_assets.partitions import CAMPAIGNS
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets.sensors.rollups import (
    MAX_WAIT_S,
    find_changed_datasets,
    list_watched,
    plates_are_running,
    read_new,
    read_rollup_cursor,
    was_built_since,
)
from bioimage_assets.sensors.status import SENSOR_STATUS

if TYPE_CHECKING:
    from bioimage_assets.core.settings.campaign import CampaignSettings

CAMPAIGN_WATCHED = list_watched("campaign")
_WELLS = dg.AssetKey("pycytominer_profiles")


@dg.sensor(
    job=campaign_pipeline,
    default_status=SENSOR_STATUS,
    minimum_interval_seconds=30,
    description="Registers the campaigns of campaign.toml, and rebuilds one once plates of its datasets have other tables or "
    "its definition is another.",
)
def campaign_rollup_sensor(context: dg.SensorEvaluationContext, project: ProjectResource) -> dg.SensorResult:
    """Read new materialisations of plates' tables and the files of campaigns; request one run per campaign that changed.

    The cursor is the last event that was looked at, the campaigns that wait for running plates, and the definition under
    which each campaign was requested last.
    """
    if missing := say_left_out("campaign"):
        return dg.SensorResult(skip_reason=missing, cursor=context.cursor)
    found = project.campaigns()
    for finding in found.findings:
        context.log.warning(f"{finding.code}: {finding.message}")
    after, waiting = read_rollup_cursor(context.cursor)
    defined = _read_defined(context.cursor)
    records = read_new(context.instance, after, CAMPAIGN_WATCHED)
    if records:
        after = records[-1].storage_id
    changed = find_changed_datasets(context.instance, records)
    now_s = time.time()
    digests = {key: digest_campaign(campaign) for key, campaign in found.campaigns.items()}
    for key, campaign in found.campaigns.items():
        events = [changed[name] for name in campaign.datasets if name in changed]
        if events and was_built_since(context.instance, campaign_pipeline.name, key, max(events), records):
            events = []
        is_new = defined.get(key) != digests[key] and _has_wells(context.instance, campaign)
        if is_new and not events and _is_current(project, campaign):
            defined[key], is_new = digests[key], False
        if events or is_new:
            waiting[key] = (waiting.get(key, (now_s, 0))[0], max([after or 0, *events]))
    waiting = {key: entry for key, entry in waiting.items() if key in found.campaigns}
    is_busy = bool(waiting) and plates_are_running(context.instance)
    due = {key: at for key, (since_s, at) in waiting.items() if not is_busy or now_s - since_s > MAX_WAIT_S}
    left = {key: entry for key, entry in waiting.items() if key not in due}
    kept = {key: digests[key] for key in digests if key in due or defined.get(key) == digests[key]}
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(run_key=f"{key}@{at}@{digests[key]}", partition_key=key)
            for key, at in sorted(due.items())
        ],
        skip_reason=None if due else _say_why_not(left),
        dynamic_partitions_requests=_register(context.instance, found.campaigns),
        cursor=json.dumps({"after": after, "waiting": left, "defined": kept}),
    )


def digest_campaign(campaign: "CampaignSettings") -> str:
    """What the file says of a campaign, as a short word; remarks and the order of keys are nothing to it."""
    from dataclasses import asdict

    words = json.dumps(asdict(campaign), sort_keys=True, default=sorted)
    return combine_fingerprints([words])[:16]


def _register(
    instance: dg.DagsterInstance, campaigns: "Mapping[str, CampaignSettings]"
) -> list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest]:
    new = sorted(campaigns.keys() - set(instance.get_dynamic_partitions(CAMPAIGNS.name or "")))
    return [CAMPAIGNS.build_add_request(new)] if new else []


def _has_wells(instance: dg.DagsterInstance, campaign: "CampaignSettings") -> bool:
    """Whether any plate of the campaign was built: before, its run could only fail."""
    built = instance.get_materialized_partitions(_WELLS)
    return any(dataset_of(key) in campaign.datasets for key in built)


def _is_current(project: ProjectResource, campaign: "CampaignSettings") -> bool:
    """Whether its tables are those that its definition would make now, as after `materialize`; asked once per definition."""
    from bioimage_assets.core.errors import BioimageError
    from bioimage_assets.core.storage.state import look_at_stored
    from bioimage_assets.current_plates import CurrentPlates

    try:
        sources, _ = project.discover(campaign.datasets)
        return CurrentPlates(project, look_at_stored(project.tables())).has_campaign(campaign, sources)
    except BioimageError:  # the run says why
        return False


def _read_defined(cursor: str | None) -> dict[str, str]:
    try:
        defined = json.loads(cursor or "{}").get("defined", {})
        return {str(key): str(digest) for key, digest in defined.items()}
    except (ValueError, AttributeError):
        return {}


def _say_why_not(waiting: Mapping[str, object]) -> str:
    if waiting:
        return f"Waiting for running plates: {', '.join(sorted(waiting))}."
    return "No plate of a campaign has other tables, and no campaign is defined anew."
