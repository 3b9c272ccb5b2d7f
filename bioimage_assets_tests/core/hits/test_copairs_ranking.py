"""Average precision by copairs equals the built-in ranking, and copairs called by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from copairs.map import average_precision, mean_average_precision

from bioimage_assets.assets.hits import build_hit_tables
from bioimage_assets.core.errors import MissingExtraError
from bioimage_assets.core.hits import copairs_ranking
from bioimage_assets.core.hits.copairs_ranking import choose_ranking, rank_by_copairs
from bioimage_assets.core.profiling.activity import rank_strata
from bioimage_assets.core.profiling.dataset_wells import as_stored
from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.profiling.profile_rows import ProfileRows
from bioimage_assets.core.profiling.replicates import find_comparisons
from bioimage_assets_tests.core.hits.screens import SETTINGS, Screen, make_screen
from bioimage_assets_tests.core.profiling.test_replicates_group_by_group import LAYOUTS, Layout, make_wells


def rank_both(wells: pa.Table) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    frame = wells.to_pandas()
    profiles = ProfileRows(frame[list_profile_features(wells.schema)].to_numpy(np.float64))
    compared = find_comparisons(frame, SETTINGS)
    controls = compared.controls
    judged = {
        label: group
        for label, group in compared.groups.items()
        if group.rows.size > 1 and controls.count(label) > 1
    }
    given = (profiles, judged, controls.ranked, controls.stratum)
    return rank_by_copairs(*given), rank_strata(*given)


# Rows of zeros, and profiles of one feature, have cosines that are equal: copairs counts ties for, we against a treatment.
@pytest.mark.parametrize(
    "layout", [one for one in LAYOUTS if one.odd != "rows of zeros" and one.features > 1], ids=str
)
def test_every_well_has_the_same_average_precision(layout: Layout) -> None:
    by_copairs, built_in = rank_both(make_wells(layout, 0))
    assert list(by_copairs) == list(built_in)
    for label, values in built_in.items():
        np.testing.assert_allclose(by_copairs[label], values, rtol=0, atol=1e-12)


def test_blocks_of_treatments_give_what_one_call_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    wells = make_wells(Layout(treatments=9, plates=3), 1)
    whole, _ = rank_both(wells)
    monkeypatch.setattr(copairs_ranking, "_MAX_ROWS", 30)
    blocks, _ = rank_both(wells)
    assert {label: values.tolist() for label, values in blocks.items()} == {
        label: values.tolist() for label, values in whole.items()
    }


def test_the_stored_precision_is_that_of_copairs_called_by_hand():
    wells = make_screen(Screen(inactive=3), 2)
    frame = wells.to_pandas()
    hits = build_hit_tables(as_stored(wells), SETTINGS, "screen")["hits"].data.to_pandas()
    assert set(hits["average_precision_by"].str.split().str[0]) == {"copairs"}
    is_control = frame["Metadata_control_type"].notna()
    meta = pd.DataFrame(
        {
            "treatment": frame["Metadata_compound"] + frame["Metadata_concentration_um"].astype(str),
            "well": frame["Metadata_Well"],
            "reference": np.where(is_control, np.arange(len(frame)), -1),
        }
    )
    features = frame[list_profile_features(wells.schema)].to_numpy()
    pairs = {"pos_sameby": ["treatment", "reference"], "pos_diffby": ["well"]}
    others = {"neg_sameby": [], "neg_diffby": ["treatment", "reference"]}
    ranked = average_precision(meta, features, **pairs, **others, progress_bar=False)
    # Only the precision: its p values repeat one null ranking for all replicates, ours draw one for each.
    by_hand = mean_average_precision(
        ranked[~is_control], ["treatment"], null_size=10, threshold=0.05, seed=0, progress_bar=False
    ).set_index("treatment")
    for _, row in hits.iterrows():
        known = by_hand.loc[f"{row['compound']}{row['dose']}"]
        assert row["mean_average_precision"] == pytest.approx(known["mean_average_precision"], abs=1e-12)


def test_the_tables_are_the_same_with_and_without_copairs():
    wells = as_stored(make_screen(Screen(inactive=3), 3))
    made = {
        name: build_hit_tables(wells, replace(SETTINGS, hits_average_precision=name), "screen")["hits"].data
        for name in ("copairs", "built_in")
    }
    by_copairs, built_in = (
        table.drop_columns(["average_precision_by"]).to_pandas() for table in made.values()
    )
    pd.testing.assert_frame_equal(by_copairs, built_in, rtol=0, atol=1e-12)
    assert set(made["built_in"]["average_precision_by"].to_pylist()) == {"built in"}


def test_many_controls_are_ranked_in_bounded_memory_unless_copairs_is_asked_for():
    assert choose_ranking("auto", 2_000)[0] is rank_by_copairs
    assert choose_ranking("auto", 2_001) == (rank_strata, "built in")
    assert choose_ranking("copairs", 2_001)[0] is rank_by_copairs
    assert choose_ranking("built_in", 2)[0] is rank_strata


def test_copairs_that_is_asked_for_and_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise copairs_ranking.PackageNotFoundError(name)

    monkeypatch.setattr(copairs_ranking, "version", missing)
    assert choose_ranking("auto", 2) == (rank_strata, "built in")
    with pytest.raises(MissingExtraError, match=r"pip install 'bioimage_assets\[hits\]'"):
        choose_ranking("copairs", 2)
