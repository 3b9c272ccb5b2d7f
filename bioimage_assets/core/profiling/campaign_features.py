"""Which features a campaign is compared by: what was said about each of them over all plates of all its datasets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

from bioimage_assets.core.model.identity import dataset_of
from bioimage_assets.core.profiling.dataset import SelectionReport
from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.settings.campaign import CampaignSettings
from bioimage_assets.core.tables.schemas import CAMPAIGN_FEATURES

NOT_ON_EVERY_PLATE = "not_on_every_plate"


def build_campaign_features(
    campaign: CampaignSettings, schemas: Sequence[tuple[str, pa.Schema]], report: SelectionReport
) -> pa.Table:
    """One row per feature, sorted by name; ``schemas`` are those of the well profiles, each with its plate's key."""
    plates: Counter[str] = Counter()
    datasets: dict[str, set[str]] = {}
    for key, schema in schemas:
        for name in list_profile_features(schema):
            plates[name] += 1
            datasets.setdefault(name, set()).add(dataset_of(key))
    removed = dict.fromkeys(report.not_on_every_plate, NOT_ON_EVERY_PLATE)
    removed |= {name: step.operation for step in report.steps for name in step.removed}
    names = sorted(plates)
    columns = {
        "campaign_key": [campaign.key] * len(names),
        "campaign_id": [campaign.name] * len(names),
        "feature": names,
        "plate_count": [plates[name] for name in names],
        "dataset_count": [len(datasets[name]) for name in names],
        "removed_by": [removed.get(name) for name in names],
        "is_selected": [name not in removed for name in names],
    }
    return pa.table(columns, schema=CAMPAIGN_FEATURES)


def list_selected(features: pa.Table) -> list[str]:
    """Names of the features that were kept."""
    return [str(name) for name in features.filter(features["is_selected"])["feature"].to_pylist()]
