"""QC flags are those of coSMicQC, also where coSMicQC alone would go silent."""

from __future__ import annotations

from pathlib import Path

import cosmicqc
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.profiling.cosmicqc import (
    FAILED,
    MISSING,
    build_cosmicqc_profiles,
    describe_cosmicqc_profiles,
    read_default_thresholds,
)
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.core.profiling.plates import (
    QC_FEATURES,
    make_cells,
    plan_plate,
    read_example_human,
    replace_column,
)

SETTINGS = DatasetSettings()
AREA = "Nuclei_AreaShape_Area"


def flags_of_library(cells: pa.Table) -> pd.DataFrame:
    labelled = pd.DataFrame(
        cosmicqc.label_outliers(cells.select(QC_FEATURES).to_pandas(), include_threshold_scores=True)
    )
    return labelled[[name for name in labelled.columns if name.startswith("Metadata_cqc_")]]


@pytest.mark.external
def test_the_example_human_cells_get_the_known_flags() -> None:
    cells = read_example_human()
    table, report = build_cosmicqc_profiles(cells, SETTINGS)
    assert cells.num_rows == table.num_rows == 289
    counts = {condition.name: condition.flagged_count for condition in report.conditions}
    assert counts == {"small_and_low_formfactor_nuclei": 3, "elongated_nuclei": 3, "large_nuclei": 6}
    assert report.failed_count == sum(table[FAILED].to_pylist()) == 11
    assert report.findings == ()


@pytest.mark.external
def test_flags_and_scores_equal_a_direct_call_of_the_library() -> None:
    cells = read_example_human()
    table, _ = build_cosmicqc_profiles(cells, SETTINGS)
    expected = flags_of_library(cells)
    for name in expected.columns:
        got = table[name].to_numpy()
        if got.dtype == bool:
            assert (got == expected[name].to_numpy()).all(), name
        else:
            np.testing.assert_array_equal(got, expected[name].to_numpy())


def test_one_null_does_not_switch_a_condition_off() -> None:
    cells = make_cells(plan_plate())
    area = cells[AREA].to_numpy().copy()
    area[5] = np.nan
    holed = replace_column(cells, AREA, area)
    table, report = build_cosmicqc_profiles(holed, DatasetSettings(qc_thresholds={"big": {AREA: 2.0}}))
    complete = np.delete(np.arange(area.size), 5)
    expected = cosmicqc.identify_outliers(holed.select([AREA]).to_pandas().iloc[complete], {AREA: 2.0})
    assert (
        int(cosmicqc.identify_outliers(holed.select([AREA]).to_pandas(), {AREA: 2.0}).sum()) == 0
    )  # the trap
    assert report.conditions[0].flagged_count == int(expected.sum()) > 0
    assert report.missing_count == 1
    assert table[MISSING].to_pylist()[5] is True
    assert table[FAILED].to_pylist()[5] is False
    assert table[f"Metadata_cqc_big_{AREA}_zscore"].null_count == 1
    assert "qc-feature-null" in [finding.code for finding in report.findings]


def test_infinite_values_are_taken_for_missing() -> None:
    cells = make_cells(plan_plate())
    area = cells[AREA].to_numpy().copy()
    area[3] = np.inf
    _, report = build_cosmicqc_profiles(
        replace_column(cells, AREA, area), DatasetSettings(qc_thresholds={"b": {AREA: 2.0}})
    )
    assert report.missing_count == 1
    assert report.conditions[0].evaluated_count == cells.num_rows - 1


@pytest.mark.parametrize(
    ("values", "reason"),
    [(None, "no column"), ("text", "no numbers"), (4.0, "one value"), (float("nan"), "no cell has a value")],
)
def test_a_condition_that_cannot_be_evaluated_is_skipped_and_named(values: object, reason: str) -> None:
    cells = make_cells(plan_plate())
    broken = (
        cells.drop_columns([AREA])
        if values is None
        else replace_column(cells, AREA, [values] * cells.num_rows)
    )
    settings = DatasetSettings(
        qc_thresholds={"big": {AREA: 2.0}, "odd": {"Nuclei_AreaShape_Eccentricity": 2.0}}
    )
    table, report = build_cosmicqc_profiles(broken, settings)
    assert [skipped.name for skipped in report.skipped] == ["big"]
    assert reason in report.skipped[0].reason
    assert [finding.code for finding in report.findings] == ["qc-condition-skipped"]
    assert "Metadata_cqc_big_is_outlier" not in table.column_names
    assert report.failed_count == report.conditions[0].flagged_count > 0


def test_without_any_condition_every_cell_passes_untested_and_that_is_said() -> None:
    cells = make_cells(plan_plate()).drop_columns(list(QC_FEATURES))
    table, report = build_cosmicqc_profiles(cells, SETTINGS)
    assert table.num_rows == cells.num_rows
    assert report.failed_count == 0
    assert "qc-not-evaluated" in [finding.code for finding in report.findings]


def test_plates_are_not_pooled() -> None:
    both = pa.concat_tables([make_cells(plan_plate(), plate="P1"), make_cells(plan_plate(), plate="P2")])
    with pytest.raises(ProfilingError, match="2 plates at once"):
        build_cosmicqc_profiles(both, SETTINGS)


def test_files_give_the_same_as_a_table_and_keep_the_order_of_cells(tmp_path: Path) -> None:
    cells = make_cells(plan_plate())
    half = cells.num_rows // 2
    pq.write_table(cells.slice(0, half), tmp_path / "a.parquet")
    pq.write_table(cells.slice(half), tmp_path / "b.parquet")
    from_files, _ = build_cosmicqc_profiles(
        [str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")], SETTINGS
    )
    from_table, _ = build_cosmicqc_profiles(cells, SETTINGS)
    assert from_files.equals(from_table)


def test_the_table_holds_keys_flags_and_scores_but_no_features() -> None:
    table, _ = build_cosmicqc_profiles(make_cells(plan_plate()), SETTINGS)
    assert table.column_names[:7] == [
        "plate_key", "dataset_id", "Metadata_ObjectID", "image_id", "Metadata_Plate", "Metadata_Well", "Metadata_Site",
    ]  # fmt: skip
    assert all(name.startswith("Metadata_cqc_") for name in table.column_names[7:])
    assert table[FAILED].null_count == table[MISSING].null_count == 0


def test_thresholds_on_the_scale_of_the_feature_separate_the_flagged_cells() -> None:
    cells = make_cells(plan_plate())
    table, report = build_cosmicqc_profiles(cells, DatasetSettings(qc_thresholds={"big": {AREA: 1.5}}))
    cutoff = report.conditions[0].thresholds[0].cutoff
    assert (cells[AREA].to_numpy() > cutoff).tolist() == table["Metadata_cqc_big_is_outlier"].to_pylist()


def test_a_stored_table_tells_the_same_as_the_run_that_made_it() -> None:
    cells = make_cells(plan_plate())
    table, report = build_cosmicqc_profiles(cells, SETTINGS)
    again = describe_cosmicqc_profiles(table, cells, SETTINGS)
    assert again.conditions == report.conditions
    assert (again.cell_count, again.failed_count) == (report.cell_count, report.failed_count)


def test_default_thresholds_are_those_the_library_ships() -> None:
    assert read_default_thresholds()["large_nuclei"] == {AREA: 2.0, "Nuclei_AreaShape_FormFactor": -2.0}


def test_cells_without_ids_are_refused() -> None:
    with pytest.raises(ProfilingError, match="Metadata_ObjectID"):
        build_cosmicqc_profiles(make_cells(plan_plate()).drop_columns(["Metadata_ObjectID"]), SETTINGS)


def test_a_condition_is_described_with_the_deviation_that_the_scores_were_made_with() -> None:
    cells = make_cells(plan_plate()).slice(0, 7)  # few cells: sample and population deviation differ by 8 %
    table, report = build_cosmicqc_profiles(cells, DatasetSettings(qc_thresholds={"big": {AREA: 1.0}}))
    (threshold,) = report.conditions[0].thresholds
    areas = cells[AREA].to_numpy()
    assert threshold.mean == pytest.approx(areas.mean())
    assert threshold.deviation == pytest.approx(np.sqrt(((areas - areas.mean()) ** 2).mean()))
    assert threshold.cutoff == pytest.approx(threshold.mean + threshold.deviation)
    scores = (areas - threshold.mean) / threshold.deviation
    np.testing.assert_allclose(table[f"Metadata_cqc_big_{AREA}_zscore"].to_numpy(), scores)


def test_a_cell_that_lacks_the_feature_of_any_condition_counts_as_missing() -> None:
    cells = make_cells(plan_plate())
    eccentricity = "Nuclei_AreaShape_Eccentricity"
    for row, feature in ((3, AREA), (8, eccentricity)):
        values = cells[feature].to_pylist()
        values[row] = None
        cells = replace_column(cells, feature, values)
    settings = DatasetSettings(qc_thresholds={"big": {AREA: 2.0}, "long": {eccentricity: 2.0}})
    table, report = build_cosmicqc_profiles(cells, settings)
    assert report.missing_count == 2
    assert np.flatnonzero(table[MISSING].to_numpy()).tolist() == [3, 8]
    again = describe_cosmicqc_profiles(table, cells, settings)
    assert (again.missing_count, again.conditions, again.skipped) == (2, report.conditions, ())
    message = next(f.message for f in report.findings if f.code == "qc-feature-null")
    assert message.startswith(f"2 of {cells.num_rows} cells")


def test_a_cell_fails_when_any_condition_flags_it() -> None:
    cells = make_cells(plan_plate())
    settings = DatasetSettings(qc_thresholds={"big": {AREA: 1.5}, "small": {AREA: -1.5}})
    table, report = build_cosmicqc_profiles(cells, settings)
    big, small = (table[f"Metadata_cqc_{name}_is_outlier"].to_numpy() for name in ("big", "small"))
    assert big.any()
    assert small.any()
    assert table[FAILED].to_pylist() == (big | small).tolist()
    assert report.failed_count == big.sum() + small.sum()
    assert report.fail_fraction == report.to_dict()["fail_fraction"] == report.failed_count / cells.num_rows


@pytest.mark.parametrize(("allowed", "is_told"), [(0.0, True), (0.25, False), (0.249, True), (1.0, False)])
def test_only_a_fail_rate_above_the_allowed_one_is_told(allowed: float, is_told: bool) -> None:
    cells = make_cells(plan_plate()).slice(0, 100)
    areas = np.where(np.arange(100) < 25, 20.0, 10.0)  # a quarter lies 1.7 deviations above
    settings = DatasetSettings(qc_thresholds={"big": {AREA: 1.5}}, qc_max_fail_fraction=allowed)
    _, report = build_cosmicqc_profiles(replace_column(cells, AREA, areas), settings)
    assert report.failed_count == 25
    assert ("qc-fail-rate" in [finding.code for finding in report.findings]) == is_told


@pytest.mark.parametrize(("count", "is_told"), [(49, True), (50, False)])
def test_z_scores_of_fewer_than_fifty_cells_are_told(count: int, is_told: bool) -> None:
    _, report = build_cosmicqc_profiles(make_cells(plan_plate()).slice(0, count), SETTINGS)
    assert ("qc-few-cells" in [finding.code for finding in report.findings]) == is_told


def test_a_plate_without_cells_has_no_fail_rate_and_is_not_called_small() -> None:
    table, report = build_cosmicqc_profiles(make_cells(plan_plate()).slice(0, 0), SETTINGS)
    assert (table.num_rows, report.cell_count, report.fail_fraction) == (0, 0, 0.0)
    assert {finding.code for finding in report.findings} == {"qc-condition-skipped", "qc-not-evaluated"}


def test_wells_of_the_images_stand_for_those_that_the_measurements_lack() -> None:
    cells = make_cells(plan_plate())
    table, _ = build_cosmicqc_profiles(cells.drop_columns(["Metadata_Well"]), SETTINGS)
    assert table["Metadata_Well"].to_pylist() == cells["well_id"].to_pylist()
    own = replace_column(cells, "Metadata_Well", ["H12"] * cells.num_rows)
    kept, _ = build_cosmicqc_profiles(own, SETTINGS)
    assert set(kept["Metadata_Well"].to_pylist()) == {"H12"}


def test_a_condition_without_thresholds_is_refused() -> None:
    with pytest.raises(ProfilingError, match=r"\['empty'\]"):
        build_cosmicqc_profiles(make_cells(plan_plate()), DatasetSettings(qc_thresholds={"empty": {}}))


def test_conditions_without_flags_in_a_stored_table_count_as_skipped() -> None:
    cells = make_cells(plan_plate())
    table, _ = build_cosmicqc_profiles(cells, DatasetSettings(qc_thresholds={"big": {AREA: 1.5}}))
    both = DatasetSettings(qc_thresholds={"big": {AREA: 1.5}, "small": {AREA: -1.5}})
    again = describe_cosmicqc_profiles(table, cells, both)
    assert [condition.name for condition in again.conditions] == ["big"]
    assert [skipped.name for skipped in again.skipped] == ["small"]
    unknown = table.set_column(table.column_names.index(FAILED), FAILED, pa.nulls(table.num_rows, pa.bool_()))
    assert describe_cosmicqc_profiles(unknown, cells, both).failed_count == 0
