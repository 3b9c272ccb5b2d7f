"""Tables of a dataset are the same whichever engine is set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from bioimage_assets.core.engines.open_source import warehouse_source
from bioimage_assets.core.engines.polars_engine import PolarsEngine
from bioimage_assets.core.engines.spark_engine import SparkEngine
from bioimage_assets.core.profiling.selection import find_features, select_stored_features
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.core.engines.wells import WELLS, make_root


def test_features_are_selected_alike_by_both_engines(tmp_path: Path, sail: SparkEngine) -> None:
    found = warehouse_source(make_root(tmp_path, plates=5), WELLS)
    plates = replace(found, parts=tuple(part for part in found.parts if part.row_count))
    settings = DatasetSettings(treatment_columns=("Metadata_treatment",))
    results = []
    for engine in (PolarsEngine(), sail):
        features = find_features(engine, plates)
        selected, report = select_stored_features(engine, plates, settings, features)
        results.append((selected.reader().read_all(), report))
    (table, report), (other, again) = results
    assert report.selected
    pd.testing.assert_frame_equal(table.to_pandas(), other.to_pandas(), check_exact=True)
    assert table.schema == other.schema
    assert [(step.operation, step.removed) for step in report.steps] == [
        (step.operation, step.removed) for step in again.steps
    ]
    assert (report.well_count, report.wells_without_cells) == (again.well_count, again.wells_without_cells)
    assert {call.notes["computed_by"] for call in again.calls} == {f"statistics of columns by {sail.version}"}
