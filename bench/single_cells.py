"""What large plates of single cells cost: normalised as a stream, and exported as AnnData.

    python bench/single_cells.py [--cells 400000] [--features 3600] [--exported-cells 1000000] [--exported-features 400] [--folder FOLDER]

One plate of 384 wells is stored in a warehouse root, float64 in steps of 1/256, in row groups as runs write them; it is made where it is
missing and stays. Each task runs in a process of its own, so that its peak memory is its own: normalised cells within 4 GB, an .h5ad of the
cells of three plates within 1 GB. Some columns are compared with pycytominer's own call, bit for bit. Exit code 1: a limit was passed, or a
number differs.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pycytominer import normalize

from bioimage_assets.core.anndata.export import AnnDataExport, export_anndata
from bioimage_assets.core.profiling.normalized_cells import normalize_cells
from bioimage_assets.core.profiling.platemap import PlateMap
from bioimage_assets.core.scratch import open_scratch
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.settings.project import read_project_settings
from bioimage_assets.core.storage.open_tables import open_project_tables
from bioimage_assets.core.storage.tables import ProjectTables

NORMALIZED_LIMIT_BYTES, EXPORT_LIMIT_BYTES = 4_000_000_000, 1_000_000_000
WELLS = [f"{chr(65 + number // 24)}{number % 24 + 1:02d}" for number in range(384)]
CONTROLS = [well for well in WELLS if well.endswith(("01", "02"))]
EXPORTED_PLATES = 3
_ROWS = 20_000
_COMPARED = 40


def open_tables(folder: Path) -> ProjectTables:
    return open_project_tables(
        read_project_settings({"BIOIMAGE_DATA_DIR": str(folder), "BIOIMAGE_CATALOG": "none"})
    )


def store_plate(folder: Path, plate: str, cell_count: int, feature_count: int) -> None:
    """Cells and flags of a plate, unless they are there."""
    tables = open_tables(folder)
    key = f"bench/{plate}"
    if tables.warehouse.find_partitions("joined_profiles", [key]):
        return
    schema = build_rows(plate, 0, 1, feature_count).schema
    parts = (
        build_rows(plate, start, min(_ROWS, cell_count - start), feature_count)
        for start in range(0, cell_count, _ROWS)
    )
    batches = (batch for part in parts for batch in part.to_batches())
    reader = pa.RecordBatchReader.from_batches(schema, batches)
    tables.warehouse.replace_partitions("joined_profiles", reader, [key])
    ids = tables.warehouse.read(
        "joined_profiles", columns=["plate_key", "dataset_id", "Metadata_ObjectID"], plate_keys=[key]
    )
    failed = np.arange(cell_count) % 50 == 0
    flags = ids.append_column("Metadata_cqc_failed", pa.array(failed))
    tables.warehouse.replace_partitions("cosmicqc_profiles", flags, [key])


def build_rows(plate: str, start: int, count: int, feature_count: int) -> pa.Table:
    random = np.random.default_rng([start, len(plate)])
    pool = (random.normal(size=count + feature_count * 7) * 256).round() / 256
    wells = [WELLS[number % 384] for number in range(start, start + count)]
    columns: dict[str, object] = {
        "plate_key": [f"bench/{plate}"] * count,
        "dataset_id": ["bench"] * count,
        "plate_id": [plate] * count,
        "well_id": wells,
        "Metadata_ObjectID": [f"bench/{plate}/{number}" for number in range(start, start + count)],
        "image_id": [f"{plate}:{well}:{number % 9}" for number, well in enumerate(wells)],
        "uri": [f"s3://bucket/bench/{plate}/{well}.ome.zarr" for well in wells],
        "Metadata_Well": wells,
        "Metadata_Plate": [plate] * count,
        "Nuclei_Location_Center_X": random.uniform(0, 1080, count),
        "Nuclei_Location_Center_Y": random.uniform(0, 1080, count),
    }
    for number in range(feature_count):
        columns[f"Cells_Intensity_M{number}_DNA"] = pool[number * 7 : number * 7 + count]
    return pa.table(columns)


def normalize_plate(folder: Path) -> dict[str, object]:
    """Store the normalised cells of the plate, as a run does."""
    tables = open_tables(folder)
    layout = pa.table(
        {
            "Metadata_Well": WELLS,
            "Metadata_control_type": ["negcon" if well in CONTROLS else "" for well in WELLS],
        }
    )
    cells = normalize_cells(
        tables.find_cells("joined_profiles", "bench/LARGE"),
        tables.find_cells("cosmicqc_profiles", "bench/LARGE"),
        PlateMap("layout", "layout.txt", layout),
        DatasetSettings(),
    )
    written = tables.warehouse.replace_partitions("normalized_cells", cells.rows, ["bench/LARGE"])
    return {"cells": written.row_count, "features": cells.feature_count}


def export_plates(folder: Path) -> dict[str, object]:
    tables = open_tables(folder)
    keys = [f"bench/EXPORT-{number}" for number in range(EXPORTED_PLATES)]
    with open_scratch() as scratch:
        written = export_anndata(tables, keys, folder / "cells.h5ad", scratch, AnnDataExport("cells"))
    return {"cells": written.row_count, "features": written.feature_count}


def find_differences(folder: Path) -> int:
    """Values of some columns that differ from one call of pycytominer on all cells of the plate."""
    tables = open_tables(folder)
    known = [name for name in tables.warehouse.schema("joined_profiles").names if name.startswith("Cells_")]
    stored = set(tables.warehouse.dataset("normalized_cells", plate_keys=["bench/LARGE"]).schema.names)
    names = [name for name in known if name in stored]
    chosen = names[:: max(1, len(names) // _COMPARED)]
    read = tables.warehouse.read
    cells = read(
        "joined_profiles", columns=["Metadata_Well", *chosen], plate_keys=["bench/LARGE"]
    ).to_pandas()
    flags = read("cosmicqc_profiles", columns=["Metadata_cqc_failed"], plate_keys=["bench/LARGE"])
    cells["Metadata_cqc_failed"] = flags["Metadata_cqc_failed"].to_pandas()
    expected = normalize(
        cells,
        features=chosen,
        meta_features=["Metadata_Well"],
        samples=f"Metadata_Well in {CONTROLS} and Metadata_cqc_failed == False",
    )
    found = read("normalized_cells", columns=chosen, plate_keys=["bench/LARGE"]).to_pandas()
    return int((pd.DataFrame(expected)[chosen].to_numpy() != found[chosen].to_numpy()).sum())


def run_alone(task: str, folder: Path) -> dict[str, object]:
    """One task in a process of its own; with its peak memory and times."""
    words = [sys.executable, __file__, "--folder", str(folder), "--task", task]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(task: str, folder: Path) -> dict[str, object]:
    start = time.perf_counter()
    told = {"normalize": normalize_plate, "export": export_plates}[task](folder)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "task": task,
        **told,
        "peak_bytes": usage.ru_maxrss * 1024,
        "processor_s": round(usage.ru_utime + usage.ru_stime, 1),
        "wall_s": round(time.perf_counter() - start, 1),
    }


def run(options: argparse.Namespace) -> Iterator[tuple[dict[str, object], bool]]:
    folder: Path = options.folder
    if options.cells:
        store_plate(folder, "LARGE", options.cells, options.features)
        told = run_alone("normalize", folder)
        told["differences"] = find_differences(folder)
        yield told, int(str(told["peak_bytes"])) <= NORMALIZED_LIMIT_BYTES and not told["differences"]
    if options.exported_cells:
        for number in range(EXPORTED_PLATES):
            count = -(-options.exported_cells // EXPORTED_PLATES)
            store_plate(folder, f"EXPORT-{number}", count, options.exported_features)
        told = run_alone("export", folder)
        yield told, int(str(told["peak_bytes"])) <= EXPORT_LIMIT_BYTES


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=400_000)
    parser.add_argument("--features", type=int, default=3_600)
    parser.add_argument("--exported-cells", type=int, default=1_000_000)
    parser.add_argument("--exported-features", type=int, default=400)
    parser.add_argument("--folder", type=Path, default=Path("data/bench-single-cells"))
    parser.add_argument("--task", choices=("normalize", "export"), help=argparse.SUPPRESS)
    parser.add_argument("--remove", action="store_true", help="remove the folder afterwards")
    options = parser.parse_args()
    if options.task:
        print(json.dumps(measure(options.task, options.folder)))
        return 0
    are_kept = True
    for told, is_kept in run(options):
        print(json.dumps(told), "ok" if is_kept else "LIMIT PASSED")
        are_kept &= is_kept
    if options.remove:
        shutil.rmtree(options.folder)
    return 0 if are_kept else 1


if __name__ == "__main__":
    sys.exit(main())
