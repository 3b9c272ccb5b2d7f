"""Replicates within and across the batches of a campaign, against the full matrix of all pairs by numpy."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from bioimage_assets.core.profiling import campaign_replicates
from bioimage_assets.core.profiling.campaign_replicates import (
    ACROSS_BATCHES,
    ACROSS_SOURCES,
    WITHIN_BATCH,
    measure_campaign_replicates,
    summarize_replicates,
)
from bioimage_assets.core.profiling.profile_rows import ProfileRows
from bioimage_assets.core.settings.campaign import CampaignSettings

CAMPAIGN = CampaignSettings(name="c", datasets=("a", "b", "c"), treatment_columns=("Metadata_compound",))
FEATURES = 24


def make_wells(
    replicates: int = 4, compounds: int = 12, effect: float = 2.0
) -> tuple[pd.DataFrame, np.ndarray]:
    """Three batches of two sources; each compound has as many wells per batch, each at another position, and controls."""
    draw = np.random.default_rng(3)
    answers = draw.normal(size=(compounds, FEATURES))
    rows, values = [], []
    for batch, source in (("a", "one"), ("b", "one"), ("c", "two")):
        for number in range(compounds + 1):
            for replicate in range(replicates):
                name = "DMSO" if number == compounds else f"drug-{number:02d}"
                rows.append(
                    {
                        "plate_key": f"{batch}/P{replicate % 2}",
                        "Metadata_Well": f"{'ABCDEFGH'[replicate % 8]}{number + 1:02d}",
                        "Metadata_compound": name,
                        "Metadata_control_type": "negcon" if name == "DMSO" else None,
                        "campaign_dataset": batch,
                        "campaign_batch": batch,
                        "campaign_source": source,
                    }
                )
                moved = 0 if name == "DMSO" else effect * answers[number]
                values.append(draw.normal(size=FEATURES) + moved)
    return pd.DataFrame(rows), np.asarray(values)


def measure(wells: pd.DataFrame, values: np.ndarray, campaign: CampaignSettings = CAMPAIGN) -> pd.DataFrame:
    return measure_campaign_replicates(campaign, wells, ProfileRows(values)).to_pandas()


def correlate_by_hand(wells: pd.DataFrame, values: np.ndarray, compound: str, keep) -> np.ndarray:
    matrix = np.corrcoef(values)
    rows = np.flatnonzero(wells["Metadata_compound"] == compound)
    position = wells["Metadata_Well"]
    return np.asarray(
        [matrix[i, j] for i, j in combinations(rows, 2) if position[i] != position[j] and keep(wells.loc[i], wells.loc[j])]
    )  # fmt: skip


RULES = {
    (WITHIN_BATCH, "b"): lambda one, other: one.campaign_batch == other.campaign_batch == "b",
    (ACROSS_BATCHES, None): lambda one, other: one.campaign_batch != other.campaign_batch,
    (ACROSS_SOURCES, None): lambda one, other: one.campaign_source != other.campaign_source,
}


@pytest.mark.parametrize(("kind", "batch"), list(RULES))
def test_correlations_are_those_of_the_full_matrix(kind, batch):
    wells, values = make_wells()
    found = measure(wells, values)
    found = found[
        (found["pairs"] == kind) & (found["batch"].isna() if batch is None else found["batch"] == batch)
    ]
    assert sorted(found["treatment"]) == [f"drug-{number:02d}" for number in range(12)]
    for row in found.itertuples():
        wanted = correlate_by_hand(wells, values, row.treatment, RULES[kind, batch])
        assert row.pair_count == wanted.size
        assert row.replicate_correlation == pytest.approx(np.median(wanted), abs=1e-12)


def test_strong_compounds_replicate_and_noise_does_not_more_than_chance():
    found = measure(*make_wells(effect=2.0))
    assert found.groupby("pairs")["is_replicating"].mean().min() == 1.0
    noise = measure(*make_wells(effect=0.0))
    assert noise.groupby("pairs")["is_replicating"].mean().max() < 0.25


def test_a_batch_effect_shows_as_replicates_that_agree_within_and_not_across():
    wells, values = make_wells(effect=0.0)
    shifts = np.random.default_rng(9).normal(scale=3, size=(12 * 3, FEATURES))
    groups = wells.groupby(["campaign_batch", "Metadata_compound"]).ngroup()
    found = summarize_replicates(
        measure_campaign_replicates(CAMPAIGN, wells, ProfileRows(values + shifts[groups % len(shifts)]))
    )
    percent = {(one.pairs, one.batch): one.percent_replicating for one in found}
    assert min(percent[WITHIN_BATCH, batch] for batch in "abc") > 90
    assert percent[ACROSS_BATCHES, None] < 40


def test_wells_of_one_position_are_compared_where_there_are_no_others():
    wells, values = make_wells(replicates=1)
    found = measure(wells, values)
    assert set(found["pairs"]) == {ACROSS_BATCHES, ACROSS_SOURCES}
    assert set(found.loc[found["pairs"] == ACROSS_BATCHES, "pair_count"]) == {3}


def test_a_campaign_of_one_batch_has_no_pairs_across():
    wells, values = make_wells()
    one = wells["campaign_batch"] == "a"
    found = measure(wells[one].reset_index(drop=True), values[one])
    assert set(found["pairs"]) == {WITHIN_BATCH}
    assert set(found["batch"]) == {"a"}


def test_the_same_wells_give_the_same_numbers():
    pd.testing.assert_frame_equal(measure(*make_wells()), measure(*make_wells()))


def test_of_a_treatment_with_very_many_wells_some_are_compared(monkeypatch):
    monkeypatch.setattr(campaign_replicates, "MAX_WELLS", 5)
    found = measure(*make_wells())
    assert found.loc[found["pairs"] == ACROSS_BATCHES, "well_count"].max() == 5


def test_a_single_treatment_has_no_chance_to_compare_with():
    wells, values = make_wells(compounds=1)
    found = measure(wells, values)
    assert found["null_limit"].isna().all()
    assert found["is_replicating"].isna().all()
    assert (
        summarize_replicates(measure_campaign_replicates(CAMPAIGN, wells, ProfileRows(values)))[
            0
        ].percent_replicating
        is None
    )
