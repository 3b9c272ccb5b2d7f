"""`bioimage-assets virtual-plate`: one OME-Zarr plate of references into the files of a plate, or of a store, without copying a pixel."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from bioimage_assets.cli.command import PLACE, argument, command, flag, option
from bioimage_assets.cli.options import (
    CatalogChoice,
    DatasetId,
    FollowSymlinks,
    Json,
    WarehouseChoice,
    build_scan_options,
    get_storage_options,
)
from bioimage_assets.cli.output import print_findings, print_json, print_pairs, print_progress
from bioimage_assets.cli.progress import show_progress
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.settings.dataset import OmeZarrVersion, VirtualPlateFormat
from bioimage_assets.core.settings.project import read_project_settings

if TYPE_CHECKING:
    import pyarrow as pa

    from bioimage_assets.cli.project_tables import StoredTables
    from bioimage_assets.core.findings import Finding
    from bioimage_assets.core.virtual.write import WrittenPlate

# Of more images that are left out only the number is said; --json has them all.
_SHOWN_REFUSED = 10


@command
def virtual_plate(
    plate: Annotated[
        str, argument("PLATE", "DATASET/PLATE of the project, or a store, local or elsewhere", type=PLACE)
    ],
    catalog: CatalogChoice,
    warehouse: WarehouseChoice,
    to: Annotated[
        str | None,
        option(
            "PATH", "file or folder that is written (default: the plate's name, in this folder)", type=PLACE
        ),
    ] = None,
    format_: Annotated[
        VirtualPlateFormat,
        option("", "kerchunk references in JSON or Parquet, or an Icechunk repository", "--format"),
    ] = "json",
    ome_zarr: Annotated[
        OmeZarrVersion | None,
        option(
            "", "version of OME-Zarr (default: 0.5; of Parquet 0.4, which its readers need)", "--ome-zarr"
        ),
    ] = None,
    absolute: Annotated[
        bool, flag("the files stay where they are: do not look for them beside a virtual plate that moved")
    ] = False,
    no_contrast: Annotated[
        bool, flag("read no pixel: channels are shown from the least to the most that their type can hold")
    ] = False,
    dataset_id: DatasetId = None,
    follow_symlinks: FollowSymlinks = False,
    as_json: Json = False,
) -> None:
    """Write a plate as one virtual OME-Zarr: references into its original files, which are not copied.

    Any TIFF layout and any Zarr store that can be scanned becomes an OME-Zarr plate with its wells, channels, pixel sizes and places. A
    plate of the project is written from its stored tables, unless its files changed since they were scanned; a store is scanned first.
    Reading a file that changed since fails by name.

    Examples:
        bioimage-assets virtual-plate screen-b/SB-P1
        bioimage-assets virtual-plate data/incoming/screen-b/SB-P2 --to plate.json
    """
    from bioimage_assets.core.virtual.write import VirtualPlateForm, write_virtual_plate

    form = VirtualPlateForm(format_, ome_zarr, absolute, not no_contrast)
    form.ome_zarr  # noqa: B018  # refuses a version that the format cannot have before anything is scanned
    if _is_store(plate):
        images, chunks, name = _scan(plate, dataset_id)
    else:
        from bioimage_assets.cli.project_tables import open_project_tables

        images, chunks, name = _read(open_project_tables(catalog, warehouse), plate)
        if _is_of_settings(catalog, warehouse):
            _require_unchanged(plate)
    target = to or f"{name}.{format_}"
    with show_progress(f"Writing {target}"):
        written = write_virtual_plate(images, chunks, target, form, storage_options=get_storage_options())
    if as_json:
        print_json(asdict(written))
        return
    _print_refused(written.refused)
    print_pairs(_describe(written))
    print()
    for line in _say_how_to_open(written, "" if _is_store(plate) else plate):
        print(line)


def _is_store(plate: str) -> bool:
    """An address, or something that is there; anything else is the key of a plate."""
    return "://" in plate or Path(plate).exists()


def _scan(uri: str, dataset_id: str | None) -> tuple[pa.Table, Iterable[pa.RecordBatch], str]:
    from bioimage_assets.core.model.identity import build_key_part, store_stem
    from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_image_assets

    options = build_scan_options(dataset_id)
    with show_progress(f"Scanning {uri}"):
        images = scan_image_assets(uri, options=options)
        chunks = scan_chunk_index(uri, options=options)
    return images, chunks, build_key_part(store_stem(uri.rstrip("/")))


def _read(tables: StoredTables, plate: str) -> tuple[pa.Table, Iterable[pa.RecordBatch], str]:
    from bioimage_assets.core.errors import IdentityError
    from bioimage_assets.core.model.identity import PlateKey
    from bioimage_assets.core.near_names import suggest_plate

    try:
        key = PlateKey.parse(plate)
    except IdentityError as error:
        raise UsageError(
            f"{plate}: nothing is there, and it is no key of a plate ('DATASET/PLATE'). 'bioimage-assets status' lists the plates."
        ) from error
    stored = tables.find("image_assets")
    images = tables.read(stored, plate_keys=[plate])
    if not images.num_rows:
        near = suggest_plate(plate, tables.list_plates(stored))
        raise UsageError(
            f"{plate}: neither a store nor a plate with stored images. Scan it first (bioimage-assets materialize --plates "
            f"{shlex.quote(plate)}), or name its store.{near}"
        )
    chunks = tables.read(tables.find("chunk_index"), plate_keys=[plate])
    return images, chunks.to_batches(), key.plate


def _is_of_settings(catalog: CatalogChoice, warehouse: WarehouseChoice) -> bool:
    """Whether the tables are those that runs of this project store."""
    settings = read_project_settings()
    asked = (catalog.name, catalog.namespace, warehouse.root)
    return asked == (settings.catalog_name, settings.catalog_namespace, settings.warehouse_uri)


def _require_unchanged(plate: str) -> None:
    """The files are those that were scanned: the rows say where in them the pixels lie."""
    from bioimage_assets.core.storage.outdated_scans import is_scan_outdated
    from bioimage_assets.resources.project import ProjectResource

    if is_scan_outdated(ProjectResource().tables(), plate):
        raise UsageError(
            f"{plate}: its files, or settings of its scan, changed since they were scanned, so that the stored rows may lead to the "
            f"wrong bytes. Scan it again (bioimage-assets materialize --plates {shlex.quote(plate)}), or name its store."
        )


def _print_refused(refused: Sequence[Finding]) -> None:
    print_findings(refused[:_SHOWN_REFUSED])
    if len(refused) > _SHOWN_REFUSED:
        print_progress(
            f"… and {len(refused) - _SHOWN_REFUSED:,} more images that are left out (--json has all)"
        )


def _describe(written: WrittenPlate) -> dict[str, object]:
    size = "" if written.stored_bytes is None else f", {written.stored_bytes:,} bytes"
    return {
        "virtual plate": written.uri,
        "form": f"{written.format}, OME-Zarr {written.version}{size}",
        "wells": written.well_count,
        "images": f"{written.image_count:,}, and {written.label_count:,} label images",
        "left out": f"{len(written.refused):,}",
        "references": f"{written.reference_count:,} into {count_words(written.source_count, 'file')}",
    }


def _say_how_to_open(written: WrittenPlate, plate_key: str) -> list[str]:
    """Lines that can be typed: Python, napari, and the browser, whose addresses viewers open without this package."""
    from bioimage_assets.core.stores.open import local_path

    lines = [
        "Open it in Python:",
        "    import zarr; from bioimage_assets.core.virtual.open import open_virtual_plate",
        f'    plate = zarr.open_group(open_virtual_plate({written.uri!r}), mode="r")',
    ]
    path = local_path(written.uri)
    if path is not None and written.format == "json":
        place = shlex.quote(f"reference::{path}")
        lines += [
            "or in napari, with this package installed beside it:",
            f"    napari --plugin napari-ome-zarr {place}",
        ]
    if plate_key:
        place = shlex.quote(plate_key)
        lines += [
            "or in a web browser, whose page has an address for any napari:",
            f"    bioimage-assets browse --plate {place}",
        ]
    return lines
