"""Every method of pycytominer's normalize, with its parameters, gives the library's own numbers, whatever the blocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pycytominer import aggregate, normalize

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.pictures.reference import describe_reference
from bioimage_assets.core.profiling.normalization_method import SEED
from bioimage_assets.core.profiling.pycytominer import build_well_profiles
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.core.profiling.plates import (
    FEATURES,
    make_cells,
    make_platemap,
    plan_plate,
    replace_column,
)

PLANS = plan_plate()
CONTROLS = [plan.well for plan in PLANS if plan.is_control]
PARAMETERS = [
    ("mad_epsilon", {"mad_epsilon": 0.25}, {"mad_robustize_epsilon": 0.25}),
    ("pycytominer's epsilon", {"mad_epsilon": 1e-18}, {"mad_robustize_epsilon": 1e-18}),
    ("quantiles", {"normal_quantiles": 7}, {"inverse_normal_n_quantiles": 7}),
]
METHOD = {
    "mad_epsilon": "mad_robustize",
    "pycytominer's epsilon": "mad_robustize",
    "quantiles": "inverse_normal",
}


def profile(cells: pa.Table, settings: DatasetSettings, **given: object) -> pd.DataFrame:
    table, _ = build_well_profiles(cells, None, make_platemap(PLANS), settings, **given)  # type: ignore[arg-type]
    return table.to_pandas().set_index("Metadata_Well")


def call_library(cells: pa.Table, samples: str, **given: object) -> pd.DataFrame:
    frame = cells.to_pandas()
    np.random.seed(SEED)
    scaled = normalize(
        frame, features=list(FEATURES), meta_features=["Metadata_Well"], samples=samples, **given
    )  # type: ignore[arg-type]
    return aggregate(scaled, strata=["Metadata_Well"], features=list(FEATURES)).set_index("Metadata_Well")


def check_equal(profiles: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(
        profiles.loc[expected.index, list(FEATURES)], expected[list(FEATURES)], check_exact=True
    )


@pytest.mark.parametrize(("name", "ours", "theirs"), PARAMETERS, ids=[one[0] for one in PARAMETERS])
def test_a_parameter_reaches_the_library(name: str, ours: dict[str, float], theirs: dict[str, float]) -> None:
    cells = make_cells(PLANS)
    plain = DatasetSettings(normalization_method=METHOD[name])  # type: ignore[arg-type]
    profiles = profile(cells, replace(plain, **ours))  # type: ignore[arg-type]
    samples = f"Metadata_Well in {CONTROLS}"
    check_equal(profiles, call_library(cells, samples, method=METHOD[name], **theirs))
    if name != "pycytominer's epsilon":  # which is lost beside any deviation
        assert not profiles[list(FEATURES)].equals(profile(cells, plain)[list(FEATURES)])


def test_an_epsilon_gives_a_feature_without_deviation_the_numbers_of_the_library() -> None:
    values = np.zeros(20 * len(PLANS))
    values[::3] = 1.0
    cells = replace_column(make_cells(PLANS), FEATURES[5], values)
    settings = DatasetSettings(normalization_method="mad_robustize")
    assert profile(cells, settings)[FEATURES[5]].isna().all()
    given = profile(cells, replace(settings, mad_epsilon=0.5))
    samples = f"Metadata_Well in {CONTROLS}"
    check_equal(given, call_library(cells, samples, method="mad_robustize", mad_robustize_epsilon=0.5))


@pytest.mark.parametrize("method", ["standardize", "robustize", "mad_robustize", "inverse_normal"])
def test_a_plate_is_relative_to_all_its_cells_where_the_settings_ask_for_it(method: str) -> None:
    cells = make_cells(PLANS)
    settings = DatasetSettings(normalization_method=method, normalization_samples="plate")  # type: ignore[arg-type]
    table, report = build_well_profiles(cells, None, make_platemap(PLANS), settings)
    assert set(table["Metadata_Normalized_To"].to_pylist()) == {"plate"}
    assert report.reference_cell_count == cells.num_rows
    assert "normalised-to-plate" not in [finding.code for finding in report.findings]  # it was asked for
    assert "[normalization] samples" in describe_reference("plate", settings)
    expected = call_library(cells, "all", method=method, mad_robustize_epsilon=0.0)
    check_equal(table.to_pandas().set_index("Metadata_Well"), expected)


def test_landmarks_of_a_large_reference_are_drawn_the_same_way_in_every_run_and_block() -> None:
    """scikit-learn draws 10,000 of more reference cells by a generator that nobody seeds."""
    cells = make_cells(PLANS, cells_per_well=2_000)
    settings = DatasetSettings(normalization_method="inverse_normal")
    np.random.seed(5)
    before = np.random.get_state()[1].tolist()  # type: ignore[index,union-attr]
    first = profile(cells, settings)
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index,union-attr]
    np.random.seed(6)
    check_equal(profile(cells, settings, block_bytes=8 * cells.num_rows * 2), first)
    check_equal(first, call_library(cells, f"Metadata_Well in {CONTROLS}", method="inverse_normal"))


@pytest.mark.parametrize("method", ["ZCA-cor", "ZCA"])
def test_sphered_controls_vary_alike_in_every_direction(method: str) -> None:
    plans = plan_plate(control_count=40)
    cells = make_cells(plans)
    settings = DatasetSettings(normalization_method="spherize", spherize_method=method)  # type: ignore[arg-type]
    table, report = build_well_profiles(cells, None, make_platemap(plans), settings, block_bytes=1)
    controls = table.to_pandas().query("Metadata_control_type == 'negcon'")[list(FEATURES)]
    np.testing.assert_allclose(np.cov(controls.T), np.eye(len(FEATURES)), atol=1e-4)
    assert [call.arguments.get("spherize_method") for call in report.calls[:3]] == [None, None, method]


def test_a_feature_that_a_well_lacks_is_left_out_of_the_sphere_and_named() -> None:
    cells = make_cells(PLANS)
    wells = np.array(cells["well_id"].to_pylist())
    values = np.where(wells == "A09", np.nan, cells[FEATURES[2]].to_numpy())
    cells = replace_column(cells, FEATURES[2], values)
    settings = DatasetSettings(normalization_method="spherize")
    table, report = build_well_profiles(cells, None, make_platemap(PLANS), settings)
    assert report.incomplete_features == (FEATURES[2],)
    assert "feature-not-sphered" in [finding.code for finding in report.findings]
    assert table[FEATURES[2]].null_count == table.num_rows
    assert all(table[name].null_count == 0 for name in FEATURES if name != FEATURES[2])


def test_one_reference_well_is_no_sphere() -> None:
    cells = make_cells(PLANS[:1])
    settings = DatasetSettings(normalization_method="spherize")
    with pytest.raises(ProfilingError, match="at least 2 reference wells, found 1"):
        build_well_profiles(cells, None, None, settings)
