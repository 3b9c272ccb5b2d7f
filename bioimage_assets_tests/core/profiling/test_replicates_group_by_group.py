"""Replicate measures treatment by treatment equal those of full matrices, and stay in bounds where those cannot be made."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics import average_precision_score

from bioimage_assets.core.profiling import (
    null_correlations,
    profile_rows,
    replicate_findings,
    replicate_wells,
)
from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.profiling.replicates import ReplicateReport, measure_replicates
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.core.profiling.full_matrix import FullMatrixReport, measure_by_full_matrix

SETTINGS = DatasetSettings(
    treatment_columns=("Metadata_compound",), control_column="Metadata_compound", control_values=("DMSO",)
)
NULL_SIZE = 300


@dataclass(frozen=True, slots=True)
class Layout:
    """A made-up dataset: how many plates, wells per plate, treatments, controls per plate, features; what is odd about it."""

    plates: int = 3
    wells: int = 24
    treatments: int = 6
    controls: int = 6
    features: int = 7
    times: int = 1
    is_shuffled: bool = True
    constant_rows: int = 0
    odd: str = ""


LAYOUTS = [
    *(Layout(is_shuffled=shuffled) for shuffled in (True, False)),
    Layout(times=2, plates=4),
    Layout(times=3, plates=3, controls=2),
    Layout(controls=0),
    Layout(controls=1, plates=1),
    Layout(controls=2, plates=1, wells=10, treatments=2),
    Layout(treatments=40, plates=1),
    Layout(treatments=1, plates=6),
    Layout(treatments=2, plates=8, wells=48, controls=4),
    Layout(treatments=9, plates=5, wells=96, controls=30, features=40),
    Layout(features=1, plates=2),
    Layout(odd="mixed references", plates=4),
    Layout(odd="untreated wells"),
    Layout(odd="rows of zeros"),
]


def make_wells(layout: Layout, seed: int) -> pa.Table:
    random = np.random.default_rng(seed)
    count = layout.plates * layout.wells
    compounds = np.asarray(
        ["DMSO"] * layout.controls + [f"c{i % layout.treatments}" for i in range(layout.wells)]
    )
    places = np.asarray([f"{chr(65 + i // 12)}{i % 12 + 1:02d}" for i in range(layout.wells)])
    order = [
        random.permutation(layout.wells) if layout.is_shuffled else np.arange(layout.wells)
        for _ in range(layout.plates)
    ]
    compound = np.concatenate([compounds[: layout.wells][chosen] for chosen in order])
    plate = np.repeat(np.arange(layout.plates), layout.wells)
    effects = {name: random.normal(size=layout.features) for name in np.unique(compound)}
    values = random.normal(size=(count, layout.features)) + np.stack([effects[name] for name in compound])
    values[random.choice(count, size=layout.constant_rows, replace=False)] = 1.5
    if layout.odd == "rows of zeros":
        values[random.choice(count, size=count // 4, replace=False)] = 0.0
    columns: dict[str, object] = {
        "plate_key": [f"ds/P{number}" for number in plate],
        "Metadata_Well": np.tile(places, layout.plates),
        "Metadata_compound": compound.astype(object),
    }
    if layout.odd == "untreated wells":
        columns["Metadata_compound"] = [None if i % 5 == 0 else name for i, name in enumerate(compound)]
    if layout.times > 1:
        columns["Metadata_Time_h"] = [24.0 * (1 + number % layout.times) for number in plate]
    if layout.odd == "mixed references":
        columns["Metadata_Normalized_To"] = ["plate" if number % 2 else "controls" for number in plate]
    for place in range(layout.features):
        columns[f"Cells_F{place}"] = values[:, place]
    return pa.table(columns)


def by_full_matrix(wells: pa.Table, null_size: int = NULL_SIZE) -> FullMatrixReport:
    return measure_by_full_matrix(wells.to_pandas(), list_profile_features(wells.schema), SETTINGS, null_size)


def assert_equal(report: ReplicateReport, expected: FullMatrixReport) -> None:
    rows = {row.treatment: row for row in report.treatments}
    assert list(rows) == list(expected.treatments)
    for label, known in expected.treatments.items():
        for name in known.__slots__:
            assert getattr(rows[label], name) == pytest.approx(getattr(known, name), abs=1e-12), (label, name)
    assert report.control_correlation == pytest.approx(expected.control_correlation, abs=1e-12)
    assert report.replicate_pairs == pytest.approx(expected.replicate_pairs, abs=1e-12)
    assert report.null_pairs == pytest.approx(expected.null_pairs, abs=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_every_number_is_that_of_the_full_matrices(layout: Layout, seed: int) -> None:
    wells = make_wells(layout, seed)
    assert_equal(measure_replicates(wells, SETTINGS, null_size=NULL_SIZE), by_full_matrix(wells))


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_the_size_of_the_blocks_changes_nothing(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    wells = make_wells(layout, 7)
    expected = by_full_matrix(wells)
    for block_bytes in (8, 300, 5_000):
        monkeypatch.setattr(profile_rows, "BLOCK_BYTES", block_bytes)
        assert_equal(measure_replicates(wells, SETTINGS, null_size=NULL_SIZE), expected)


@pytest.mark.parametrize("seed", range(4))
def test_precision_and_correlation_are_those_of_scikit_learn_and_scipy(seed: int) -> None:
    """By definition, well by well, with libraries that know nothing of this project."""
    wells = make_wells(Layout(plates=4, features=12), seed)
    frame = wells.to_pandas()
    values = frame[list_profile_features(wells.schema)].to_numpy()
    places, compounds = frame.Metadata_Well.to_numpy(), frame.Metadata_compound.to_numpy()
    cosine, pearson = 1 - cdist(values, values, "cosine"), 1 - cdist(values, values, "correlation")
    for row in measure_replicates(wells, SETTINGS, null_size=20).treatments:
        own = np.flatnonzero(compounds == row.treatment)
        precisions, pairs = [], []
        for well in own:
            partners = own[places[own] != places[well]]
            ranked = np.concatenate([partners, np.flatnonzero(compounds == "DMSO")])
            is_partner = np.arange(ranked.size) < partners.size
            precisions.append(average_precision_score(is_partner, cosine[well, ranked]))
            pairs += list(pearson[well, partners[partners > well]])
        assert row.mean_average_precision == pytest.approx(np.mean(precisions), abs=1e-12)
        assert row.replicate_correlation == pytest.approx(np.median(pairs), abs=1e-12)
        assert row.controls_ranked == (compounds == "DMSO").sum()


def test_equal_profiles_of_controls_and_treatments_are_ties_that_count_against_the_treatment() -> None:
    """Rounding must not decide which of two equal cosines is the larger."""
    random = np.random.default_rng(0)
    profile = random.normal(size=50)
    rows = [profile * factor for factor in random.uniform(0.1, 9.0, size=40)]
    table = pa.table(
        {
            "Metadata_Well": [f"A{i:02d}" for i in range(40)],
            "Metadata_compound": ["DMSO" if i % 2 else "a" for i in range(40)],
            **{f"Cells_F{j}": [row[j] for row in rows] for j in range(50)},
        }
    )
    (row,) = measure_replicates(table, SETTINGS, null_size=50).treatments
    # All twenty controls come first: the k-th of nineteen partners has rank 20 + k.
    assert row.mean_average_precision == pytest.approx(
        np.mean([k / (20 + k) for k in range(1, 20)]), abs=1e-12
    )
    assert row.p_value == 1.0


def test_rows_without_spread_correlate_with_nothing() -> None:
    wells = make_wells(Layout(constant_rows=20), 3)
    report = measure_replicates(wells, SETTINGS, null_size=50)
    expected = by_full_matrix(wells, 50)
    for row in report.treatments:
        known = expected.treatments[row.treatment]
        assert row.replicate_correlation == pytest.approx(known.replicate_correlation, abs=1e-12)
        assert row.null_limit is not None
        assert row.mean_average_precision is not None


def test_the_rules_of_the_measures_stand_in_the_report() -> None:
    report = measure_replicates(make_wells(Layout(), 0), SETTINGS, null_size=123)
    rules = report.to_dict()["rules"]
    assert rules == {
        "seed": 20240401,
        "null_rankings": 123,
        "null_groups": 123,
        "max_null_wells": 500,
        "max_wells": 10_000,
        "max_controls": 10_000,
    }
    assert {row.wells_compared == row.replicate_count for row in report.treatments} == {True}
    assert "replicates-sampled" not in [finding.code for finding in report.findings]
    assert measure_replicates(make_wells(Layout(), 0), SETTINGS).rules.null_rankings == 10_000


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (replicate_wells, replicate_findings):
        monkeypatch.setattr(module, "MAX_WELLS", 20)
        monkeypatch.setattr(module, "MAX_CONTROLS", 10)
    for module in (null_correlations, replicate_findings):
        monkeypatch.setattr(module, "MAX_NULL_WELLS", 3)
    monkeypatch.setattr(replicate_wells, "MAX_PAIRS_DRAWN", 50)


def test_beyond_the_limits_wells_are_drawn_and_that_is_said(small_limits: None) -> None:
    wells = make_wells(Layout(plates=10, treatments=4), 1)
    report = measure_replicates(wells, SETTINGS, null_size=50)
    assert {row.wells_compared for row in report.treatments} == {20}
    assert {row.controls_ranked for row in report.treatments} == {10}
    assert sorted({row.replicate_count for row in report.treatments}) == [40, 50]
    assert len(report.replicate_pairs) == 50
    assert report.control_well_count == 60
    (finding,) = (f for f in report.findings if f.code == "replicates-sampled")
    assert finding.severity == "info"
    for words in (
        "20 wells each of 4 treatments",
        "60 control wells is that of 20",
        "among 10 of up to 60",
        "20240401",
    ):
        assert words in finding.message
    assert report == measure_replicates(wells, SETTINGS, null_size=50)


def test_samples_are_near_the_numbers_of_all_wells(monkeypatch: pytest.MonkeyPatch) -> None:
    wells = make_wells(Layout(plates=30, treatments=3, wells=48, controls=20, features=30), 2)
    whole = measure_replicates(wells, SETTINGS, null_size=50)
    monkeypatch.setattr(replicate_wells, "MAX_WELLS", 150)
    sampled = measure_replicates(wells, SETTINGS, null_size=50)
    for all_of, some in zip(whole.treatments, sampled.treatments, strict=True):
        assert some.replicate_correlation == pytest.approx(all_of.replicate_correlation, abs=0.05)
    assert sampled.control_correlation == pytest.approx(whole.control_correlation, abs=0.05)


_MEASURE = """
import resource, sys
import numpy as np, pandas as pd
from bioimage_assets.core.profiling.replicates import measure_profiles
from bioimage_assets.core.settings.dataset import DatasetSettings
count = int(sys.argv[1])
settings = DatasetSettings(treatment_columns=("Metadata_compound",), control_column="Metadata_compound", control_values=("DMSO",))
place = np.arange(count) % 384
names = np.where(place < 32, "DMSO", np.char.add("c", (place + 384 * (np.arange(count) // 1920)).astype(str)))
frame = pd.DataFrame({"Metadata_Well": place.astype(str), "Metadata_compound": names.astype(object)})
values = np.random.default_rng(0).normal(size=(count, 20))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
report = measure_profiles(frame, values, settings, null_size=50)
assert report.percent_active is not None
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_square_of_the_wells() -> None:
    """Two matrices of all pairs of 7,680 wells would be 900 MiB."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, "7680"], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 250


def test_one_constant_feature_of_two_and_one_position_per_treatment_are_no_special_case() -> None:
    frame = pd.DataFrame({"Metadata_Well": ["a", "b", "c"] * 4, "Metadata_compound": ["DMSO", "x", "y"] * 4})
    table = pa.Table.from_pandas(frame.assign(Cells_F=np.arange(12.0), Cells_G=1.0), preserve_index=False)
    assert_equal(measure_replicates(table, SETTINGS, null_size=1_000), by_full_matrix(table, 1_000))
