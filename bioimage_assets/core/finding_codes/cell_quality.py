"""Codes about quality control of single cells."""

from __future__ import annotations

from bioimage_assets.core.finding_codes.record import INFO, WARNING, CodeFamily, FindingCode

CELL_QUALITY = CodeFamily(
    "cell-quality",
    "Quality control of single cells",
    seen_in=(
        "cosmicqc_profiles",
        "pycytominer_profiles",
        "plate_findings",
    ),
    page="dataset-toml.md#qc-single-cell-quality-control",
    codes=(
        FindingCode(
            "qc-condition-skipped",
            WARNING,
            means="A condition of coSMicQC could not be evaluated and is skipped.",
            cause="A feature that it needs is not measured on this plate, or has no variation.",
            remedy="Measure the feature, or write conditions with features that you have under `thresholds` in dataset.toml.",
            setting="[qc]\nthresholds = { large_nuclei = { Nuclei_AreaShape_Area = 2.0 } }",
        ),
        FindingCode(
            "qc-not-evaluated",
            WARNING,
            means="No condition of quality control could be evaluated; every cell passes untested.",
            cause="The measurements lack all features of the default conditions (nuclear area, form, intensity).",
            remedy="Write conditions with features that you have under `thresholds` in dataset.toml.",
            setting="[qc]\nthresholds = { large_nuclei = { Nuclei_AreaShape_Area = 2.0 } }",
        ),
        FindingCode(
            "qc-few-cells",
            WARNING,
            means="The plate has too few cells for z-scores.",
            cause="Few fields were measured, or most cells are lost before.",
            remedy="Do not rely on quality control of this plate; look at the cells in `bioimage-assets browse`.",
        ),
        FindingCode(
            "qc-feature-null",
            WARNING,
            means="Cells lack a feature that a condition needs and were not judged by it.",
            cause="The feature is null for some cells, for example where a compartment is missing.",
            remedy="Look why the feature is null (findings of `single_cells`). That condition lets these cells pass; the others judge them.",
        ),
        FindingCode(
            "qc-fail-rate",
            WARNING,
            means="More cells fail quality control than the limit allows.",
            cause="Segmentation went wrong on this plate, the focus is bad, or treatments change nuclei strongly.",
            remedy="Look at failed cells in `bioimage-assets browse`. Segment again, or raise `max_fail_fraction` where the cells are really so.",
            setting="[qc]\nmax_fail_fraction = 0.4",
        ),
        FindingCode(
            "qc-field-not-judged",
            WARNING,
            means="Cells are on fields of which image quality has no verdict, and do not fail for their field.",
            cause="The fields were not read (see `image-quality-beyond-budget`, `image-quality-unreadable`).",
            remedy="Mend that finding, then build the plate again.",
            page="dataset-toml.md#quality_control-what-flagged-fields-do",
        ),
        FindingCode(
            "qc-extra-cells",
            WARNING,
            means="The table of quality control has cells that are not among the joined profiles.",
            cause="Cells were dropped between the two tables, or they are of two runs.",
            remedy="Run `bioimage-assets materialize` for the plate, so that both are made of the same measurements.",
        ),
        FindingCode(
            "profiles-without-qc",
            INFO,
            means="Profiles were made without quality control; no cell is dropped.",
            cause="No table of quality control was given to the function.",
            remedy="Nothing, if that is meant.",
        ),
    ),
)
