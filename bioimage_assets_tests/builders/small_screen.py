"""Writes a dataset as an analyst has it: one OME-Zarr plate, its CellProfiler CSVs and a platemap; small, healthy, to be spoilt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bioimage_assets_tests.builders.measurement_plates import write_csv
from bioimage_assets_tests.builders.zarr_documents import write_json

WELLS = tuple(f"{row}{column:02d}" for row in "AB" for column in range(1, 5))
FIELDS = 2
CELLS_PER_FIELD = 4
FEATURES = (
    "AreaShape_Area", "AreaShape_FormFactor", "AreaShape_Eccentricity", "Intensity_MeanIntensity_DNA",
    "Location_Center_X", "Location_Center_Y",
)  # fmt: skip


def write_screen(dataset: Path, plates: Sequence[str] = ("P1",)) -> Path:
    """Plates ``<name>.ome.zarr`` with wells A01 to B04, ``measurements/<name>/*.csv`` and ``platemaps/``."""
    for seed, plate in enumerate(plates):
        write_store(dataset / f"{plate}.ome.zarr", plate)
        write_measurements(dataset / "measurements" / plate, plate, seed=seed)
    write_platemap(dataset / "platemaps", plates)
    return dataset


def write_store(store: Path, name: str, wells: Sequence[str] = WELLS) -> Path:
    """OME-Zarr 0.4 plate with one stored chunk of 8 x 8 pixels per field; paths of wells are ``A/01``."""
    paths = [f"{well[0]}/{well[1:]}" for well in wells]
    rows, columns = sorted({well[0] for well in wells}), sorted({well[1:] for well in wells})
    listed = [
        {"path": path, "rowIndex": rows.index(path[0]), "columnIndex": columns.index(path[2:])}
        for path in paths
    ]
    plate = {
        "version": "0.4",
        "name": name,
        "rows": [{"name": row} for row in rows],
        "columns": [{"name": column} for column in columns],
        "wells": listed,
    }
    _write_group(store, {"plate": plate})
    for path in paths:
        images = [{"path": str(field)} for field in range(FIELDS)]
        _write_group(store / path, {"well": {"version": "0.4", "images": images}})
        for field in range(FIELDS):
            _write_field(store / path / str(field))
    return store


def _write_group(folder: Path, attributes: dict[str, object]) -> None:
    write_json(folder / ".zgroup", {"zarr_format": 2})
    write_json(folder / ".zattrs", attributes)


def _write_field(folder: Path) -> None:
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    scale = [{"type": "scale", "scale": [0.5, 0.5]}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    _write_group(folder, {"multiscales": [{"version": "0.4", "axes": axes, "datasets": datasets}]})
    array = {
        "zarr_format": 2, "shape": [8, 8], "chunks": [8, 8], "dtype": "<u2", "compressor": None,
        "fill_value": 0, "order": "C", "filters": None, "dimension_separator": "/",
    }  # fmt: skip
    write_json(folder / "0" / ".zarray", array)
    (folder / "0" / "0").mkdir()
    (folder / "0" / "0" / "0").write_bytes(bytes(8 * 8 * 2))


def write_measurements(folder: Path, plate: str, wells: Sequence[str] = WELLS, *, seed: int = 0) -> Path:
    """``Image.csv``, ``Cells.csv``, ``Nuclei.csv`` and ``Cytoplasm.csv``; sites are numbered as the fields are."""
    draw = np.random.default_rng(seed)
    header = ["ImageNumber", "Count_Cells", "Metadata_Plate", "Metadata_Well", "Metadata_Site"]
    sites = [(well, field) for well in wells for field in range(FIELDS)]
    images = [[i, CELLS_PER_FIELD, plate, well, field] for i, (well, field) in enumerate(sites, 1)]
    write_csv(folder / "Image.csv", header, images)
    parents = {"Cells": ["Parent_Nuclei"], "Nuclei": [], "Cytoplasm": ["Parent_Cells", "Parent_Nuclei"]}
    for compartment, links in parents.items():
        rows = [
            [image, cell, *draw.uniform(1, 7, len(FEATURES)).round(6), *([cell] * len(links))]
            for image in range(1, len(sites) + 1)
            for cell in range(1, CELLS_PER_FIELD + 1)
        ]
        write_csv(folder / f"{compartment}.csv", ["ImageNumber", "ObjectNumber", *FEATURES, *links], rows)
    return folder


def write_platemap(folder: Path, plates: Sequence[str], wells: Sequence[str] = WELLS) -> Path:
    """Row A holds the negative control, row B a compound."""
    write_csv(
        folder / "barcode_platemap.csv",
        ["Assay_Plate_Barcode", "Plate_Map_Name"],
        [[p, "layout1"] for p in plates],
    )
    lines = ["well_position\tcompound\tconcentration_um\tcontrol_type"]
    lines += [f"{well}\t" + ("DMSO\t0\tnegcon" if well[0] == "A" else "taxol\t1\t") for well in wells]
    (folder / "platemap").mkdir(exist_ok=True)
    (folder / "platemap" / "layout1.txt").write_text("\n".join(lines) + "\n")
    return folder


def rename_wells(store: Path, renamed: dict[str, str], *, on_disk: bool = True) -> None:
    """Give wells of a store other paths in the plate's metadata, and on disk where that is asked for."""
    document = json.loads((store / ".zattrs").read_text())
    for well in document["plate"]["wells"]:
        if well["path"] in renamed:
            well["path"] = renamed[well["path"]]
    write_json(store / ".zattrs", document)
    for old, new in renamed.items() if on_disk else ():
        (store / new).parent.mkdir(parents=True, exist_ok=True)
        (store / old).rename(store / new)
