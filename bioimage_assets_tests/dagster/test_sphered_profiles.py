"""Corrected profiles of stored plates: planted position and batch effects go, planted actives stay, old batches never move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pycytominer import normalize

from bioimage_assets.assets.batch_effects import build_sphered_profiles
from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.core.storage.step_inputs import StepInputs
from bioimage_assets.core.storage.write import replace_tables
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets_tests.builders.batch_screen import Screen, ScreenPlan, build_screen

# Weak enough that the position effect hides the actives.
PLAN = ScreenPlan(batches=("day-1", "day-2", "day-3"), activity=1.0)


@dataclass
class Stored:
    """A project with the well profiles of a generated screen, and what was built of them."""

    folder: Path
    screen: Screen

    def inputs(self, settings: DatasetSettings, batches: Sequence[str] = ()) -> StepInputs:
        project = ProjectResource(data_dir=str(self.folder))
        keys = self.screen.of(*batches) if batches else list(self.screen.plates)
        root = str(self.folder / "incoming" / "screen")
        sources = [PlateSource(key, "screen", key.partition("/")[2], root, ()) for key in keys]
        return StepInputs(project.tables(), "screen", tuple(sources), settings, self.folder / "scratch")

    def store(self, name: str, tables: Mapping[str, PlateTable]) -> None:
        tables_of = self.inputs(DatasetSettings()).tables
        _, failures = replace_tables(
            tables_of, name, dict(tables), run_id="run", watch=lambda _: nullcontext()
        )
        assert not failures

    def build(self, settings: DatasetSettings, *batches: str) -> dict[str, PlateTable]:
        return dict(build_sphered_profiles(self.inputs(settings, batches)))

    def build_rows(self, settings: DatasetSettings, *batches: str) -> pa.Table:
        made = self.build(settings, *batches)["sphered_profiles"]
        assert isinstance(made.data, pa.RecordBatchReader), made.metadata
        return made.data.read_all()


def open_screen(folder: Path, screen: Screen) -> Stored:
    stored = Stored(folder, screen)
    stored.store("pycytominer_profiles", {key: PlateTable(table) for key, table in screen.plates.items()})
    return stored


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return open_screen(tmp_path_factory.mktemp("batches"), build_screen(PLAN))


@pytest.fixture(scope="module")
def built(stored: Stored) -> dict[str, PlateTable]:
    """Both tables with the default settings; rows read once."""
    made = stored.build(DatasetSettings())
    reader = made["sphered_profiles"].data
    assert isinstance(reader, pa.RecordBatchReader)
    return made | {"sphered_profiles": replace(made["sphered_profiles"], data=reader.read_all())}


def rows_of(built: dict[str, PlateTable]) -> pa.Table:
    table = built["sphered_profiles"].data
    assert isinstance(table, pa.Table)
    return table


def values_of(table: pa.Table) -> np.ndarray:
    return table.select(list_profile_features(table.schema)).to_pandas().to_numpy()


def score(built: Mapping[str, PlateTable], measure: str, stage: str) -> float:
    table = built["correction_scores"].data
    assert isinstance(table, pa.Table)
    frame = table.to_pandas()
    found = frame[(frame.measure == measure) & (frame.stage == stage) & frame.batch.isna()]
    assert len(found) == 1
    return float(found.value.iloc[0])


def test_planted_actives_are_found_and_treatments_that_do_nothing_stay_silent(built):
    # Half of the treatments are active; the position effect hides them before.
    assert score(built, "percent_active", "before") < 25.0
    assert score(built, "percent_active", "after") == 50.0
    assert score(built, "replicate_correlation", "after") > score(built, "replicate_correlation", "before")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sphere", "tvn"])
def test_actives_that_are_strong_enough_to_be_seen_before_are_kept(tmp_path, method):
    plan = replace(PLAN, batches=("day-1", "day-2"), plates=3, activity=2.0)
    made = open_screen(tmp_path, build_screen(plan)).build(DatasetSettings(batch_method=method))
    assert score(made, "percent_active", "before") == 50.0
    assert score(made, "actives_kept", "after") == 100.0
    assert score(made, "percent_active", "after") == 50.0


def test_the_position_effect_goes_from_the_controls(built):
    before, after = (score(built, "position_variance", stage) for stage in ("before", "position"))
    assert before > 0.4
    assert after < 0.1 * before
    assert score(built, "position_variance", "after") < 0.1 * before


def test_controls_lie_about_zero_and_every_row_says_how_it_was_made(stored, built):
    table = rows_of(built)
    frame = table.to_pandas()
    assert len(frame) == sum(plate.num_rows for plate in stored.screen.plates.values())
    assert set(frame.Metadata_Correction_Batch) == set(PLAN.batches)
    assert (frame.Metadata_Correction_Batch == frame.Metadata_Batch).all()
    assert set(frame.Metadata_Reference_Batch) == {"day-1"}
    assert set(frame.Metadata_Correction_Method) == {"sphere"}
    assert set(frame.Metadata_Position_Corrected) == {"row, column, surface, edge"}
    assert set(frame.Metadata_Filled_Features) == {0}
    for batch in PLAN.batches:
        own = frame[(frame.Metadata_Batch == batch) & (frame.Metadata_control_type == "negcon")]
        values = own[list_profile_features(table.schema)].to_numpy()
        assert np.abs(np.median(values, axis=0)).max() < 0.35
        assert 0.5 < values.std() < 1.1


@pytest.mark.slow
def test_a_second_run_changes_nothing(stored, built):
    assert stored.build_rows(DatasetSettings()).equals(rows_of(built))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sphere", "tvn", "none"])
def test_a_new_batch_moves_no_profile_of_the_old_ones(stored, method):
    settings = DatasetSettings(batch_method=method)
    old, new = stored.build_rows(settings, "day-1", "day-2"), stored.build_rows(settings)
    kept = new.filter(pa.array([batch != "day-3" for batch in new["Metadata_Batch"].to_pylist()]))
    assert kept.column_names == old.column_names
    assert np.array_equal(values_of(kept), values_of(old))
    assert kept.equals(old)


@pytest.mark.slow
def test_a_batch_that_comes_later_is_no_reference_even_if_its_name_is_first(tmp_path):
    stored = open_screen(tmp_path, build_screen(replace(PLAN, batches=("b", "c", "a"), plates=2)))
    old = stored.build(DatasetSettings(), "b", "c")
    assert isinstance(old["sphered_profiles"].data, pa.RecordBatchReader)
    rows = old["sphered_profiles"].data.read_all()
    stored.store("sphered_profiles", {"screen": PlateTable(rows)})
    new = stored.build_rows(DatasetSettings())
    assert set(new["Metadata_Reference_Batch"].to_pylist()) == {"b"}
    assert new.slice(0, rows.num_rows).equals(rows)
    # Asked for, it becomes one.
    turned = stored.build_rows(DatasetSettings(reference_batch="a"))
    assert set(turned["Metadata_Reference_Batch"].to_pylist()) == {"a"}


def test_one_batch_without_folds_is_a_call_of_pycytominer_by_hand(stored):
    settings = DatasetSettings(control_folds=1, position_regression=False)
    made = stored.build(settings, "day-1")["sphered_profiles"]
    assert isinstance(made.data, pa.RecordBatchReader)
    table = made.data.read_all()
    names = list_profile_features(table.schema)
    frame = pa.concat_tables([stored.screen.plates[key] for key in stored.screen.of("day-1")]).to_pandas()
    (call,) = made.steps
    arguments = call["arguments"]
    assert isinstance(arguments, Mapping)
    by_hand = normalize(
        frame,
        features=names,
        meta_features=["Metadata_Well"],
        samples="Metadata_control_type == 'negcon'",
        method=arguments["method"],
        spherize_method=arguments["spherize_method"],
        spherize_epsilon=arguments["spherize_epsilon"],
    )
    np.testing.assert_allclose(values_of(table), pd.DataFrame(by_hand)[names], rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_without_folds_treatments_that_do_nothing_seem_active(stored):
    fitted_on_itself = stored.build(DatasetSettings(control_folds=1, batch_epsilon=1e-6))
    assert score(fitted_on_itself, "percent_active", "after") > 80.0


@pytest.mark.slow
def test_harmony_is_done_only_when_asked_and_says_that_it_moves_everything(stored):
    pytest.importorskip("harmonypy")
    made = stored.build(DatasetSettings(batch_method="harmony", batch_components=10))["sphered_profiles"]
    assert isinstance(made.data, pa.RecordBatchReader)
    table = made.data.read_all()
    assert list_profile_features(table.schema) == [f"Harmony_{place:04d}" for place in range(1, 11)]
    assert "harmony-moves-all" in [finding.code for finding in made.findings]


def test_a_batch_with_too_few_controls_is_left_out_and_named(tmp_path):
    screen = build_screen(replace(PLAN, plates=1))
    key = screen.of("day-2")[0]
    table = screen.plates[key]
    kinds = pa.array([None] * table.num_rows, pa.string())
    screen.plates[key] = table.set_column(
        table.column_names.index("Metadata_control_type"), "Metadata_control_type", kinds
    )
    made = open_screen(tmp_path, screen).build(DatasetSettings())["sphered_profiles"]
    assert isinstance(made.data, pa.RecordBatchReader)
    assert set(made.data.read_all()["Metadata_Batch"].to_pylist()) == {"day-1", "day-3"}
    (found,) = [finding for finding in made.findings if finding.code == "batch-left-out"]
    assert "day-2 (0)" in found.message


def test_a_dataset_without_controls_has_no_table_and_says_what_to_do(stored):
    made = stored.build(DatasetSettings(control_values=("DMSO",)))
    assert {table.data for table in made.values()} == {None}
    assert "Metadata_control_type = DMSO" in str(made["sphered_profiles"].metadata["note"])


def test_nothing_is_made_where_nothing_is_asked_for(stored):
    made = stored.build(DatasetSettings(batch_method="none", position_regression=False))
    assert {table.data for table in made.values()} == {None}


def test_a_reference_that_is_not_there_is_an_error_that_names_those_that_are(stored):
    with pytest.raises(ProfilingError, match=r"day-9.*expected one of day-1, day-2, day-3"):
        stored.build(DatasetSettings(reference_batch="day-9"))


def test_features_that_a_batch_lacks_are_zero_there_and_too_many_leave_it_out(tmp_path):
    screen = build_screen(replace(PLAN, plates=1))
    gone = PLAN.names[:2]
    for batch, names in (("day-2", gone), ("day-3", PLAN.names[:20])):
        for key in screen.of(batch):
            screen.plates[key] = screen.plates[key].drop_columns(names)
    made = open_screen(tmp_path, screen).build(DatasetSettings())["sphered_profiles"]
    assert isinstance(made.data, pa.RecordBatchReader)
    frame = made.data.read_all().to_pandas()
    assert set(frame.Metadata_Batch) == {"day-1", "day-2"}
    assert set(frame.Metadata_Filled_Features[frame.Metadata_Batch == "day-2"]) == {2}
    assert set(frame.Metadata_Filled_Features[frame.Metadata_Batch == "day-1"]) == {0}
    codes = [finding.code for finding in made.findings]
    assert codes.count("batch-left-out") == 1
    assert codes.count("batch-gaps-filled") == 1


def test_treatments_that_the_correction_makes_inactive_are_named(tmp_path):
    # Eight controls for forty features, in three axes: what little they say hides actives.
    plan = replace(PLAN, batches=("day-1",), plates=2, control_wells=8, position=0.0, activity=2.0, seed=341)
    stored = open_screen(tmp_path, build_screen(plan))
    made = stored.build(DatasetSettings(batch_method="tvn"))
    lost = [finding for finding in made["sphered_profiles"].findings if finding.code == "actives-lost"]
    kept = score(made, "actives_kept", "after")
    assert kept < 100.0
    (finding,) = lost
    assert finding.severity == "warning"
    assert "has 16 control wells for " in finding.message
    assert "active-0" in finding.message
    assert "actives-lost" not in [
        f.code
        for f in stored.build(DatasetSettings(batch_method="none", position_regression=True))[
            "sphered_profiles"
        ].findings
    ]
