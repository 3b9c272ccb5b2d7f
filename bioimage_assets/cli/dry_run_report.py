"""What `materialize --dry-run` says: a row per plate, dataset and campaign, whether it would be built, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from bioimage_assets.campaign_runs import choose_campaigns, find_campaigns_of
from bioimage_assets.cli.output import FAILED, OK, print_findings, print_json, print_progress, print_table
from bioimage_assets.core.model.identity import dataset_of
from bioimage_assets.dry_run import plan_partitions
from bioimage_assets.headless import find_wanted, say_missing

if TYPE_CHECKING:
    from bioimage_assets.resources.project import ProjectResource


def print_plan(
    project: ProjectResource,
    plates: Sequence[str] | None,
    names: Sequence[str] | None,
    select: Sequence[str],
    *,
    force: bool,
    as_json: bool,
) -> int:
    """Print what would be built of the plates, or campaigns, that are asked for; gives the exit code. No instance is opened."""
    chosen = None if names is None else choose_campaigns(project, names)
    sources, report = find_wanted(project, plates, select, chosen)
    if chosen is None:
        chosen, refused = find_campaigns_of(project, None if plates is None else report.sources)
        report.note_campaigns(refused, is_for_all=plates is None)
    datasets = {dataset_of(source.plate_key) for source in report.sources}
    wanted = {source.plate_key for source in report.sources} | datasets | {c.key for c in chosen}
    named = datasets.union(*(campaign.datasets for campaign in chosen))
    of_datasets = [source for source in sources if dataset_of(source.plate_key) in named]
    planned = plan_partitions(project, of_datasets, campaigns=chosen, select=select, force=force)
    plans = [plan for plan in planned if plan.partition in wanted]
    print_findings(report.findings)
    for line in say_missing(project, report):
        print_progress(line)
    if as_json:
        left_out = {"left_out": [left.to_json() for left in report.left_out]} if report.left_out else {}
        print_json({"plan": [asdict(plan) for plan in plans], **left_out})
    else:
        rows = [
            (plan.partition, "would be built" if plan.is_built else "up to date", plan.why) for plan in plans
        ]
        print_table(("partition", "plan", "why"), rows)
    return FAILED if report.unseen else OK
