"""Samplesheets for nf-core/cellpainting, held against the pipeline's schema by jsonschema."""

from __future__ import annotations

import csv
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.samplesheets.options import SheetOptions
from bioimage_assets.core.samplesheets.write import write_samplesheets
from bioimage_assets.core.scan.scanner import scan_image_assets
from bioimage_assets_tests.builders import tiff_plates as plates
from bioimage_assets_tests.builders.nf_core_schema import SAMPLESHEET
from bioimage_assets_tests.builders.tiff_files import write_ome_tiff

NUMBERS = ("site", "row", "col", "field_id", "plane_id")


def read(path: Path) -> list[dict[str, object]]:
    """Rows as the pipeline's plugin reads them: texts that are numbers become numbers where the schema says number."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: float(v) if k in NUMBERS else v for k, v in row.items()} for row in rows]


def scan(folder: Path) -> tuple[str, object]:
    images = scan_image_assets(str(folder))
    return images["plate_key"][0].as_py(), images


def test_the_sheet_of_several_plates_meets_the_schema_and_names_files_that_exist(tmp_path: Path) -> None:
    first = plates.write_named(tmp_path / "BR1", plates.phenix_name, wells=("A01", "H12"))
    second = plates.write_named(tmp_path / "P7", plates.incell_name, wells=("B03",))
    written = write_samplesheets([scan(first), scan(second)], tmp_path / "out", "nf-core")
    rows = read(tmp_path / "out" / "samplesheet.csv")
    jsonschema.validate(rows, SAMPLESHEET)
    assert [one.row_count for one in written] == [12, 6]
    assert len(rows) == 18
    assert {row["path"] for row in rows} == {str(p) for p in tmp_path.rglob("*.tif*")}
    last = next(row for row in rows if row["well"] == "H12")
    assert (last["row"], last["col"], last["plate"]) == (8, 12, "BR1")
    assert {row["channel"] for row in rows if row["plate"] == "P7"} == {"DAPI_DAPI", "FITC_FITC", "Cy3_Cy3"}


def test_batch_and_source_are_those_of_the_gallery_or_those_that_are_given(tmp_path: Path) -> None:
    folder = tmp_path / "cpg0016-jump/source_4/images/2021_04_26_Batch1/images/BR00117035__2021-05-02"
    plates.write_named(folder, plates.phenix_name, wells=("A01",))
    write_samplesheets([scan(folder)], tmp_path / "a", "nf-core")
    rows = read(tmp_path / "a" / "samplesheet.csv")
    assert {(row["source"], row["batch"]) for row in rows} == {("source_4", "2021_04_26_Batch1")}
    write_samplesheets([scan(folder)], tmp_path / "b", "nf-core", SheetOptions(batch="b1", source="lab"))
    rows = read(tmp_path / "b" / "samplesheet.csv")
    assert {(row["source"], row["batch"]) for row in rows} == {("lab", "b1")}


def test_z_steps_are_planes_counted_from_one(tmp_path: Path) -> None:
    for z in (1, 2):
        plates.write_plane(tmp_path / "P1" / f"Images/r01c01f01p{z:02d}-ch1sk1fk1fl1.tiff")
        plates.write_plane(tmp_path / "P1" / f"Images/r01c02f01p{z:02d}-ch1sk1fk1fl1.tiff")
    write_samplesheets([scan(tmp_path / "P1")], tmp_path / "out", "nf-core")
    rows = read(tmp_path / "out" / "samplesheet.csv")
    jsonschema.validate(rows, SAMPLESHEET)
    assert {(Path(row["path"]).name[9:12], row["plane_id"]) for row in rows} == {("p01", 1), ("p02", 2)}


def test_what_the_sheet_cannot_say_is_left_out_and_said(tmp_path: Path) -> None:
    stack = tmp_path / "P1" / "A01_s1.ome.tif"
    write_ome_tiff(stack, np.zeros((2, 12, 16), np.uint16), "CYX")
    capital = tmp_path / "P2" / "P2_A01_s1_w1.TIF"
    plates.write_plane(capital)
    written = write_samplesheets([scan(tmp_path / "P1"), scan(tmp_path / "P2")], tmp_path / "out", "nf-core")
    assert [[f.code for f in one.findings] for one in written] == [
        ["several-planes-per-file"],
        ["not-a-tiff"],
    ]
    assert "2 planes are left out" in written[0].findings[0].message
    assert read(tmp_path / "out" / "samplesheet.csv") == []


def test_illumination_functions_have_no_column_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="LoadData tables only"):
        write_samplesheets([], tmp_path, "nf-core", SheetOptions(illumination="/illum"))
