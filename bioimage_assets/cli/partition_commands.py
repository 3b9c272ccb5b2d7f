"""`partitions`: which plates and campaigns are registered with Dagster; register them, forget them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import click

from bioimage_assets.cli.command import argument, command, flag
from bioimage_assets.cli.confirmation import confirm_removal
from bioimage_assets.cli.dagster_instance import open_instance
from bioimage_assets.cli.options import Json
from bioimage_assets.cli.output import FAILED, OK, print_findings, print_json, print_progress
from bioimage_assets.core.model.identity import dimension_of

if TYPE_CHECKING:
    import dagster as dg

Keys = Annotated[tuple[str, ...], argument("DATASET/PLATE...", "partition keys", nargs=-1)]


@click.group
def partitions() -> None:
    """Plates as Dagster partitions."""


@partitions.add_command
@command
def list_(as_json: Json = False) -> None:
    """Partitions that are registered.

    Examples:
        bioimage-assets partitions list
    """
    with open_instance() as instance:
        registered = {"plates": sorted(instance.get_dynamic_partitions("plates"))}
        if campaigns := sorted(instance.get_dynamic_partitions("campaigns")):
            registered["campaigns"] = campaigns
        _print_partitions(registered, as_json=as_json)


@partitions.add_command
@command
def sync(as_json: Json = False) -> None:
    """Register every plate and campaign of the watched roots.

    Examples:
        bioimage-assets partitions sync
    """
    from bioimage_assets.partitions import register_campaigns
    from bioimage_assets.resources.project import ProjectResource

    with open_instance() as instance:
        project = ProjectResource()
        sources, findings = project.discover()
        campaigns = project.campaigns()
        print_findings([*findings, *campaigns.findings])
        register_campaigns(instance, campaigns.campaigns)
        _register(instance, [source.plate_key for source in sources], as_json=as_json)


@partitions.add_command
@command
def add(plates: Keys, as_json: Json = False) -> None:
    """Register the named plates and campaigns (`campaign:NAME`).

    Examples:
        bioimage-assets partitions add screen-a/SA-P1
    """
    with open_instance() as instance:
        _register(instance, plates, as_json=as_json)


@partitions.add_command
@command
def remove(
    plates: Keys,
    yes: Annotated[bool, flag("do not ask")] = False,
    dry_run: Annotated[bool, flag("say what would be removed and do nothing")] = False,
    as_json: Json = False,
) -> int:
    """Forget the named plates and campaigns (`campaign:NAME`) and remove what is stored of them.

    It says what will go and asks. Rows of catalog and warehouse go, the report page with its pictures, and the virtual
    plate; a dataset goes with its last plate. Images and measurements are not touched: a plate that is still in a watched
    root comes back with the next `materialize`, or with the sensor. Releases and exports stay, and earlier snapshots of
    the catalog until `maintain` expires them; tables of its dataset and campaigns until they are built again. Exit code 1: a name is not known (nothing is removed
    then), or the answer was no. Without a terminal to ask at, --yes is needed; without it the exit code is 2 and nothing is
    removed.

    Examples:
        bioimage-assets partitions remove screen-a/SA-P1 --dry-run
        bioimage-assets partitions remove screen-a/SA-P1 --yes
    """
    from bioimage_assets.cli.removal_lines import print_removed, print_unknown, say_removal
    from bioimage_assets.resources.project import ProjectResource
    from bioimage_assets.retire import plan_retirement, retire_plates

    project = ProjectResource()
    with open_instance() as instance:
        plan = plan_retirement(instance, project, list(dict.fromkeys(plates)))
        if unknown := [one.partition for one in plan.asked if not one.is_known]:
            print_unknown(unknown, plan.known, as_json=as_json)
            return FAILED
        if dry_run:
            print_removed(plan, is_dry_run=True, as_json=as_json)
            return OK
        if not yes and not confirm_removal(say_removal(plan), "them"):
            print_progress("Nothing was removed.")
            return FAILED
        retire_plates(instance, project, [one.partition for one in plan.asked])
    print_removed(plan, is_dry_run=False, as_json=as_json)
    return OK


def _register(instance: dg.DagsterInstance, plates: Sequence[str], *, as_json: bool) -> None:
    from bioimage_assets.partitions import register_campaigns, register_plates

    campaigns = [key for key in plates if dimension_of(key) == "campaign"]
    new = register_plates(instance, [key for key in plates if key not in campaigns])
    new += register_campaigns(instance, campaigns)
    _print_partitions({"plates": sorted(plates), "new": new}, as_json=as_json)


def _print_partitions(result: Mapping[str, Sequence[str]], *, as_json: bool) -> None:
    if as_json:
        print_json(result)
        return
    for name, keys in result.items():
        for key in keys:
            print(key if name != "new" else f"new: {key}")
