"""Selection, consensus and replicate measures over the plates of a dataset."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pytest
from pycytominer import consensus, feature_select

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.profiling.dataset import OPERATIONS, build_consensus, build_selected_features
from bioimage_assets.core.profiling.features import (
    drop_empty_features,
    select_feature_columns,
    split_places,
)
from bioimage_assets.core.profiling.pycytominer import OBJECT_COUNT, build_well_profiles
from bioimage_assets.core.profiling.replicates import measure_replicates
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.core.profiling.plates import (
    DOSES,
    FEATURES,
    make_cells,
    make_platemap,
    plan_plate,
    replace_column,
)

SETTINGS = DatasetSettings()
PLANS = plan_plate(control_count=12, replicates=3)


def make_wells(plate: str, seed: int) -> pa.Table:
    cells = make_cells(PLANS, plate=plate, seed=seed, offset=3.0 * seed)
    return build_well_profiles(cells, None, make_platemap(PLANS), SETTINGS)[0]


@pytest.fixture(scope="module")
def plates() -> list[pa.Table]:
    return [make_wells(f"P{seed}", seed) for seed in range(3)]


def codes(report: object) -> list[str]:
    return [finding.code for finding in report.findings]  # type: ignore[attr-defined]


def test_selected_features_equal_a_direct_call_of_the_library(plates: list[pa.Table]) -> None:
    table, report = build_selected_features(plates, SETTINGS)
    frame = pa.concat_tables(plates).to_pandas()
    expected = feature_select(frame, features=list(FEATURES), operation=list(OPERATIONS), na_cutoff=0)
    kept = [name for name in FEATURES if name in expected.columns]
    assert list(report.selected) == kept == list(select_feature_columns(table.schema).profiled)
    assert [step.operation for step in report.steps] == list(OPERATIONS)
    assert table.num_rows == sum(plate.num_rows for plate in plates) == report.well_count


def test_each_step_says_what_it_removed(plates: list[pa.Table]) -> None:
    changed = []
    for table in plates:
        table = replace_column(table, FEATURES[0], np.zeros(table.num_rows))
        table = replace_column(table, FEATURES[1], [None, *table[FEATURES[1]].to_pylist()[1:]])
        table = replace_column(table, FEATURES[2], table[FEATURES[3]].to_numpy() * 2)
        changed.append(replace_column(table, FEATURES[4], table[FEATURES[4]].to_numpy() * 1e4))
    _, report = build_selected_features(changed, SETTINGS)
    removed = {step.operation: step.removed for step in report.steps}
    assert removed["drop_na_columns"] == (FEATURES[1],)
    assert removed["variance_threshold"] == (FEATURES[0],)
    assert set(removed["correlation_threshold"]) & {FEATURES[2], FEATURES[3]}
    assert removed["drop_outliers"] == (FEATURES[4],)


def test_features_that_one_plate_lacks_are_left_out_on_all_and_named(plates: list[pa.Table]) -> None:
    table, report = build_selected_features([plates[0], plates[1].drop_columns([FEATURES[7]])], SETTINGS)
    assert report.not_on_every_plate == (FEATURES[7],)
    assert FEATURES[7] not in table.column_names
    assert "feature-not-on-every-plate" in codes(report)


def test_wells_without_a_passing_cell_do_not_cost_any_feature(plates: list[pa.Table]) -> None:
    first = plates[0]
    for name in FEATURES:
        first = replace_column(first, name, pa.array([None, *first[name].to_pylist()[1:]], pa.float64()))
    first = replace_column(
        first, OBJECT_COUNT, pa.array([0, *first[OBJECT_COUNT].to_pylist()[1:]], pa.int64())
    )
    table, report = build_selected_features([first, plates[1]], SETTINGS)
    assert report.wells_without_cells == 1
    assert table.num_rows == first.num_rows + plates[1].num_rows - 1
    assert len(report.selected) > 5


def test_a_single_well_keeps_its_features_and_the_limit_is_said() -> None:
    cells = make_cells(PLANS[:1])
    wells = build_well_profiles(cells, None, None, SETTINGS)[0]
    table, report = build_selected_features([wells], SETTINGS)
    assert table.num_rows == 1
    assert list(report.selected) == list(FEATURES)
    assert "selection-limited" in codes(report)


def test_no_wells_are_refused() -> None:
    with pytest.raises(ProfilingError, match="no well profiles"):
        build_selected_features([], SETTINGS)


def test_plates_without_a_common_feature_are_refused(plates: list[pa.Table]) -> None:
    other = plates[0].rename_columns([name.replace("Cells_", "Other_") for name in plates[0].column_names])
    keep = [name for name in other.column_names if not name.startswith(("Cytoplasm_", "Nuclei_"))]
    with pytest.raises(ProfilingError, match="no feature column in common"):
        build_selected_features([plates[0], other.select(keep)], SETTINGS)


def test_consensus_has_one_row_per_treatment_and_controls_by_position(plates: list[pa.Table]) -> None:
    wells = pa.concat_tables(plates)
    table, report = build_consensus(wells, SETTINGS)
    assert report.treatment_count == 2 * len(DOSES)
    assert report.control_profile_count == 12
    assert table.num_rows == report.treatment_count + report.control_profile_count
    rows = {
        (row["Metadata_compound"], row["Metadata_concentration_um"], row["Metadata_Well"]): row
        for row in table.to_pylist()
    }
    active = rows["active", DOSES[2], None]
    assert (active["Metadata_Replicate_Count"], active["Metadata_Plate_Count"]) == (9, 3)
    assert active[OBJECT_COUNT] == 9 * 20
    assert rows["DMSO", 0.0, "A01"]["Metadata_Replicate_Count"] == 3


def test_consensus_values_equal_a_direct_call_of_the_library(plates: list[pa.Table]) -> None:
    wells = pa.concat_tables(plates)
    table, _ = build_consensus(wells, SETTINGS)
    keys = ["Metadata_compound", "Metadata_concentration_um"]
    expected = consensus(
        wells.to_pandas(), replicate_columns=keys, operation="median", features=list(FEATURES)
    )
    expected = expected[expected.Metadata_compound != "DMSO"].reset_index(drop=True)
    got = table.to_pandas()
    got = got[got.Metadata_Well.isna()].sort_values(keys).reset_index(drop=True)
    for name in FEATURES:
        np.testing.assert_array_equal(got[name].to_numpy(), expected[name].to_numpy())


def test_wells_without_treatment_are_left_out_of_the_consensus_and_counted(plates: list[pa.Table]) -> None:
    first = plates[0]
    for name in ("Metadata_compound", "Metadata_control_type"):
        first = replace_column(first, name, pa.array([None, *first[name].to_pylist()[1:]], pa.string()))
    doses = pa.array([None, *first["Metadata_concentration_um"].to_pylist()[1:]], pa.float64())
    _, report = build_consensus(replace_column(first, "Metadata_concentration_um", doses), SETTINGS)
    assert report.wells_without_treatment == 1
    assert report.control_profile_count == 11


def test_without_platemap_every_well_position_is_a_treatment() -> None:
    wells = build_well_profiles(make_cells(PLANS[:4]), None, None, SETTINGS)[0]
    table, report = build_consensus(wells, SETTINGS)
    assert table.num_rows == 4
    assert codes(report) == ["consensus-by-well"]
    # In a root of several datasets the wells carry the platemap columns of the others, without a value.
    empty = {
        "Metadata_compound": pa.string(),
        "Metadata_concentration_um": pa.float64(),
        "Metadata_control_type": pa.string(),
    }
    for name, kind in empty.items():
        wells = wells.append_column(name, pa.nulls(wells.num_rows, kind))
    shared, report = build_consensus(wells, SETTINGS)
    assert {name: shared.schema.field(name).type for name in empty} == empty
    assert shared.num_rows == 4
    assert codes(report) == ["consensus-by-well"]


def test_thousands_of_features_of_another_dataset_cost_no_time() -> None:
    wide = pa.table(
        {
            "Metadata_Well": ["A01"],
            "Cells_F": [1.0],
            **{f"Cells_G{i}": pa.nulls(1, pa.float64()) for i in range(8_000)},
        }
    )
    started = time.process_time()
    (kept,) = drop_empty_features([wide])
    assert kept.column_names == ["Metadata_Well", "Cells_F"]
    assert time.process_time() - started < 2  # a look-up in a list of names for each name took twenty seconds


def test_the_active_compound_replicates_and_the_inert_one_does_not(plates: list[pa.Table]) -> None:
    wells, _ = build_selected_features(plates, SETTINGS)
    report = measure_replicates(wells, SETTINGS)
    rows = {row.treatment: row for row in report.treatments}
    active = [rows[f"active {dose:g}"] for dose in DOSES]
    inert = [rows[f"inert {dose:g}"] for dose in DOSES]
    assert all(row.is_active and row.is_replicating for row in active)
    assert not any(row.is_active or row.is_replicating for row in inert)
    strengths = [row.strength or 0.0 for row in active]
    assert strengths == sorted(strengths)
    assert strengths[0] > 1.0 > max(row.strength or 9.0 for row in inert)
    assert report.control_correlation is not None
    assert abs(report.control_correlation) < 0.15
    assert report.percent_active == report.percent_replicating == 50.0


def test_a_position_effect_alone_is_no_activity(plates: list[pa.Table]) -> None:
    """Inert wells and a few controls at the rim are shifted alike: significant, but no stronger than those controls."""
    shifted = []
    for table in plates:
        wells = zip(table["Metadata_compound"].to_pylist(), table["well_id"].to_pylist(), strict=True)
        rim = np.array([compound == "inert" or well in ("A01", "A02") for compound, well in wells])
        for name in FEATURES:
            table = replace_column(table, name, table[name].to_numpy() + np.where(rim, 0.25, 0.0))
        shifted.append(table)
    report = measure_replicates(pa.concat_tables(shifted), SETTINGS)
    rows = [row for row in report.treatments if row.treatment.startswith("inert")]
    assert any((row.q_value or 1.0) < 0.05 for row in rows)
    assert not any(row.is_active for row in rows)
    assert all(row.is_active for row in report.treatments if row.treatment.startswith("active"))


def test_replicates_at_one_position_are_compared_all_the_same_and_that_is_said() -> None:
    plans = plan_plate(control_count=12, replicates=1)
    tables = [
        build_well_profiles(
            make_cells(plans, plate=f"P{seed}", seed=seed), None, make_platemap(plans), SETTINGS
        )[0]
        for seed in range(3)
    ]
    report = measure_replicates(pa.concat_tables(tables), SETTINGS, null_size=500)
    assert {row.replicate_count for row in report.treatments} == {3}
    assert all(row.replicate_correlation is not None for row in report.treatments)
    assert codes(report) == ["replicates-at-one-position"]


def test_replicate_measures_are_the_same_on_every_run(plates: list[pa.Table]) -> None:
    wells = pa.concat_tables(plates)
    assert measure_replicates(wells, SETTINGS) == measure_replicates(wells, SETTINGS)


def test_replicate_correlation_is_that_of_numpy(plates: list[pa.Table]) -> None:
    wells = pa.concat_tables(plates)
    report = measure_replicates(wells, SETTINGS, null_size=200)
    frame = wells.to_pandas()
    rows = frame[(frame.Metadata_compound == "active") & (frame.Metadata_concentration_um == DOSES[1])]
    matrix, places = np.corrcoef(rows[list(FEATURES)].to_numpy()), rows.Metadata_Well.to_numpy()
    apart = np.triu(places[:, None] != places[None, :])
    assert apart.sum() == 27  # of 36 pairs, 9 lie at one position
    expected = np.median(matrix[apart])
    got = next(row for row in report.treatments if row.treatment == "active 1")
    assert got.replicate_correlation == pytest.approx(expected, abs=1e-12)
    assert got.replicate_count == 9


def test_treatments_with_one_well_are_listed_without_a_verdict() -> None:
    plans = plan_plate(control_count=12, replicates=1)
    wells = build_well_profiles(make_cells(plans), None, make_platemap(plans), SETTINGS)[0]
    report = measure_replicates(wells, SETTINGS, null_size=200)
    assert {row.replicate_correlation for row in report.treatments} == {None}
    assert report.percent_replicating is None
    assert codes(report) == ["treatment-without-replicate"]


@pytest.mark.parametrize(
    ("name", "is_place"),
    [
        ("Cells_Location_Center_X", True),
        ("Nuclei_Location_CenterMassIntensity_X_DNA", True),
        ("Cytoplasm_AreaShape_BoundingBoxMaximum_X", True),
        ("Cells_AreaShape_Center_Y", True),
        ("Nuclei_Number_Object_Number", True),
        ("Nuclei_Children_Cells_Count", True),
        ("Cells_Parent_Nuclei", True),
        ("Cells_Neighbors_FirstClosestObjectNumber_5", True),
        ("Cells_Neighbors_NumberOfNeighbors_5", False),
        ("Nuclei_AreaShape_Area", False),
        ("Cells_RadialDistribution_FracAtD_DNA_1of4", False),
    ],
)
def test_places_are_told_from_features_by_name(name: str, is_place: bool) -> None:
    assert (split_places([name]).places == (name,)) is is_place


def test_embeddings_without_compartments_are_features() -> None:
    schema = pa.schema(
        [
            ("Metadata_Well", pa.string()), ("Metadata_Model_Version", pa.float64()), ("feature_0", pa.float32()),
            ("feature_1", pa.float32()), ("Location_Center_X", pa.float64()), ("pixel_size_x_um", pa.float64()),
        ]
    )  # fmt: skip
    assert select_feature_columns(schema).profiled == ("feature_0", "feature_1")


def test_measures_of_in_carta_are_features_whatever_their_target_is_called() -> None:
    names = ["Primary_Target_Area_wv1", "F_Actin_Area_wv2", "Cells_Area_wv3", "Primary_Target_cg_X_wv1",
             "Cells_Max_left_border_wv3", "Acquisition_Time_Stamp", "Metadata_ObjectNumber"]  # fmt: skip
    found = select_feature_columns(pa.schema([(name, pa.float64()) for name in names]))
    assert found.profiled == tuple(names[:3])
    assert found.places == tuple(names[3:5])


def test_a_dataset_with_embeddings_keeps_them_beside_the_empty_columns_of_another() -> None:
    own = pa.table({
        "Metadata_Well": ["A01", "A02"], "plate_id": ["P1", "P1"], "pixel_size_z_um": pa.nulls(2, pa.float64()),
        "DeepProfiler_0": [0.5, None], "DeepProfiler_1": [1.5, 2.5], "Cells_AreaShape_Area": pa.nulls(2, pa.float64()),
    })  # fmt: skip
    (kept,) = drop_empty_features([own])
    assert kept.column_names == [name for name in own.column_names if name != "Cells_AreaShape_Area"]
    assert select_feature_columns(own.schema).profiled == ("Cells_AreaShape_Area",)
    assert select_feature_columns(kept.schema).profiled == ("DeepProfiler_0", "DeepProfiler_1")
    other = own.set_column(5, "Cells_AreaShape_Area", pa.array([3.0, 4.0]))
    assert [table.num_columns for table in drop_empty_features([own, other])] == [6, 6]
