"""`virtual-plate`: of a store and of a plate of the project, in each form, said in words that can be typed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

from bioimage_assets.core.virtual.open import open_virtual_plate
from bioimage_assets_tests.builders.tiff_plates import imagexpress_name, write_named
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate


@pytest.fixture
def plate(project) -> Path:
    """An ImageXpress plate in the working folder; pixels of channel n are n."""
    return write_named(Path("Plate7"), imagexpress_name)


def read_field(target: str) -> np.ndarray:
    return np.squeeze(zarr.open_group(open_virtual_plate(target), mode="r")["A/1/1/0"][:])


@pytest.mark.parametrize(("form", "version"), [("json", "0.5"), ("parquet", "0.4"), ("icechunk", "0.5")])
def test_a_store_is_written_in_each_form(plate, run, form, version):
    outcome = run("virtual-plate", "Plate7", "--format", form)
    assert outcome.code == 0
    assert f"{form}, OME-Zarr {version}" in outcome.out
    assert [int(plane.max()) for plane in read_field(f"Plate7.{form}")] == [1, 2, 3]


def test_what_it_says_last_opens_the_plate(plate, run):
    out = run("virtual-plate", "Plate7").out
    lines = [line.strip() for line in out.splitlines() if line.startswith("    ")]
    assert lines[2] == f"napari --plugin napari-ome-zarr reference::{Path('Plate7.json').absolute()}"
    code = "\n".join([*lines[:2], "print(plate['A/1/1/0'].shape)"])
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "(3, 12, 16)"


def test_json_says_what_was_written_and_what_is_left_out(plate, run):
    zarr.create_array("Plate7/bare.zarr", shape=(4,), dtype="u1")
    result = run("virtual-plate", "Plate7", "--to", "out.json", "--json").json
    assert (result["image_count"], result["well_count"], result["reference_count"]) == (6, 3, 18)
    assert result["uri"] == "out.json"
    assert result["stored_bytes"] == Path("out.json").stat().st_size
    assert [finding["code"] for finding in result["refused"]] == ["not-in-virtual-plate"]


def test_a_second_run_writes_the_same_bytes(plate, run):
    run("virtual-plate", "Plate7", "--to", "out.json")
    first = Path("out.json").read_bytes()
    run("virtual-plate", "Plate7", "--to", "out.json")
    assert Path("out.json").read_bytes() == first


def test_a_plate_of_the_project_is_written_from_its_tables(project, run):
    write_pixel_plate(Path("screen/P1.ome.zarr"), zarr_format=2)
    assert run("register", "screen/P1.ome.zarr", "--publish-chunks").code == 0
    outcome = run("virtual-plate", "P1/P1", "--to", "out.json")
    assert re.search(r"images +4, and 0 label images", outcome.out)
    assert "bioimage-assets browse" in outcome.out
    found = zarr.open_group(open_virtual_plate("out.json"), mode="r")["A/2/1/0"][:]
    assert np.array_equal(found, zarr.open_group("screen/P1.ome.zarr", mode="r")["A/2/1/0"][:])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "nothing is there, and it is no key of a plate"),
        (
            ["Plate7", "--format", "parquet", "--ome-zarr", "0.5"],
            "parquet is OME-Zarr 0.4, found 0.5 asked for",
        ),
        (["Plate7", "--format", "parquet", "--to", "s3://bucket/P1"], "write JSON or Icechunk there"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(plate, run, words, said):
    outcome = run("virtual-plate", *words)
    assert outcome.code == 2
    assert said in outcome.err
    assert "Traceback" not in outcome.err
