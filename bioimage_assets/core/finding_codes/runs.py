"""Codes about steps that failed, plates that are not built, and pages and views that lack something."""

from __future__ import annotations

from bioimage_assets.core.finding_codes.record import ERROR, WARNING, CodeFamily, FindingCode

RUNS = CodeFamily(
    "runs",
    "Runs, tables and pages",
    seen_in=(
        "status",
        "materialize",
        "plate_findings",
        "plate_report",
        "dataset_report",
    ),
    page="orchestration.md",
    codes=(
        FindingCode(
            "step-failed",
            ERROR,
            means="A step failed for this plate, dataset or campaign, so its tables and all that are made from them are missing or old.",
            cause="The message begins with the step and gives the error: a broken store, measurements that cannot be read, a setting that cannot be used, a "
            "lack of memory or disk, or a worker that was killed.",
            remedy="Mend what the message names, then run `bioimage-assets materialize`: only what is missing or out of date is built. The finding ends when "
            "the step succeeds. The message ends with the code of the error in brackets, such as `(corrupt-store)`: `bioimage-assets explain` says more of that, too.",
            page="orchestration.md#a-worker-that-dies-or-never-ends",
        ),
        FindingCode(
            "plates-not-built",
            WARNING,
            means="Some plates of a dataset or campaign are not built and are left out of its tables.",
            cause="Their own steps failed or were not run yet.",
            remedy="Run `bioimage-assets status` to see why, and `bioimage-assets materialize` to build them; the dataset is built again after that.",
            page="orchestration.md#what-is-built-again",
        ),
        FindingCode(
            "views-not-written",
            WARNING,
            means="The rows are stored, and the SQL views of the warehouse root could not be written.",
            cause="The root may not be written at that moment, or the disk is full.",
            remedy="Run `bioimage-assets maintain`, which writes the views.",
            page="storage.md#reading-the-warehouse",
        ),
        FindingCode(
            "picture-not-drawn",
            WARNING,
            means="A picture of a report page could not be drawn; a sentence stands in its place.",
            cause="The image cannot be read, or its numbers cannot be drawn. The sentence gives the reason.",
            remedy="Read the reason; copy the image again where its file is damaged. Tables and other pictures are complete.",
            page="ui.md",
        ),
    ),
)
