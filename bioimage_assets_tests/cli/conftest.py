"""A working folder with tiny stores and tables, and a way to run commands in it."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pyiceberg.catalog
import pytest
from pyiceberg.utils.config import Config

from bioimage_assets.cli import progress
from bioimage_assets.cli.main import main
from bioimage_assets_tests.core.catalog.stores import write_zarr_image

ALIASES = """[microscopy.aliases]
dataset_id = ["ProjectID"]
image_id = ["ImageKey"]
well_id = ["WellName"]
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> object:
        return json.loads(self.out)


class Terminal(io.StringIO):
    """A person who types at a terminal."""

    def isatty(self) -> bool:
        return True


Run = Callable[..., Outcome]

CELLS = "Metadata_Well,Cells_AreaShape_Area\nA01,1\n"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process, which says nothing about how long it takes, however slow the machine is."""
    monkeypatch.setattr(progress, "FIRST_AFTER_S", 1e6)

    def call(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder where PyIceberg knows a catalog named ``default``."""
    for name in list(os.environ):
        if name.startswith(("BIOIMAGE_", "PYICEBERG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PYICEBERG_CATALOG__DEFAULT__TYPE", "sql")
    monkeypatch.setenv("PYICEBERG_CATALOG__DEFAULT__URI", f"sqlite:///{tmp_path / 'default.db'}")
    monkeypatch.setenv("PYICEBERG_CATALOG__DEFAULT__WAREHOUSE", (tmp_path / "default-tables").as_uri())
    monkeypatch.setattr(pyiceberg.catalog, "_ENV_CONFIG", Config())  # read once per process otherwise
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    return tmp_path


@pytest.fixture
def stores(project: Path) -> Path:
    """The stores and tables that the seed documents name, in ``data/``."""
    data = project / "data"
    for name in ("experiment", "experiment-a", "experiment-b"):
        write_zarr_image(data / f"{name}.zarr")
    write_profiles(data / "cells.parquet", "experiment", with_dataset=True)
    write_profiles(data / "profiles.parquet", "experiment")
    write_profiles(data / "examplehuman_profiles.parquet", "experiment")
    write_profiles(data / "pycytominer_output.parquet", "experiment")
    write_profiles(data / "cosmicqc_output.parquet", "experiment")
    custom = {"ProjectID": ["experiment"] * 2, "ImageKey": ["experiment"] * 2, "WellName": ["a1", "B02"]}
    pq.write_table(pa.table({**custom, "Cells_Area": [1.0, 2.0]}), data / "custom_profiles.parquet")
    (project / "aliases.toml").write_text(ALIASES)
    return data


def write_profiles(path: Path, image_id: str, *, with_dataset: bool = False, rows: int = 4) -> Path:
    """A profile table as pycytominer would name its columns."""
    columns: dict[str, object] = {
        "Metadata_ImageID": [image_id] * rows,
        "Metadata_ObjectID": [f"{image_id}/{row}" for row in range(rows)],
        "Metadata_Plate": ["P1"] * rows,
        "Metadata_Well": ["A01"] * rows,
        "Cells_AreaShape_Area": [float(row) for row in range(rows)],
    }
    if with_dataset:
        columns["Metadata_dataset_id"] = [image_id] * rows
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def measured_plate(project, monkeypatch):
    """A project with one plate of measurements in the watched root, ``scr/P1``, and a Dagster instance of its own."""
    home = project / "dagster-home"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    measured = project / "data" / "incoming" / "scr" / "measurements"
    measured.mkdir(parents=True)
    (measured / "P1.csv").write_text(CELLS)
    return project
