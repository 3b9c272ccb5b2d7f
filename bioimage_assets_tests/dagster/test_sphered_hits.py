"""Treatments measured on the wells that are asked for: with selected features, or without the effects of position and batch."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from bioimage_assets.assets.batch_effects import build_sphered_profiles
from bioimage_assets.assets.hits import build_hit_features, build_hit_tables, build_hits
from bioimage_assets.assets.rollups import build_selection
from bioimage_assets.core.model.table_specs import STEPS
from bioimage_assets.core.profiling.dataset_wells import as_stored
from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.storage.fingerprints import compute_fingerprints
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets_tests.builders.batch_screen import ScreenPlan, build_screen
from bioimage_assets_tests.dagster.test_sphered_profiles import Stored, open_screen

# The position effect hides the actives.
PLAN = ScreenPlan(batches=("day-1", "day-2"), activity=1.0)
SELECTED = DatasetSettings(hits_null_size=1_000)
SPHERED = replace(SELECTED, hits_profiles="sphered")


def store_dataset(stored: Stored, *, is_sphered: bool) -> None:
    inputs = stored.inputs(SELECTED)
    stored.store("pycytominer_selected_features", {"screen": build_selection(inputs)})
    if is_sphered:
        stored.store("sphered_profiles", {"screen": build_sphered_profiles(inputs)["sphered_profiles"]})


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    found = open_screen(tmp_path_factory.mktemp("hits"), build_screen(PLAN))
    store_dataset(found, is_sphered=True)
    return found


@pytest.fixture(scope="module")
def unsphered(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    found = open_screen(tmp_path_factory.mktemp("unsphered"), build_screen(replace(PLAN, plates=2)))
    store_dataset(found, is_sphered=False)
    return found


def read_table(made: PlateTable) -> pa.Table:
    rows = made.rows()
    return rows.read_all() if isinstance(rows, pa.RecordBatchReader) else rows


@pytest.mark.parametrize(
    ("settings", "name"), [(SELECTED, "pycytominer_selected_features"), (SPHERED, "sphered_profiles")]
)
def test_hits_are_those_of_the_table_that_is_asked_for(stored, settings, name):
    inputs = stored.inputs(settings)
    made = build_hits(inputs)
    by_hand = build_hit_tables(as_stored(inputs.read(name)), settings, "screen")
    assert made["hits"].data.num_rows
    for table, found in by_hand.items():
        assert made[table].data == found.data, table
    assert made["hits"].metadata["profiles"] == settings.hits_profiles
    features = read_table(build_hit_features(inputs)).column("feature").unique().to_pylist()
    assert features == list_profile_features(inputs.read(name).schema)


def test_actives_that_the_position_effect_hides_are_active_on_sphered_profiles(stored):
    def count(settings: DatasetSettings) -> tuple[int, int]:
        frame = build_hits(stored.inputs(settings))["hits"].data.to_pandas()
        is_planted = frame["treatment"].str.startswith("active")
        assert is_planted.sum() == PLAN.actives
        return int(frame[is_planted]["is_active"].sum()), int(frame[~is_planted]["is_active"].sum())

    assert count(SELECTED)[0] <= 2
    assert count(SPHERED) == (PLAN.actives, 0)


def test_where_sphered_profiles_are_missing_no_other_wells_are_measured_and_it_is_said_what_to_do(unsphered):
    made = build_hits(unsphered.inputs(SPHERED))
    assert all(table.data is None for table in made.values())
    (found,) = made["hits"].findings
    assert (found.code, found.severity) == ("no-sphered-profiles", "warning")
    assert 'profiles = "selected"' in found.message
    features = build_hit_features(unsphered.inputs(SPHERED))
    assert features.data is None
    assert features.metadata["note"] == found.message
    assert build_hits(unsphered.inputs(SELECTED))["hits"].data.num_rows


def test_wells_that_were_not_corrected_are_counted(stored, unsphered):
    inputs = stored.inputs(SPHERED)
    assert "wells-not-sphered" not in {found.code for found in build_hits(inputs)["hits"].findings}
    sphered = inputs.read("sphered_profiles").slice(0, 150)
    unsphered.store("sphered_profiles", {"screen": PlateTable(sphered)})
    (found,) = (f for f in build_hits(unsphered.inputs(SPHERED))["hits"].findings if "sphered" in f.code)
    assert found.code == "wells-not-sphered"
    missing = sum(plate.num_rows for plate in unsphered.screen.plates.values()) - 150
    assert found.message.startswith(f"{missing} wells are in no treatment")


@pytest.mark.parametrize("table", ["hits", "hit_features", "dataset_report"])
def test_another_table_of_wells_is_another_fingerprint(table):
    (step,) = (step for step in STEPS if table in step.names)

    def print_of(settings: DatasetSettings, number: int) -> str:
        found = compute_fingerprints(step, "screen", [], settings, lambda name, _: f"{name} {number}")
        return found[table]

    prints = {print_of(SELECTED, 1), print_of(SPHERED, 1), print_of(SPHERED, 2)}
    assert len(prints) == 3
