"""Corrected profiles through Dagster: a batch that comes later moves no stored profile of the others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.definitions import defs
from bioimage_assets.partitions import register_plates
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets_tests.builders.batch_screen import Screen, ScreenPlan, build_screen
from bioimage_assets_tests.dagster.step_inputs import store_table
from bioimage_assets_tests.dagster.store_ticks import write_plate

pytestmark = pytest.mark.slow
PLAN = ScreenPlan(batches=("b", "c", "a"), plates=2, activity=1.0, seed=311)
TABLES = ("sphered_profiles", "correction_scores")


class Runs:
    """A project that batches are brought to one after the other, with one instance."""

    def __init__(self, folder: Path, screen: Screen) -> None:
        self.folder, self.screen = folder, screen
        self.instance = dg.DagsterInstance.ephemeral()
        self.project = ProjectResource(data_dir=str(folder))

    def bring(self, *batches: str) -> None:
        """Put plates into the watched root, and their well profiles where the settings keep them."""
        for key in self.screen.of(*batches):
            name = key.partition("/")[2]
            write_plate(self.folder / "incoming" / "screen" / f"{name}.zarr", name=name)
            store_table(self.project, "pycytominer_profiles", key, PlateTable(self.screen.plates[key]))
        register_plates(self.instance, self.screen.of(*batches))

    def run(self) -> pa.Table:
        """Run the step through Dagster; gives the rows that are stored after it."""
        done = defs.resolve_job_def("dataset_pipeline").execute_in_process(
            partition_key="screen",
            instance=self.instance,
            asset_selection=[dg.AssetKey(name) for name in TABLES],
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=True,
        )
        assert done.success
        return self.project.warehouse().read("sphered_profiles")


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    monkeypatch.setenv("BIOIMAGE_DATA_DIR", str(tmp_path))
    return Runs(tmp_path, build_screen(PLAN))


def test_a_second_run_with_a_new_batch_moves_no_stored_profile_and_keeps_the_reference(runs: Runs) -> None:
    runs.bring("b", "c")
    old = sort_rows(runs.run())
    assert set(old["Metadata_Reference_Batch"].to_pylist()) == {"b"}
    # First by name of all: without the stored table it would be the reference.
    runs.bring("a")
    new = sort_rows(runs.run())
    assert set(new["Metadata_Reference_Batch"].to_pylist()) == {"b"}
    assert set(new["Metadata_Correction_Batch"].to_pylist()) == {"a", "b", "c"}
    assert_same_profiles(new, old, ("b", "c"))
    # Made once more, from the table that it made itself.
    again = sort_rows(runs.run())
    assert again.equals(new)


def sort_rows(table: pa.Table) -> pa.Table:
    return table.sort_by([("plate_key", "ascending"), ("well_id", "ascending")])


def assert_same_profiles(new: pa.Table, old: pa.Table, batches: Sequence[str]) -> None:
    kept = new.filter(pa.array([batch in batches for batch in new["Metadata_Correction_Batch"].to_pylist()]))
    names = list_profile_features(old.schema)
    assert list_profile_features(new.schema) == names
    assert kept.num_rows == old.num_rows
    for name in names:
        assert np.array_equal(kept[name].to_numpy(), old[name].to_numpy())
