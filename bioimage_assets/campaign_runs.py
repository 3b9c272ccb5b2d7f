"""Campaigns of a headless run: which ones are looked at, and which of them need work."""

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from bioimage_assets.core.model.identity import build_campaign_key, campaign_name, dataset_of
from bioimage_assets.current_plates import CurrentPlates
from bioimage_assets.headless_runs import Builder, PlateOutcome
from bioimage_assets.partitions import register_campaigns
from bioimage_assets.resources.project import ProjectResource

if TYPE_CHECKING:
    from bioimage_assets.core.model.plate_source import PlateSource
    from bioimage_assets.core.settings.campaign import CampaignSettings


def choose_campaigns(project: ProjectResource, names: Iterable[str]) -> "list[CampaignSettings]":
    """Campaigns by name or by key; SettingsError where no file defines one."""
    from bioimage_assets.core.discovery.campaigns import require_campaign_named

    found = project.campaigns()
    keys = [build_campaign_key(campaign_name(name)) for name in names]
    return [require_campaign_named(found, key) for key in dict.fromkeys(keys)]


def find_campaigns_of(
    project: ProjectResource, sources: "Iterable[PlateSource] | None", also: Collection[str] = ()
) -> "tuple[list[CampaignSettings], list[Any]]":
    """Campaigns that have a dataset of any of these plates (None: all) or whose keys are named, and what cannot be used of the
    files.
    """
    found = project.campaigns()
    chosen = list(found.campaigns.values())
    if sources is not None:
        datasets = {dataset_of(source.plate_key) for source in sources}
        chosen = [
            campaign
            for campaign in chosen
            if campaign.key in also or not datasets.isdisjoint(campaign.datasets)
        ]
    return chosen, list(found.findings)


def build_campaigns(
    instance: dg.DagsterInstance,
    builder: Builder,
    campaigns: "Sequence[CampaignSettings]",
    sources: "Sequence[PlateSource]",
    current: CurrentPlates,
    *,
    force: bool,
) -> list[PlateOutcome]:
    """Register and run campaigns that need work.

    ``sources`` are all plates of the watched roots, ``current`` looked at what was stored after they were built.
    """
    register_campaigns(instance, [campaign.key for campaign in campaigns])
    outcomes = []
    for campaign in campaigns:
        key = campaign.key
        if not force and current.has_campaign(campaign, sources):
            outcomes.append(builder.leave(key, key))
        else:
            outcomes.append(builder.build("campaign_pipeline", key, key))
    return outcomes
