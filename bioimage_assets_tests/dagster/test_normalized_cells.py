"""Normalised cells are stored where a dataset asks for them alone, go when it no longer does, and are what an AnnData file holds then."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import anndata
import dagster as dg
import numpy as np
import pycytominer
import pytest

from bioimage_assets.cli.main import main
from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.headless import materialize_plates
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets_tests.builders.column_pages import list_differences

pytestmark = pytest.mark.slow

KEY, OTHER = "screen-b/SB-P2", "screen-a/SA-P1"
NEEDED = ["normalized_cells"]


def build(project: ProjectResource, dataset: str, text: str) -> None:
    """Write the dataset's settings, and build the table of one of its plates."""
    place = Path(project.settings.data_dir) / "incoming" / dataset / "dataset.toml"
    before = place.read_text() if place.exists() else ""
    kept = before.partition("\n[normalized_cells]")[0]
    place.write_text(f"{kept}\n[normalized_cells]\n{text}\n")
    key = KEY if dataset == "screen-b" else OTHER
    report = materialize_plates(
        dg.DagsterInstance.ephemeral(), plate_keys=[key], select=NEEDED, with_datasets=False
    )
    assert [outcome.status for outcome in report.plates] == ["built"]


def test_cells_are_normalised_where_the_dataset_asks_and_exported(
    built, tmp_path: Path, use_data_dir: Callable[[Path], ProjectResource], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(built.data_dir, tmp_path / "data")
    project = use_data_dir(tmp_path / "data")
    build(project, "screen-b", "write = true")
    build(project, "screen-a", "write = false")
    tables = project.tables()
    assert list_differences("normalized_cells", tables.read("normalized_cells", KEY).schema) == []
    normalized = tables.read("normalized_cells", KEY).to_pandas()
    cells = tables.read("joined_profiles", KEY).to_pandas()
    wells = tables.read("pycytominer_profiles", KEY)
    features = [
        name for name in list_profile_features(wells.schema) if wells[name].null_count < wells.num_rows
    ]
    cells["Metadata_cqc_failed"] = tables.read("cosmicqc_profiles", KEY)["Metadata_cqc_failed"].to_pandas()
    listed = project.warehouse().listed("normalized_cells", [KEY])
    (call,) = listed.steps[str(listed.partitions[KEY].steps)]
    given = {name: value for name, value in dict(call["arguments"]).items() if name != "features"}
    given["meta_features"] = [name for name in given["meta_features"] if name in cells]
    expected = pycytominer.normalize(cells, features=features, **given)
    assert normalized["Metadata_ObjectID"].tolist() == cells["Metadata_ObjectID"].tolist()
    np.testing.assert_array_equal(normalized[features].to_numpy(), expected[features].to_numpy())

    target = tmp_path / "cells.h5ad"
    assert main(["export-anndata", str(target), "--level", "cells", "--plates", KEY, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["matrix"], told["layers"], told["findings"]) == ("normalized", ["raw"], [])
    data = anndata.read_h5ad(target)
    np.testing.assert_array_equal(data[:, features].X, normalized[features].to_numpy())
    np.testing.assert_array_equal(data[:, features].layers["raw"], cells[features].to_numpy())
    assert "screen-b" in json.loads(data.uns["bioimage_assets"]["settings"])

    assert tables.count("normalized_cells", OTHER) == 0
    build(project, "screen-b", "write = false")
    assert tables.count("normalized_cells", KEY) == 0
