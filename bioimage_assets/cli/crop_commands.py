"""`export-crops`: chosen cells with their pixels, as OME-Arrow values in a folder of Parquet files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import click

from bioimage_assets.cli.command import PLACE, Several, argument, command, flag, option
from bioimage_assets.cli.options import CatalogChoice, Json, WarehouseChoice, get_storage_options
from bioimage_assets.cli.output import FAILED, OK, print_json, print_progress, print_table
from bioimage_assets.cli.progress import show_progress
from bioimage_assets.core.model.compartments import CELL_FIRST
from bioimage_assets.core.phrases import count_words

if TYPE_CHECKING:
    from bioimage_assets.core.pixels.crop_export.export import CropExportResult


@command
def export_crops(
    folder: Annotated[str, argument("FOLDER", "new folder, or that of the same export", type=PLACE)],
    catalog: CatalogChoice,
    warehouse: WarehouseChoice,
    where: Annotated[
        str | None, option("SQL", "condition on columns of joined_profiles and cosmicqc_profiles")
    ] = None,
    query: Annotated[
        str | None,
        option("SQL", "SELECT that gives Metadata_ObjectID; its other columns are written, too"),
    ] = None,
    plates: Annotated[
        tuple[str, ...], option("PLATE", "DATASET/PLATE; several may follow", cls=Several)
    ] = (),
    only_passed: Annotated[bool, flag("only cells that quality control passed")] = False,
    size: Annotated[int, option("PIXELS", "side of the square around each cell")] = 64,
    channel: Annotated[
        tuple[str, ...], option("NAME", "only this channel; may be repeated", multiple=True)
    ] = (),
    compartment: Annotated[
        str | None, option("", "whose middle (default: the first with a box)", type=click.Choice(CELL_FIRST))
    ] = None,
    z: Annotated[
        int | None, option("N", "plane of z, from 0 (default: the cell's own, else all)", type=int)
    ] = None,
    t: Annotated[
        int | None, option("N", "time point, from 0 (default: the cell's own, else the first)", type=int)
    ] = None,
    fill: Annotated[float, option("VALUE", "value of pixels outside of the image", type=float)] = 0,
    pixels: Annotated[
        Literal["auto", "planes", "bytes"], option("", "lists of 16-bit numbers, or typed bytes")
    ] = "auto",
    carry: Annotated[
        tuple[str, ...], option("COLUMN", "write this column, too; several may follow", cls=Several)
    ] = (),
    retry_refused: Annotated[bool, flag("try cells again that could not be cut")] = False,
    as_json: Json = False,
) -> int:
    """Write the pixels around chosen cells into a folder of Parquet files, as OME-Arrow values.

    The same call goes on where it was stopped. Exit code 1: some cells could not be cut; the folder's refused/ says why.

    Examples:
        bioimage-assets export-crops crops --plates screen-a/SA-P1 --only-passed --size 64
    """
    from bioimage_assets.cli.chosen_cells import CellChoice, write_chosen_cells
    from bioimage_assets.cli.project_tables import open_project_tables
    from bioimage_assets.core.pixels.crop_export import export
    from bioimage_assets.core.pixels.crop_export.options import CropExport
    from bioimage_assets.core.scratch import open_scratch

    tables = open_project_tables(catalog, warehouse)
    choice = CellChoice(where, query, plates, only_passed, carry)
    with show_progress("Exporting crops"), open_scratch() as scratch:
        cells = scratch / "chosen.parquet"
        carried = write_chosen_cells(tables, choice, cells)
        images = tables.find("image_assets")
        result = export.export_crops(
            cells,
            lambda plate: tables.read(images, plate_keys=None if plate is None else [plate]),
            folder,
            export=CropExport(
                size_px=size,
                channels=channel or None,
                compartment=compartment,
                z=z,
                t=t,
                fill=fill,
                pixels=pixels,
                carry=carried,
            ),
            selection=choice.describe(),
            retry_refused=retry_refused,
            storage_options=get_storage_options(),
        )
    _print(result, as_json)
    return FAILED if result.refused_count else OK


def _print(result: CropExportResult, as_json: bool) -> None:
    if as_json:
        print_json(result.to_dict())
        return
    print(
        f"{result.target}: {count_words(result.crop_count, 'crop')} in {count_words(result.part_count, 'file')}"
    )
    if result.refused:
        print_table(("not cut", "cells"), sorted(result.refused.items()))
        print_progress(
            f"{count_words(result.refused_count, 'cell')} could not be cut; {result.target}/refused says why."
        )
