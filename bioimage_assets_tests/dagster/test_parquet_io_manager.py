"""The warehouse IO manager in real Dagster runs: partitions, reruns, types, column selection."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from bioimage_assets.io_managers.parquet_warehouse import ParquetWarehouseIOManager
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets_tests.dagster.plate_runs import tag_range

PLATES = dg.DynamicPartitionsDefinition(name="plates")
DATASETS = dg.DynamicPartitionsDefinition(name="datasets")
KEYS = ["screen/BR1", "screen/BR2"]


def rows(key: str, count: int = 3) -> pa.Table:
    return pa.table(
        {
            "plate_key": [key] * count,
            "dataset_id": [key.split("/")[0]] * count,
            "Metadata_ObjectID": [f"{key}/{i}" for i in range(count)],
            "Cells_AreaShape_Area": [float(i) for i in range(count)],
        }
    )


@pytest.fixture
def project(tmp_path):
    return ProjectResource(data_dir=str(tmp_path))


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        made.add_dynamic_partitions("plates", KEYS)
        made.add_dynamic_partitions("datasets", ["screen"])
        yield made


def run(assets, project, instance, key=None, selection=None, tags=None):
    return dg.materialize(
        assets,
        resources={
            "warehouse_io": ParquetWarehouseIOManager(project=project),
            "io_manager": dg.mem_io_manager,
        },
        instance=instance,
        partition_key=key,
        selection=selection,
        tags=tags,
    )


@dg.asset(partitions_def=PLATES, io_manager_key="warehouse_io")
def single_cells(context) -> pa.Table:
    return rows(context.partition_key)


def test_each_partition_is_one_part_and_a_rerun_changes_nothing(project, instance):
    for key in KEYS:
        assert run([single_cells], project, instance, key).success
    warehouse = project.warehouse()
    before = {path: Path(path).read_bytes() for path in warehouse.files("single_cells")}
    generation = warehouse.manifest().generation
    result = run([single_cells], project, instance, KEYS[0])

    assert len(before) == 2
    assert {path: Path(path).read_bytes() for path in warehouse.files("single_cells")} == before
    assert warehouse.manifest().generation == generation
    metadata = result.asset_materializations_for_node("single_cells")[0].metadata
    assert metadata["is_changed"].value is False
    assert duckdb.sql(
        f"select count(*) from read_parquet('{warehouse.root}/single_cells/*.parquet')"
    ).fetchall() == [(6,)]


def test_a_run_over_two_partitions_stores_both_and_counts_each(project, instance):
    @dg.asset(name="single_cells", partitions_def=PLATES, io_manager_key="warehouse_io",
              backfill_policy=dg.BackfillPolicy.single_run())  # fmt: skip
    def both(context) -> pa.Table:
        return pa.concat_tables([rows(KEYS[0], 2), rows(KEYS[1], 5)])

    result = run([both], project, instance, tags=tag_range(KEYS))
    counts = {
        event.partition: event.metadata["dagster/partition_row_count"].value
        for event in result.asset_materializations_for_node("single_cells")
    }
    assert counts == {KEYS[0]: 2, KEYS[1]: 5}
    assert project.warehouse().read("single_cells", plate_keys=[KEYS[1]]).num_rows == 5


def test_an_unpartitioned_asset_reads_every_partition_of_its_upstream(project, instance):
    @dg.asset(ins={"single_cells": dg.AssetIn(partition_mapping=dg.AllPartitionMapping())}, io_manager_key="warehouse_io",
              metadata={"role": "reports"})  # fmt: skip
    def totals(single_cells: pa.Table) -> pa.Table:
        return pa.table({"dataset_id": ["screen"], "cells": [single_cells.num_rows]})

    for key in KEYS:
        run([single_cells], project, instance, key)
    assert run([single_cells, totals], project, instance, selection=[totals]).success
    assert project.warehouse().read("totals").to_pylist() == [{"dataset_id": "screen", "cells": 6}]


@pytest.mark.parametrize(
    ("annotation", "count"),
    [
        (pa.Table, lambda value: value.num_rows),
        (pa.RecordBatchReader, lambda value: value.read_all().num_rows),
        (duckdb.DuckDBPyRelation, lambda value: value.count("*").fetchall()[0][0]),
        (pd.DataFrame, len),
        (pl.DataFrame, len),
    ],
)
def test_an_input_comes_as_the_annotated_type_with_only_its_partition(project, instance, annotation, count):
    seen = []
    reader = make_reader(annotation, count, seen)
    for key in KEYS:
        run([single_cells], project, instance, key)
    assert run([single_cells, reader], project, instance, KEYS[0], selection=[reader]).success
    assert seen == [(True, 3)]


def make_reader(annotation, count, seen):
    def reader(single_cells):
        seen.append((isinstance(single_cells, annotation), count(single_cells)))

    reader.__annotations__ = {"single_cells": annotation}
    return dg.asset(partitions_def=PLATES)(reader)


def test_only_the_columns_asked_for_are_read(project, instance):
    seen = []

    @dg.asset(
        partitions_def=PLATES,
        ins={"single_cells": dg.AssetIn(metadata={"columns": ["Cells_AreaShape_Area"]})},
    )
    def narrow(single_cells: pa.Table) -> None:
        seen.append(single_cells.column_names)

    run([single_cells], project, instance, KEYS[0])
    run([single_cells, narrow], project, instance, KEYS[0], selection=[narrow])
    assert seen == [["Cells_AreaShape_Area"]]


@pytest.mark.parametrize("kind", ["reader", "relation", "pandas", "polars", "mapping"])
def test_every_kind_of_table_can_be_returned(project, instance, kind):
    def build(key):
        table = rows(key).drop_columns(["plate_key"])
        return {
            "reader": lambda: table.to_reader(),
            "relation": lambda: duckdb.from_arrow(table),
            "pandas": lambda: table.to_pandas(),
            "polars": lambda: pl.from_arrow(table),
            "mapping": lambda: {key: table},
        }[kind]()

    @dg.asset(name="single_cells", partitions_def=PLATES, io_manager_key="warehouse_io")
    def any_kind(context):
        return build(context.partition_key)

    assert run([any_kind], project, instance, KEYS[0]).success
    stored = project.warehouse().read("single_cells")
    assert stored.column("plate_key").to_pylist() == [KEYS[0]] * 3
    assert (
        stored.column("Metadata_ObjectID").to_pylist()
        == rows(KEYS[0]).column("Metadata_ObjectID").to_pylist()
    )


def test_a_dataset_partition_is_kept_by_dataset_id(project, instance):
    @dg.asset(partitions_def=DATASETS, io_manager_key="warehouse_io")
    def pycytominer_consensus(context) -> pa.Table:
        return pa.table({"dataset_id": ["screen"], "Metadata_compound": ["DMSO"], "f": [0.5]})

    for _ in range(2):
        assert run([pycytominer_consensus], project, instance, "screen").success
    warehouse = project.warehouse()
    assert warehouse.partitions("pycytominer_consensus") == ("screen",)
    assert warehouse.row_count("pycytominer_consensus") == 1


def test_rows_of_another_partition_fail_the_run_and_leave_the_table(project, instance):
    @dg.asset(name="single_cells", partitions_def=PLATES, io_manager_key="warehouse_io")
    def wrong(context) -> pa.Table:
        return rows(KEYS[1])

    run([single_cells], project, instance, KEYS[0])
    with pytest.raises(Exception, match="only screen/BR1 may be replaced"):
        run([wrong], project, instance, KEYS[0])
    assert project.warehouse().read("single_cells").column("plate_key").to_pylist() == [KEYS[0]] * 3


@pytest.mark.slow
def test_importing_the_io_manager_loads_no_heavy_library():
    code = (
        "import sys, bioimage_assets.io_managers.parquet_warehouse; "
        "print([m for m in ('pyarrow', 'pandas', 'duckdb', 'polars', 'obstore') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
