"""Wells relative to controls and wells relative to their own plate are told apart in every row, and mixed on purpose only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pycytominer import consensus

from bioimage_assets.core.discovery.dataset_file import read_dataset_settings
from bioimage_assets.core.profiling.dataset import build_consensus, build_selected_features
from bioimage_assets.core.profiling.pycytominer import NORMALIZED_TO, build_well_profiles
from bioimage_assets.core.profiling.replicates import measure_replicates
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.core.profiling.plates import FEATURES, make_cells, make_platemap, plan_plate

SETTINGS = DatasetSettings()
PLANS = plan_plate(control_count=12, replicates=3)
FEW_CONTROLS = [plan for plan in PLANS if not plan.is_control or plan.well in ("A01", "A02")]


def make_plates() -> list[pa.Table]:
    """Two plates with twelve control wells, one with two, which is too few."""
    plates = []
    for number, plans in enumerate((PLANS, PLANS, FEW_CONTROLS)):
        cells = make_cells(plans, plate=f"P{number}", seed=number)
        plates.append(build_well_profiles(cells, None, make_platemap(plans), SETTINGS)[0])
    return plates


@pytest.fixture(scope="module")
def wells() -> pa.Table:
    return pa.concat_tables(make_plates())


def message(report: object, code: str) -> str:
    return next(f.message for f in report.findings if f.code == code)  # type: ignore[attr-defined]


def codes(report: object) -> list[str]:
    return [finding.code for finding in report.findings]  # type: ignore[attr-defined]


def test_every_row_says_what_it_is_relative_to(wells: pa.Table) -> None:
    frame = wells.to_pandas()
    assert frame.groupby("plate_key")[NORMALIZED_TO].unique().map(list).to_dict() == {
        "screen/P0": ["controls"],
        "screen/P1": ["controls"],
        "screen/P2": ["plate"],
    }


def test_a_consensus_keeps_both_apart_and_says_so(wells: pa.Table) -> None:
    table, report = build_consensus(wells, SETTINGS)
    frame = table.to_pandas()
    active = frame[(frame.Metadata_compound == "active") & (frame.Metadata_concentration_um == 10.0)]
    assert active.set_index(NORMALIZED_TO)["Metadata_Replicate_Count"].to_dict() == {
        "controls": 6,
        "plate": 3,
    }
    keys = ["Metadata_compound", "Metadata_concentration_um", NORMALIZED_TO]
    expected = consensus(
        wells.to_pandas(), replicate_columns=keys, operation="median", features=list(FEATURES)
    )
    expected = expected[expected.Metadata_compound != "DMSO"]
    got = frame[frame.Metadata_Well.isna()].sort_values(keys)
    np.testing.assert_array_equal(got[list(FEATURES)].to_numpy(), expected[list(FEATURES)].to_numpy())
    text = message(report, "consensus-mixed-references")
    for part in ("relative to controls (screen/P0, screen/P1)", "(screen/P2)", "mix_references = true"):
        assert part in text
    assert report.references == ("controls", "plate")
    measured = measure_replicates(wells, SETTINGS, null_size=200)
    counts = {row.treatment: row.replicate_count for row in measured.treatments}
    assert counts["active 10 [controls]"] == 6
    assert counts["active 10 [plate]"] == 3


def test_the_setting_combines_both_and_marks_every_row_that_holds_both(
    wells: pa.Table, tmp_path: Path
) -> None:
    (tmp_path / "dataset.toml").write_text("[consensus]\nmix_references = true\n")
    settings = read_dataset_settings(str(tmp_path))
    table, report = build_consensus(wells, settings)
    frame = table.to_pandas()
    treated = frame[frame.Metadata_Well.isna()]
    assert set(treated[NORMALIZED_TO]) == {"mixed"}
    assert set(treated["Metadata_Replicate_Count"]) == {9}
    controls = frame[frame.Metadata_Well.notna()].set_index("Metadata_Well")[NORMALIZED_TO]
    assert (controls["A01"], controls["A03"]) == ("mixed", "controls")
    assert "are combined" in message(report, "consensus-mixed-references")
    assert {row.replicate_count for row in measure_replicates(wells, settings, null_size=200).treatments} == {
        9
    }


def test_plates_with_one_reference_are_marked_and_no_finding_is_made(wells: pa.Table) -> None:
    for reference, plates in (("controls", ["screen/P0", "screen/P1"]), ("plate", ["screen/P2"])):
        part = wells.filter(pc.is_in(wells["plate_key"], value_set=pa.array(plates)))
        for settings in (SETTINGS, replace(SETTINGS, mix_references=True)):
            table, report = build_consensus(part, settings)
            assert table[NORMALIZED_TO].unique().to_pylist() == [reference]
            assert "consensus-mixed-references" not in codes(report)
            assert all(
                "[" not in row.treatment
                for row in measure_replicates(part, settings, null_size=50).treatments
            )


def test_feature_selection_over_both_says_so() -> None:
    plates = make_plates()
    _, report = build_selected_features(plates, SETTINGS)
    assert "P2" in message(report, "selection-mixed-references")
    assert "selection-mixed-references" not in codes(build_selected_features(plates[:2], SETTINGS)[1])


def test_profiles_of_an_earlier_version_without_the_mark_still_make_a_consensus(wells: pa.Table) -> None:
    table, report = build_consensus(wells.drop_columns([NORMALIZED_TO]), SETTINGS)
    assert NORMALIZED_TO not in table.column_names
    assert report.references == ()


def test_the_mark_reads_in_pandas_as_text(wells: pa.Table, tmp_path: Path) -> None:
    pq.write_table(build_consensus(wells, SETTINGS)[0], tmp_path / "consensus.parquet")
    frame = pd.read_parquet(tmp_path / "consensus.parquet")
    assert set(frame[NORMALIZED_TO]) == {"controls", "plate"}
