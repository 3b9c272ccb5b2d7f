"""Codes about the quality of fields of view."""

from __future__ import annotations

from bioimage_assets.core.finding_codes.record import INFO, WARNING, CodeFamily, FindingCode

IMAGE_QUALITY = CodeFamily(
    "image-quality",
    "Image quality",
    seen_in=(
        "image_quality",
        "cosmicqc_profiles",
        "dataset_report",
        "plate_findings",
    ),
    page="image-quality.md",
    codes=(
        FindingCode(
            "image-quality-beyond-budget",
            INFO,
            means="Some fields were not read for their quality, since the budget of megabytes was used up. They have no flag.",
            cause="The plate is larger than `read_budget_mb`.",
            remedy="Raise `read_budget_mb` in dataset.toml, or lower `min_side_px`, so that a coarser level is read.",
            setting="[image_quality]\nread_budget_mb = 8000",
        ),
        FindingCode(
            "image-quality-unreadable",
            WARNING,
            means="Fields could not be read for their quality and have no flag.",
            cause="Files are damaged or not reachable, or their codec is not known. The message has the first reason.",
            remedy="Scan the store that is named; copy the files again.",
        ),
        FindingCode(
            "image-quality-unlinked",
            WARNING,
            means="Rows of the image table with ImageQuality measures belong to no single image and are left out.",
            cause="Their well or site has no image, or several rows or images are at one site.",
            remedy="Mend the join first (findings of `joined_profiles`). The fields are read instead, where `measure` is on.",
            page="image-quality.md#where-measures-come-from",
        ),
        FindingCode(
            "image-quality-as-measured",
            INFO,
            means="The measures come from CellProfiler's MeasureImageQuality, which does not tell debris and uneven light.",
            cause="The pipeline had that module.",
            remedy="Nothing. Remove these columns from the image table and write `measure = true`, to have all flags.",
            setting="[image_quality]\nmeasure = true",
            page="image-quality.md#where-measures-come-from",
        ),
        FindingCode(
            "image-quality-few-fields",
            INFO,
            means="So few fields were read that none is usual; only limits that hold for a single image were applied.",
            cause="The plate has few fields, or the budget holds few.",
            remedy="Nothing for a small plate. Raise `read_budget_mb` in dataset.toml else.",
            setting="[image_quality]\nread_budget_mb = 8000",
            page="image-quality.md#flags",
        ),
        FindingCode(
            "plate-drifts",
            WARNING,
            means="A plate differs from the other plates of its batch in focus, background, intensity or saturation.",
            cause="Stain, lamp, exposure or focus changed between plates.",
            remedy="Look at the board on the dataset's page. Put plates of other conditions into a batch of their own (`[batch_effects] batches`), or raise "
            "`drift_limit` where the difference is accepted.",
            setting="[image_quality]\ndrift_limit = 4.0",
        ),
    ),
)
