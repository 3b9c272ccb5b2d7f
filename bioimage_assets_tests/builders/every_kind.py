"""Writes one small dataset of each kind of measurements that is read: same wells and images, other tools and columns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets_tests.builders.measurement_plates import (
    PlateSpec,
    write_cellprofiler_folder,
    write_csv,
    write_npz,
    write_sqlite,
)
from bioimage_assets_tests.builders.tiff_plates import write_plane

WELLS = tuple(f"{row}{column:02d}" for row in "AB" for column in range(1, 7))
CONTROLS = WELLS[:4]
CELLS_PER_WELL = 6
SHAPES = ("AreaShape_Area", "AreaShape_FormFactor", "AreaShape_Eccentricity")


def write_dataset(root: Path, kind: str) -> Path:
    """One dataset called like its kind below ``root``, with images, measurements and a platemap; gives its folder."""
    folder = root / kind
    plates = WRITERS[kind](folder)
    for plate in plates:
        for well in WELLS:
            write_plane(folder / plate / f"{plate}_{well}_s1_w1.TIF")
    rows = [
        [well, "negcon" if well in CONTROLS else "trt", "DMSO" if well in CONTROLS else f"c{number % 4}"]
        for number, well in enumerate(WELLS)
    ]
    write_csv(folder / "platemaps" / "layout.csv", ["well_position", "control_type", "compound"], rows)
    return folder


def _spec(plate: str, seed: int, channel: str) -> PlateSpec:
    cells = dict.fromkeys(range(1, len(WELLS) + 1), CELLS_PER_WELL)
    features = (*SHAPES, f"Intensity_MeanIntensity_{channel}", f"Texture_Contrast_{channel}_3_00_256")
    return PlateSpec(cells, plate, WELLS, seed, features)


def _write_cellprofiler(folder: Path) -> list[str]:
    write_cellprofiler_folder(folder / "measurements" / "P1", _spec("P1", 1, "DNA"))
    return ["P1"]


def _write_sqlite(folder: Path) -> list[str]:
    (folder / "measurements").mkdir(parents=True)
    write_sqlite(folder / "measurements" / "P1.sqlite", {None: _spec("P1", 2, "ER")})
    return ["P1"]


def _write_table(folder: Path, plate: str, names: list[str], seed: int) -> None:
    """One Parquet file of cells with normal features of these names."""
    count = len(WELLS) * CELLS_PER_WELL
    values = np.random.default_rng(seed).normal(size=(count, len(names)))
    wells = np.repeat(WELLS, CELLS_PER_WELL)
    keys = {
        "Metadata_Plate": pa.array([plate] * count),
        "Metadata_Well": pa.array(wells),
        "Metadata_Site": pa.array(["1"] * count),
        "Metadata_ImageNumber": pa.array(np.repeat(np.arange(1, len(WELLS) + 1), CELLS_PER_WELL)),
        "Metadata_ObjectNumber": pa.array(np.tile(np.arange(1, CELLS_PER_WELL + 1), len(WELLS))),
    }
    columns = {name: pa.array(values[:, index]) for index, name in enumerate(names)}
    (folder / "measurements").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(keys | columns), folder / "measurements" / f"{plate}.parquet")


def _compartments(channels: tuple[str, ...], compartments: tuple[str, ...]) -> list[str]:
    measures = (*SHAPES, *(f"Intensity_MeanIntensity_{channel}" for channel in channels))
    return [f"{compartment}_{measure}" for compartment in compartments for measure in measures]


def _write_cytotable(folder: Path) -> list[str]:
    """Columns as CytoTable joins them: parents and object numbers of the compartments beside the features."""
    names = _compartments(("RNA", "AGP"), ("Cytoplasm", "Cells", "Nuclei"))
    _write_table(folder, "P1", [*names, "Nuclei_Location_Center_X", "Nuclei_Location_Center_Y"], 3)
    return ["P1"]


def _write_own_compartments(folder: Path) -> list[str]:
    _write_table(folder, "P1", _compartments(("Tau",), ("Soma", "Nucleus")), 4)
    return ["P1"]


def _write_embeddings(folder: Path) -> list[str]:
    _write_table(folder, "P1", [f"efficientnet_{number}" for number in range(8)], 5)
    return ["P1"]


def _write_panels(folder: Path) -> list[str]:
    """Two plates of one dataset, stained with other dyes."""
    _write_table(folder, "P1", _compartments(("DNA", "Actin"), ("Cells", "Nuclei")), 6)
    _write_table(folder, "P2", _compartments(("DNA", "Mito", "Golgi"), ("Cells", "Nuclei")), 7)
    return ["P1", "P2"]


def _write_in_carta(folder: Path) -> list[str]:
    header = ["Plate ID", "WELL LABEL", "Row", "Column", "FOV", "Z", "T", "OBJECT ID", "Nuclei Area wv1", "Nuclei Intensity wv1", "Cells Area wv2"]  # fmt: skip
    random = np.random.default_rng(8)
    rows: list[list[object]] = [
        [
            "P1",
            f"{well[0]} - {int(well[1:])}",
            well[0],
            int(well[1:]),
            1,
            1,
            1,
            number,
            *random.normal(size=3),
        ]
        for well in WELLS
        for number in range(1, CELLS_PER_WELL + 1)
    ]
    write_csv(folder / "measurements" / "P1.csv", header, rows)
    return ["P1"]


def _write_deepprofiler(folder: Path) -> list[str]:
    for number, well in enumerate(WELLS):
        metadata = {"Metadata_Plate": "P1", "Metadata_Well": well, "Metadata_Site": "1"}
        path = folder / "measurements" / "P1" / f"{well}_1.npz"
        write_npz(path, cells=CELLS_PER_WELL, dimensions=6, metadata=metadata, seed=number)
    return ["P1"]


WRITERS: dict[str, Callable[[Path], list[str]]] = {
    "cellprofiler-csv": _write_cellprofiler,
    "embeddings": _write_embeddings,
    "in-carta": _write_in_carta,
    "cellprofiler-sqlite": _write_sqlite,
    "deepprofiler": _write_deepprofiler,
    "panels": _write_panels,
    "own-compartments": _write_own_compartments,
    "cytotable": _write_cytotable,
}
KINDS = tuple(WRITERS)
