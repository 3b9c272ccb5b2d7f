"""Every number of the differential table is that of scipy called by hand on the wells of a treatment and of its plates' controls."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.stats import mannwhitneyu, ttest_ind
from statsmodels.stats.multitest import multipletests

from bioimage_assets.assets.hits import number_plates
from bioimage_assets.core.hits import hit_features
from bioimage_assets.core.hits.feature_tests import MEASURES, build_moments, compare_features
from bioimage_assets.core.hits.hit_features import find_plate_controls, measure_features, stream_rows
from bioimage_assets.core.profiling import dataset_wells
from bioimage_assets.core.profiling.dataset_wells import as_stored
from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.profiling.replicates import find_comparisons
from bioimage_assets_tests.core.hits.screens import SETTINGS, Screen, make_screen

SCREEN = Screen(plates=3, controls=8, ec50s=(0.3,), inactive=2, doses=(0.1, 1.0, 10.0), features=12)


@pytest.fixture(scope="module")
def wells() -> pa.Table:
    """A compound is on two of three plates only, one well has no value in a feature, one feature is the same everywhere."""
    table = make_screen(SCREEN, 4)
    frame = table.to_pandas()
    frame = frame[~((frame["Metadata_compound"] == "inactive-1") & (frame["plate_id"] == "P2"))].reset_index(
        drop=True
    )
    frame.loc[frame.index[frame["Metadata_compound"] == "active-0.3"][0], "Cells_Texture_F1"] = np.nan
    frame["Cells_Texture_F2"] = 0.25
    return pa.Table.from_pandas(frame, preserve_index=False)


def build(wells: pa.Table, test: str, scratch: Path) -> pd.DataFrame:
    frame, settings = wells.to_pandas(), replace(SETTINGS, hits_test=test)
    compared = find_comparisons(frame, settings)
    controls = find_plate_controls(compared, number_plates(frame))
    measured = measure_features(as_stored(wells), compared, controls, settings, scratch)
    features = list_profile_features(wells.schema)
    reader = stream_rows(measured, list(compared.rows_of), features, "screen", 0.05)
    return reader.read_all().to_pandas()


@pytest.mark.parametrize("test", ["welch", "student", "mann_whitney"])
def test_every_number_is_that_of_scipy(wells, test, tmp_path):
    found, frame = build(wells, test, tmp_path), wells.to_pandas()
    assert len(found) == 9 * 12
    for row in found.itertuples():
        compound, dose = row.treatment.split(" ")
        treated = frame[
            (frame["Metadata_compound"] == compound) & (frame["Metadata_concentration_um"] == float(dose))
        ]
        controls = frame[frame["Metadata_control_type"].notna() & frame["plate_id"].isin(treated["plate_id"])]
        x, y = treated[row.feature].dropna(), controls[row.feature].dropna()
        assert (row.well_count, row.control_well_count) == (len(x), len(y))
        if row.feature == "Cells_Texture_F2":
            assert np.isnan(row.p_value) or test == "mann_whitney"
            continue
        by_hand = (
            mannwhitneyu(x, y) if test == "mann_whitney" else ttest_ind(x, y, equal_var=test == "student")
        )
        assert row.statistic == pytest.approx(by_hand.statistic, rel=1e-10)
        assert row.p_value == pytest.approx(by_hand.pvalue, rel=1e-10)
        assert row.mean_difference == pytest.approx(x.mean() - y.mean(), rel=1e-10)
        freedom = len(x) + len(y) - 2
        pooled = np.sqrt(((len(x) - 1) * x.var() + (len(y) - 1) * y.var()) / freedom)
        assert row.effect_size == pytest.approx(
            (x.mean() - y.mean()) / pooled * (1 - 3 / (4 * freedom - 1)), rel=1e-10
        )


def test_a_treatment_on_two_of_three_plates_is_compared_with_their_controls(wells, tmp_path):
    counts = build(wells, "welch", tmp_path).groupby("treatment")["control_well_count"].max()
    assert counts["inactive-1 1"] == 16
    assert counts["inactive-0 1"] == 24


def test_q_values_are_those_of_statsmodels_over_the_features_of_a_treatment(wells, tmp_path):
    found = build(wells, "welch", tmp_path)
    for _, rows in found.groupby("treatment"):
        known = rows[rows["p_value"].notna()]
        assert len(known) == 11
        expected = multipletests(known["p_value"], method="fdr_bh")[1]
        np.testing.assert_allclose(known["q_value"], expected, rtol=1e-12)
        assert (known["is_changed"].astype(bool) == (expected < 0.05)).all()
    changed = found[found["is_changed"].eq(True)]["treatment"]
    assert set(changed) >= {"active-0.3 10", "active-0.3 1"}


def test_blocks_of_features_and_numbers_on_disk_change_nothing(wells, tmp_path, monkeypatch):
    whole = build(wells, "welch", tmp_path)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(dataset_wells, "COLUMN_BLOCK_BYTES", 8 * wells.num_rows * 5)
    monkeypatch.setattr(hit_features, "MAX_HELD_BYTES", 0)
    monkeypatch.setattr(hit_features, "_BATCH_ROWS", 24)
    pd.testing.assert_frame_equal(build(wells, "welch", tmp_path), whole)
    assert [path.name for path in tmp_path.iterdir()] == ["hit_features.f64"]


@pytest.mark.parametrize("test", ["welch", "student"])
def test_a_treatment_of_one_well_has_differences_and_no_p_value(wells, test, tmp_path):
    frame = wells.to_pandas()
    rows = frame.index[frame["Metadata_compound"] == "inactive-0"]
    frame = frame.drop(rows[1:])
    found = build(pa.Table.from_pandas(frame, preserve_index=False), test, tmp_path)
    alone = found[found["treatment"].str.startswith("inactive-0")]
    assert alone["p_value"].isna().all()
    assert alone["is_changed"].isna().all()
    assert alone["mean_difference"].notna().all()


def test_three_inert_wells_among_many_controls_have_no_changed_feature_by_students_test():
    """Welch's test takes wells that lie close together by chance for precise ones; docs/hits.md has the numbers."""
    random = np.random.default_rng(0)
    changed = {"welch": 0, "student": 0}
    for _ in range(100):
        treated, controls = (build_moments(random.normal(size=(count, 300))) for count in (3, 48))
        for test in changed:
            p_values = compare_features(treated, controls, test)[MEASURES.index("p_value")]
            changed[test] += bool((multipletests(p_values, method="fdr_bh")[1] < 0.05).any())
    assert changed["student"] <= 10
    assert changed["welch"] >= 80
