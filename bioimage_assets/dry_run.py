"""What `materialize` would build, and why; nothing is written and no partition is registered."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.model.identity import dataset_of
from bioimage_assets.core.model.left_out import list_buildable
from bioimage_assets.resources.project import ProjectResource


@dataclass(frozen=True)
class PlannedPartition:
    """One plate, dataset or campaign: whether it would be built, and why."""

    partition: str
    is_built: bool
    why: str


def plan_partitions(
    project: ProjectResource,
    sources: Iterable[Any],
    *,
    campaigns: Iterable[Any] = (),
    select: Iterable[str] = (),
    force: bool = False,
) -> list[PlannedPartition]:
    """Look at plates of the watched roots, at their datasets and at campaigns, as a run would before it begins.

    ``sources`` are all plates of the datasets, and of the campaigns; a selection is always run, and leaves both alone.
    """
    from bioimage_assets.core.storage.stale import explain_stale
    from bioimage_assets.core.storage.state import look_at_stored

    sources, select = list(sources), list(select)
    by_key = {campaign.key: campaign for campaign in campaigns}
    state = look_at_stored(project.tables())
    forced = f"selected: {', '.join(select)}" if select else "--force" if force else ""
    plans = []

    def explain(dimension: Any, partition: str, of_it: list[Any]) -> str:
        if forced:
            return forced
        try:
            settings: Any
            if dimension == "campaign":
                settings = project.gather_campaign(by_key[partition], of_it).settings
            else:
                settings = project.dataset_settings(of_it[0].dataset_uri)
            return "; ".join(explain_stale(state, dimension, partition, of_it, settings))
        except BioimageError as error:
            return f"it would fail: {error}"

    for source in sources:
        why = explain("plate", source.plate_key, [source])
        plans.append(PlannedPartition(source.plate_key, bool(why), why))
    if select:
        return plans
    stale = {dataset_of(plan.partition) for plan in plans if plan.is_built}
    has_datasets, has_campaigns = any(list_buildable("dataset")), any(list_buildable("campaign"))
    for dataset in sorted({dataset_of(source.plate_key) for source in sources}) if has_datasets else ():
        of_it = [source for source in sources if dataset_of(source.plate_key) == dataset]
        why = "plates of it would be built" if dataset in stale else explain("dataset", dataset, of_it)
        plans.append(PlannedPartition(dataset, bool(why), why))
    for key, campaign in by_key.items() if has_campaigns else ():
        of_it = [source for source in sources if dataset_of(source.plate_key) in campaign.datasets]
        is_stale = not stale.isdisjoint(campaign.datasets)
        why = "plates of it would be built" if is_stale else explain("campaign", key, of_it)
        plans.append(PlannedPartition(key, bool(why), why))
    return plans
