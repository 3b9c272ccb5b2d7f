"""Tables over the plates of a dataset: selected features, treatments, the page."""

from __future__ import annotations

from bioimage_assets.core.model.spec_parts import ALL_SETTINGS, BATCH_EFFECTS, FEATURES, TREATMENTS
from bioimage_assets.core.model.step_spec import StepSpec, TableSpec

_WELLS = (*FEATURES, *TREATMENTS, "min_controls", "mix_references", "profile_group_by")

DATASET_STEPS: tuple[StepSpec, ...] = (
    StepSpec(
        "pycytominer_selected_features",
        "bioimage_assets.assets.rollups:build_selection",
        group="datasets",
        details="Selected across plates on purpose: plates selected one by one would end with different columns.",
        dimension="dataset",
        of_plates=("pycytominer_profiles",),
        settings=_WELLS,
        tables=(
            TableSpec(
                "pycytominer_selected_features",
                "The wells of all plates with the features that carry information over the whole dataset.",
                version=2,
                kinds=("parquet", "pycytominer"),
                grain="one well (and time point) with the features selected over the whole dataset",
                join_keys=("dataset_id", "plate_id", "well_id"),
                analysis_level="well",
                object_type="well",
                partition_column="dataset_id",
            ),
        ),
    ),
    StepSpec(
        "pycytominer_consensus",
        "bioimage_assets.assets.rollups:build_treatments",
        group="datasets",
        dimension="dataset",
        inputs=("pycytominer_selected_features",),
        settings=_WELLS,
        tables=(
            TableSpec(
                "pycytominer_consensus",
                "One profile per treatment of the dataset, with how well its replicates agree.",
                version=2,
                kinds=("parquet", "pycytominer"),
                grain="one treatment of a dataset",
                analysis_level="treatment",
                object_type="treatment",
                partition_column="dataset_id",
            ),
        ),
    ),
    StepSpec(
        "sphered_profiles",
        "bioimage_assets.assets.batch_effects:build_sphered_profiles",
        group="datasets",
        details="Fitted on the negative controls of each batch, with the features of one batch, the reference: a new batch moves no "
        "profile of the others. `[batch_effects]` says how; docs/batch-effects.md has the rules.",
        dimension="dataset",
        of_plates=("pycytominer_profiles",),
        settings=(*_WELLS, *BATCH_EFFECTS),
        tables=(
            TableSpec(
                "sphered_profiles",
                "The wells of all plates without what their position and their batch add, by the control wells.",
                kinds=("parquet", "numpy"),
                grain="one well (and time point) of a batch with enough controls, with the features of the reference batch",
                join_keys=("dataset_id", "plate_id", "well_id"),
                analysis_level="well",
                object_type="well",
                partition_column="dataset_id",
            ),
            TableSpec(
                "correction_scores",
                "How much of position and batch is in the profiles, and which treatments are active, before and after.",
                kinds=("parquet", "numpy"),
                grain="one measure at one stage (before, without position effects, after), of a batch or of all",
                role="reports",
                namespace="reports",
                join_keys=("dataset_id",),
                unique_by=("dataset_id", "measure", "stage", "batch"),
                analysis_level="dataset",
                object_type="dataset",
                partition_column="dataset_id",
            ),
        ),
    ),
    StepSpec(
        "dataset_report",
        "bioimage_assets.assets.pages:build_dataset_page",
        group="reports",
        dimension="dataset",
        inputs=("pycytominer_selected_features", "pycytominer_consensus"),
        of_plates=(
            "scan_findings",
            "single_cells",
            "join_report",
            "cosmicqc_profiles",
            "pycytominer_profiles",
        ),
        settings=ALL_SETTINGS,
        tables=(
            TableSpec(
                "dataset_report",
                "One page about the whole dataset: plates side by side, replicates, doses and treatments.",
                version=4,
                home="page",
                kinds=("html", "matplotlib"),
            ),
        ),
    ),
)
