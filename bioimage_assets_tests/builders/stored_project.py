"""Stores what a run would store of a plate, without a run: scanned images, and cells, flags and well profiles that a test can tell."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.profiling.result_columns import (
    FAILED,
    FAILED_COUNT,
    MISSING,
    OBJECT_COUNT,
    OBJECT_ID,
)
from bioimage_assets.core.scan.scanner import scan_plate_source
from bioimage_assets.core.settings.project import ProjectSettings, read_project_settings
from bioimage_assets.core.warehouse.root import Warehouse, open_warehouse

FEATURE = "Cells_AreaShape_Area"
LIMIT = 1.0  # z-score
CONDITION = "large"
FLAG = f"Metadata_cqc_{CONDITION}_is_outlier"
SCORE = f"Metadata_cqc_{CONDITION}_{FEATURE}_zscore"
CALL = {
    "call": "cosmicqc.identify_outliers",
    "version": "1.1.2",
    "arguments": {"condition_name": CONDITION, "feature_thresholds": {FEATURE: LIMIT}},
}


def settings_of(data_dir: Path, **variables: str) -> ProjectSettings:
    """A project that keeps all tables in its warehouse."""
    given = {"BIOIMAGE_DATA_DIR": str(data_dir), "BIOIMAGE_CATALOG": "none", **variables}
    return read_project_settings(given)


def store_images(
    settings: ProjectSettings, plate_key: str, store: Path, *, fingerprint: str | None = None
) -> pa.Table:
    """Scan a store or a folder of files, and store its images and chunks under a key; gives the images.

    ``fingerprint`` is that of the table, which a run works out from the plate's files.
    """
    return store_images_at(settings, plate_key, str(store), fingerprint=fingerprint)


def store_images_at(
    settings: ProjectSettings, plate_key: str, uri: str, *, fingerprint: str | None = None
) -> pa.Table:
    """The same of a URI, with the storage options of the project."""
    dataset, plate = plate_key.split("/")
    source = PlateSource(plate_key, dataset, plate, uri.rpartition("/")[0], (uri,))
    options = dict(settings.storage_options)
    wanted = ScanOptions(dataset_id=dataset, plate_key=plate_key, storage_options=options)
    scan = scan_plate_source(source, wanted)
    assert scan.chunks is not None
    warehouse = _open(settings)
    warehouse.replace_partitions("chunk_index", scan.chunks.read_all(), [plate_key])
    warehouse.replace_partitions("image_assets", scan.images, [plate_key], fingerprint=fingerprint)
    return scan.images


def store_cells(
    settings: ProjectSettings, plate_key: str, images: pa.Table, *, per_image: int = 4
) -> pa.Table:
    """Store cells of each image with boxes of 4 x 6 pixels, and flag those whose z-score is above the limit; gives the cells."""
    rows = [row for row in images.to_pylist() if row["image_kind"] != "label"]
    cells = pa.Table.from_pylist(
        [
            _build_cell(plate_key, row, number, cell)
            for number, row in enumerate(rows, 1)
            for cell in range(1, per_image + 1)
        ]
    )
    warehouse = _open(settings)
    warehouse.replace_partitions("joined_profiles", cells, [plate_key])
    qc = build_flags(cells)
    warehouse.replace_partitions("cosmicqc_profiles", qc, [plate_key], steps=[CALL])
    return cells


def build_flags(cells: pa.Table) -> pa.Table:
    """Flags as coSMicQC gives them: the population's mean and deviation, a cell above the limit has the condition."""
    values = cells[FEATURE].to_numpy()
    scores = (values - values.mean()) / values.std()
    keys = ["plate_key", "dataset_id", OBJECT_ID, "image_id", "Metadata_Well"]
    flags = {
        SCORE: scores,
        FLAG: scores > LIMIT,
        FAILED: scores > LIMIT,
        MISSING: np.zeros(len(scores), bool),
    }
    table = cells.select(keys)
    for name, column in flags.items():
        table = table.append_column(name, pa.array(column))
    return table


def store_wells(
    settings: ProjectSettings, plate_key: str, values: Mapping[str, tuple[int, int, float]]
) -> None:
    """Store profiles of wells: cells that passed, cells that failed, and one feature."""
    rows = [
        {
            "plate_key": plate_key,
            "dataset_id": plate_key.partition("/")[0],
            "well_id": well,
            "Metadata_Well": well,
            OBJECT_COUNT: passed,
            FAILED_COUNT: failed,
            FEATURE: feature,
        }
        for well, (passed, failed, feature) in values.items()
    ]
    _open(settings).replace_partitions("pycytominer_profiles", pa.Table.from_pylist(rows), [plate_key])


def _build_cell(plate_key: str, image: Mapping[str, object], number: int, cell: int) -> dict[str, object]:
    top, left = 2 * cell, cell
    return {
        "plate_key": plate_key,
        "dataset_id": plate_key.partition("/")[0],
        "plate_id": image["plate_id"],
        "well_id": image["well_id"],
        "site_id": image["site_id"],
        "image_id": image["image_id"],
        OBJECT_ID: f"{plate_key}/{number}/{cell}",
        "Metadata_Well": image["well_id"],
        "Metadata_Site": image["site_id"],
        FEATURE: float(100 * number + cell**3),
        "Cells_AreaShape_BoundingBoxMinimum_Y": float(top),
        "Cells_AreaShape_BoundingBoxMaximum_Y": float(top + 4),
        "Cells_AreaShape_BoundingBoxMinimum_X": float(left),
        "Cells_AreaShape_BoundingBoxMaximum_X": float(left + 6),
    }


def _open(settings: ProjectSettings) -> Warehouse:
    return open_warehouse(settings.warehouse_uri)
