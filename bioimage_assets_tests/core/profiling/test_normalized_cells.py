"""Normalised single cells are those of one call of pycytominer on the whole plate, however few rows and columns are read at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pycytominer import normalize

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.profiling.cosmicqc import FAILED, build_cosmicqc_profiles
from bioimage_assets.core.profiling.normalization_method import SEED
from bioimage_assets.core.profiling.normalized_cells import NormalizedCells, normalize_cells
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.core.profiling.plates import (
    FEATURES,
    PLACES,
    make_cells,
    make_platemap,
    plan_plate,
    replace_column,
)

PLANS = plan_plate()
CONTROLS = [plan.well for plan in PLANS if plan.is_control]
METHODS = ("standardize", "robustize", "mad_robustize", "inverse_normal")
CELLS = make_cells(PLANS)
QC, _ = build_cosmicqc_profiles(CELLS, DatasetSettings())


def build(
    cells: pa.Table, settings: DatasetSettings, qc: pa.Table | None = QC
) -> tuple[pd.DataFrame, NormalizedCells]:
    """In the smallest blocks that there are: two columns, 256 rows."""
    found = normalize_cells(
        cells, qc, make_platemap(PLANS), settings, block_bytes=16 * cells.num_rows, rows_bytes=1
    )
    return found.rows.read_all().to_pandas(), found


def call_library(cells: pa.Table, samples: str, features: list[str], **given: object) -> pd.DataFrame:
    frame = cells.to_pandas().merge(QC.to_pandas()[["Metadata_ObjectID", FAILED]], on="Metadata_ObjectID")
    frame = frame.replace([np.inf, -np.inf], np.nan)
    np.random.seed(SEED)
    return normalize(
        frame, features=features, meta_features=["Metadata_Well", FAILED], samples=samples, mad_robustize_epsilon=0.0,
        **given,
    )[features]  # type: ignore[arg-type]  # fmt: skip


@pytest.mark.parametrize("samples", ["controls", "plate"])
@pytest.mark.parametrize("method", METHODS)
def test_cells_equal_one_call_of_the_library(method: str, samples: str) -> None:
    settings = DatasetSettings(normalization_method=method, normalization_samples=samples)  # type: ignore[arg-type]
    table, found = build(CELLS, settings)
    query = f"{FAILED} == False" + (f" and Metadata_Well in {CONTROLS}" if samples == "controls" else "")
    expected = call_library(CELLS, query, list(FEATURES), method=method)
    pd.testing.assert_frame_equal(table[list(FEATURES)], expected, check_exact=True)
    assert table[FAILED].tolist() == QC[FAILED].to_pylist()
    assert 0 < table[FAILED].sum() < len(table) == CELLS.num_rows
    assert set(table["Metadata_Normalized_To"]) == {samples}
    assert found.calls[-1].arguments["samples"] in (
        query,
        f"Metadata_Well in {CONTROLS} and {FAILED} == False",
    )


@pytest.mark.parametrize("method", METHODS)
def test_gaps_infinities_and_constants_are_null_as_in_profiles(method: str) -> None:
    values = CELLS[FEATURES[4]].to_numpy().copy()
    values[:2], values[5] = np.inf, np.nan
    cells = replace_column(replace_column(CELLS, FEATURES[4], values), FEATURES[6], np.ones(CELLS.num_rows))
    table, found = build(cells, DatasetSettings(normalization_method=method))  # type: ignore[arg-type]
    assert found.unscaled == (FEATURES[6],)
    assert [finding.code for finding in found.findings] == ["feature-unscaled"]
    assert table[FEATURES[6]].isna().all()
    assert table[FEATURES[4]].isna().to_numpy().nonzero()[0].tolist() == [0, 1, 5]
    kept = [name for name in FEATURES if name != FEATURES[6]]
    query = f"Metadata_Well in {CONTROLS} and {FAILED} == False"
    pd.testing.assert_frame_equal(
        table[kept], call_library(cells, query, kept, method=method), check_exact=True
    )


def test_each_time_point_is_relative_to_its_own_controls() -> None:
    times = np.tile(["6", "24"], CELLS.num_rows // 2)
    cells = CELLS.append_column("Metadata_T", pa.array(times))
    table, _ = build(cells, DatasetSettings(normalization_method="robustize"))
    for time in ("6", "24"):
        part = cells.filter(pc.equal(cells["Metadata_T"], time))
        query = f"Metadata_Well in {CONTROLS} and {FAILED} == False"
        expected = call_library(part, query, list(FEATURES), method="robustize")
        got = table.loc[times == time, list(FEATURES)].reset_index(drop=True)
        pd.testing.assert_frame_equal(got, expected, check_exact=True)


def test_cells_of_a_time_at_which_none_passed_are_null_and_there() -> None:
    times = np.where(np.arange(CELLS.num_rows) % 4 == 0, "6", "24")
    cells = CELLS.append_column("Metadata_T", pa.array(times))
    qc = QC.set_column(QC.column_names.index(FAILED), FAILED, pa.array(times == "6"))
    table, _ = build(cells, DatasetSettings(), qc)
    assert len(table) == cells.num_rows
    assert table.loc[times == "6", list(FEATURES)].isna().all(axis=None)
    assert table.loc[times == "24", list(FEATURES)].notna().all(axis=None)
    nothing, _ = build(
        CELLS,
        DatasetSettings(),
        qc.set_column(qc.column_names.index(FAILED), FAILED, pa.array([True] * len(table))),
    )
    assert nothing[list(FEATURES)].isna().all(axis=None)


def test_all_other_columns_are_as_they_were_in_files_of_several_row_groups(tmp_path: Path) -> None:
    pq.write_table(CELLS, tmp_path / "cells.parquet", row_group_size=50)
    found = normalize_cells(
        [str(tmp_path / "cells.parquet")], QC, make_platemap(PLANS), DatasetSettings(), rows_bytes=1
    )
    table = found.rows.read_all()
    others = [name for name in CELLS.column_names if name not in FEATURES]
    assert set(PLACES) < set(others)
    assert table.select(others).equals(CELLS.select(others))


def test_numbers_of_any_type_are_scaled_as_float64() -> None:
    cells = CELLS
    for name, kind in (
        (FEATURES[0], pa.float32()),
        (FEATURES[1], pa.int64()),
        (FEATURES[2], pa.decimal128(12, 4)),
    ):
        cells = cells.set_column(
            cells.column_names.index(name), name, pc.cast(pc.round(CELLS[name], 3), kind, safe=False)
        )
    table, _ = build(cells, DatasetSettings())
    plain = cells
    for name in FEATURES[:3]:
        plain = plain.set_column(
            plain.column_names.index(name), name, pa.array(cells[name].to_pandas().astype(float))
        )
    query = f"Metadata_Well in {CONTROLS} and {FAILED} == False"
    expected = call_library(plain, query, list(FEATURES), method="standardize")
    pd.testing.assert_frame_equal(table[list(FEATURES)], expected, check_exact=True)


def test_whitening_of_cells_is_refused_with_what_it_would_take() -> None:
    with pytest.raises(
        ProfilingError, match=r"12 features of the \d+ reference cells at once, about 0\.0 GB"
    ):
        build(CELLS, DatasetSettings(normalization_method="spherize"))
