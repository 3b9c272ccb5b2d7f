"""The scripts in ``examples/`` and the bench that needs another package run as a reader would run them."""

from __future__ import annotations

import base64
import io
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image

from bioimage_assets.core.joins.join import join_plate
from bioimage_assets.core.public_api.export_tables import export_table_to_cytomining_warehouse
from bioimage_assets_tests.core.joins.join_builders import write_small_plate

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def example(monkeypatch, capsys):
    """Run an example as a script; give what it prints."""

    def call(name: str, *arguments: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        capsys.readouterr()
        runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return call


def test_quickstart(example, stores):
    assert example("quickstart.py", "data/experiment.zarr", "data/cells.parquet") == [
        "1 image(s), axes cyx",
        "1 image rows, 6 chunk rows",
        "contract: fulfilled",
        "4 profile rows, 4 with an image",
    ]


def test_catalog_and_duckdb(example, stores):
    example("quickstart.py", "data/experiment.zarr")
    assert example("catalog_duckdb.py", "data/cells.parquet") == [
        "tables: chunk_index, image_assets",
        "images: [{'image_id': 'experiment', 'axes': 'cyx'}]",
        "experiment: 4 profile rows (image_id)",
    ]


def test_synthetic_workflow(example, project):
    lines = example("synthetic_workflow.py", "out")
    assert "contract fulfilled: True" in lines
    assert "4 cells joined, 2 of them larger than 150 pixels" in lines
    assert "rows written: {'image_assets': 1, 'chunk_index': 8, 'joined_profiles': 4}" in lines
    assert "warehouse valid: True" in lines


@pytest.mark.slow
def test_cytodataframe_shows_the_pixels_of_the_original_store(example, project):
    plate = write_small_plate(project)
    joined = join_plate(plate.images, plate.cells, plate_key="ds/P1", dataset_id="ds").table()
    for name, table, role in (
        ("image_assets", plate.images, "images"),
        ("joined_profiles", joined, "joined_profiles"),
    ):
        export_table_to_cytomining_warehouse(table, "data/warehouse", table_name=name, role=role)
    before = sorted(path for path in project.rglob("*") if path.is_file())
    lines = example("cytodataframe_crops.py", "data/warehouse", "crops.html", "--where", "site_id = '0'")
    assert lines == ["3 cells, 2 channels: crops.html"]
    pictures = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(found))))
        for found in re.findall(r"data:image/png;base64,([^\"]+)", (project / "crops.html").read_text())
    ]
    field = zarr.open_array(plate.store / "A/1/0/0", mode="r")[...]
    boxes = [(slice(0, 33), slice(0, 33)), (slice(22, 58), slice(52, 86)), (slice(69, 100), slice(91, 120))]
    crops = [[field[channel][box] for channel in (0, 1)] for box in boxes]
    brightest = [max(crop[channel].max() for crop in crops) for channel in (0, 1)]
    expected = [(crop[c] / brightest[c] * 255).astype(np.uint8) for crop in crops for c in (0, 1)]
    assert len(pictures) == len(expected) == 6
    for picture, wanted in zip(pictures, expected, strict=True):
        np.testing.assert_array_equal(picture, wanted)
    assert sorted(path for path in project.rglob("*") if path.is_file()) == sorted(
        [*before, project / "crops.html"]
    )


@pytest.mark.slow
def test_the_comparison_says_what_it_needs(project):
    done = subprocess.run(
        [sys.executable, ROOT / "bench" / "compare_upstream.py"], capture_output=True, text=True, check=True
    )
    assert "--upstream-python" in done.stdout
