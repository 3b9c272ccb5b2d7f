"""Which features a campaign is compared by: what was said about each of them over all plates of all its datasets."""

from __future__ import annotations

import pyarrow as pa

from bioimage_assets.core.engines.table_source import TableSource
from bioimage_assets.core.model.identity import dataset_of
from bioimage_assets.core.profiling.selection import DatasetFeatures, SelectionReport
from bioimage_assets.core.settings.campaign import CampaignSettings
from bioimage_assets.core.tables.schemas import CAMPAIGN_FEATURES

NOT_ON_EVERY_PLATE = "not_on_every_plate"


def build_campaign_features(
    campaign: CampaignSettings, wells: TableSource, features: DatasetFeatures, report: SelectionReport
) -> pa.Table:
    """One row per feature that has a value in some well, sorted by name; ``wells`` say which plates have a column of it."""
    plates: dict[str, set[str]] = {name: set() for name in (*features.shared, *features.partial)}
    for part in filter(lambda part: part.row_count, wells.parts):
        for name in plates.keys() & part.columns.keys():
            plates[name].add(part.partition or "")
    datasets = {name: set(map(dataset_of, keys)) for name, keys in plates.items()}
    removed = dict.fromkeys(report.not_on_every_plate, NOT_ON_EVERY_PLATE)
    removed |= {name: step.operation for step in report.steps for name in step.removed}
    names = sorted(plates)
    columns = {
        "campaign_key": [campaign.key] * len(names),
        "campaign_id": [campaign.name] * len(names),
        "feature": names,
        "plate_count": [len(plates[name]) for name in names],
        "dataset_count": [len(datasets[name]) for name in names],
        "removed_by": [removed.get(name) for name in names],
        "is_selected": [name not in removed for name in names],
    }
    return pa.table(columns, schema=CAMPAIGN_FEATURES)


def list_selected(features: pa.Table) -> list[str]:
    """Names of the features that were kept."""
    return [str(name) for name in features.filter(features["is_selected"])["feature"].to_pylist()]
