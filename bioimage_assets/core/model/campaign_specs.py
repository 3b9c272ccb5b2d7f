"""Tables over the datasets of a campaign: features, treatments, replicates, cells by well, the page."""

from __future__ import annotations

from bioimage_assets.core.model.spec_parts import NOTHING_WRONG, TREATMENTS
from bioimage_assets.core.model.step_spec import StepSpec, TableSpec

_CAMPAIGN = ("name", "datasets", "disagreements")

CAMPAIGN_STEPS: tuple[StepSpec, ...] = (
    StepSpec(
        "campaign_features",
        "bioimage_assets.assets.campaigns:build_campaign_features",
        group="campaigns",
        details="Selected over all plates of all datasets of the campaign. The wells themselves stay in `pycytominer_profiles`: "
        "join the names to them.",
        dimension="campaign",
        of_plates=("pycytominer_profiles",),
        settings=(
            *_CAMPAIGN,
            "correlation_limit",
            "min_controls",
            "mix_references",
            "outlier_limit",
            "profile_group_by",
        ),
        tables=(
            TableSpec(
                "campaign_features",
                "Every feature of the campaign's wells: on how many plates it is, and kept or removed by which operation.",
                kinds=("parquet", "pycytominer"),
                grain="one feature of a campaign",
                role="reports",
                namespace="reports",
                join_keys=("campaign_id", "feature"),
                unique_by=("campaign_key", "feature"),
                analysis_level="feature",
                object_type="feature",
                partition_column="campaign_key",
                checks=(NOTHING_WRONG,),
            ),
        ),
    ),
    StepSpec(
        "campaign_consensus",
        "bioimage_assets.assets.campaigns:build_campaign_treatments",
        group="campaigns",
        dimension="campaign",
        inputs=("campaign_features",),
        of_plates=("pycytominer_profiles",),
        settings=(
            *_CAMPAIGN,
            *TREATMENTS,
            "batches",
            "dataset_sources",
            "min_controls",
            "mix_references",
            "profile_group_by",
        ),
        tables=(
            TableSpec(
                "campaign_consensus",
                "One profile per treatment over all plates of all datasets, with how many wells, plates and datasets it is of.",
                kinds=("parquet", "pycytominer"),
                grain="one treatment of a campaign",
                join_keys=("campaign_id",),
                analysis_level="treatment",
                object_type="treatment",
                partition_column="campaign_key",
                checks=(NOTHING_WRONG,),
            ),
            TableSpec(
                "campaign_replicates",
                "How alike the replicates of each treatment are within a batch, across batches and across sources.",
                kinds=("parquet", "numpy"),
                grain="one treatment and one kind of pairs of its wells: within one batch, across batches, across sources",
                role="reports",
                namespace="reports",
                join_keys=("campaign_id", "treatment"),
                unique_by=("campaign_key", "treatment", "pairs", "batch"),
                analysis_level="treatment",
                object_type="treatment",
                partition_column="campaign_key",
            ),
        ),
    ),
    StepSpec(
        "campaign_cell_profiles",
        "bioimage_assets.assets.campaigns:build_campaign_cells",
        group="campaigns",
        details="Made where `[cells] aggregate` of the campaign says so. Cells that failed quality control are left out.",
        dimension="campaign",
        inputs=("campaign_features",),
        of_plates=("joined_profiles", "cosmicqc_profiles"),
        settings=(*_CAMPAIGN, "cell_aggregate"),
        tables=(
            TableSpec(
                "campaign_cell_profiles",
                "The cells of every well of the campaign by median or mean of the selected features, as they were measured.",
                kinds=("parquet", "polars"),
                grain="one well of a campaign's plates; cells without an image apart",
                join_keys=("plate_key", "well_id"),
                analysis_level="well",
                object_type="well",
                partition_column="campaign_key",
            ),
        ),
    ),
    StepSpec(
        "campaign_report",
        "bioimage_assets.assets.campaign_page:build_campaign_page",
        group="reports",
        dimension="campaign",
        inputs=("campaign_features", "campaign_consensus", "campaign_replicates"),
        of_plates=("pycytominer_profiles",),
        settings=(
            *_CAMPAIGN,
            *TREATMENTS,
            "batches",
            "correlation_limit",
            "dataset_sources",
            "min_controls",
            "mix_references",
            "outlier_limit",
            "pictures",
            "profile_group_by",
        ),
        tables=(
            TableSpec(
                "campaign_report",
                "One page about the campaign: batches side by side, replicates within and across them, what is missing.",
                home="page",
                kinds=("html",),
            ),
        ),
    ),
)
