"""Time points of a plate and of a dataset are found, said and kept apart; the settings decide otherwise."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pycytominer import aggregate, normalize

from bioimage_assets.core.discovery.dataset_file import read_dataset_settings
from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.measurements.read import read_measurements
from bioimage_assets.core.profiling.cosmicqc import FAILED
from bioimage_assets.core.profiling.dataset import build_consensus, build_selected_features
from bioimage_assets.core.profiling.platemap import PlateMap
from bioimage_assets.core.profiling.pycytominer import OBJECT_COUNT, build_well_profiles
from bioimage_assets.core.profiling.replicates import measure_replicates
from bioimage_assets.core.profiling.strata import is_time_column, stratum_sort_key
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.builders.measurement_plates import (
    PlateSpec,
    image_rows,
    write_cellprofiler_folder,
    write_csv,
)
from bioimage_assets_tests.core.profiling.plates import (
    FEATURES,
    WellPlan,
    make_cells,
    make_platemap,
    plan_plate,
    replace_column,
)
from bioimage_assets_tests.core.profiling.test_profiling_calls import (
    as_stored,
    check_equal,
    repeat_profiles,
)

SETTINGS = DatasetSettings()
PLANS = plan_plate()
CONTROLS = [plan.well for plan in PLANS if plan.is_control]
TIMES = ("6", "24", "48")


def codes(report: object) -> list[str]:
    return [finding.code for finding in report.findings]  # type: ignore[attr-defined]


def message(report: object, code: str) -> str:
    return next(f.message for f in report.findings if f.code == code)  # type: ignore[attr-defined]


def make_series(
    times: Sequence[str | None] = TIMES,
    name: str = "Metadata_T",
    plans: Sequence[WellPlan] = PLANS,
    seed: int = 0,
) -> pa.Table:
    """A plate imaged at several times; each time adds an offset of its own to all cells."""
    parts = []
    for index, time in enumerate(times):
        cells = make_cells(plans, seed=seed * 100 + index, offset=5.0 * index)
        ids = [f"{text}@{time}" for text in cells["Metadata_ObjectID"].to_pylist()]
        cells = replace_column(cells, "Metadata_ObjectID", ids)
        parts.append(cells.append_column(name, pa.array([time] * cells.num_rows, pa.string())))
    return pa.concat_tables(parts)


@pytest.mark.parametrize(
    "name",
    ["Metadata_T", "Metadata_Time", "metadata_timepoint", "Image_Metadata_T", "Image_Metadata_Time_Point", "Metadata_TIME_H",
     "Metadata_TimePoint_Index", "Metadata_time_hours", "Metadata_Hours"],
)  # fmt: skip
def test_time_columns_are_known_by_name_in_any_case(name: str) -> None:
    assert is_time_column(name)
    table, report = build_well_profiles(make_series(name=name), None, None, SETTINGS)
    assert report.strata == (name,)
    assert table.num_rows == len(TIMES) * len(PLANS)


@pytest.mark.parametrize(
    "name",
    ["Metadata_Treatment", "Metadata_Type", "T", "Metadata_Site", "Metadata_TimeLapseName", "Cells_Time"],
)
def test_other_columns_are_no_time_columns(name: str) -> None:
    assert not is_time_column(name)


def test_each_well_has_a_profile_per_time_point_and_that_is_said() -> None:
    cells = make_series()
    failed = [well == "A02" and time == "24" for well, time in zip(
        cells["well_id"].to_pylist(), cells["Metadata_T"].to_pylist(), strict=True
    )]  # fmt: skip
    qc = cells.select(["Metadata_ObjectID"]).append_column(FAILED, pa.array(failed))
    table, report = build_well_profiles(cells, qc, make_platemap(PLANS), SETTINGS)
    rows = table.select(["well_id", "Metadata_T", OBJECT_COUNT]).to_pylist()
    assert [(row["well_id"], row["Metadata_T"]) for row in rows[:4]] == [
        ("A01", "6"), ("A01", "24"), ("A01", "48"), ("A02", "6"),
    ]  # fmt: skip
    assert len(rows) == report.profile_count == 3 * len(PLANS)
    assert report.well_count == len(PLANS)
    counts = {(row["well_id"], row["Metadata_T"]): row[OBJECT_COUNT] for row in rows}
    assert (counts["A01", "24"], counts["A02", "24"]) == (20, 0)
    assert sum(counts.values()) == cells.num_rows - 20 == report.profiled_cell_count
    assert report.low_count_wells == ("A02 24",)
    assert report.wells_without_platemap == ()
    text = message(report, "profiles-by-time")
    for part in (
        "Metadata_T: 6, 24, 48",
        '[profiles] group_by = ["Metadata_T"]',
        "group_by = []",
        "screen/P1",
    ):
        assert part in text
    assert table["Metadata_compound"].null_count == 0


@pytest.mark.parametrize("method", ["inverse_normal", "spherize"])
def test_the_methods_that_look_at_more_are_repeated_from_their_calls_at_each_time(method: str) -> None:
    cells = make_series()
    settings = DatasetSettings(normalization_method=method)  # type: ignore[arg-type]
    table, report = build_well_profiles(cells, None, make_platemap(PLANS), settings)
    frame = cells.to_pandas()[["Metadata_ObjectID", "Metadata_Well", "Metadata_T", *FEATURES]]
    repeated = repeat_profiles(as_stored(report.calls), frame, None, table.to_pandas())
    check_equal(repeated, table, ("Metadata_Well", "Metadata_T"))


@pytest.mark.parametrize("method", ["standardize", "robustize", "mad_robustize"])
def test_each_time_point_equals_a_call_of_the_library_on_its_cells_alone(method: str) -> None:
    cells = make_series()
    settings = DatasetSettings(normalization_method=method)  # type: ignore[arg-type]
    table, report = build_well_profiles(cells, None, make_platemap(PLANS), settings)
    for time in TIMES:
        part = cells.filter(pc.equal(cells["Metadata_T"], time)).to_pandas()
        normalized = normalize(
            part, features=list(FEATURES), meta_features=["Metadata_Well"], method=method,
            samples=f"Metadata_Well in {CONTROLS}", mad_robustize_epsilon=0.0,
        )  # fmt: skip
        expected = aggregate(normalized, strata=["Metadata_Well"], features=list(FEATURES))
        got = table.filter(pc.equal(table["Metadata_T"], time)).to_pandas()
        assert got["well_id"].tolist() == expected["Metadata_Well"].tolist()
        np.testing.assert_array_equal(got[list(FEATURES)].to_numpy(), expected[list(FEATURES)].to_numpy())
    frame = cells.to_pandas()[["Metadata_ObjectID", "Metadata_Well", "Metadata_T", *FEATURES]]
    repeated = repeat_profiles(as_stored(report.calls), frame, None, table.to_pandas())
    check_equal(repeated, table, ("Metadata_Well", "Metadata_T"))


def test_centring_moves_the_controls_of_each_time_point_to_zero() -> None:
    settings = DatasetSettings(center_controls=True)
    cells = make_series()
    table, report = build_well_profiles(cells, None, make_platemap(PLANS), settings)
    frame = table.to_pandas()
    controls = frame[frame["well_id"].isin(CONTROLS)]
    medians = controls.groupby("Metadata_T")[list(FEATURES)].median()
    np.testing.assert_allclose(medians.to_numpy(), 0.0, atol=1e-12)
    cells_frame = cells.to_pandas()[["Metadata_ObjectID", "Metadata_Well", "Metadata_T", *FEATURES]]
    repeated = repeat_profiles(as_stored(report.calls), cells_frame, None, table.to_pandas())
    check_equal(repeated, table, ("Metadata_Well", "Metadata_T"))


def test_blocks_of_features_change_no_number_of_a_time_series() -> None:
    cells = make_series()
    whole, _ = build_well_profiles(cells, None, make_platemap(PLANS), SETTINGS)
    blocked, _ = build_well_profiles(
        cells, None, make_platemap(PLANS), SETTINGS, block_bytes=8 * cells.num_rows
    )
    assert blocked.equals(whole)


def test_an_empty_list_pools_on_purpose_as_one_time_point_is_profiled() -> None:
    cells = make_series()
    settings = DatasetSettings(profile_group_by=())
    pooled, report = build_well_profiles(cells, None, make_platemap(PLANS), settings)
    bare, _ = build_well_profiles(cells.drop_columns(["Metadata_T"]), None, make_platemap(PLANS), SETTINGS)
    assert pooled.equals(bare)
    assert report.strata == ()
    assert "profiles-by-time" not in codes(report)


def test_named_columns_are_taken_without_asking_for_them_again() -> None:
    settings = DatasetSettings(profile_group_by=("Metadata_T", "Metadata_Site"))
    table, report = build_well_profiles(make_series(), None, make_platemap(PLANS), settings)
    assert report.strata == ("Metadata_T", "Metadata_Site")
    assert table.column_names[6:8] == ["Metadata_T", "Metadata_Site"]
    assert "profiles-by-time" not in codes(report)


def test_a_named_column_that_nothing_has_is_refused_with_what_to_write() -> None:
    settings = DatasetSettings(profile_group_by=("Metadata_Tim",))
    with pytest.raises(ProfilingError, match=r"group_by in dataset\.toml names 'Metadata_Tim'.*Metadata_T"):
        build_well_profiles(make_series(), None, make_platemap(PLANS), settings)


def test_a_named_column_may_be_the_platemaps() -> None:
    layout = make_platemap(PLANS)
    times = [24.0 if index % 2 else 48.0 for index in range(len(PLANS))]
    layout = PlateMap(layout.name, layout.uri, layout.table.append_column("Metadata_hours", pa.array(times)))
    settings = DatasetSettings(profile_group_by=("Metadata_hours",), min_controls=3)
    table, report = build_well_profiles(make_cells(PLANS), None, layout, settings)
    assert report.strata == ("Metadata_hours",)
    assert table["Metadata_hours"].to_pylist() == [f"{time:g}" for time in times]
    assert "stratum-without-controls" not in codes(report)


def test_cells_without_a_time_have_a_profile_of_their_own() -> None:
    table, report = build_well_profiles(make_series(("6", "24", None)), None, make_platemap(PLANS), SETTINGS)
    assert table.num_rows == 3 * len(PLANS)
    assert table["Metadata_T"].null_count == len(PLANS)
    assert report.profile_count == 3 * len(PLANS)
    assert {"Metadata_T": None} in as_stored(report.calls)[0]["kept"]


def test_a_time_point_without_controls_of_its_own_borrows_those_of_the_plate_and_that_is_said() -> None:
    cells = make_series()
    is_lost = pc.and_(
        pc.equal(cells["Metadata_T"], "48"), pc.is_in(cells["well_id"], value_set=pa.array(CONTROLS))
    )
    cells = cells.filter(pc.invert(is_lost))
    for settings in (SETTINGS, DatasetSettings(center_controls=True)):
        table, report = build_well_profiles(cells, None, make_platemap(PLANS), settings)
        assert "48" in message(report, "stratum-without-controls")
        assert table["Metadata_Normalized_To"].unique().to_pylist() == ["controls"]
        frame = cells.to_pandas()[["Metadata_ObjectID", "Metadata_Well", "Metadata_T", *FEATURES]]
        repeated = repeat_profiles(as_stored(report.calls), frame, None, table.to_pandas())
        check_equal(repeated, table, ("Metadata_Well", "Metadata_T"))


def test_without_controls_each_time_point_is_relative_to_itself() -> None:
    table, report = build_well_profiles(make_series(), None, None, SETTINGS)
    assert report.reference == "plate"
    means = table.to_pandas().groupby("Metadata_T")[FEATURES[0]].mean()
    assert (means.abs() < 0.3).all()  # pooled, the offsets of the times would be several deviations


def test_clock_times_are_no_time_points_and_that_is_said() -> None:
    cells = make_cells(PLANS)
    stamps = [
        f"10:{index:02d}" if index < 60 else f"11:{index % 60:02d}" for index in range(cells.num_rows // 5)
    ]
    stamped = cells.append_column("Metadata_Time", pa.array(np.repeat(stamps, 5).tolist(), pa.string()))
    table, report = build_well_profiles(stamped, None, make_platemap(PLANS), SETTINGS)
    assert (table.num_rows, report.strata) == (len(PLANS), ())
    assert 'group_by = ["Metadata_Time"]' in message(report, "time-column-pooled")


def test_a_second_column_that_says_the_same_splits_nothing() -> None:
    cells = make_series()
    cells = cells.append_column("Image_Metadata_Time", cells["Metadata_T"])
    assert build_well_profiles(cells, None, None, SETTINGS)[1].strata == ("Metadata_T",)


def test_a_platemap_column_called_like_the_time_of_the_cells_is_kept_beside_it() -> None:
    layout = make_platemap(PLANS)
    extra = layout.table.append_column("Metadata_T", pa.array(["planned"] * len(PLANS)))
    table, _ = build_well_profiles(make_series(), None, PlateMap(layout.name, layout.uri, extra), SETTINGS)
    assert set(table["Metadata_T"].to_pylist()) == set(TIMES)
    assert set(table["Metadata_platemap_T"].to_pylist()) == {"planned"}


def test_values_are_ordered_as_people_do() -> None:
    values = ["48", "6", None, "24h", "6h", "T10", "T2", "1.5", "-"]
    ordered = sorted(values, key=stratum_sort_key)
    assert ordered.index("6h") < ordered.index("24h")
    assert ordered.index("T2") < ordered.index("T10")
    assert ordered.index("1.5") < ordered.index("6") < ordered.index("48")
    assert ordered[-1] is None


def _series_of_plates(settings: DatasetSettings) -> list[pa.Table]:
    plans = plan_plate(control_count=12, replicates=3)
    tables = []
    for seed in range(2):
        cells = make_series(("24", "48"), plans=plans, seed=seed + 1)
        cells = replace_column(cells, "plate_key", [f"screen/P{seed}"] * cells.num_rows)
        tables.append(build_well_profiles(cells, None, make_platemap(plans), settings)[0])
    return tables


def test_a_treatment_at_one_time_is_no_replicate_of_the_same_at_another() -> None:
    wells, _ = build_selected_features(_series_of_plates(SETTINGS), SETTINGS)
    table, report = build_consensus(wells, SETTINGS)
    assert report.strata == ("Metadata_T",)
    assert (report.treatment_count, report.control_profile_count) == (2 * 6, 2 * 12)
    assert table["Metadata_T"].unique().to_pylist() == ["24", "48"]
    treated = [row for row in table.to_pylist() if row["Metadata_Well"] is None]
    assert {row["Metadata_Replicate_Count"] for row in treated} == {6}
    assert 'group_by = ["Metadata_T"]' in message(report, "consensus-by-time")
    measured = measure_replicates(wells, SETTINGS, null_size=500)
    labels = {row.treatment for row in measured.treatments}
    assert {"active 10 [24]", "active 10 [48]"} <= labels
    assert len(labels) == 12
    assert {row.replicate_count for row in measured.treatments} == {6}
    assert all(row.is_active for row in measured.treatments if row.treatment.startswith("active"))


def test_a_time_that_only_differs_between_plates_keeps_treatments_apart() -> None:
    plans = plan_plate(control_count=12, replicates=3)
    tables = []
    for plate, time in (("P1", "24"), ("P2", "48")):
        cells = make_cells(plans, plate=plate)
        cells = cells.append_column("Metadata_Time", pa.array([time] * cells.num_rows))
        table, report = build_well_profiles(cells, None, make_platemap(plans), SETTINGS)
        assert (table.num_rows, report.strata) == (len(plans), ())
        assert set(table["Metadata_Time"].to_pylist()) == {time}
        tables.append(table)
    wells = pa.concat_tables(tables)
    table, report = build_consensus(wells, SETTINGS)
    assert report.treatment_count == 12
    pooled = replace(SETTINGS, profile_group_by=())
    assert build_consensus(wells, pooled)[1].treatment_count == 6


def test_the_day_a_plate_was_imaged_is_no_time_point_of_the_experiment() -> None:
    plans = plan_plate(control_count=12, replicates=3)
    tables = []
    for plate, time in (("P1", "2024-01-31 10:33"), ("P2", "2024-02-01 09:10")):
        cells = make_cells(plans, plate=plate)
        cells = cells.append_column("Metadata_Time", pa.array([time] * cells.num_rows))
        tables.append(build_well_profiles(cells, None, make_platemap(plans), SETTINGS)[0])
    assert build_consensus(pa.concat_tables(tables), SETTINGS)[1].treatment_count == 6


def test_a_time_of_the_platemap_keeps_treatments_apart_unless_it_is_one() -> None:
    plans = plan_plate(control_count=12, replicates=4)
    layout = make_platemap(plans)
    times = pa.array([24.0 if index % 24 < 12 else 48.0 for index in range(len(plans))])
    layout = PlateMap(layout.name, layout.uri, layout.table.append_column("Metadata_time_h", times))
    wells, _ = build_well_profiles(make_cells(plans), None, layout, SETTINGS)
    table, report = build_consensus(wells, SETTINGS)
    assert report.strata == ("Metadata_time_h",)
    assert table.schema.field("Metadata_time_h").type == pa.float64()
    assert "consensus-by-time" in codes(report)
    named = replace(SETTINGS, treatment_columns=(*SETTINGS.treatment_columns, "Metadata_time_h"))
    same, silent = build_consensus(wells, named)
    assert same.num_rows == table.num_rows
    assert "consensus-by-time" not in codes(silent)


def test_the_setting_is_read_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "dataset.toml").write_text('[profiles]\ngroup_by = ["Metadata_T"]\n')
    settings = read_dataset_settings(str(tmp_path))
    assert build_well_profiles(make_series(), None, None, settings)[1].strata == ("Metadata_T",)
    (tmp_path / "dataset.toml").write_text("[profiles]\ngroup_by = []\n")
    assert (
        build_well_profiles(make_series(), None, None, read_dataset_settings(str(tmp_path)))[1].strata == ()
    )


def _read_measured(path: Path) -> pa.Table:
    return read_measurements(
        [str(path)], plate_key="screen/P1", dataset_id="screen", plate_name="P1", settings=SETTINGS
    ).reader.read_all()


def test_the_time_of_an_in_carta_table_is_found(tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    random = np.random.default_rng(1)
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["Plate ID", "WELL LABEL", "FOV", "Z", "T", "OBJECT ID", "Nuclei Area wv1"])
        for well in ("A - 1", "A - 2", "B - 1"):
            for time in (1, 2, 10):
                for number in range(5):
                    writer.writerow(["P1", well, 1, 1, time, number, 100 * time + random.normal()])
    table, report = build_well_profiles(_read_measured(path), None, None, SETTINGS)
    assert report.strata == ("Metadata_T",)
    rows = table.select(["well_id", "Metadata_T", OBJECT_COUNT]).to_pylist()
    assert [(row["well_id"], row["Metadata_T"]) for row in rows[:3]] == [
        ("A01", "1"),
        ("A01", "2"),
        ("A01", "10"),
    ]
    assert {row[OBJECT_COUNT] for row in rows} == {5}
    frame = pd.read_csv(path)
    assert len(rows) == len(frame.groupby(["WELL LABEL", "T"]))


def test_the_time_of_a_cellprofiler_image_table_is_found(tmp_path: Path) -> None:
    spec = PlateSpec(cells={1: 12, 2: 12, 3: 12, 4: 12}, wells=("A01", "A01", "A02", "A02"))
    folder = write_cellprofiler_folder(tmp_path / "P1", spec)
    header, rows = image_rows(spec)
    write_csv(
        folder / "Image.csv",
        [*header, "Metadata_Timepoint"],
        [[*row, t] for row, t in zip(rows, "1212", strict=True)],
    )
    table, report = build_well_profiles(_read_measured(folder), None, None, SETTINGS)
    assert report.strata == ("Image_Metadata_Timepoint",)
    assert table["Image_Metadata_Timepoint"].to_pylist() == ["1", "2", "1", "2"]
    assert table[OBJECT_COUNT].to_pylist() == [12] * 4
