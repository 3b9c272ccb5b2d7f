"""Tables of a dataset are the same whichever engine is set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from bioimage_assets.core.engines.engine import Engine
from bioimage_assets.core.engines.open_source import arrow_source, warehouse_source
from bioimage_assets.core.engines.plan import IsPositive
from bioimage_assets.core.engines.polars_engine import PolarsEngine
from bioimage_assets.core.engines.spark_engine import SparkEngine
from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.profiling.consensus import build_consensus
from bioimage_assets.core.profiling.engine_groups import EngineWells
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


SETTINGS = DatasetSettings(profile_group_by=("Metadata_Time",))
FEATURES = ("Cells_A", "Cells_B", "Nuclei_C")


def make_plate(number: int, times: int = 2) -> pa.Table:
    """Six wells at each time: two controls, three of two compounds, one of none."""
    rows = [
        {
            "plate_key": f"screen/P{number}",
            "dataset_id": "screen",
            "plate_id": f"P{number}",
            "well_id": f"A{well + 1:02d}",
            "Metadata_Well": f"A{well + 1:02d}",
            "Metadata_Time": float(time),
            "Metadata_compound": (None, None, "x", "y", "x", None)[well],
            "Metadata_control_type": "negcon" if well < 2 else None,
            "Metadata_Object_Count": 10 * well,
            **{
                name: (number + 1) * (place + 1) / (well + 7 * time + 1)
                for place, name in enumerate(FEATURES)
            },
        }
        for time in range(times)
        for well in range(6)
    ]
    rows[3]["Cells_B"] = None
    return pa.Table.from_pylist(rows)


@pytest.mark.parametrize("operation", ["median", "mean"])
def test_treatments_are_combined_by_every_engine_as_by_pycytominer(engine: Engine, operation: str) -> None:
    plates = [make_plate(number) for number in range(3)]
    table = pa.concat_tables(plates)
    expected, report = build_consensus(table, SETTINGS, operation=operation)
    wells = EngineWells(engine, arrow_source("wells", plates))
    made, combined = build_consensus(table, SETTINGS, operation=operation, engine_wells=wells)
    assert made.schema == expected.schema
    pd.testing.assert_frame_equal(
        made.to_pandas(), expected.to_pandas(), check_exact=operation == "median", rtol=1e-15
    )
    assert combined.calls[0].notes["computed_by"] == engine.version
    assert "computed_by" not in report.calls[0].notes
    assert replace(combined, calls=()) == replace(report, calls=())


def test_only_the_wells_that_are_meant_are_combined(engine: Engine) -> None:
    table = pa.concat_tables([make_plate(number) for number in range(3)])
    counted = IsPositive("Metadata_Object_Count")
    kept = table.filter(pa.compute.greater(table["Metadata_Object_Count"], 0))
    wells = EngineWells(engine, arrow_source("wells", [table]), (counted,))
    made, _ = build_consensus(kept, SETTINGS, engine_wells=wells)
    assert made.equals(build_consensus(kept, SETTINGS)[0])


def test_wells_that_share_a_name_are_combined_by_pycytominer() -> None:
    twice = pa.concat_tables([make_plate(0), make_plate(0)])
    nameless = make_plate(0).set_column(3, "well_id", pa.nulls(12, pa.string()))
    for table in (twice, nameless):
        wells = EngineWells(PolarsEngine(), arrow_source("wells", [table]))
        made, report = build_consensus(table, SETTINGS, engine_wells=wells)
        assert made.equals(build_consensus(table, SETTINGS)[0])
        assert "computed_by" not in report.calls[0].notes


def test_wells_that_were_replaced_meanwhile_are_refused() -> None:
    table = make_plate(0)
    wells = EngineWells(PolarsEngine(), arrow_source("wells", [table.slice(1)]))
    with pytest.raises(ProfilingError, match="changed while its wells were combined"):
        build_consensus(table, SETTINGS, engine_wells=wells)
