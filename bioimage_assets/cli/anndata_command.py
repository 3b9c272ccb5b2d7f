"""`bioimage-assets export-anndata`: wells or cells of stored plates as one AnnData file for scanpy, squidpy and pycytominer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from bioimage_assets.cli.command import PLACE, Several, argument, command, flag, option
from bioimage_assets.cli.options import CatalogChoice, Json, WarehouseChoice
from bioimage_assets.cli.output import print_findings, print_json, print_pairs
from bioimage_assets.cli.progress import show_progress
from bioimage_assets.core.extras import require_extra
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.settings.project import read_project_settings

if TYPE_CHECKING:
    from bioimage_assets.core.anndata.export import WrittenAnnData


@command
def export_anndata(
    target: Annotated[
        str, argument("OUT", "new file (.h5ad) or folder (.zarr); replaced when whole", type=PLACE)
    ],
    catalog: CatalogChoice,
    warehouse: WarehouseChoice,
    level: Annotated[
        Literal["wells", "cells"], option("", "one row is a well profile, or a cell", "--level")
    ] = "wells",
    plates: Annotated[
        tuple[str, ...], option("PLATE", "DATASET/PLATE; several may follow", cls=Several)
    ] = (),
    datasets: Annotated[
        tuple[str, ...], option("DATASET", "all plates of a dataset; several may follow", cls=Several)
    ] = (),
    campaign: Annotated[str | None, option("NAME", "all plates of a campaign's datasets")] = None,
    no_raw: Annotated[bool, flag("leave out the layer of measured values")] = False,
    float32: Annotated[bool, flag("half the size, seven digits")] = False,
    as_json: Json = False,
) -> None:
    """Write wells or cells of stored plates as one AnnData file: metadata, place and QC in obs, parsed feature names in var.

    Without plates, datasets or a campaign it is everything that is stored. Rows are written in blocks, so that the file may be larger than
    memory.

    Examples:
        bioimage-assets export-anndata wells.h5ad
        bioimage-assets export-anndata cells.h5ad --level cells --plates screen-a/SA-P1
    """
    require_extra("export-anndata", "anndata")
    from bioimage_assets.core.anndata import export
    from bioimage_assets.core.anndata.choose_plates import PlateChoice, choose_plates, find_settings
    from bioimage_assets.core.scratch import open_scratch
    from bioimage_assets.core.storage.open_tables import open_project_tables

    warehouse.is_there()  # UsageError where the one that is named is not
    settings = replace(
        read_project_settings(),
        warehouse_uri=warehouse.root,
        catalog_name=catalog.beside(warehouse).name,
        catalog_namespace=catalog.namespace,
    )
    tables = open_project_tables(settings)
    with show_progress(f"Writing {target}"), open_scratch() as scratch:
        keys = choose_plates(tables, level, PlateChoice(plates, datasets, campaign))
        options = export.AnnDataExport(level, not no_raw, float32)
        written = export.export_anndata(
            tables, keys, Path(target), scratch, options, find_settings(tables, keys)
        )
    if as_json:
        print_json(written.to_dict())
        return
    print_findings(written.findings)
    print_pairs(_describe(written))
    print("\nOpen it in Python, its matrices unread:")
    print(f"    import bioimage_assets; cells = bioimage_assets.open_anndata({written.target!r})")


def _describe(written: WrittenAnnData) -> dict[str, object]:
    return {
        "file": written.target,
        "rows": f"{written.row_count:,} {written.level} of {count_words(written.plate_count, 'plate')}",
        "features": f"{written.feature_count:,}",
        "X": written.matrix,
        "layers": ", ".join(written.layers) or "-",
    }
