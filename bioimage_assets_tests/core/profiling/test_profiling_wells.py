"""Well profiles have pycytominer's numbers, one row per measured well, and an account of every cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pycytominer import aggregate, normalize

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.profiling.cosmicqc import FAILED, build_cosmicqc_profiles
from bioimage_assets.core.profiling.features import select_feature_columns
from bioimage_assets.core.profiling.platemap import PlateMap
from bioimage_assets.core.profiling.pycytominer import (
    FAILED_COUNT,
    LOW_COUNT,
    OBJECT_COUNT,
    build_well_profiles,
)
from bioimage_assets.core.settings.dataset import DatasetSettings, NormalizationMethod
from bioimage_assets_tests.core.profiling.plates import (
    FEATURES,
    PLACES,
    make_cells,
    make_platemap,
    plan_plate,
    read_example_human,
    replace_column,
)

SETTINGS = DatasetSettings()
PLANS = plan_plate()
CONTROLS = [plan.well for plan in PLANS if plan.is_control]


def codes(report: object) -> list[str]:
    return [finding.code for finding in report.findings]  # type: ignore[attr-defined]


def flag(cells: pa.Table, wells: list[str]) -> pa.Table:
    """A QC table in which all cells of some wells fail."""
    failed = [well in wells for well in cells["well_id"].to_pylist()]
    return cells.select(["Metadata_ObjectID"]).append_column(FAILED, pa.array(failed))


@pytest.mark.parametrize("method", ["standardize", "robustize", "mad_robustize"])
def test_profiles_equal_direct_calls_of_the_library(method: NormalizationMethod) -> None:
    cells = make_cells(PLANS)
    qc, _ = build_cosmicqc_profiles(cells, SETTINGS)
    settings = DatasetSettings(normalization_method=method)
    table, report = build_well_profiles(cells, qc, make_platemap(PLANS), settings)
    passed = cells.filter(pa.compute.invert(qc[FAILED])).to_pandas()
    normalized = normalize(
        passed,
        features=list(FEATURES),
        meta_features=["Metadata_Well"],
        samples=f"Metadata_Well in {CONTROLS}",
        method=method,
        mad_robustize_epsilon=0.0,
    )
    expected = aggregate(normalized, strata=["Metadata_Well"], features=list(FEATURES)).set_index(
        "Metadata_Well"
    )
    assert report.reference == "controls"
    assert table["well_id"].to_pylist() == expected.index.tolist()
    for name in FEATURES:
        np.testing.assert_array_equal(table[name].to_numpy(), expected[name].to_numpy(), err_msg=name)


def test_blocks_of_features_change_no_number(tmp_path: Path) -> None:
    cells = make_cells(PLANS)
    pq.write_table(cells, tmp_path / "cells.parquet")
    whole, _ = build_well_profiles(cells, None, make_platemap(PLANS), SETTINGS)
    blocked, _ = build_well_profiles(
        [str(tmp_path / "cells.parquet")],
        None,
        make_platemap(PLANS),
        SETTINGS,
        block_bytes=8 * cells.num_rows,
    )
    assert blocked.equals(whole)


def test_the_median_control_well_lies_at_zero_where_the_settings_ask_for_it() -> None:
    cells = make_cells(PLANS)
    skewed = replace_column(cells, FEATURES[4], np.random.default_rng(3).exponential(size=cells.num_rows))
    plain, without = build_well_profiles(skewed, None, make_platemap(PLANS), SETTINGS)
    centered = DatasetSettings(center_controls=True)
    table, report = build_well_profiles(skewed, None, make_platemap(PLANS), centered)
    assert (without.is_centered, report.is_centered) == (False, True)
    assert "controls-centered" in codes(report)
    assert "controls-centered" not in codes(without)
    is_control = np.isin(table["well_id"].to_pylist(), CONTROLS)
    assert (
        np.median(plain[FEATURES[4]].to_numpy()[is_control]) < -0.2
    )  # the trap: median and mean of cells differ
    for name in FEATURES:
        assert np.median(table[name].to_numpy()[is_control]) == pytest.approx(0.0, abs=1e-12), name
    shift = plain[FEATURES[4]].to_numpy() - table[FEATURES[4]].to_numpy()
    np.testing.assert_allclose(shift, shift[0])


def test_normalising_and_taking_medians_commute() -> None:
    """The order of the two steps is a matter of units, because scaling is affine."""
    cells = make_cells(PLANS)
    table, _ = build_well_profiles(cells, None, make_platemap(PLANS), SETTINGS)
    frame = cells.to_pandas()
    name = FEATURES[5]
    control = frame.loc[frame.Metadata_Well.isin(CONTROLS), name]
    medians = (frame.groupby("Metadata_Well")[name].median() - control.mean()) / control.std(ddof=0)
    np.testing.assert_allclose(table[name].to_numpy(), medians.to_numpy(), rtol=1e-12, atol=1e-12)


def test_control_wells_lie_at_zero_and_treated_ones_where_they_were_put() -> None:
    table, report = build_well_profiles(make_cells(PLANS, offset=40.0), None, make_platemap(PLANS), SETTINGS)
    name = FEATURES[5]
    values = dict(zip(table["well_id"].to_pylist(), table[name].to_pylist(), strict=True))
    assert abs(np.mean([values[well] for well in CONTROLS])) < 0.15
    for plan in PLANS:
        assert values[plan.well] == pytest.approx(plan.shift, abs=1.0), plan
    assert report.control_well_count == 6
    assert report.reference_cell_count == 120


def test_every_measured_well_gives_one_row_and_counts_add_up() -> None:
    cells = make_cells(PLANS)
    qc = flag(cells, ["A02"])
    table, report = build_well_profiles(cells, qc, make_platemap(PLANS), SETTINGS)
    assert table.num_rows == len(PLANS)
    counts = dict(zip(table["well_id"].to_pylist(), table[OBJECT_COUNT].to_pylist(), strict=True))
    failed = dict(zip(table["well_id"].to_pylist(), table[FAILED_COUNT].to_pylist(), strict=True))
    assert (counts["A01"], failed["A01"]) == (20, 0)
    assert (counts["A02"], failed["A02"]) == (0, 20)
    assert sum(counts.values()) + sum(failed.values()) == cells.num_rows == report.cell_count
    assert table.filter(pa.compute.equal(table["well_id"], "A02"))[FEATURES[0]].to_pylist() == [None]
    assert table[LOW_COUNT].to_pylist().count(True) == 1
    assert report.low_count_wells == ("A02",)
    assert "well-few-cells" in codes(report)


def test_wells_that_the_platemap_does_not_describe_stay_and_are_named() -> None:
    cells = make_cells(PLANS)
    table, report = build_well_profiles(cells, None, make_platemap(PLANS[:-2]), SETTINGS)
    assert table.num_rows == len(PLANS)
    assert report.wells_without_platemap == tuple(plan.well for plan in PLANS[-2:])
    assert table["Metadata_compound"].null_count == 2
    assert "well-without-platemap" in codes(report)


def test_platemap_wells_without_cells_are_named_and_give_no_row() -> None:
    cells = make_cells(PLANS[:-1])
    table, report = build_well_profiles(cells, None, make_platemap(PLANS), SETTINGS)
    assert table.num_rows == len(PLANS) - 1
    assert report.platemap_wells_without_cells == (PLANS[-1].well,)
    assert "platemap-well-without-cells" in codes(report)


def test_unpadded_wells_of_the_measurements_find_the_platemap() -> None:
    cells = make_cells(PLANS).drop_columns(["well_id"])
    short = [f"{well[0].lower()}{int(well[1:])}" for well in cells["Metadata_Well"].to_pylist()]
    table, report = build_well_profiles(
        replace_column(cells, "Metadata_Well", short), None, make_platemap(PLANS), SETTINGS
    )
    assert table["well_id"].to_pylist() == [plan.well for plan in PLANS]
    assert report.wells_without_platemap == ()


def test_the_wells_of_the_images_win_over_those_of_the_measurements_and_that_is_said() -> None:
    cells = make_cells(PLANS)
    moved = ["H12", *cells["Metadata_Well"].to_pylist()[1:]]
    table, report = build_well_profiles(replace_column(cells, "Metadata_Well", moved), None, None, SETTINGS)
    assert "H12" not in table["well_id"].to_pylist()
    assert "well-conflict" in codes(report)


def test_cells_without_well_share_one_row_and_are_counted() -> None:
    cells = make_cells(PLANS)
    for name in ("well_id", "Metadata_Well"):
        cells = replace_column(cells, name, pa.array([None, None, *cells[name].to_pylist()[2:]], pa.string()))
    table, report = build_well_profiles(cells, None, make_platemap(PLANS), SETTINGS)
    assert table.num_rows == len(PLANS) + 1
    assert table["well_id"].to_pylist()[-1] is None
    assert table[OBJECT_COUNT].to_pylist()[-1] == report.cells_without_well == 2
    assert "cells-without-well" in codes(report)


@pytest.mark.parametrize("control_count", [0, 3])
def test_too_few_control_wells_make_the_whole_plate_the_reference_and_that_is_said(
    control_count: int,
) -> None:
    plans = plan_plate(control_count=control_count)
    table, report = build_well_profiles(make_cells(plans), None, make_platemap(plans), SETTINGS)
    assert report.reference == "plate"
    assert report.reference_cell_count == report.profiled_cell_count
    assert "normalised-to-plate" in codes(report)
    assert abs(np.mean(table[FEATURES[4]].to_numpy())) < 0.3


def test_control_wells_whose_cells_all_failed_do_not_count_as_controls() -> None:
    cells = make_cells(PLANS)
    _, report = build_well_profiles(cells, flag(cells, CONTROLS[:3]), make_platemap(PLANS), SETTINGS)
    assert report.control_well_count == 3
    assert report.reference == "plate"


@pytest.mark.parametrize("method", ["standardize", "robustize", "mad_robustize"])
def test_features_without_spread_in_the_controls_are_null_instead_of_huge(
    method: NormalizationMethod,
) -> None:
    cells = make_cells(PLANS)
    values = np.where(np.isin(cells["well_id"].to_pylist(), CONTROLS), 3.0, cells[FEATURES[4]].to_numpy())
    flat = replace_column(cells, FEATURES[4], values)
    table, report = build_well_profiles(
        flat, None, make_platemap(PLANS), DatasetSettings(normalization_method=method)
    )
    assert report.unscaled_features == (FEATURES[4],)
    assert table[FEATURES[4]].null_count == table.num_rows
    assert table[FEATURES[5]].null_count == 0
    assert "feature-unscaled" in codes(report)


def test_infinite_values_are_counted_and_do_not_spread() -> None:
    cells = make_cells(PLANS)
    values = cells[FEATURES[4]].to_numpy().copy()
    values[:3] = np.inf
    table, report = build_well_profiles(
        replace_column(cells, FEATURES[4], values), None, make_platemap(PLANS), SETTINGS
    )
    assert report.nonfinite_value_count == 3
    assert np.isfinite(table[FEATURES[4]].to_numpy()).all()


def test_integer_features_are_profiled_as_floats() -> None:
    cells = make_cells(PLANS)
    whole = (cells[FEATURES[4]].to_numpy() * 100).astype(np.int64)
    table, _ = build_well_profiles(
        replace_column(cells, FEATURES[4], whole), None, make_platemap(PLANS), SETTINGS
    )
    assert table.schema.field(FEATURES[4]).type == pa.float64()


def test_a_plate_where_every_cell_failed_keeps_its_wells_without_profiles() -> None:
    cells = make_cells(PLANS)
    table, report = build_well_profiles(
        cells, flag(cells, [plan.well for plan in PLANS]), make_platemap(PLANS), SETTINGS
    )
    assert table.num_rows == len(PLANS)
    assert report.profiled_cell_count == 0
    assert table[FEATURES[0]].null_count == len(PLANS)


def test_qc_of_other_measurements_is_refused() -> None:
    cells = make_cells(PLANS)
    with pytest.raises(ProfilingError, match="no row in the QC table"):
        build_well_profiles(cells, flag(cells, []).slice(1), None, SETTINGS)


def test_qc_rows_in_another_order_drop_the_same_cells() -> None:
    cells = make_cells(PLANS)
    qc, _ = build_cosmicqc_profiles(cells, SETTINGS)
    shuffled = qc.take(pa.array(np.random.default_rng(1).permutation(qc.num_rows)))
    assert build_well_profiles(cells, shuffled, None, SETTINGS)[0].equals(
        build_well_profiles(cells, qc, None, SETTINGS)[0]
    )


def test_two_plates_at_once_are_refused() -> None:
    both = pa.concat_tables([make_cells(PLANS, plate="P1"), make_cells(PLANS, plate="P2")])
    with pytest.raises(ProfilingError, match="several plates"):
        build_well_profiles(both, None, None, SETTINGS)


def test_a_plate_without_cells_or_features_is_refused() -> None:
    cells = make_cells(PLANS)
    with pytest.raises(ProfilingError, match="no cells"):
        build_well_profiles(cells.slice(0, 0), None, None, SETTINGS)
    with pytest.raises(ProfilingError, match="no feature"):
        build_well_profiles(cells.drop_columns([*FEATURES]), None, None, SETTINGS)


def test_where_a_cell_lies_is_no_feature() -> None:
    table, report = build_well_profiles(make_cells(PLANS), None, None, SETTINGS)
    assert set(report.place_columns) == set(PLACES)
    assert not set(PLACES) & set(table.column_names)
    assert list(select_feature_columns(table.schema).profiled) == list(FEATURES)


def test_wells_of_a_1536_well_plate_come_in_plate_order() -> None:
    cells = make_cells(plan_plate()).slice(0, 80)
    wells = [well for well in ("AA01", "B48", "A02", "AF10") for _ in range(20)]
    cells = replace_column(replace_column(cells, "well_id", wells), "Metadata_Well", wells)
    table, _ = build_well_profiles(cells, None, None, SETTINGS)
    assert table["well_id"].to_pylist() == ["A02", "B48", "AA01", "AF10"]


def test_a_platemap_without_the_control_column_falls_back_to_the_plate() -> None:
    layout = make_platemap(PLANS)
    bare = PlateMap(layout.name, layout.uri, layout.table.drop_columns(["Metadata_control_type"]))
    _, report = build_well_profiles(make_cells(PLANS), None, bare, SETTINGS)
    assert report.reference == "plate"


@pytest.mark.slow
@pytest.mark.external
def test_example_human_falls_back_to_the_plate_and_keeps_278_cells_in_one_well() -> None:
    cells = read_example_human()
    features = select_feature_columns(cells.schema)
    assert len(features.profiled) + len(features.places) == 303
    qc, _ = build_cosmicqc_profiles(cells, SETTINGS)
    table, report = build_well_profiles(cells, qc, None, SETTINGS)
    assert table.num_rows == 1
    assert table[OBJECT_COUNT].to_pylist() == [278]
    assert table[FAILED_COUNT].to_pylist() == [11]
    assert report.reference == "plate"
    assert codes(report)[:1] == ["normalised-to-plate"]
    assert report.unscaled_features == tuple(
        f"{name}_AreaShape_EulerNumber" for name in ("Cells", "Cytoplasm", "Nuclei")
    )
