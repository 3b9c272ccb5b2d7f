"""The wells of all plates of a campaign, read plate by plate: what they are, and their profiles by the selected features."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.profiling.features import drop_empty_features, list_profile_features, with_profiles
from bioimage_assets.core.profiling.profiling_report import OBJECT_COUNT
from bioimage_assets.core.settings.campaign import CampaignSettings
from bioimage_assets.core.storage.tables import ProjectTables

WELLS = "pycytominer_profiles"
# Columns that are set for the campaign; a platemap may have columns of nearly the same names.
DATASET, BATCH, SOURCE = "campaign_dataset", "campaign_batch", "campaign_source"


def read_campaign_plates(
    tables: ProjectTables,
    campaign: CampaignSettings,
    sources: Sequence[PlateSource],
    features: Collection[str] | None = None,
) -> Iterator[tuple[str, pa.Table]]:
    """Wells of each plate that has any, with its key.

    With ``features`` these are the only ones, wells without a profile (no passing cell) are left out, and dataset, batch and
    source stand beside the others.
    """
    columns = None if features is None else _choose_columns(tables, features)
    for source in sources:
        wells = tables.find(WELLS, source.plate_key, columns)
        if wells is not None and features is not None:
            wells = name_campaign(_drop_empty(wells), campaign, source.plate_key)
        if wells is not None and wells.num_rows:
            yield source.plate_key, wells


def _drop_empty(wells: pa.Table) -> pa.Table:
    if OBJECT_COUNT in wells.column_names:
        wells = wells.filter(pc.greater(wells[OBJECT_COUNT], 0))
    return with_profiles(wells)


def name_campaign(wells: pa.Table, campaign: CampaignSettings, plate_key: str) -> pa.Table:
    """Wells with the dataset, batch and source that they count for; the dataset's id is no key of a campaign."""
    words = {
        DATASET: plate_key.partition("/")[0],
        BATCH: campaign.batch_of(plate_key),
        SOURCE: campaign.source_of(plate_key),
    }
    wells = wells.drop_columns([name for name in ("dataset_id", *words) if name in wells.column_names])
    for name, word in words.items():
        wells = wells.append_column(name, pa.array([word] * wells.num_rows, pa.string()))
    return wells


def stack_plates(plates: Sequence[tuple[str, pa.Table]]) -> list[pa.Table]:
    """Plates without the features that have no value on any of them."""
    return drop_empty_features([table for _, table in plates])


def _choose_columns(tables: ProjectTables, features: Collection[str]) -> list[str]:
    """All columns of the stored table but features that are not asked for."""
    schema = tables.schema(WELLS)
    others = set(list_profile_features(schema)) - set(features)
    return [name for name in schema.names if name not in others]
