"""Assets stored through the Iceberg IO manager: real runs on two plates, over ranges, and again."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from bioimage_assets.core.catalog.history import list_snapshots
from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.io_managers.iceberg import IcebergIOManager
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets_tests.dagster.plate_runs import tag_range

PLATES = dg.DynamicPartitionsDefinition(name="iceberg_io_plates")
DATASETS = dg.DynamicPartitionsDefinition(name="iceberg_io_datasets")
KEYS = ["screen/P1", "screen/P2", "screen/P3"]
TABLE = "bioimage.cytotable.cells"


def plate_rows(key: str, rows: int = 3) -> pa.Table:
    return pa.table(
        {
            "plate_key": [key] * rows,
            "dataset_id": [key.split("/")[0]] * rows,
            "cell": list(range(rows)),
            "area": [1.5] * rows,
        }
    )


@dg.asset(partitions_def=PLATES, backfill_policy=dg.BackfillPolicy.single_run(), code_version="7")
def cells(context: dg.AssetExecutionContext):
    table = pa.concat_tables([plate_rows(key) for key in context.partition_keys])
    return dg.Output(table, metadata={"fingerprint": "f" + str(len(context.partition_keys))})


@pytest.fixture
def project(tmp_path: Path) -> ProjectResource:
    return ProjectResource(data_dir=str(tmp_path))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("iceberg_io_plates", KEYS)
        instance.add_dynamic_partitions("iceberg_io_datasets", ["screen"])
        yield instance


def run(
    assets: list[Any], project: ProjectResource, instance: dg.DagsterInstance, select: Any, **options: Any
) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        assets,
        selection=[select],
        resources={"io_manager": IcebergIOManager(project=project)},
        instance=instance,
        **options,
    )


def row_counts(project: ProjectResource) -> dict[str, int]:
    counted = read_table(project.catalog(), TABLE).group_by("plate_key").aggregate([([], "count_all")])
    return dict(zip(counted["plate_key"].to_pylist(), counted["count_all"].to_pylist(), strict=True))


def test_two_partitions_are_stored_and_a_second_run_changes_no_row(
    project: ProjectResource, instance: dg.DagsterInstance
) -> None:
    for key in (*KEYS[:2], KEYS[0]):
        assert run([cells], project, instance, cells, partition_key=key).success
    assert row_counts(project) == {KEYS[0]: 3, KEYS[1]: 3}


@pytest.mark.slow
def test_a_range_of_plates_is_one_commit_with_row_counts_per_plate(
    project: ProjectResource, instance: dg.DagsterInstance
) -> None:
    result = run([cells], project, instance, cells, tags=tag_range(KEYS))
    run([cells], project, instance, cells, tags=tag_range(KEYS))
    assert row_counts(project) == dict.fromkeys(KEYS, 3)
    assert len(list_snapshots(project.catalog(), TABLE)) == 2
    events = result.asset_materializations_for_node("cells")
    assert {
        event.partition: event.metadata["dagster/partition_row_count"].value for event in events
    } == dict.fromkeys(KEYS, 3)


def test_run_and_snapshot_find_each_other(project: ProjectResource, instance: dg.DagsterInstance) -> None:
    result = run([cells], project, instance, cells, partition_key=KEYS[0])
    snapshot = list_snapshots(project.catalog(), TABLE)[-1]
    assert snapshot.properties["dagster.run-id"] == result.run_id
    assert snapshot.properties["bioimage.plates"] == KEYS[0]
    assert snapshot.properties["bioimage.code-version"] == "7"
    assert snapshot.properties["bioimage.fingerprint"] == "f1"
    metadata = result.asset_materializations_for_node("cells")[0].metadata
    assert metadata["iceberg_snapshot_id"].value == str(snapshot.snapshot_id)
    assert metadata["dagster/table_name"].value == TABLE
    assert metadata["dagster/column_schema"].value.columns[0].name == "plate_key"


def _loaded(
    project: ProjectResource, instance: dg.DagsterInstance, consumer: Any, key: str | None = None
) -> list[Any]:
    run([cells], project, instance, cells, tags=tag_range(KEYS[:2]))
    result = run([cells, consumer], project, instance, consumer, **({"partition_key": key} if key else {}))
    assert result.success
    return result.asset_materializations_for_node(consumer.key.path[-1])


def test_only_the_plate_of_the_run_and_the_named_columns_are_loaded(
    project: ProjectResource, instance: dg.DagsterInstance
) -> None:
    seen = []

    @dg.asset(
        partitions_def=PLATES,
        ins={"cells": dg.AssetIn(metadata={"columns": ["plate_key", "cell"], "where": "cell > 0"})},
    )
    def consumer(cells) -> None:
        seen.append(cells)

    _loaded(project, instance, consumer, KEYS[1])
    assert seen[0].to_pydict() == {"plate_key": [KEYS[1]] * 2, "cell": [1, 2]}


def test_an_unpartitioned_asset_loads_all_plates(
    project: ProjectResource, instance: dg.DagsterInstance
) -> None:
    seen = []

    @dg.asset
    def consumer(cells) -> None:
        seen.append(cells)

    _loaded(project, instance, consumer)
    assert sorted(set(seen[0]["plate_key"].to_pylist())) == KEYS[:2]
    assert seen[0].num_rows == 6


@pytest.mark.parametrize(
    ("annotation", "count"),
    [
        (pa.Table, lambda value: value.num_rows),
        (pa.RecordBatchReader, lambda value: value.read_all().num_rows),
        (duckdb.DuckDBPyRelation, lambda value: value.to_arrow_table().num_rows),
        (pd.DataFrame, len),
        (pl.DataFrame, len),
        (pl.LazyFrame, lambda value: len(value.collect())),
        (Any, lambda value: value.num_rows),
    ],
)
def test_the_annotation_decides_what_an_asset_is_given(
    project: ProjectResource, instance: dg.DagsterInstance, annotation: Any, count: Any
) -> None:
    seen = []

    def consumer(cells) -> None:
        seen.append(
            (
                isinstance(cells, annotation) if annotation is not Any else isinstance(cells, pa.Table),
                count(cells),
            )
        )

    consumer.__annotations__["cells"] = annotation
    _loaded(project, instance, dg.asset(partitions_def=PLATES)(consumer), KEYS[0])
    assert seen == [(True, 3)]


@pytest.mark.parametrize(
    "build",
    [
        lambda table: table,
        lambda table: table.to_reader(2),
        lambda table: duckdb.connect().from_arrow(table),
        lambda table: table.to_pandas(),
        lambda table: pl.from_arrow(table),
        lambda table: pl.from_arrow(table).lazy(),
        lambda table: {KEYS[0]: table.to_reader()},
    ],
    ids=["table", "reader", "relation", "pandas", "polars", "lazy", "mapping"],
)
def test_every_kind_of_table_is_stored_with_its_plate(
    project: ProjectResource, instance: dg.DagsterInstance, build: Any
) -> None:
    @dg.asset(name="cells", partitions_def=PLATES)
    def some_table():
        return build(plate_rows(KEYS[0]).drop_columns(["plate_key"]))

    assert run([some_table], project, instance, some_table, partition_key=KEYS[0]).success
    stored = read_table(project.catalog(), TABLE).select(plate_rows(KEYS[0]).column_names)
    assert stored.to_pydict() == plate_rows(KEYS[0]).to_pydict()


def test_rows_of_several_plates_without_their_key_are_refused(
    project: ProjectResource, instance: dg.DagsterInstance
) -> None:
    @dg.asset(name="cells", partitions_def=PLATES, backfill_policy=dg.BackfillPolicy.single_run())
    def keyless():
        return pa.table({"cell": [1]})

    result = run([keyless], project, instance, keyless, tags=tag_range(KEYS[:2]), raise_on_error=False)
    assert not result.success
    assert "no column 'plate_key'" in result.failure_data_for_node("cells").error.to_string()


def test_a_dataset_partition_replaces_the_rows_of_its_dataset(
    project: ProjectResource, instance: dg.DagsterInstance
) -> None:
    @dg.asset(partitions_def=DATASETS)
    def consensus():
        return pa.table({"dataset_id": ["screen"], "treatment": ["DMSO"]})

    for _ in range(2):
        assert run([consensus], project, instance, consensus, partition_key="screen").success
    assert read_table(project.catalog(), "bioimage.cytotable.consensus").num_rows == 1


def test_an_unpartitioned_asset_replaces_its_table(
    project: ProjectResource, instance: dg.DagsterInstance
) -> None:
    @dg.asset
    def summary():
        return pd.DataFrame({"a": [1, 2]})

    for _ in range(2):
        result = run([summary], project, instance, summary)
    assert read_table(project.catalog(), "bioimage.cytotable.summary").num_rows == 2
    assert result.asset_materializations_for_node("summary")[0].metadata["dagster/row_count"].value == 2


def test_an_asset_that_is_no_table_fails_with_the_reason(
    project: ProjectResource, instance: dg.DagsterInstance
) -> None:
    @dg.asset(partitions_def=PLATES)
    def number():
        return 5

    result = run([number], project, instance, number, partition_key=KEYS[0], raise_on_error=False)
    assert "builtins.int, which is no table" in result.failure_data_for_node("number").error.to_string()


@pytest.mark.slow
def test_loading_the_module_imports_no_heavy_library() -> None:
    code = (
        "import sys, bioimage_assets.io_managers.iceberg;"
        "print({'pandas', 'pyarrow', 'pyiceberg', 'polars'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


FRAMES: dict[str, Any] = {
    "pandas": lambda value: pd.DataFrame({"v": pd.array([value], dtype=pd.UInt64Dtype() if value > 2 else None)}),
    "polars": lambda value: pl.DataFrame({"v": [value]}, schema={"v": pl.UInt64 if value > 2 else pl.Float64}),
    "arrow": lambda value: pa.table({"v": pa.array([value], pa.uint64() if value > 2 else pa.float64())}),
    "duckdb": lambda value: duckdb.sql(f"SELECT {value}::{'UBIGINT' if value > 2 else 'DOUBLE'} AS v"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FRAMES)
def test_a_refused_first_write_of_any_frame_names_everything_and_the_corrected_one_succeeds(
    project: ProjectResource, instance: dg.DagsterInstance, kind: str
) -> None:
    value: list[float] = [2**63 + 5]

    @dg.asset(partitions_def=PLATES)
    def numbers() -> Any:
        return FRAMES[kind](value[0])

    with pytest.raises(Exception, match=r"numbers, screen/P1: Column 'v'.*uint64.*int64.*float64") as refused:
        run([numbers], project, instance, numbers, partition_key=KEYS[0])
    causes = [refused.value]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    assert not [cause for cause in causes if isinstance(cause, pa.ArrowException)]
    assert project.catalog().list_tables(("bioimage", "cytotable")) == []
    value[0] = 1.5
    assert run([numbers], project, instance, numbers, partition_key=KEYS[0]).success
    assert read_table(project.catalog(), "bioimage.cytotable.numbers")["v"].to_pylist() == [1.5]
