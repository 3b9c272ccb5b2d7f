"""Pages list treatments by strength, and of the strongest a few features: those that changed, the largest effects first."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from bioimage_assets.assets.hits import build_hit_tables, number_plates
from bioimage_assets.core.hits.hit_features import find_plate_controls, measure_features, stream_rows
from bioimage_assets.core.hits.top_features import find_strongest, read_features_of
from bioimage_assets.core.pictures.campaign_report import CampaignTables, build_campaign_report
from bioimage_assets.core.pictures.dataset_report import DatasetTables, build_dataset_report
from bioimage_assets.core.pictures.hit_tables import STRONGEST, TOP_FEATURES
from bioimage_assets.core.pictures.style import pictures_wanted
from bioimage_assets.core.pictures.table_html import MAX_TABLE_ROWS
from bioimage_assets.core.profiling.dataset_wells import as_stored
from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.profiling.replicates import find_comparisons
from bioimage_assets.core.settings.campaign import CampaignSettings
from bioimage_assets.core.tables.schemas import CAMPAIGN_HITS
from bioimage_assets_tests.core.hits.screens import SETTINGS, Screen, make_screen

SCREEN = Screen(controls=8, ec50s=(0.1, 1.0), inactive=3, features=20, effect=20.0)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> DatasetTables:
    wells = make_screen(SCREEN)
    hits = build_hit_tables(as_stored(wells), SETTINGS, "screen")["hits"].data
    return DatasetTables(
        "screen",
        SETTINGS,
        selected=wells,
        hits=hits,
        hit_features=_features(wells, tmp_path_factory.mktemp("f")),
    )


def _features(wells: pa.Table, scratch: Path) -> pa.Table:
    frame = wells.to_pandas()
    compared = find_comparisons(frame, SETTINGS)
    controls = find_plate_controls(compared, number_plates(frame))
    measured = measure_features(as_stored(wells), compared, controls, SETTINGS, scratch)
    names = list_profile_features(wells.schema)
    return stream_rows(measured, list(compared.rows_of), names, "screen", 0.05).read_all()


def test_rows_of_the_strongest_treatments_are_read_from_the_stream_of_all(tables):
    strongest = find_strongest(tables.hits, 3)
    ranked = tables.hits.to_pandas().sort_values("rank")
    assert strongest == ranked[ranked["is_active"]]["treatment"].head(3).tolist()
    found = read_features_of(tables.hit_features.to_batches(max_chunksize=7), strongest)
    frame = tables.hit_features.to_pandas()
    wanted = frame[frame["treatment"].isin(strongest)][found.column_names].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.to_pandas(), wanted)


def test_the_page_of_a_dataset_lists_changed_features_of_active_treatments_largest_effects_first(tables):
    with pictures_wanted(False):
        page = build_dataset_report(tables).html
    shown = next(
        frame for frame in pd.read_html(StringIO(page), keep_default_na=False) if "feature q" in frame
    )
    frame = tables.hit_features.to_pandas()
    hits = tables.hits.to_pandas().sort_values("rank")
    strongest = hits[hits["is_active"]]["treatment"].head(STRONGEST).tolist()
    assert 5 < len(strongest) < len(hits)
    assert list(dict.fromkeys(shown["treatment"])) == strongest
    for label in strongest:
        own = frame[(frame["treatment"] == label) & (frame["is_changed"] == True)]  # noqa: E712 (nulls)
        order = own.reindex(own["effect_size"].abs().sort_values(ascending=False).index)
        rows = shown[shown["treatment"] == label]
        assert set(rows["features changed"].astype(int)) == {len(own)}
        assert rows["feature"].tolist() == (order["feature"].head(TOP_FEATURES).tolist() or ["none"])
    assert "Hedges" in page


def test_without_features_the_page_has_no_table_of_them(tables):
    with pictures_wanted(False):
        page = build_dataset_report(
            DatasetTables("screen", SETTINGS, selected=tables.selected, hits=tables.hits)
        ).html
    assert "feature q" not in page
    assert "Hedges" not in page


def test_the_page_of_a_campaign_lists_the_strongest_treatments():
    count = MAX_TABLE_ROWS + 7
    rows = [
        {
            "treatment": f"c{place}",
            "replicate_count": 4,
            "strength": float(count - place),
            "is_active": place < 10,
        }
        for place in range(count)
    ]
    hits = pa.Table.from_pylist(
        rows, schema=pa.schema([field.with_nullable(True) for field in CAMPAIGN_HITS])
    )
    campaign = CampaignSettings(name="c", datasets=("a", "b"))
    page = build_campaign_report(CampaignTables(campaign, hits=hits)).html
    shown = next(frame for frame in pd.read_html(StringIO(page)) if "strength" in frame)
    assert shown["treatment"].tolist() == [f"c{place}" for place in range(MAX_TABLE_ROWS)]
    assert f"the strongest {MAX_TABLE_ROWS} of {count}" in page
    assert "2 %" in page
    without = build_campaign_report(CampaignTables(campaign)).html
    assert "no table of hits" in without
