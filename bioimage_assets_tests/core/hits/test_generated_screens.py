"""On screens with a known answer, actives are found with their EC50 and inactive compounds are silent."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bioimage_assets.assets.hits import build_hit_tables
from bioimage_assets.core.profiling.dataset_wells import as_stored
from bioimage_assets_tests.core.hits.screens import DOSES, SETTINGS, Screen, make_screen

SCREEN = Screen(inactive=20)
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def screens() -> list[dict[str, pd.DataFrame]]:
    found = []
    for seed in SEEDS:
        made = build_hit_tables(as_stored(make_screen(SCREEN, seed)), SETTINGS, "screen")
        found.append({name: table.data.to_pandas() for name, table in made.items()})
    return found


def test_every_active_compound_has_an_ec50_within_a_factor_of_two(screens):
    for screen in screens:
        curves = screen["dose_responses"].set_index("compound")
        for ec50 in SCREEN.ec50s:
            row = curves.loc[f"active-{ec50:g}"]
            assert row["status"] == "fitted"
            assert ec50 / 2 < row["ec50"] < ec50 * 2, row
            assert row["r_squared"] > 0.5
            assert row["is_monotone"]


def test_the_interval_of_the_ec50_holds_the_true_one_for_nearly_all(screens):
    held = []
    for screen in screens:
        curves = screen["dose_responses"].set_index("compound")
        for ec50 in SCREEN.ec50s:
            row = curves.loc[f"active-{ec50:g}"].fillna({"ec50_low": 0.0, "ec50_high": np.inf})
            held.append(row["ec50_low"] <= ec50 <= row["ec50_high"])
    assert len(held) == 12
    assert sum(held) >= 10


def test_inactive_compounds_have_no_ec50_and_no_active_dose(screens):
    distant = 0
    for screen in screens:
        curves = screen["dose_responses"]
        inactive = curves[curves["compound"].str.startswith("inactive")]
        assert len(inactive) == SCREEN.inactive
        assert inactive["ec50"].isna().all()
        assert set(inactive["status"]) == {"flat"}
        assert inactive["reason"].notna().all()
        hits = screen["hits"]
        quiet = hits[hits["compound"].str.startswith("inactive")]
        assert not quiet["is_active"].any()
        distant += int(quiet["is_distant"].sum())
    assert distant <= 0.02 * len(SEEDS) * SCREEN.inactive * len(DOSES)


def test_high_doses_of_actives_are_active_far_and_the_strongest(screens):
    for screen in screens:
        hits = screen["hits"].set_index("treatment")
        highest = hits.loc[[f"active-{ec50:g} 10" for ec50 in SCREEN.ec50s]]
        assert highest["is_active"].all()
        assert highest["is_distant"].all()
        assert highest["is_replicating"].all()
        assert highest["rank"].max() <= 24
        assert (hits["rank"].to_numpy() == np.arange(1, len(hits) + 1)).all()
        assert hits["strength"].is_monotonic_decreasing


def test_equal_wells_give_equal_tables():
    wells = as_stored(make_screen(Screen(inactive=2), 5))
    first, second = (build_hit_tables(wells, SETTINGS, "screen") for _ in range(2))
    for name, table in first.items():
        assert table.data.equals(second[name].data), name
