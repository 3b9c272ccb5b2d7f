"""What examples/ and docs/your-assets.md show: assets, checks and a sensor of a lab's own, and tables without plates."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from bioimage_assets import extend
from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.storage.built_tables import BuiltTable, record_built
from bioimage_assets.extend import PLATES, ProjectResource, build_resources, plate_changes, table_spec
from bioimage_assets_tests.dagster.plate_runs import QUIET, tag_range

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
KEYS = ["screen/P1", "screen/P2", "screen/P3"]
AREA = "Nuclei_AreaShape_Area"


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def lab() -> ModuleType:
    return _load("lab_assets")


@pytest.fixture
def project(tmp_path: Path) -> ProjectResource:
    """A project with cells and images of three plates; the last image of each has no cell."""
    project = ProjectResource(data_dir=str(tmp_path))
    for number, key in enumerate(KEYS, 1):
        project.warehouse().replace_partitions("joined_profiles", _cells(key, number), [key])
    images = pa.concat_tables([_images(key) for key in KEYS])
    replace_partitions(project.catalog(), "bioimage.cytotable.image_assets", images, KEYS)
    return project


def _cells(key: str, number: int) -> pa.Table:
    wells = ["A01"] * 3 + ["A02"] * 3
    return pa.table(
        {
            "plate_key": [key] * 6,
            "dataset_id": ["screen"] * 6,
            "well_id": wells,
            "image_id": [f"{key}:{well}:0" for well in wells],
            AREA: np.arange(6.0) * 10 + 60 * number,
        }
    )


def _images(key: str) -> pa.Table:
    wells = ["A01", "A02", "A03"]
    return pa.table(
        {
            "plate_key": [key] * 3,
            "dataset_id": ["screen"] * 3,
            "image_id": [f"{key}:{well}:0" for well in wells],
        }
    )


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        extend.register_plates(instance, KEYS)
        yield instance


def _run(
    instance: dg.DagsterInstance,
    project: ProjectResource,
    assets: list[Any],
    keys: list[str] | None,
    checks: list[Any] | None = None,
) -> dg.ExecuteInProcessResult:
    """A run of assets of a code location of their own: of one plate, of a range, or without partitions."""
    upstream = [table_spec("joined_profiles"), table_spec("image_assets"), table_spec("single_cells")]
    wanted = [asset.key for asset in assets if isinstance(asset, dg.AssetsDefinition)]
    selection = dg.AssetSelection.assets(*wanted)
    return _run_selected(instance, project, [*upstream, *assets], keys, selection, checks)


def _run_selected(
    instance: dg.DagsterInstance,
    project: ProjectResource,
    assets: list[Any],
    keys: list[str] | None,
    selection: dg.AssetSelection,
    checks: list[Any] | None = None,
) -> dg.ExecuteInProcessResult:
    """The same of a selection of all that the code location has."""
    defs = dg.Definitions(
        assets=assets,
        asset_checks=checks or [],
        jobs=[dg.define_asset_job("all", selection=selection)],
        resources={**build_resources(project), "io_manager": dg.mem_io_manager},
        executor=dg.in_process_executor,
    )
    return defs.resolve_job_def("all").execute_in_process(
        instance=instance,
        partition_key=keys[0] if keys is not None and len(keys) == 1 else None,
        tags=tag_range(keys) if keys is not None and len(keys) > 1 else {},
        run_config=QUIET,
        raise_on_error=False,
    )


def _error(result: dg.ExecuteInProcessResult) -> str:
    assert not result.success
    return "\n".join(
        str(event.step_failure_data.error) for event in result.all_events if event.is_step_failure
    )


@pytest.mark.slow
def test_the_example_makes_four_tables_of_a_plate_and_of_a_range(lab, project, instance):
    assets = [lab.well_areas, lab.cells_per_well, lab.cells_per_image, lab.large_cells]
    checks = [lab.wells_are_alike]
    assert _run(instance, project, assets, KEYS[:1], checks).success
    result = _run(instance, project, assets, KEYS, checks)
    assert result.success

    cells = pd.concat([_cells(key, number).to_pandas() for number, key in enumerate(KEYS, 1)])
    warehouse = project.warehouse()
    areas = warehouse.read("well_areas").to_pandas().set_index(["plate_key", "well_id"])[AREA]
    assert areas.to_dict() == cells.groupby(["plate_key", "well_id"])[AREA].mean().to_dict()
    large = warehouse.read("large_cells").to_pandas()
    assert sorted(large[AREA]) == sorted(cells[AREA][cells[AREA] > 100])
    per_image = warehouse.read("cells_per_image").to_pandas().set_index("image_id").cell_count
    assert per_image[f"{KEYS[1]}:A01:0"] == 3
    assert per_image[f"{KEYS[1]}:A03:0"] == 0
    counted = read_table(project.catalog(), "bioimage.cytotable.cells_per_well").to_pylist()
    assert sorted((row["plate_key"], row["well_id"], row["cells"]) for row in counted) == [
        (key, well, 3) for key in KEYS for well in ("A01", "A02")
    ]


def test_a_check_of_the_example_speaks_of_every_plate_of_a_range(lab, project, instance):
    assert _run(instance, project, [lab.well_areas], KEYS, [lab.wells_are_alike]).success
    spoiled = pa.table({"plate_key": [KEYS[1]] * 2, "well_id": ["A01", "A02"], AREA: [1.0, 100.0]})
    project.warehouse().replace_partitions("well_areas", spoiled, [KEYS[1]], role="reports")
    defs = dg.Definitions(
        assets=[lab.well_areas, table_spec("joined_profiles")],
        asset_checks=[lab.wells_are_alike, lab.nuclei_have_a_size],
        jobs=[dg.define_asset_job("checks", selection=dg.AssetSelection.all_asset_checks())],
        resources=build_resources(project),
        executor=dg.in_process_executor,
    )
    tags = tag_range(KEYS)
    result = defs.resolve_job_def("checks").execute_in_process(instance=instance, tags=tags, run_config=QUIET)
    wanted = [e for e in result.all_events if e.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION]
    events = [event.asset_check_evaluation_data for event in wanted]
    said = {(e.check_name, e.partition): e.passed for e in events if e.partition}
    assert said == {
        **{("nuclei_have_a_size", key): True for key in KEYS},
        **{("wells_are_alike", key): key != KEYS[1] for key in KEYS},
    }


def test_the_sensor_of_the_example_asks_for_every_plate_of_a_run_once(lab, project, instance):
    assert _run(instance, project, [_restored(project)], KEYS).success
    context = dg.build_sensor_context(instance=instance)
    found = lab.when_joined(context)
    assert [request.partition_key for request in found.run_requests] == KEYS

    # Again with the same data version: nothing is new. One plate with another: it alone.
    context = dg.build_sensor_context(instance=instance, cursor=found.cursor)
    assert lab.when_joined(context).run_requests == []
    _report(instance, KEYS[1], "other")
    _report(instance, "screen/REMOVED", "other")
    found = lab.when_joined(dg.build_sensor_context(instance=instance, cursor=found.cursor))
    assert [request.partition_key for request in found.run_requests] == [KEYS[1]]


def _restored(project: ProjectResource) -> dg.AssetsDefinition:
    """Stands for the project's step: one run stores three plates."""

    @dg.asset(
        name="joined_profiles_stored", partitions_def=PLATES, backfill_policy=dg.BackfillPolicy.single_run()
    )
    def joined(context: dg.AssetExecutionContext) -> None:
        for key in context.partition_keys:
            context.log_event(
                dg.AssetMaterialization("joined_profiles", partition=key, tags={"dagster/data_version": key})
            )

    return joined


def _report(instance: dg.DagsterInstance, key: str, version: str) -> None:
    tags = {"dagster/data_version": version}
    instance.report_runless_asset_event(dg.AssetMaterialization("joined_profiles", partition=key, tags=tags))


def test_a_look_reads_no_more_events_than_its_limit_and_the_next_goes_on(instance):
    for number in range(2):
        for key in KEYS:
            _report(instance, key, f"v{number}")
    cursor, seen = None, []
    for _ in range(4):
        found = plate_changes(
            dg.build_sensor_context(instance=instance, cursor=cursor), "joined_profiles", limit=2
        )
        cursor = found.cursor
        seen.append([change.plate_key for change in found.changes])
    assert seen == [KEYS[:2], [KEYS[2], KEYS[0]], KEYS[1:], []]


def test_a_plate_with_the_same_data_version_is_no_change_and_one_without_is(instance):
    _report(instance, KEYS[0], "v")
    cursor = plate_changes(dg.build_sensor_context(instance=instance), "joined_profiles").cursor
    _report(instance, KEYS[0], "v")
    instance.report_runless_asset_event(dg.AssetMaterialization("joined_profiles", partition=KEYS[1]))
    instance.report_runless_asset_event(dg.AssetMaterialization("joined_profiles", partition=KEYS[1]))
    found = plate_changes(dg.build_sensor_context(instance=instance, cursor=cursor), "joined_profiles")
    assert [change.plate_key for change in found.changes] == [KEYS[1]]


@pytest.mark.parametrize("manager", ["warehouse_io", "iceberg_io"])
@pytest.mark.parametrize("kind", [duckdb.DuckDBPyRelation, pl.LazyFrame])
def test_a_relation_and_a_lazy_frame_can_be_gone_through_twice(project, instance, kind, manager):
    seen = []

    def twice(table: Any) -> None:
        if kind is pl.LazyFrame:
            seen.append(table.filter(pl.col("dataset_id") == "screen").select(pl.len()).collect().item())
            seen.append(table.head(2).collect().height)
        else:
            seen.append(table.filter("dataset_id = 'screen'").count("*").fetchone()[0])
            seen.append(table.limit(2).count("*").fetchone()[0])

    twice.__annotations__["table"] = kind
    name = "joined_profiles" if manager == "warehouse_io" else "image_assets"
    asset = dg.asset(partitions_def=PLATES, ins={"table": dg.AssetIn(key=name, input_manager_key=manager)})(
        twice
    )
    assert _run(instance, project, [asset], KEYS[:1]).success
    assert seen == [6 if manager == "warehouse_io" else 3, 2]


def test_a_lazy_frame_reads_only_the_columns_that_it_uses(project, instance, monkeypatch):
    opened = []
    real = type(project.warehouse()).batches

    def batches(self: Any, name: str, *, columns: Any = None, plate_keys: Any = None) -> Any:
        opened.append(columns)
        return real(self, name, columns=columns, plate_keys=plate_keys)

    monkeypatch.setattr(type(project.warehouse()), "batches", batches)

    @dg.asset(partitions_def=PLATES, ins={"joined_profiles": dg.AssetIn(input_manager_key="warehouse_io")})
    def narrow(joined_profiles: pl.LazyFrame) -> None:
        joined_profiles.group_by("well_id").agg(pl.col(AREA).mean()).collect()

    assert _run(instance, project, [narrow], KEYS[:1]).success
    assert opened[0] is None
    assert sorted(opened[1]) == sorted(["well_id", AREA])


def _consumer(**words: Any) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=PLATES,
        ins={"joined_profiles": dg.AssetIn(input_manager_key="warehouse_io", **words)},
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def consumer(context: dg.AssetExecutionContext, joined_profiles: pa.Table) -> None:
        context.add_output_metadata({"rows": joined_profiles.num_rows})

    return consumer


@pytest.mark.parametrize("keys", [["screen/P4"], ["screen/P3", "screen/P4"]])
def test_a_plate_that_was_never_built_is_an_error_and_not_an_empty_table(project, instance, keys):
    extend.register_plates(instance, ["screen/P4"])
    assert "joined_profiles of screen/P4 is not stored; materialize it first" in _error(
        _run(instance, project, [_consumer()], keys)
    )


def test_a_plate_that_was_built_without_rows_is_an_empty_table(project, instance):
    extend.register_plates(instance, ["screen/P4"])
    record_built(project.warehouse(), [BuiltTable("screen/P4", "joined_profiles", "nowhere", 0, "f")], "run")
    result = _run(instance, project, [_consumer()], ["screen/P4"])
    assert result.asset_materializations_for_node("consumer")[0].metadata["rows"].value == 0


def test_rows_that_were_never_copied_do_not_pass_for_no_rows(project, instance):
    record_built(project.warehouse(), [BuiltTable(KEYS[0], "single_cells", "in place", 7, "f")], "run")

    @dg.asset(partitions_def=PLATES, ins={"single_cells": dg.AssetIn(input_manager_key="warehouse_io")})
    def consumer(single_cells: pa.Table) -> None: ...

    assert "its 7 rows stay in the file that was handed over. Depend on joined_profiles" in _error(
        _run(instance, project, [consumer], KEYS[:1])
    )


@pytest.mark.parametrize("manager", ["warehouse_io", "iceberg_io"])
def test_a_table_of_a_users_own_that_was_never_built_is_an_error_and_one_without_rows_is_empty(
    project, instance, manager
):
    @dg.asset(partitions_def=PLATES, io_manager_key=manager)
    def own() -> pa.Table:
        return pa.table({"x": pa.array([], pa.int64())})

    @dg.asset(partitions_def=PLATES)
    def after(own: pa.Table) -> None: ...

    assert _run(instance, project, [own, after], KEYS[:1]).success
    result = _run_selected(instance, project, [own, after], KEYS[1:2], dg.AssetSelection.assets(after))
    assert "own of screen/P2 is not stored; materialize it first" in _error(result)


def test_rows_that_another_instance_stored_in_the_catalog_are_read(project, instance):
    replace_partitions(project.catalog(), "bioimage.cytotable.own", _cells(KEYS[0], 1), KEYS[:1])

    @dg.asset(partitions_def=PLATES, ins={"own": dg.AssetIn(input_manager_key="iceberg_io")})
    def after(context: dg.AssetExecutionContext, own: pa.Table) -> None:
        context.add_output_metadata({"rows": own.num_rows})

    own = dg.AssetSpec("own", partitions_def=PLATES)
    result = _run(instance, project, [own, after], KEYS[:1])
    assert result.asset_materializations_for_node("after")[0].metadata["rows"].value == 6
    assert "own of screen/P2 is not stored" in _error(_run(instance, project, [own, after], KEYS[1:2]))


def test_a_table_of_all_plates_is_made_of_those_that_are_built(project, instance):
    extend.register_plates(instance, ["screen/P4"])

    @dg.asset(ins={"joined_profiles": dg.AssetIn(input_manager_key="warehouse_io")})
    def everything(context: dg.AssetExecutionContext, joined_profiles: pa.Table) -> None:
        context.add_output_metadata({"rows": joined_profiles.num_rows})

    result = _run(instance, project, [everything], None)
    assert result.asset_materializations_for_node("everything")[0].metadata["rows"].value == 18


def test_a_run_of_a_plate_is_not_given_all_plates_of_an_undeclared_table(project, instance):
    assets = [_consumer(), dg.AssetSpec("joined_profiles")]
    result = _run_selected(instance, project, assets, KEYS[:1], dg.AssetSelection.assets("consumer"))
    assert "Add table_spec('joined_profiles') of bioimage_assets.extend" in _error(result)


def test_a_filter_that_only_the_catalog_knows_is_refused_and_not_ignored(project, instance):
    consumer = _consumer(metadata={"where": "well_id = 'A01'"})
    assert "says 'where', which holds for tables of the catalog" in _error(
        _run(instance, project, [consumer], KEYS[:1])
    )


@pytest.mark.parametrize("manager", ["warehouse_io", "iceberg_io"])
def test_an_asset_that_returns_nothing_fails_and_one_that_says_so_does_not(project, instance, manager):
    @dg.asset(partitions_def=PLATES, io_manager_key=manager)
    def forgetful():
        return None

    @dg.asset(partitions_def=PLATES, io_manager_key=manager)
    def by_itself() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"n": 1})

    assert "forgetful returned None, so nothing was stored" in _error(
        _run(instance, project, [forgetful], KEYS[:1])
    )
    assert _run(instance, project, [by_itself], KEYS[:1]).success


@pytest.mark.parametrize("manager", ["warehouse_io", "iceberg_io"])
@pytest.mark.parametrize("key", [["joined_profiles_of_mine"], ["mine", "joined_profiles"]])
def test_an_asset_does_not_store_into_a_table_of_the_project(project, instance, manager, key):
    metadata = {"table": "joined_profiles"} if len(key) == 1 else {}

    @dg.asset(key=key, partitions_def=PLATES, io_manager_key=manager, metadata=metadata)
    def mine() -> pa.Table:
        return pa.table({"well_id": ["A01"]})

    assert "would replace rows of joined_profiles, which is a table of the project" in _error(
        _run(instance, project, [mine], KEYS[:1])
    )
    assert project.warehouse().read("joined_profiles", plate_keys=KEYS[:1]).num_rows == 6


def test_the_io_managers_keep_tables_of_a_project_without_plates(instance, tmp_path):
    example = _load("tables_without_plates")
    project = ProjectResource(data_dir=str(tmp_path), catalog_namespace="lab")
    defs = dg.Definitions(
        assets=[example.orders, example.order_totals],
        jobs=[
            dg.define_asset_job("orders_job", selection=[example.orders]),
            dg.define_asset_job("totals_job", selection=[example.order_totals]),
        ],
        resources=build_resources(project),
        executor=dg.in_process_executor,
    )
    for year in ("2024", "2025"):
        job = defs.resolve_job_def("orders_job")
        assert job.execute_in_process(instance=instance, partition_key=year, run_config=QUIET).success
    assert defs.resolve_job_def("totals_job").execute_in_process(instance=instance, run_config=QUIET).success
    assert project.warehouse().read("orders", plate_keys=["2025"]).to_pylist() == [
        {"year": "2025", "antibody": "NUP98", "count": 1},
        {"year": "2025", "antibody": "TOM20", "count": 5},
    ]
    totals = read_table(project.catalog(), "lab.cytotable.orders_of_all_years").to_pylist()
    assert {row["antibody"]: row["count"] for row in totals} == {"NUP98": 2, "TOM20": 9}


def test_partitions_of_a_users_own_have_a_column_of_their_own(project, instance):
    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(["2024"]), io_manager_key="warehouse_io")
    def yearly() -> pa.Table:
        return pa.table({"x": [1]})

    assert _run(instance, project, [yearly], ["2024"]).success
    assert project.warehouse().read("yearly").to_pylist() == [{"partition_key": "2024", "x": 1}]


def test_the_name_of_no_table_is_refused_with_those_that_there_are():
    with pytest.raises(
        UsageError, match=r"'joined' is no table of the project\..* Its tables are .*joined_profiles"
    ):
        table_spec("joined")
