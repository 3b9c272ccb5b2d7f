"""Writes small, known plates of measurements: CellProfiler CSV folders and SQLite, cytominer-database, npz, IN Carta."""

from __future__ import annotations

import csv
import json
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

COMPARTMENTS = ("Cells", "Cytoplasm", "Nuclei")
FEATURES = ("AreaShape_Area", "Intensity_MeanIntensity_DNA", "Texture_Contrast_DNA_3_00_256")
CODES = {"Cells": 1, "Cytoplasm": 2, "Nuclei": 3}


def feature_value(compartment: str, image: int, number: int, feature: int, seed: int = 0) -> float:
    """Value of one feature of one object: every digit group tells where it comes from."""
    return CODES[compartment] * 1e6 + seed * 1e5 + image * 1e3 + number + feature / 10


@dataclass(frozen=True)
class PlateSpec:
    """A plate: cells per image number, its name, first object numbers, extra columns. Parents are shuffled on purpose.

    Nucleus ``n`` belongs to cell ``count + 1 - n``, so that joining by equal numbers gives wrong rows.
    """

    cells: dict[int, int] = field(default_factory=lambda: {1: 3, 2: 2})
    plate: str = "P1"
    wells: tuple[str, ...] = ("A01", "A02")
    seed: int = 0
    features: tuple[str, ...] = FEATURES

    def well(self, image: int) -> str:
        return self.wells[(image - 1) % len(self.wells)]


def object_rows(spec: PlateSpec, compartment: str) -> tuple[list[str], list[list[object]]]:
    """Header and rows of one compartment as CellProfiler writes them."""
    parents = {"Cells": ["Parent_Nuclei"], "Cytoplasm": ["Parent_Cells", "Parent_Nuclei"], "Nuclei": []}[
        compartment
    ]
    header = ["ImageNumber", "ObjectNumber", *spec.features, "Number_Object_Number", *parents]
    rows: list[list[object]] = []
    for image, count in spec.cells.items():
        for number in range(1, count + 1):
            values = [
                feature_value(compartment, image, number, i, spec.seed) for i in range(len(spec.features))
            ]
            links = {"Parent_Nuclei": count + 1 - number, "Parent_Cells": number}
            rows.append([image, number, *values, number, *(links[parent] for parent in parents)])
    return header, rows


def image_rows(spec: PlateSpec) -> tuple[list[str], list[list[object]]]:
    header = [
        "Count_Cells", "Count_Cytoplasm", "Count_Nuclei", "FileName_DNA", "PathName_DNA", "MD5Digest_DNA",
        "ImageNumber", "Metadata_Plate", "Metadata_Site", "Metadata_Well",
    ]  # fmt: skip
    rows: list[list[object]] = [
        [float(n), float(n), float(n), f"{spec.well(i)}_s{i}_DNA.tif", f"/images/{spec.plate}", f"{i:032x}",
         i, spec.plate, i, spec.well(i)]
        for i, n in spec.cells.items()
    ]  # fmt: skip
    return header, rows


def write_csv(path: Path, header: list[str], rows: list[list[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def write_cellprofiler_folder(
    folder: Path,
    spec: PlateSpec | None = None,
    *,
    prefix: str = "",
    compartments: tuple[str, ...] = COMPARTMENTS,
) -> Path:
    """One folder of CellProfiler CSVs."""
    spec = spec or PlateSpec()
    for compartment in compartments:
        write_csv(folder / f"{prefix}{compartment}.csv", *object_rows(spec, compartment))
    write_csv(folder / f"{prefix}Image.csv", *image_rows(spec))
    return folder


def write_sqlite(path: Path, specs: dict[int | None, PlateSpec], *, table_prefix: str = "") -> Path:
    """CellProfiler (``{None: spec}``, tables ``Per_Cells``) or cytominer-database (TableNumber) SQLite."""
    database = sqlite3.connect(path)
    for compartment in (*COMPARTMENTS, "Image"):
        for table_number, spec in specs.items():
            header, rows = image_rows(spec) if compartment == "Image" else object_rows(spec, compartment)
            names = [n if n in ("ImageNumber", "ObjectNumber") else f"{compartment}_{n}" for n in header]
            if table_number is not None:
                names = ["TableNumber", *names]
                rows = [[table_number, *row] for row in rows]
            columns = ", ".join(f'"{name}"' for name in names)
            database.execute(f'CREATE TABLE IF NOT EXISTS "{table_prefix}{compartment}" ({columns})')
            marks = ", ".join("?" * len(names))
            database.executemany(f'INSERT INTO "{table_prefix}{compartment}" VALUES ({marks})', rows)
    database.commit()
    database.close()
    return path


def write_npz(
    path: Path, *, cells: int, dimensions: int = 4, metadata: dict[str, object] | None = None, seed: int = 0
) -> Path:
    """A DeepProfiler file; feature ``[i, j]`` is ``seed * 1000 + i * 10 + j``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    features = np.array(
        [[seed * 1000 + i * 10 + j for j in range(dimensions)] for i in range(cells)], np.float32
    )
    np.savez(
        path,
        features=features.reshape(cells, dimensions),
        locations=np.array([[10.0 + i, 20.0 + i] for i in range(cells)]).reshape(cells, 2),
        metadata=np.array(metadata or {}, dtype=object),
    )
    return path


def write_warehouse(root: Path, table: pa.Table, *, stated_rows: int | None = None) -> Path:
    """A CytoTable warehouse: ``catalog.json``, Iceberg metadata (the part that is read) and data files."""
    folder = root / "warehouse" / "profiles" / "joined_profiles"
    (folder / "data").mkdir(parents=True)
    (folder / "metadata").mkdir()
    half = table.num_rows // 2
    pq.write_table(table.slice(0, half), folder / "data" / "00000-0.parquet")
    pq.write_table(table.slice(half), folder / "data" / "00000-1.parquet")
    summary = {"total-records": str(table.num_rows if stated_rows is None else stated_rows)}
    snapshot = {"snapshot-id": 7, "summary": summary}
    (folder / "metadata" / "00001-a.metadata.json").write_text(
        json.dumps({"current-snapshot-id": 7, "snapshots": [snapshot]})
    )
    document = {
        "tables": {
            "profiles.joined_profiles": "file:///elsewhere/00001-a.metadata.json",
            "images.image_crops": "",
        }
    }
    (root / "warehouse" / "catalog.json").write_text(json.dumps(document))
    return root
