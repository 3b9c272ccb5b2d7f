"""Pictures of more wells than can be seen show some of them, drawn by a fixed seed, and say so."""

from __future__ import annotations

import pytest

from bioimage_assets.core.pictures import dataset_report
from bioimage_assets.core.pictures.dataset_report import DatasetTables, build_dataset_report
from bioimage_assets.core.profiling.dataset import build_selected_features
from bioimage_assets.core.profiling.pycytominer import build_well_profiles
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.core.pictures.dataset_hits import with_hits
from bioimage_assets_tests.core.profiling.plates import make_cells, make_platemap, plan_plate


@pytest.mark.slow
def test_wells_and_doses_of_many_wells_are_those_of_some(monkeypatch: pytest.MonkeyPatch) -> None:
    settings, plans = DatasetSettings(), plan_plate(control_count=12, replicates=3)
    plates = [
        build_well_profiles(make_cells(plans, plate=f"P{n}", seed=n), None, make_platemap(plans), settings)[0]
        for n in range(2)
    ]
    selected = build_selected_features(plates, settings)[0]
    tables = with_hits(DatasetTables("screen", settings, tuple(plates), selected))
    whole = build_dataset_report(tables)
    monkeypatch.setattr(dataset_report, "MAX_WELLS_DRAWN", 40)
    some = build_dataset_report(tables)
    assert [one.title for one in some.not_drawn] == [
        "Position and batch"
    ]  # no scores of a correction are given
    assert [picture.name for picture in some.pictures] == [picture.name for picture in whole.pictures]
    assert "40 of 60 wells, drawn by a fixed seed" in some.html
    assert "drawn by a fixed seed" not in whole.html
    again = {picture.name: picture.png for picture in build_dataset_report(tables).pictures}
    assert again == {picture.name: picture.png for picture in some.pictures}
