"""Tables as this project stores them, Parquet and Iceberg, local and in a bucket, give the same rows to both engines."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog

from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.catalog.session import open_catalog
from bioimage_assets.core.engines.aggregates import aggregate, aggregate_cells
from bioimage_assets.core.engines.consensus import combine_replicates
from bioimage_assets.core.engines.engine import Engine
from bioimage_assets.core.engines.open_source import (
    arrow_source,
    iceberg_source,
    parquet_source,
    warehouse_source,
)
from bioimage_assets.core.engines.plan import IsIn, Measure, Rows
from bioimage_assets.core.engines.polars_engine import PolarsEngine
from bioimage_assets.core.engines.spark_engine import SparkEngine
from bioimage_assets.core.errors import MissingTableError, ProfilingError, UsageError
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets_tests.builders.s3_server import create_bucket, run_s3, storage_options
from bioimage_assets_tests.core.catalog.conftest import sqlite_properties
from bioimage_assets_tests.core.engines.wells import WELLS, assert_same, list_features, make_plate, make_root

TABLE = "bioimage.cytotable.wells"
KEYS = ["plate_key", "Metadata_treatment"]


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return open_catalog("embedded", sqlite_properties(tmp_path / "catalog"))


def fill_catalog(catalog: Catalog) -> pd.DataFrame:
    plates = {f"a/P {number}": make_plate(f"a/P {number}", number) for number in range(3)}
    for key, plate in plates.items():
        # Iceberg keeps one type of a column.
        rows = plate.set_column(
            plate.column_names.index("Cells_Whole"), "Cells_Whole", plate["Cells_Whole"].cast(pa.float64())
        )
        replace_partitions(catalog, TABLE, rows, [key])
    return pd.concat([plate.to_pandas() for plate in plates.values()], ignore_index=True)


def test_an_iceberg_table_is_read_by_the_ids_of_its_columns(catalog: Catalog, engine: Engine) -> None:
    frame = fill_catalog(catalog)
    wells = iceberg_source(catalog, TABLE)
    features = list_features(wells.schema)
    assert "Nuclei `odd`.[0]" in features  # which Avro has no such name for
    assert wells.partitions == ("a/P 0", "a/P 1", "a/P 2")
    table = combine_replicates(engine, wells, KEYS, features)
    frame = frame.astype(dict.fromkeys(features, np.float64))
    assert_same(table, frame.groupby(KEYS, dropna=False)[features].median().reset_index())


def test_some_plates_of_an_iceberg_table_are_their_files_alone(catalog: Catalog, engine: Engine) -> None:
    frame = fill_catalog(catalog)
    wells = iceberg_source(catalog, TABLE, ["a/P 1"])
    assert [part.partition for part in wells.parts] == ["a/P 1"]
    table = combine_replicates(engine, wells, ["plate_key"], ["Cells_F0"])
    assert_same(
        table, frame[frame.plate_key == "a/P 1"].groupby("plate_key")[["Cells_F0"]].median().reset_index()
    )


def test_spark_loads_our_iceberg_tables_by_their_folder_too(catalog: Catalog, sail: SparkEngine) -> None:
    frame = fill_catalog(catalog)
    folder = catalog.load_table(TABLE).location().removeprefix("file://")
    session = sail.open_session()
    assert session.read.format("iceberg").load(folder).count() == len(frame)
    session.stop()


def test_two_datasets_of_a_campaign_are_reduced_together(tmp_path: Path, engine: Engine) -> None:
    warehouse = open_warehouse(tmp_path)
    frames = []
    for number, key in enumerate(("first/A", "first/B", "second/A", "other/A")):
        warehouse.replace_partitions(WELLS, make_plate(key, number), [key])
        frames.append(make_plate(key, number).to_pandas())
    wells = warehouse_source(warehouse, WELLS, ["first/A", "first/B", "second/A"])
    frame = pd.concat(frames[:3], ignore_index=True)
    table = combine_replicates(engine, wells, ["Metadata_treatment"], ["Cells_F0", "Cells_F1"])
    expected = frame.groupby(["Metadata_treatment"], dropna=False)[["Cells_F0", "Cells_F1"]].median()
    assert_same(table, expected.reset_index())


def make_cells(
    folder: Path, *, lost: int = 0, twice: bool = False, feature: str = "Cells_Area"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Joined profiles of two plates and their flags; some cells without, one with two."""
    warehouse = open_warehouse(folder)
    random = np.random.default_rng(0)
    cells, flags = [], []
    for plate in ("s/A", "s/B"):
        count = 500
        frame = pd.DataFrame({
            "plate_key": plate, "well_id": random.choice(["A01", "A02", "B01"], count),
            "Metadata_ObjectID": [f"obj-{i}" for i in range(count)], feature: random.normal(size=count),
        })  # fmt: skip
        judged = random.choice(np.array([True, False, None], dtype=object), count)
        flag = pd.DataFrame(
            {
                "plate_key": plate,
                "Metadata_ObjectID": frame["Metadata_ObjectID"],
                "Metadata_cqc_failed": judged,
            }
        )
        flag = flag.sample(frac=1, random_state=1).iloc[lost:]
        flag = pd.concat([flag, flag.head(1)]) if twice else flag
        for name, rows in (("joined_profiles", frame), ("cosmicqc_profiles", flag)):
            warehouse.replace_partitions(name, pa.Table.from_pandas(rows, preserve_index=False), [plate])
        cells.append(frame)
        flags.append(flag)
    return pd.concat(cells, ignore_index=True), pd.concat(flags, ignore_index=True)


@pytest.mark.parametrize("operation", ["median", "mean"])
def test_cells_that_failed_are_left_out_of_the_wells(tmp_path: Path, engine: Engine, operation: str) -> None:
    cells, flags = make_cells(tmp_path)
    warehouse = open_warehouse(tmp_path)
    joined = warehouse_source(warehouse, "joined_profiles")
    qc = warehouse_source(warehouse, "cosmicqc_profiles")
    keys = ["plate_key", "well_id"]
    table = aggregate_cells(engine, joined, keys, ["Cells_Area"], operation=operation, qc=qc)
    kept = cells.merge(flags, on=["plate_key", "Metadata_ObjectID"])
    kept = kept[[value is not True for value in kept["Metadata_cqc_failed"]]].groupby(keys)
    expected = kept["Cells_Area"].agg(["size", operation]).reset_index()
    assert_same(table, expected.set_axis([*keys, "Metadata_Object_Count", "Cells_Area"], axis="columns"))


def test_plates_are_joined_to_their_own_flags_alone(tmp_path: Path) -> None:
    make_cells(tmp_path)
    warehouse = open_warehouse(tmp_path)
    joined = warehouse_source(warehouse, "joined_profiles")
    qc = warehouse_source(warehouse, "cosmicqc_profiles")
    keys = ["plate_key", "well_id"]
    much = aggregate_cells(PolarsEngine(), joined, keys, ["Cells_Area"], qc=qc)
    little = aggregate_cells(PolarsEngine(memory_bytes=8), joined, keys, ["Cells_Area"], qc=qc)
    assert little == much


@pytest.mark.parametrize(
    ("lost", "twice", "words"),
    [(3, False, "6 cells of joined_profiles have no row"), (0, True, "2 rows too many")],
)
def test_flags_of_other_measurements_are_refused(
    tmp_path: Path, engine: Engine, lost: int, twice: bool, words: str
) -> None:
    make_cells(tmp_path, lost=lost, twice=twice)
    warehouse = open_warehouse(tmp_path)
    joined = warehouse_source(warehouse, "joined_profiles")
    qc = warehouse_source(warehouse, "cosmicqc_profiles")
    with pytest.raises(ProfilingError, match=words):
        aggregate_cells(engine, joined, ["plate_key"], ["Cells_Area"], qc=qc)


def test_files_of_other_tools_are_plates_by_their_statistics(tmp_path: Path, engine: Engine) -> None:
    frames = []
    for number in range(3):
        frame = make_plate(f"s/{number}", number).to_pandas()
        frame.to_parquet(tmp_path / f"{number}.parquet")
        frames.append(frame)
    cells = parquet_source("cells", sorted(tmp_path.glob("*.parquet")))
    assert cells.partitions == ("s/0", "s/1", "s/2")
    table = combine_replicates(engine, cells, KEYS, ["Cells_F0"])
    expected = pd.concat(frames).groupby(KEYS, dropna=False)[["Cells_F0"]].median().reset_index()
    assert_same(table, expected)


def test_a_plate_that_is_pruned_is_not_opened(tmp_path: Path, engine: Engine) -> None:
    warehouse = make_root(tmp_path)
    wells = warehouse_source(warehouse, WELLS)
    kept, *others = [part for part in wells.parts if part.row_count]
    for part in others:
        Path(part.uri).unlink()
    assert kept.partition is not None
    rows = Rows(wells.prune([kept.partition]), (IsIn("plate_key", (kept.partition,)),))
    assert aggregate(engine, rows, [], [Measure("rows")])["rows"].to_pylist() == [kept.row_count]


def test_rows_come_in_stored_order_whatever_the_columns(tmp_path: Path, engine: Engine) -> None:
    warehouse = make_root(tmp_path, plates=6)
    source = warehouse_source(warehouse, WELLS)
    expected = pd.concat(
        [warehouse.read(WELLS, plate_keys=[str(p.partition)]).to_pandas() for p in source.parts]
    )
    for columns in (["plate_key", "Metadata_Well"], ["Metadata_Well", "Cells_F1"], ["Cells_F0"]):
        found = engine.collect(Rows(source), columns).to_pandas()
        for name in columns:
            np.testing.assert_array_equal(found[name].to_numpy(), expected[name].to_numpy())


def test_the_example_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIOIMAGE_DATA_DIR", str(tmp_path))
    make_cells(tmp_path / "warehouse", feature="Cells_AreaShape_Area")
    page = Path(__file__).parents[3] / "docs" / "engines.md"
    (example,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(example, names)
    wells = names["wells"]
    assert isinstance(wells, pa.Table)
    assert wells.column_names == ["plate_key", "well_id", "Metadata_Object_Count", "Cells_AreaShape_Area"]
    assert wells.num_rows == 6


def test_a_table_that_nobody_stored_is_missing(tmp_path: Path, catalog: Catalog) -> None:
    with pytest.raises(MissingTableError, match="pycytominer_profiles"):
        warehouse_source(open_warehouse(tmp_path), WELLS)
    with pytest.raises(MissingTableError):
        iceberg_source(catalog, TABLE)


def test_a_root_in_a_bucket_is_reduced_with_the_options_of_the_project() -> None:
    with run_s3() as endpoint:
        options = storage_options(endpoint)
        warehouse = open_warehouse(f"s3://{create_bucket(endpoint)}/root 1", storage_options=options)
        plates = [make_plate(f"s/P {number}", number) for number in range(2)]
        for number, plate in enumerate(plates):
            warehouse.replace_partitions(WELLS, plate, [f"s/P {number}"])
        wells = warehouse_source(warehouse, WELLS, options=options)
        table = combine_replicates(PolarsEngine(), wells, KEYS, ["Cells_F0"])
    frame = pd.concat([plate.to_pandas() for plate in plates])
    assert_same(table, frame.groupby(KEYS, dropna=False)[["Cells_F0"]].median().reset_index())
    assert "secret_access_key" not in repr(wells)


def test_a_name_for_two_columns_is_refused() -> None:
    wells = arrow_source("wells", [make_plate("s/A", 1)])
    with pytest.raises(UsageError, match="would be called 'Cells_F0'"):
        aggregate(PolarsEngine(), Rows(wells), [], [Measure("mean", "Cells_F0"), Measure("max", "Cells_F0")])


def test_a_file_of_another_tool_gives_only_the_rows_of_the_plates_that_are_asked_for(
    tmp_path: Path, engine: Engine
) -> None:
    warehouse = open_warehouse(tmp_path / "root")
    plates = {
        key: pa.table({"plate_key": [key] * 3, "Cells_F": [1.0, 2.0, 9.0]})
        for key in ("a/P1", "b/P1", "a/P2")
    }
    folder = tmp_path / "root" / WELLS
    folder.mkdir(parents=True)
    pq.write_table(pa.concat_tables([plates["a/P1"], plates["b/P1"]]), folder / "part-of-both.parquet")
    warehouse.replace_partitions(WELLS, plates["a/P2"], ["a/P2"])
    source = warehouse_source(warehouse, WELLS, ["a/P1", "a/P2", "a/none"])
    table = aggregate(engine, Rows(source), ["plate_key"], [Measure("rows", name="rows")])
    assert table.to_pylist() == [{"plate_key": "a/P1", "rows": 3}, {"plate_key": "a/P2", "rows": 3}]
    assert source.partitions == ("a/P1", "a/P2")
    assert warehouse_source(warehouse, WELLS, ["c/P1"]).row_count == 0
    assert warehouse_source(warehouse, WELLS).row_count == 9
