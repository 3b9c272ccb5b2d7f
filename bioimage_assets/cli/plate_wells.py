"""Wells with their verdict: of stored plates, or of a store that is looked at now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bioimage_assets.cli.options import CatalogChoice, WarehouseChoice, build_scan_options
from bioimage_assets.cli.project_tables import StoredTables, open_project_tables
from bioimage_assets.core.errors import MissingTableError
from bioimage_assets.core.near_names import suggest_plate
from bioimage_assets.core.scan.scanner import scan_store_records
from bioimage_assets.core.tables.completeness import build_plate_completeness
from bioimage_assets.core.tables.image_assets import build_image_assets

Well = dict[str, Any]


def list_wells(plates: Sequence[str], catalog: CatalogChoice, warehouse: WarehouseChoice) -> list[Well]:
    """Rows of ``plate_completeness``; MissingTableError names a plate that is neither stored nor a store."""
    wells: list[Well] = []
    stored: list[str] = []
    for plate in plates:
        if "://" in plate or Path(plate).exists():
            wells += _scan_wells(plate)
        else:
            stored.append(plate)
    if stored or not plates:
        wells += _read_wells(open_project_tables(catalog, warehouse), stored)
    return wells


def list_not_measured(wells: Sequence[Well]) -> list[str]:
    """Plates none of whose wells has measurements; their wells say nothing of cells."""
    measured = {well["plate_key"] for well in wells if well["sites_measured"] is not None}
    return sorted({well["plate_key"] for well in wells} - measured)


def _scan_wells(uri: str) -> list[Well]:
    scan = scan_store_records(uri, build_scan_options())
    found = build_plate_completeness(
        build_image_assets(scan.images), scan.plates, plate_key=scan.plate_key, dataset_id=scan.dataset_id
    )
    wells: list[Well] = found.table.to_pylist()
    return wells


def _read_wells(tables: StoredTables, plate_keys: list[str]) -> list[Well]:
    table = tables.find("plate_completeness")
    rows: list[Well] = tables.read(table, plate_keys=plate_keys or None).to_pylist()
    unknown = set(plate_keys) - {row["plate_key"] for row in rows}
    if unknown:
        raise MissingTableError(
            f"Plate {sorted(unknown)[0]!r} has no rows in {table.name} and is no store; 'bioimage-assets status' lists the plates."
            f"{suggest_plate(sorted(unknown)[0], tables.list_plates(table))}"
        )
    return rows
