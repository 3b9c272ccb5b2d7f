"""Runs of several plates: a bad plate fails alone, what is current is not built again, versions are each plate's own."""

import shutil
from pathlib import Path

import dagster as dg
import pytest

from bioimage_assets.core.errors import CommitError, CorruptStoreError, StoreAccessError
from bioimage_assets.definitions import defs
from bioimage_assets.retrying import is_worth_retrying
from bioimage_assets.sensors.rollups import dataset_rollup_sensor
from bioimage_assets_tests.builders.measurement_plates import PlateSpec, write_cellprofiler_folder
from bioimage_assets_tests.dagster.plate_runs import QUIET, know_plates, tag_range, write_plates
from bioimage_assets_tests.dagster.store_ticks import write_plate

TABLES = ["image_assets", "chunk_index", "plate_layout", "scan_findings"]
KEYS = ["screen/P1", "screen/P2", "screen/P3"]


@pytest.fixture
def incoming(tmp_path: Path, use_data_dir) -> Path:
    use_data_dir(tmp_path / "data")
    return write_plates(tmp_path / "data" / "incoming", KEYS, ("A/1", "B/2"))


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return know_plates(KEYS)


def _run(instance, keys=KEYS, *, select=(), force=False, raise_on_error=True) -> dg.ExecuteInProcessResult:
    job = defs.resolve_job_def("plate_pipeline")
    tags = {"bioimage/force": "true"} if force else {}
    if len(keys) > 1:
        tags |= tag_range(keys)
    return job.execute_in_process(
        instance=instance,
        partition_key=keys[0] if len(keys) == 1 else None,
        tags=tags,
        asset_selection=[dg.AssetKey(name) for name in select] or None,
        raise_on_error=raise_on_error,
        run_config=QUIET,
    )


def _versions(instance, name: str) -> dict[str, str]:
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        dg.AssetKey(name), dg.DagsterEventType.ASSET_MATERIALIZATION, ["dagster/data_version"]
    )
    return {key: value["dagster/data_version"] for key, value in tags.items()}


@pytest.mark.slow
def test_one_bad_plate_of_a_range_fails_alone_and_only_it_is_left_to_retry(incoming, instance):
    shutil.rmtree(incoming / "screen" / "P2.zarr")
    result = _run(instance, select=TABLES, raise_on_error=False)
    assert not result.success
    assert instance.get_materialized_partitions(dg.AssetKey("image_assets")) == {"screen/P1", "screen/P3"}
    write_plate(incoming / "screen" / "P2.zarr", name="P2")
    assert _run(instance, ["screen/P2"], select=TABLES).success
    assert instance.get_materialized_partitions(dg.AssetKey("image_assets")) == set(KEYS)


@pytest.mark.slow
def test_a_repeated_range_writes_nothing_and_materialises_every_plate(incoming, instance):
    from bioimage_assets.core.catalog.history import list_snapshots
    from bioimage_assets.resources.project import ProjectResource

    project = ProjectResource()
    assert _run(instance).success
    snapshots = len(list_snapshots(project.catalog(), "bioimage.cytotable.image_assets"))
    versions = _versions(instance, "image_assets")
    files = {p: p.stat().st_mtime_ns for p in incoming.parent.rglob("*.parquet")}
    again = _run(instance)
    assert len(list_snapshots(project.catalog(), "bioimage.cytotable.image_assets")) == snapshots
    assert {p: p.stat().st_mtime_ns for p in incoming.parent.rglob("*.parquet")} == files
    events = again.asset_materializations_for_node("scan_plates")
    assert {e.partition for e in events if e.asset_key.path == ["image_assets"]} == set(KEYS)
    assert _versions(instance, "image_assets") == versions
    assert _run(instance, force=True).success
    assert len(list_snapshots(project.catalog(), "bioimage.cytotable.image_assets")) > snapshots


@pytest.mark.slow
def test_a_plate_without_images_is_built_in_a_range_with_others_and_is_current_afterwards(incoming, instance):
    from bioimage_assets.core.joins.report import ROW_OUTCOMES
    from bioimage_assets.resources.project import ProjectResource

    shutil.rmtree(incoming / "screen" / "P2.zarr")
    for key in KEYS:
        plate = PlateSpec(plate=key[-2:], cells={1: 8, 2: 9})
        write_cellprofiler_folder(incoming / "screen" / "measurements" / plate.plate, plate)
    assert _run(instance).success
    for name in (*TABLES, "joined_profiles", "cosmicqc_profiles", "pycytominer_profiles", "plate_report"):
        assert instance.get_materialized_partitions(dg.AssetKey(name)) == set(KEYS), name
    report = ProjectResource().warehouse().read("join_report").to_pandas()
    rows = report[report["outcome"].isin(ROW_OUTCOMES)].set_index("plate_key")
    assert set(rows.loc[["screen/P2"], "outcome"]) == {"no-images"}
    assert "no-images" not in set(rows.loc[["screen/P1", "screen/P3"], "outcome"])
    files = {p: p.stat().st_mtime_ns for p in incoming.parent.rglob("*.parquet")}
    assert _run(instance).success
    assert {p: p.stat().st_mtime_ns for p in incoming.parent.rglob("*.parquet")} == files


@pytest.mark.slow
def test_rows_of_files_that_changed_while_a_run_was_under_way_are_never_taken_for_current(incoming, instance):
    """The scan sees two wells, everything behind it is built when there are three; the next run scans again."""
    from bioimage_assets.resources.project import ProjectResource

    keys, store, scanned = KEYS[:1], incoming / f"{KEYS[0]}.zarr", TABLES[:2]
    assert _run(instance, keys, select=scanned).success
    write_plate(store, ("A/1", "B/2", "C/3"), name="P1")
    assert _run(instance, keys, select=["cytomining_warehouse"]).success
    warehouse = ProjectResource().warehouse()
    assert warehouse.row_count("image_assets") == 2
    assert _run(instance, keys, select=[*scanned, "cytomining_warehouse"]).success
    assert warehouse.row_count("image_assets") == 3
    # What was built of the present files is current.
    before = _snapshots()
    assert _run(instance, keys, select=[*scanned, "cytomining_warehouse"]).success
    assert _snapshots() == before


def _snapshots() -> int:
    from bioimage_assets.core.catalog.history import list_snapshots
    from bioimage_assets.resources.project import ProjectResource

    return len(list_snapshots(ProjectResource().catalog(), "bioimage.cytotable.image_assets"))


@pytest.mark.slow
def test_a_scan_of_three_plates_is_one_commit_for_each_table_and_one_change_of_the_warehouse(
    incoming, instance
):
    from bioimage_assets.core.catalog.history import list_snapshots
    from bioimage_assets.resources.project import ProjectResource

    _run(instance, select=TABLES)
    catalog, warehouse = ProjectResource().catalog(), ProjectResource().warehouse()
    assert {
        name: len(list_snapshots(catalog, f"bioimage.cytotable.{name}")) for name in TABLES
    } == dict.fromkeys(TABLES, 1)
    # The record of what was built: a catalog has no place for a fingerprint per plate.
    assert warehouse.tables() == ("built_tables",)
    assert warehouse.manifest().generation == 1
    assert len(warehouse.partitions("built_tables")) == len(KEYS) * len(TABLES)


@pytest.mark.slow
def test_a_batch_gives_every_plate_the_version_it_would_have_alone(incoming, instance):
    _run(instance, select=TABLES)
    batched = _versions(instance, "image_assets")
    assert len(set(batched.values())) == 3
    _run(instance, ["screen/P2"], select=TABLES, force=True)
    assert _versions(instance, "image_assets") == batched


@pytest.mark.slow
@pytest.mark.parametrize("asked", ["joined_profiles", "join_report"])
def test_one_table_of_a_step_that_makes_two_may_be_asked_for(incoming, instance, asked):
    """Both are stored and recorded, since the report counts what the other table holds."""
    from bioimage_assets.resources.project import ProjectResource

    made = ["joined_profiles", "join_report"]
    measured = incoming / "screen" / "measurements" / "P1.csv"
    measured.parent.mkdir()
    measured.write_text(
        "Metadata_Plate,Metadata_Well,Metadata_Site,Cells_AreaShape_Area\nP1,A01,0,7\nP1,B02,0,8\n"
    )
    _run(instance, select=["image_assets", "single_cells"])
    for keys in (KEYS[:1], KEYS):
        _run(instance, keys, select=[asked])
        for name in made:
            assert instance.get_materialized_partitions(dg.AssetKey(name)) == set(keys)
            assert _versions(instance, name).keys() == set(keys)
    alone = {name: _versions(instance, name) for name in made}
    _run(instance, select=made)
    assert {name: _versions(instance, name) for name in made} == alone
    warehouse = ProjectResource().warehouse()
    assert warehouse.row_count("joined_profiles") == 2
    assert sum(warehouse.read("join_report").column("row_count").to_pylist()) > 0


@pytest.mark.slow
def test_a_long_run_stores_its_plates_in_parts_and_a_part_that_is_stored_stays_done(
    incoming, instance, monkeypatch
):
    from bioimage_assets.assets import scanning
    from bioimage_assets.core.catalog.history import list_snapshots
    from bioimage_assets.io_managers import plate_batch
    from bioimage_assets.resources.project import ProjectResource

    def scan(inputs):
        if inputs.partition == KEYS[2] and is_killed:
            raise RuntimeError("the power is off")
        return whole(inputs)

    whole, is_killed = scanning.scan_plate_tables, True
    monkeypatch.setattr(plate_batch, "STORED_TOGETHER", 2)
    monkeypatch.setattr(scanning, "scan_plate_tables", scan)
    assert not _run(instance, select=TABLES, raise_on_error=False).success
    assert instance.get_materialized_partitions(dg.AssetKey("image_assets")) == set(KEYS[:2])
    versions = _versions(instance, "image_assets")
    is_killed = False
    assert _run(instance, select=TABLES).success
    assert (
        len(list_snapshots(ProjectResource().catalog(), "bioimage.cytotable.image_assets")) == 1 + 1
    )  # what was stored before the power went is current
    assert versions.items() <= _versions(instance, "image_assets").items()
    assert len(set(_versions(instance, "image_assets").values())) == 3


def test_only_what_may_pass_is_tried_again():
    timed_out = StoreAccessError("s3://b/p could not be listed: connection timed out")
    denied = StoreAccessError("may not be read")
    denied.__cause__ = PermissionError("denied")
    assert is_worth_retrying(CommitError("lost the race"))
    assert is_worth_retrying(timed_out)
    assert not is_worth_retrying(denied)
    assert not is_worth_retrying(CorruptStoreError("no JSON"))


def _report_wells(instance, plate_key: str, fingerprint: str) -> None:
    event = dg.AssetMaterialization(
        "pycytominer_profiles", partition=plate_key, metadata={"fingerprint": fingerprint}
    )
    instance.report_runless_asset_event(event)


def _rollup(instance, cursor=None) -> tuple[list[str], str]:
    result = dataset_rollup_sensor(dg.build_sensor_context(instance=instance, cursor=cursor))
    return [request.partition_key for request in result.run_requests or ()], result.cursor


def test_a_dataset_is_rolled_up_when_a_plate_has_other_wells_and_not_when_it_was_only_rerun():
    instance = dg.DagsterInstance.ephemeral()
    for plate in ("a/P1", "a/P2", "b/P1"):
        _report_wells(instance, plate, "f1")
    requested, cursor = _rollup(instance)
    assert requested == ["a", "b"]
    assert _rollup(instance, cursor) == ([], cursor)
    _report_wells(instance, "a/P1", "f1")
    requested, cursor = _rollup(instance, cursor)
    assert requested == []
    _report_wells(instance, "a/P1", "f1")
    _report_wells(instance, "b/P1", "f2")
    assert _rollup(instance, cursor)[0] == ["b"]


def test_a_roll_up_waits_for_plates_that_are_still_running():
    instance = dg.DagsterInstance.ephemeral()
    _report_wells(instance, "a/P1", "f1")
    run = instance.create_run_for_job(
        defs.resolve_job_def("plate_pipeline"), status=dg.DagsterRunStatus.STARTED, tags={}
    )
    requested, cursor = _rollup(instance)
    assert requested == []
    instance.delete_run(run.run_id)
    assert _rollup(instance, cursor)[0] == ["a"]


@pytest.mark.slow
def test_upkeep_runs_on_empty_and_on_filled_tables(incoming, instance):
    job = defs.resolve_job_def("upkeep")
    assert job.execute_in_process(instance=instance).success
    _run(instance, select=TABLES)
    result = job.execute_in_process(instance=instance)
    (event,) = result.asset_materializations_for_node("iceberg_maintenance")
    assert "image_assets" in event.metadata["tables"].value


def test_a_dataset_that_was_built_after_its_plates_is_not_requested():
    instance = dg.DagsterInstance.ephemeral()
    for plate in ("a/P1", "b/P1", "c/P1"):
        _report_wells(instance, plate, "f1")
    for dataset, status in (("a", dg.DagsterRunStatus.SUCCESS), ("b", dg.DagsterRunStatus.FAILURE)):
        run = dg.DagsterRun(job_name="dataset_pipeline", status=status, tags={"dagster/partition": dataset})
        instance.add_run(run)
    requested, cursor = _rollup(instance)
    assert requested == ["b", "c"]
    _report_wells(instance, "a/P1", "f2")
    assert _rollup(instance, cursor)[0] == ["a"]
