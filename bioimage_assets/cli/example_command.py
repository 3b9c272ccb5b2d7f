"""`example-data`: a small complete dataset to try commands, examples and tutorials on."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import click

from bioimage_assets.cli.command import PLACE, argument, command, flag, option
from bioimage_assets.cli.options import Json
from bioimage_assets.cli.output import print_json, print_table
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.settings.project import read_project_settings


@command
def example_data(
    folder: Annotated[str, argument("FOLDER", "the dataset's folder: a new or an empty one", type=PLACE)],
    plates: Annotated[
        int | None, option("N", "how many plates to write (default: 2)", type=click.IntRange(1, 12))
    ] = None,
    mistakes: Annotated[
        bool,
        flag("write four plates with usual mistakes to find and to mend"),
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a small dataset: plates with images and measurements, a platemap with doses, dataset.toml.

    The pixels are drawn and then measured, so that cells, images and doses belong together. It takes some seconds a plate,
    and gives the same bytes each time. The first plate is OME-Zarr with one Parquet table, the second OME-TIFF with CellProfiler's CSVs.

    Examples:
        bioimage-assets example-data data/incoming/example --plates 1
    """
    from bioimage_assets.demo.__main__ import ProgressBar
    from bioimage_assets.demo.example_data import write_example_data
    from bioimage_assets.demo.example_mistakes import MISTAKES

    if mistakes and plates is not None:
        raise UsageError("--mistakes writes its own four plates: leave out --plates.")
    wrong = MISTAKES if mistakes else ()
    written = write_example_data(
        folder, plate_count=plates or 2, with_mistakes=mistakes, progress=ProgressBar()
    )
    commands = _list_next(Path(folder).absolute())
    if as_json:
        print_json(
            {
                "folder": folder,
                "plates": [asdict(plate) for plate in written],
                "mistakes": [{"plate": mistake.plate, "what": mistake.what} for mistake in wrong],
                "next_commands": commands,
            }
        )
        return
    print(f"Written: {folder}")
    print_table(
        ("plate", "wells", "images", "cells", "images in", "measurements in"),
        [(p.plate, p.well_count, p.image_count, p.cell_count, p.images, p.measurements) for p in written],
    )
    print(
        "Beside them: platemaps/ with compounds and doses, and dataset.toml with the limits of quality control."
    )
    if wrong:
        print("\nMistakes:")
        print("\n".join(f"  {mistake.plate}: {mistake.what}" for mistake in wrong))
    print("\nNext:")
    for line in commands:
        print(f"  {line}")


def _list_next(dataset: Path) -> list[str]:
    """What to type: build the plates, then look at them. Datasets are the folders of watched roots."""
    watched = [Path(uri).absolute() for uri in read_project_settings().incoming_uris if "://" not in uri]
    lines = ["bioimage-assets materialize", "bioimage-assets browse"]
    if dataset.parent in watched:
        return lines
    return [f"export BIOIMAGE_INCOMING={shlex.quote(str(dataset.parent))}", *lines]
