"""The recorded calls of a table, repeated by hand with pandas and pycytominer alone, give its numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import cosmicqc
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pycytominer
import pytest

from bioimage_assets.core.profiling.cosmicqc import build_cosmicqc_profiles
from bioimage_assets.core.profiling.dataset import build_consensus, build_selected_features
from bioimage_assets.core.profiling.library_calls import list_qc_calls
from bioimage_assets.core.profiling.platemap import PlateMap
from bioimage_assets.core.profiling.pycytominer import build_well_profiles
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.core.profiling.plates import (
    FEATURES,
    PLACES,
    make_cells,
    make_platemap,
    plan_plate,
    read_example_human,
    replace_column,
)

PLANS = plan_plate()
METHODS = ("standardize", "robustize", "mad_robustize", "inverse_normal", "spherize")
KEYS = {"plate_key", "dataset_id", "plate_id", "well_id"}

Call = Mapping[str, Any]


def as_stored(calls: Sequence[Any]) -> list[Call]:
    """Calls as a reader of the manifest gets them: plain JSON."""
    stored: list[Call] = json.loads(json.dumps([call.to_dict() for call in calls]))
    return stored


def features_of(table: pd.DataFrame, record: Mapping[str, Any]) -> list[str]:
    """Features by the recorded rule, proven by the recorded count and digest."""
    names = [
        name
        for name in table.select_dtypes("number")
        if name not in KEYS and not name.startswith("Metadata_") and table[name].notna().any()
    ]
    assert len(names) == record["count"]
    assert hashlib.sha256("\n".join(names).encode()).hexdigest() == record["sha256"]
    return names


def repeat_profiles(
    calls: Sequence[Call], cells: pd.DataFrame, qc: pd.DataFrame | None, stored: pd.DataFrame
) -> pd.DataFrame:
    """Do what the calls say, in their order, on the joined cells."""
    frame, parts, current, seed = cells, [], [], None
    for number, call in enumerate(calls):
        arguments = dict(call["arguments"])
        match call["call"]:
            case "pandas.DataFrame.query":
                frame = frame.merge(qc[["Metadata_ObjectID", "Metadata_cqc_failed"]], on="Metadata_ObjectID")
                frame = frame.query(arguments["expr"])
            case "pandas.DataFrame.replace":
                frame = frame.replace([float(text) for text in arguments["to_replace"]], np.nan)
            case "numpy.random.seed":
                seed = arguments["seed"]
            case "pycytominer.normalize" | "pycytominer.aggregate":
                arguments["features"] = features_of(stored, arguments["features"])
                if is_first_of_scaling(calls, number):
                    current = [rows_of(frame, v) for v in (call["kept"] if call.get("group_by") else [{}])]
                    parts.append((call, current))
                function = getattr(pycytominer, call["call"].partition(".")[2])
                for place, piece in enumerate(current):
                    current[place] = call_seeded(function, piece, arguments, seed)
            case "pandas.DataFrame.sub":
                names = features_of(stored, call["features"])
                for piece in parts[-1][1]:
                    controls = piece.query(arguments["samples"])
                    piece[names] = piece[names].sub(getattr(controls[names], arguments["other"])())
            case "pycytominer.annotate":
                pass
            case other:
                raise AssertionError(f"no such call: {other}")
    made = []
    for call, pieces in parts:
        kept = call.get("kept") or [{}]
        made += [rows_of(piece, values) for piece in pieces for values in kept]
    return pd.concat(made, ignore_index=True)


def is_first_of_scaling(calls: Sequence[Call], number: int) -> bool:
    """Whether a call begins with cells: the first, or one of other rows than the call before."""
    before = [call for call in calls[:number] if call["call"].startswith("pycytominer.")]
    return not before or before[-1].get("kept") != calls[number].get("kept")


def call_seeded(function: Any, piece: pd.DataFrame, arguments: Mapping[str, Any], seed: int | None) -> Any:
    """One call, after the seed that is recorded before it."""
    if seed is not None:
        np.random.seed(seed)
    return function(piece, **arguments)


def rows_of(frame: pd.DataFrame, values: Mapping[str, str | None]) -> pd.DataFrame:
    """Rows with these values; None stands for a value that is not there."""
    for name, value in values.items():
        frame = frame[frame[name].isna() if value is None else frame[name] == value]
    return frame


def check_equal(repeated: pd.DataFrame, table: pa.Table, keys: Sequence[str] = ("Metadata_Well",)) -> None:
    stored = table.to_pandas().sort_values(list(keys))
    stored = stored[stored["Metadata_Object_Count"] > 0]
    repeated = repeated.sort_values(list(keys))
    assert repeated[list(keys)].to_numpy().tolist() == stored[list(keys)].to_numpy().tolist()
    names = [name for name in repeated if not name.startswith("Metadata_")]
    assert names
    np.testing.assert_array_equal(repeated[names].to_numpy(), stored[names].to_numpy())  # difference 0.0


@pytest.mark.parametrize("is_centered", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_profiles_are_repeated_from_their_calls(tmp_path: Path, method: str, is_centered: bool) -> None:
    cells = make_cells(PLANS)
    skewed = np.random.default_rng(3).exponential(size=cells.num_rows)
    skewed[:2] = np.inf
    cells = replace_column(replace_column(cells, FEATURES[4], skewed), FEATURES[6], np.ones(cells.num_rows))
    pq.write_table(cells, tmp_path / "cells.parquet")
    settings = DatasetSettings(normalization_method=method, center_controls=is_centered)  # type: ignore[arg-type]
    qc, _ = build_cosmicqc_profiles(cells, settings)
    table, report = build_well_profiles(cells, qc, make_platemap(PLANS), settings)
    assert report.reference == "controls"
    calls = as_stored(report.calls)
    assert any(call["call"] == "pandas.DataFrame.sub" for call in calls) == is_centered
    frame = pd.read_parquet(tmp_path / "cells.parquet").drop(columns=list(PLACES))
    check_equal(repeat_profiles(calls, frame, qc.to_pandas(), table.to_pandas()), table)


def test_the_calls_of_a_plate_name_versions_arguments_and_the_setting() -> None:
    settings = DatasetSettings(center_controls=True)
    cells = make_cells(PLANS)
    qc, _ = build_cosmicqc_profiles(cells, settings)
    _, report = build_well_profiles(cells, qc, make_platemap(PLANS), settings)
    query, normalize, aggregate, center, annotate = as_stored(report.calls)
    assert query["arguments"] == {"expr": "Metadata_cqc_failed == False"}
    assert normalize["version"] == aggregate["version"] == metadata.version("pycytominer")
    assert normalize["arguments"]["samples"] == "Metadata_Well in ['A01', 'A02', 'A03', 'A04', 'A05', 'A06']"
    assert normalize["arguments"]["mad_robustize_epsilon"] == 0.0
    assert normalize["arguments"]["features"]["count"] == len(FEATURES)
    assert aggregate["arguments"]["strata"] == ["Metadata_Well"]
    assert center["setting"] == "[normalization] center_controls = true in dataset.toml"
    assert annotate["arguments"]["platemap"] == "layout.txt"
    assert "controls-centered" in [finding.code for finding in report.findings]


@pytest.mark.parametrize("method", METHODS)
def test_a_plate_without_controls_is_repeated_from_its_calls(method: str) -> None:
    cells = make_cells(PLANS)
    settings = DatasetSettings(normalization_method=method, center_controls=True)  # type: ignore[arg-type]
    table, report = build_well_profiles(cells, None, None, settings)
    calls = as_stored(report.calls)
    made = [call["call"] for call in calls if call["call"] != "numpy.random.seed"]
    assert made[:2] == ["pycytominer.normalize", "pycytominer.aggregate"]
    assert made[2:] == (["pycytominer.normalize"] if method == "spherize" else [])
    assert {call["arguments"].get("samples", "all") for call in calls} == {"all"}
    check_equal(
        repeat_profiles(calls, cells.to_pandas().drop(columns=list(PLACES)), None, table.to_pandas()), table
    )


def test_flags_are_repeated_from_their_calls() -> None:
    cells = make_cells(PLANS)
    values = cells["Nuclei_AreaShape_Area"].to_numpy().copy()
    values[5] = np.nan
    cells = replace_column(cells, "Nuclei_AreaShape_Area", values)
    qc, report = build_cosmicqc_profiles(cells, DatasetSettings())
    calls = as_stored(list_qc_calls(report))
    assert len(calls) == len(report.conditions) > 0
    for call in calls:
        arguments = call["arguments"]
        names = list(arguments["feature_thresholds"])
        frame = cells.to_pandas().dropna(subset=names)
        found = cosmicqc.identify_outliers(df=frame[names], **arguments)
        flag = f"Metadata_cqc_{arguments['condition_name']}_is_outlier"
        stored = qc.to_pandas()[[flag, *(n for n in qc.column_names if n.endswith("zscore"))]].loc[
            frame.index
        ]
        assert call["version"] == metadata.version("cosmicqc")
        for name in [flag, *(name for name in found.columns if name.endswith("zscore"))]:
            np.testing.assert_array_equal(
                found[name].to_numpy(dtype=float), stored[name].to_numpy(dtype=float)
            )


@pytest.mark.slow
@pytest.mark.external
@pytest.mark.parametrize("is_centered", [False, True])
@pytest.mark.parametrize(
    "method", [name for name in METHODS if name != "spherize"]
)  # of one well there is no sphere
def test_example_human_is_repeated_from_its_calls(method: str, is_centered: bool) -> None:
    """Its one well as it is, and cut into eight wells of which four are controls."""
    cells = read_example_human()
    settings = DatasetSettings(normalization_method=method, center_controls=is_centered)  # type: ignore[arg-type]
    wells = [f"D{number % 8 + 1:02d}" for number in range(cells.num_rows)]
    layout = pa.table(
        {"Metadata_Well": sorted(set(wells)), "Metadata_control_type": ["negcon"] * 4 + [""] * 4}
    )
    for plate, platemap in (
        (cells, None),
        (replace_column(cells, "well_id", wells), PlateMap("l", "l.txt", layout)),
    ):
        qc, _ = build_cosmicqc_profiles(plate, settings)
        table, report = build_well_profiles(plate, qc, platemap, settings)
        assert report.profiled_cell_count == 278
        frame = plate.rename_columns(
            ["Metadata_Well" if name == "well_id" else name for name in plate.column_names]
        ).to_pandas()
        calls = as_stored(report.calls)
        check_equal(repeat_profiles(calls, frame, qc.to_pandas(), table.to_pandas()), table)


def test_selection_and_consensus_are_repeated_from_their_calls() -> None:
    plans = plan_plate(control_count=12, replicates=3)
    settings = DatasetSettings()
    plates = [
        build_well_profiles(
            make_cells(plans, plate=f"P{seed}", seed=seed), None, make_platemap(plans), settings
        )[0]
        for seed in range(3)
    ]
    selected, selection = build_selected_features(plates, settings)
    frame = pd.concat([plate.to_pandas() for plate in plates], ignore_index=True)
    kept = list(FEATURES)
    for call in as_stored(selection.calls):
        arguments = dict(call["arguments"])
        assert arguments["features"]["count"] == len(kept)
        assert len(frame) == call["row_count"]
        arguments["features"] = kept
        kept = list(pycytominer.feature_select(frame[kept], **arguments).columns)
    assert [name for name in selected.column_names if name in FEATURES] == kept
    consensus, report = build_consensus(selected, settings)
    (call,) = as_stored(report.calls)
    arguments = dict(call["arguments"])
    wells = selected.to_pandas()
    wells["Metadata_Well"] = wells["Metadata_Well"].where(wells["Metadata_control_type"] == "negcon", None)
    arguments["features"] = kept
    expected = pycytominer.consensus(wells, **arguments)
    np.testing.assert_array_equal(consensus.to_pandas()[kept].to_numpy(), expected[kept].to_numpy())
