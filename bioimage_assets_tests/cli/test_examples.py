"""The scripts in ``examples/`` and the bench that needs another package run as a reader would run them."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

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
def test_the_comparison_says_what_it_needs(project):
    done = subprocess.run(
        [sys.executable, ROOT / "bench" / "compare_upstream.py"], capture_output=True, text=True, check=True
    )
    assert "--upstream-python" in done.stdout
