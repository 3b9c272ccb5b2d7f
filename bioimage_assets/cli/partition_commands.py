"""`partitions`: which plates and campaigns are registered with Dagster; register them, forget them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import click

from bioimage_assets.cli.command import argument, command
from bioimage_assets.cli.dagster_instance import open_instance
from bioimage_assets.cli.options import Json
from bioimage_assets.cli.output import print_findings, print_json
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
    """Partitions that are registered."""
    with open_instance() as instance:
        registered = {"plates": sorted(instance.get_dynamic_partitions("plates"))}
        if campaigns := sorted(instance.get_dynamic_partitions("campaigns")):
            registered["campaigns"] = campaigns
        _print_partitions(registered, as_json=as_json)


@partitions.add_command
@command
def sync(as_json: Json = False) -> None:
    """Register every plate and campaign of the watched roots."""
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
    """Register the named plates and campaigns (`campaign:NAME`)."""
    with open_instance() as instance:
        _register(instance, plates, as_json=as_json)


@partitions.add_command
@command
def remove(plates: Keys, as_json: Json = False) -> None:
    """Forget the named plates and campaigns (`campaign:NAME`) and remove their stored rows and pages."""
    from bioimage_assets.resources.project import ProjectResource
    from bioimage_assets.retire import retire_plates

    with open_instance() as instance:
        removed = retire_plates(instance, ProjectResource(), list(plates))
    _print_partitions({"removed": removed}, as_json=as_json)


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
