"""Consensus and aggregates by both engines are those of pycytominer and of DuckDB."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pycytominer
import pytest

from bioimage_assets.core.engines.aggregates import aggregate
from bioimage_assets.core.engines.consensus import combine_replicates
from bioimage_assets.core.engines.engine import Engine
from bioimage_assets.core.engines.open_source import arrow_source, warehouse_source
from bioimage_assets.core.engines.plan import HasValue, IsIn, IsPositive, Measure, Rows
from bioimage_assets.core.engines.polars_engine import PolarsEngine, _condition
from bioimage_assets.core.errors import ProfilingError, UsageError
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets_tests.core.engines.wells import WELLS, assert_same, list_features, make_plate, make_root

KEYS = ["Metadata_treatment", "Metadata_dose"]
FUNCTIONS = (
    "rows", "values", "infinite", "distinct", "sum", "mean", "variance", "min", "max", "median", "lower_quartile",
    "upper_quartile", "median_deviation",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["median", "mean"])
def test_a_consensus_over_unlike_plates_is_that_of_pycytominer(
    tmp_path: Path, engine: Engine, operation: str
) -> None:
    warehouse = make_root(tmp_path)
    wells = warehouse_source(warehouse, WELLS)
    features = list_features(wells.schema)
    table = combine_replicates(engine, wells, KEYS, features, operation=operation)
    expected = pycytominer.consensus(
        warehouse.read(WELLS).to_pandas(), replicate_columns=KEYS, operation=operation, features=features
    )
    assert table.num_rows == 15  # four treatments and none, two doses and none
    assert_same(table, expected)


def test_every_measure_is_that_of_duckdb(tmp_path: Path, engine: Engine) -> None:
    warehouse = make_root(tmp_path)
    rows = warehouse.read(WELLS)
    wells = warehouse_source(warehouse, WELLS)
    features = list_features(wells.schema)
    for keys in (["Metadata_treatment"], []):
        measures = [Measure(f, name, f"{f} {name}") for f in FUNCTIONS for name in features]  # type: ignore[arg-type]
        table = aggregate(engine, Rows(wells), keys, measures)
        assert_same(table, reduce_by_duckdb(rows, keys, features))


def reduce_by_duckdb(rows: pa.Table, keys: list[str], features: list[str]) -> pd.DataFrame:
    connection = duckdb.connect()
    connection.register("stored", rows)
    numbers = ", ".join(f'nullif("{name}"::double, \'nan\'::double) AS "{name}"' for name in features)
    kept = "".join(f'"{key}", ' for key in keys)
    connection.execute(f"CREATE TABLE wells AS SELECT {kept}{numbers} FROM stored")
    by = {
        "rows": "count(*)", "values": "count({0})", "infinite": "count(*) FILTER (isinf({0}))",
        "distinct": "count(DISTINCT {0})", "sum": "coalesce(sum({0}), 0)", "mean": "avg({0})",
        "variance": "var_pop({0})", "min": "min({0})", "max": "max({0})", "median": "median({0})",
        "lower_quartile": "quantile_cont({0}, 0.25)", "upper_quartile": "quantile_cont({0}, 0.75)",
        "median_deviation": "mad({0})",
    }  # fmt: skip
    chosen = ", ".join(
        f'{by[f].format(chr(34) + name + chr(34))} AS "{f} {name}"' for f in FUNCTIONS for name in features
    )
    grouping = f" GROUP BY {kept.rstrip(', ')} ORDER BY {kept.rstrip(', ')} NULLS LAST" if keys else ""
    return connection.execute(f"SELECT {kept}{chosen} FROM wells{grouping}").df()


def test_conditions_leave_rows_out_alike(engine: Engine) -> None:
    plates = [make_plate("s/A", 1), make_plate("s/B", 2)]
    wells = arrow_source("wells", plates)
    frame = pd.concat([plate.to_pandas() for plate in plates], ignore_index=True)
    conditions = (
        IsIn("Metadata_treatment", ("DMSO", "b µM")),
        IsPositive("Metadata_Object_Count"),
        HasValue(("Cells_F1", "Cells_F2")),
    )
    kept = frame[
        frame["Metadata_treatment"].isin(["DMSO", "b µM"])
        & (frame["Metadata_Object_Count"] > 0)
        & frame[["Cells_F1", "Cells_F2"]].notna().any(axis=1)
    ]
    table = combine_replicates(engine, wells, ["plate_key"], ["Cells_F0"], where=conditions)
    assert_same(table, kept.groupby("plate_key")[["Cells_F0"]].median().reset_index())


def test_rows_with_a_value_among_thousands_of_columns_are_found(engine: Engine) -> None:
    names = [f"Cells_F{number}" for number in range(3000)]
    rows = pa.table(
        {"plate_key": ["s/A", "s/B", "s/C"]} | {name: [None, float("nan"), None] for name in names}
    )
    rows = rows.set_column(rows.num_columns - 1, names[-1], pa.array([None, float("nan"), 1.0]))
    where = (HasValue(tuple(names)),)
    table = aggregate(
        engine, Rows(arrow_source("wells", [rows]), where), ["plate_key"], [Measure("rows", name="n")]
    )
    assert table.to_pylist() == [{"plate_key": "s/C", "n": 1}]


def test_polars_is_asked_for_a_value_among_columns_in_one_step() -> None:
    names = tuple(f"Cells_F{number}" for number in range(3000))
    # A chain of 2,000 took 150 times as long.
    assert len(_condition(HasValue(names)).meta.pop()) == len(names)


@pytest.mark.parametrize("keys", [["plate_key", "Metadata_treatment"], ["Metadata_treatment"]])
def test_little_memory_changes_the_way_and_not_the_result(tmp_path: Path, keys: list[str]) -> None:
    wells = warehouse_source(make_root(tmp_path), WELLS)
    features = list_features(wells.schema)
    counts = [Measure("rows", name="wells"), Measure("mean", "Cells_F1", "mean")]
    much = combine_replicates(PolarsEngine(), wells, keys, features, counts=counts)
    little = combine_replicates(PolarsEngine(memory_bytes=1000), wells, keys, features, counts=counts)
    assert_same(little, much.to_pandas())
    assert little.schema == much.schema


def test_a_key_of_numbers_on_one_plate_and_words_on_another_is_text(tmp_path: Path, engine: Engine) -> None:
    warehouse = open_warehouse(tmp_path)
    for plate, doses in (("s/A", pa.array([0.3, 10.0, None])), ("s/B", pa.array(["0.3", "10", "high"]))):
        rows = pa.table({"plate_key": [plate] * 3, "Metadata_dose": doses, "Cells_A": [1.0, 2.0, 3.0]})
        warehouse.replace_partitions(WELLS, rows, [plate])
    table = combine_replicates(engine, warehouse_source(warehouse, WELLS), ["Metadata_dose"], ["Cells_A"])
    assert table.to_pydict() == {
        "Metadata_dose": ["0.3", "10", "high", None],
        "Cells_A": [1.0, 2.0, 3.0, 3.0],
    }


def test_a_table_of_no_rows_has_no_groups(engine: Engine) -> None:
    wells = arrow_source("wells", [make_plate("s/A", 1).slice(0, 0)])
    table = combine_replicates(engine, wells, KEYS, ["Cells_F0"])
    assert table.num_rows == 0
    assert table.schema.names == [*KEYS, "Cells_F0"]


def test_a_column_that_no_plate_has_is_named(engine: Engine) -> None:
    wells = arrow_source("wells", [make_plate("s/A", 1)])
    with pytest.raises(UsageError, match=r"'wells' has no column 'Cells_No' in any of 1 files"):
        combine_replicates(engine, wells, KEYS, ["Cells_No"])


def test_a_file_that_is_gone_is_named(tmp_path: Path, engine: Engine) -> None:
    warehouse = make_root(tmp_path)
    wells = warehouse_source(warehouse, WELLS)
    Path(wells.parts[0].uri).unlink()
    with pytest.raises(
        ProfilingError, match=r"could not read or reduce table|a file is gone or was replaced"
    ):
        combine_replicates(engine, wells, KEYS, list_features(wells.schema))


def test_infinite_values_are_values(engine: Engine) -> None:
    rows = pa.table({"k": ["a", "a", "a", "b"], "x": [1.0, np.inf, np.inf, -np.inf]})
    table = combine_replicates(engine, arrow_source("t", [rows]), ["k"], ["x"])
    assert table["x"].to_pylist() == [np.inf, -np.inf]
