"""What the specs of several steps share: settings that are read together, and the check of what a step found."""

from __future__ import annotations

from bioimage_assets.core.model.step_spec import CheckSpec

NOTHING_WRONG = CheckSpec(
    "nothing_wrong_found",
    "The step found nothing wrong. Its errors and warnings are listed here; with `[checks] strict` errors stop what is made of the plate.",
    "bioimage_assets.checks.findings:check_step_findings",
    is_blocking=True,
)

# Which columns are features, whatever reads them.
FEATURES = ("aliases", "compartments", "feature_compartments", "feature_exclude", "feature_include")
MEASUREMENTS = (
    *FEATURES,
    "duplicate_cells",
    "file_pattern",
    "follow_symlinks",
    "ignore_profile_plate",
    "measurement_engine",
    "missing_words",
    "profile_group_by",
)
# What fields of view are flagged by.
IMAGE_QUALITY = (
    "image_blank_contrast",
    "image_blank_share",
    "image_blur_loss",
    "image_blur_slope",
    "image_debris_percent",
    "image_debris_prominence",
    "image_debris_size",
    "image_max_illumination",
    "image_min_detail",
    "image_min_side_px",
    "image_read_budget_mb",
    "image_saturated_percent",
    "image_uneven_ratio",
    "image_uneven_slope_share",
    "image_z_limit",
    "measure_image_quality",
)
TREATMENTS = ("control_column", "control_values", "treatment_columns")
# How measured values become deviations from a reference.
NORMALIZATION = (
    "mad_epsilon",
    "min_controls",
    "normal_quantiles",
    "normalization_method",
    "normalization_samples",
    "spherize_epsilon",
    "spherize_method",
)
REFERENCES = (*NORMALIZATION, "center_controls", "min_cells_per_well")
BATCH_EFFECTS = (
    "batch_column",
    "batch_components",
    "batch_epsilon",
    "batch_max_missing",
    "batch_method",
    "control_folds",
    "controls_per_axis",
    "plate_batches",
    "position_coverage",
    "position_min_controls",
    "position_regression",
    "reference_batch",
)
HITS = (
    "hits_average_precision",
    "hits_explained_variance",
    "hits_min_doses",
    "hits_min_effect",
    "hits_null_size",
    "hits_profiles",
    "hits_significance",
)
# A page lists the settings that its tables were made with.
ALL_SETTINGS = (
    *MEASUREMENTS,
    *TREATMENTS,
    *REFERENCES,
    *BATCH_EFFECTS,
    *HITS,
    "hits_test",
    *IMAGE_QUALITY,
    "image_drift_limit",
    "image_flags",
    "match_md5",
    "mix_references",
    "path_rewrites",
    "pictures",
    "platemap_dir",
    "platemap_well_column",
    "profile_site_offset",
    "qc_max_fail_fraction",
    "qc_thresholds",
)
