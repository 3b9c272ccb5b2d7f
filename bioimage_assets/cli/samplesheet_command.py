"""`samplesheet`: the images of scanned plates as tables that CellProfiler and nf-core/cellpainting start from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from bioimage_assets.cli.command import PLACE, Several, argument, command, option
from bioimage_assets.cli.options import CatalogChoice, Json, WarehouseChoice, build_scan_options
from bioimage_assets.cli.output import FAILED, OK, print_findings, print_json, print_table
from bioimage_assets.cli.progress import show_progress
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.near_names import suggest_plate
from bioimage_assets.core.samplesheets.options import SamplesheetFormat, SheetOptions

if TYPE_CHECKING:
    import pyarrow as pa

    from bioimage_assets.cli.project_tables import StoredTables


@command
def samplesheet(
    folder: Annotated[str, argument("FOLDER", "where to write; it is made", type=PLACE)],
    catalog: CatalogChoice,
    warehouse: WarehouseChoice,
    format_: Annotated[
        SamplesheetFormat,
        option("", "LoadData tables for CellProfiler, or one sheet for nf-core/cellpainting", "--format"),
    ] = "loaddata",
    plates: Annotated[
        tuple[str, ...],
        option(
            "PLATE", "DATASET/PLATE, or a store; several may follow (default: all stored plates)", cls=Several
        ),
    ] = (),
    channel: Annotated[
        tuple[str, ...],
        option("OLD=NEW", "what the image of a channel is called; may be repeated", multiple=True),
    ] = (),
    path_rewrite: Annotated[
        tuple[str, ...],
        option(
            "OLD=NEW",
            "beginning of the files' places, and what it is elsewhere; may be repeated",
            multiple=True,
        ),
    ] = (),
    illum: Annotated[
        str | None,
        option(
            "PLACE",
            "folder of illumination functions, <plate>/<plate>_Illum<Channel>.npy; {batch} in it is the plate's",
            type=PLACE,
        ),
    ] = None,
    batch: Annotated[
        str | None, option("NAME", "batch of the plates (default: that of a gallery's path)")
    ] = None,
    source: Annotated[
        str | None, option("NAME", "source of the plates (default: that of a gallery's path)")
    ] = None,
    as_json: Json = False,
) -> int:
    """Write samplesheets of scanned plates: LoadData tables for CellProfiler, or a sheet for nf-core/cellpainting.

    Nothing is opened but the stored tables; a store is scanned first. Exit code 1: some images cannot be listed; it is said why.

    Examples:
        bioimage-assets samplesheet sheets --plates screen-b/SB-P1 screen-b/SB-P2
        bioimage-assets samplesheet sheets --format nf-core --plates screen-b/SB-P1
    """
    from bioimage_assets.core.samplesheets.write import write_samplesheets
    from bioimage_assets.core.stores.open import absolute_uri

    options = SheetOptions(
        channels=dict(_split(channel, "--channel")),
        path_rewrites=tuple(_split(path_rewrite, "--path-rewrite")),
        illumination="" if illum is None else absolute_uri(illum),
        batch=batch or "",
        source=source or "",
    )
    with show_progress(f"Writing samplesheets to {folder}"):
        written = write_samplesheets(_read(plates, catalog, warehouse), folder, format_, options)
    findings = [finding for sheet in written for finding in sheet.findings]
    if as_json:
        print_json([asdict(sheet) for sheet in written])
    else:
        rows = [
            (one.plate_key, one.image_count, one.row_count, ", ".join(one.paths) or "-") for one in written
        ]
        print_table(("plate", "images", "rows", "written"), rows)
        print_findings(findings)
    return FAILED if any(finding.severity == "error" for finding in findings) else OK


def _split(pairs: Sequence[str], name: str) -> Iterable[tuple[str, str]]:
    for pair in pairs:
        old, found, new = pair.rpartition("=")
        if not (found and old and new):
            raise UsageError(f"{name} {pair}: expected OLD=NEW.")
        yield old, new


def _read(
    plates: Sequence[str], catalog: CatalogChoice, warehouse: WarehouseChoice
) -> Iterator[tuple[str, pa.Table]]:
    """Key and image rows of each plate, those of the project before stores that are scanned."""
    stores = [plate for plate in plates if "://" in plate or Path(plate).exists()]
    keys = [plate for plate in plates if plate not in stores]
    if keys or not plates:
        from bioimage_assets.cli.project_tables import open_project_tables

        yield from _read_stored(open_project_tables(catalog, warehouse), keys)
    for store in stores:
        from bioimage_assets.core.scan.scanner import scan_image_assets

        with show_progress(f"Scanning {store}"):
            images = scan_image_assets(store, options=build_scan_options())
        for key in images["plate_key"].unique().to_pylist():
            yield key, images.filter(_is_of(images, key))


def _read_stored(tables: StoredTables, keys: Sequence[str]) -> Iterator[tuple[str, pa.Table]]:
    table = tables.find("image_assets")
    known = tables.list_plates(table)
    for key in keys or known:
        if key not in known:
            raise UsageError(
                f"{key}: neither a store nor a plate with stored images. 'bioimage-assets status' lists the plates."
                f"{suggest_plate(key, known)}"
            )
        yield key, tables.read(table, plate_keys=[key])


def _is_of(images: pa.Table, key: str) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    return pc.equal(images["plate_key"], key)
