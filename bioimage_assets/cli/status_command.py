"""`status`: what is in the watched roots, what is stored of it, and what stands found about it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from bioimage_assets.cli.command import command
from bioimage_assets.cli.dagster_instance import open_instance
from bioimage_assets.cli.options import FollowSymlinks, Json, Strict
from bioimage_assets.cli.output import (
    FAILED,
    note_codes_shown,
    print_json,
    print_progress,
    print_table,
    show_text,
)
from bioimage_assets.core.model.identity import dataset_of
from bioimage_assets.core.model.left_out import list_left_out

if TYPE_CHECKING:
    from bioimage_assets.cli.campaign_rows import CampaignRow
    from bioimage_assets.cli.status_rows import StatusRow
    from bioimage_assets.core.findings import FindingGroup
    from bioimage_assets.core.storage.state import StorageState
    from bioimage_assets.resources.project import ProjectResource


@command
def status(strict: Strict = False, follow_symlinks: FollowSymlinks = False, as_json: Json = False) -> int:
    """What is in the watched roots and what is stored of it.

    With the worst finding that stands about each plate, why it failed last, plates that are stored and gone, and what in
    the watched roots is taken for nothing, and tables that are left out for want of an extra. Exit code 1: a watched root is
    missing or cannot be read; or a finding of level error stands, and --strict or a setting counts it.

    Examples:
        bioimage-assets status
        bioimage-assets status --json
        bioimage-assets status --strict
    """
    from bioimage_assets.cli.campaign_rows import list_campaigns
    from bioimage_assets.cli.finding_lines import build_finding_json, build_group_json, say_findings
    from bioimage_assets.cli.missing_project import UNSEEN_ROOT, find_missing_project
    from bioimage_assets.cli.status_rows import list_plates_elsewhere, list_plates_here
    from bioimage_assets.cli.strictness import say_strict
    from bioimage_assets.current_plates import CurrentPlates
    from bioimage_assets.resources.project import ProjectResource
    from bioimage_assets.sensors.store_events import read_held

    project = ProjectResource()
    sources, findings = project.discover()
    findings = [*find_missing_project(project.settings), *findings]
    refused = project.refused_settings(sources)
    campaigns = project.campaigns()
    findings += [*refused.values(), *campaigns.findings]
    stored = _look_at_stored(project)
    keys = [source.plate_key for source in sources]
    with open_instance() as instance:
        held = read_held(instance, keys)
        registered = instance.get_dynamic_partitions("plates")
    # A root that several projects share has plates that are nothing to this one.
    known = {*keys, *registered}
    left_out = list_left_out()
    standing = _read_standing(project, {*known, *map(dataset_of, known), *campaigns.campaigns})
    current = CurrentPlates(project, stored)
    plates = [
        *list_plates_here(sources, stored, current, held, standing, refused),
        *list_plates_elsewhere(sources, findings, stored, registered, standing),
    ]
    of_campaigns = [*list_campaigns(campaigns.campaigns.values(), sources, stored, current, standing)]
    groups = [group for key in sorted(standing) for group in standing[key]]
    if as_json:
        print_json(
            {
                "plates": [row.to_json() for row in plates],
                "campaigns": [row.to_json() for row in of_campaigns],
                "findings": [finding.message for finding in findings],
                "not_understood": [build_finding_json(finding) for finding in findings],
                "standing": [build_group_json(group) for group in groups],
                **({"left_out": [left.to_json() for left in left_out]} if left_out else {}),
            }
        )
    else:
        _print_rows(plates, of_campaigns)
        of_datasets = [group for group in groups if "/" not in group.partition and group.severity != "info"]
        lines = [*say_findings(of_datasets), *(f"{f.severity}: {f.code}: {f.message}" for f in findings)]
        for line in (*lines, *map(str, left_out)):
            print(show_text(line))
        if lines or any(row.finding or row.failure for row in (*plates, *(one.row for one in of_campaigns))):
            note_codes_shown()
    code = say_strict(project, sources, groups, findings, is_strict=strict)
    return FAILED if any(finding.code == UNSEEN_ROOT for finding in findings) else code


def _print_rows(plates: Sequence[StatusRow], campaigns: Sequence[CampaignRow]) -> None:
    from bioimage_assets.cli import campaign_rows, status_rows

    print_table(status_rows.HEADER, [row.to_line() for row in plates])
    if campaigns:
        print()
        print_table(campaign_rows.HEADER, [row.to_line() for row in campaigns])


def _look_at_stored(project: ProjectResource) -> StorageState:
    """What is stored; without the catalog, and with a word about it, where that cannot be asked."""
    from bioimage_assets.core.errors import CatalogError
    from bioimage_assets.core.storage.state import look_at_stored

    try:
        return look_at_stored(project.tables())
    except CatalogError as error:
        print_progress(f"warning: the catalog was not looked at: {error}")
        return look_at_stored(project.tables(), with_catalog=False)


def _read_standing(
    project: ProjectResource, partitions: Collection[str]
) -> dict[str, tuple[FindingGroup, ...]]:
    """What stands found, or a word about why that is not known."""
    from bioimage_assets.core.errors import BioimageError
    from bioimage_assets.core.storage.standing_findings import read_standing_findings

    try:
        return read_standing_findings(project.tables(), partitions)
    except BioimageError as error:
        print_progress(f"warning: findings could not be read: {error}")
        return {}
