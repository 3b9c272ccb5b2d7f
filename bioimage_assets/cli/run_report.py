"""The end of `materialize` and of the demo: a row per plate, what is wrong with them, and the pages to look at."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from bioimage_assets.cli.finding_lines import build_finding_json, build_group_json, say_findings
from bioimage_assets.cli.output import note_codes_shown, print_table, print_warnings, show_text
from bioimage_assets.core.error_codes import add_codes, split_code
from bioimage_assets.core.model.identity import dimension_of
from bioimage_assets.core.storage.step_failures import CODE
from bioimage_assets.summary import StoredSummary, summarize_stored

if TYPE_CHECKING:
    from bioimage_assets.core.findings import FindingGroup
    from bioimage_assets.headless import HeadlessReport
    from bioimage_assets.headless_runs import PlateOutcome
    from bioimage_assets.resources.project import ProjectResource

SHOWN_PAGES = 10
_COUNTS = ("images", "cells", "matched", "qc_failed", "wells")
_HEADER = ("plate", "images", "cells", "matched", "QC failed", "wells", "seconds", "status")


def summarize_run(project: ProjectResource, report: HeadlessReport) -> StoredSummary:
    """What is stored of the plates and datasets that a run was asked for, whether it built them or not."""
    plates = [outcome.partition for outcome in report.plates]
    others = [outcome.partition for outcome in (*report.datasets, *report.campaigns)]
    return summarize_stored(project, plates, others, report.stored)


def print_run_report(report: HeadlessReport, summary: StoredSummary, reports_dir: Path) -> None:
    """Print the table, findings of level error and warning, reasons of failures, and pages."""
    from bioimage_assets.core.storage.pages import INDEX, PAGE_FOLDERS

    print_warnings(summary.unread)
    counted = {row.plate: asdict(row) for row in summary.plates}
    print_table(_HEADER, [_row(outcome, counted) for outcome in report.outcomes])
    failed = {outcome.partition: outcome.message for outcome in report.outcomes if outcome.status == "failed"}
    lines = say_findings(_list_said(summary.findings, failed))
    lines += [f"failed: {partition}: {add_codes(message, CODE)}" for partition, message in failed.items()]
    if lines:
        print()
        note_codes_shown()
    for line in lines:
        print(show_text(line))
    for left in report.left_out:
        print(f"\n{show_text(left)}")
    if summary.pages:
        print(
            f"\nPages (the plates down to their pixels: bioimage-assets browse):\n  {show_text(reports_dir.absolute() / INDEX)}"
        )
    for dimension, folder in PAGE_FOLDERS.items():
        pages = [page for key, page in summary.pages.items() if dimension_of(key) == dimension]
        _print_pages(pages, reports_dir / folder)


def _list_said(groups: Iterable[FindingGroup], failed: Collection[str]) -> Iterator[FindingGroup]:
    """Findings of level error and warning; why a partition of this run failed has a line of its own."""
    for group in groups:
        if group.severity != "info" and not (group.code == CODE and group.partition in failed):
            yield group


def _row(outcome: PlateOutcome, counted: dict[str, dict[str, object]]) -> list[object]:
    counts = counted.get(outcome.partition, {})
    numbers = [counts.get(name) for name in _COUNTS]
    status = "up to date" if outcome.status == "current" else outcome.status
    return [outcome.partition, *numbers, f"{outcome.seconds:.1f}", status]


def _print_pages(pages: Sequence[Path], folder: Path) -> None:
    for page in pages[:SHOWN_PAGES]:
        print(f"  {show_text(page)}")
    if len(pages) > SHOWN_PAGES:
        print(f"  … and {len(pages) - SHOWN_PAGES} more below {show_text(folder.absolute())}")


def build_run_json(report: HeadlessReport, summary: StoredSummary) -> dict[str, object]:
    """The same, complete: findings of every level with all their places, every page."""
    outcomes = [{**asdict(outcome), "code": split_code(outcome.message)[1]} for outcome in report.outcomes]
    by_key = {outcome["partition"]: outcome for outcome in outcomes}
    rows = [
        {**asdict(row), "status": by_key[row.plate]["status"], "seconds": by_key[row.plate]["seconds"]}
        for row in summary.plates
    ]
    findings = [build_finding_json(finding) for finding in report.findings]
    return {
        "outcomes": outcomes,
        "findings": [*findings, *(build_group_json(group) for group in summary.findings)],
        "summary": rows,
        "pages": [{"partition": key, "page": str(page)} for key, page in summary.pages.items()],
        **({"unread": list(summary.unread)} if summary.unread else {}),
        **({"left_out": [left.to_json() for left in report.left_out]} if report.left_out else {}),
        **({"lost": [asdict(lost) for lost in report.lost]} if report.lost else {}),
    }
