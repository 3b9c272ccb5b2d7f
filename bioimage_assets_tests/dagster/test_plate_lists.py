"""Plates of a list in one run, whatever their order: current ones are left alone, a bad one fails alone, what is left is taken up."""

import asyncio
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.loader import LoadingContextForTest
from dagster._core.storage.partition_status_cache import get_partition_subsets

from bioimage_assets.core.model.table_specs import STEPS
from bioimage_assets.definitions import defs
from bioimage_assets.jobs.plate_lists import JOB_NAME, build_list_config
from bioimage_assets.list_history import read_planned
from bioimage_assets.partitions import PLATES, register_plates
from bioimage_assets_tests.dagster.plate_runs import QUIET, know_plates, run_list, write_plates

KEYS = [f"screen/P{number}" for number in range(1, 8)]
SCATTERED = KEYS[::2]
SCAN = list(STEPS[0].names)


@pytest.fixture
def incoming(tmp_path: Path, use_data_dir) -> Path:
    use_data_dir(tmp_path / "data")
    return write_plates(tmp_path / "data" / "incoming", KEYS)


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return know_plates(KEYS)


def _run(instance, plates=SCATTERED, tables=SCAN, tags=None) -> dg.ExecuteInProcessResult:
    return run_list(instance, plates, tables, tags)


def _steps(result) -> list[str]:
    return [event.step_key for event in result.all_events if event.is_step_success]


def _status(instance, table: str) -> tuple[set[str], set[str]]:
    """Plates that the UI shows as materialised, and as failed."""
    asset = dg.AssetKey(table)
    found = get_partition_subsets(instance, LoadingContextForTest(instance), asset, instance, PLATES)
    done, failed, _ = asyncio.run(found)
    return set(done.get_partition_keys()), set(failed.get_partition_keys())


@pytest.mark.slow
def test_scattered_plates_are_one_run_that_leaves_what_a_run_of_the_assets_would(incoming, instance):
    result = _run(instance)
    assert result.success
    alone = defs.resolve_job_def("plate_pipeline").execute_in_process(
        instance=instance,
        partition_key=KEYS[1],
        asset_selection=[dg.AssetKey(name) for name in SCAN],
        run_config=QUIET,
    )
    assert alone.success
    log = instance.event_log_storage
    for name in SCAN:
        assert _status(instance, name) == ({*SCATTERED, KEYS[1]}, set())
        versions = log.get_latest_tags_by_partition(
            dg.AssetKey(name), dg.DagsterEventType.ASSET_MATERIALIZATION, ["dagster/data_version"]
        )
        assert versions.keys() == {*SCATTERED, KEYS[1]}
        listed, single = (
            instance.fetch_materializations(
                dg.AssetRecordsFilter(asset_key=dg.AssetKey(name), asset_partitions=[key]), limit=10
            ).records
            for key in (SCATTERED[0], KEYS[1])
        )
        assert len(listed) == 1
        missing = (
            single[0].asset_materialization.metadata.keys() - listed[0].asset_materialization.metadata.keys()
        )
        assert missing <= {"rows"}
    checks = {
        (evaluation.asset_check_key, evaluation.partition)
        for evaluation in (
            event.asset_check_evaluation_data
            for event in result.all_events
            if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION
        )
    }
    expected = {check.to_user_string() for check, _ in checks}
    by_asset = {
        event.asset_check_evaluation_data.asset_check_key.to_user_string()
        for event in alone.all_events
        if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION
    }
    assert by_asset <= expected
    assert {key for _, key in checks} == set(SCATTERED)


@pytest.mark.slow
def test_a_list_of_current_plates_ends_before_its_first_step_and_writes_nothing(
    incoming, instance, monkeypatch
):
    from bioimage_assets.core.storage import state

    assert _run(instance).success
    files = {path: path.stat().st_mtime_ns for path in incoming.parent.rglob("*") if path.is_file()}
    looks = Counter()
    look = state.read_stored
    monkeypatch.setattr(state, "read_stored", lambda *args: looks.update(["look"]) or look(*args))
    result = _run(instance)
    assert result.success
    assert _steps(result) == ["take_list"]
    assert looks == {"look": 1}
    assert not result.get_asset_materialization_events()
    assert {path: path.stat().st_mtime_ns for path in incoming.parent.rglob("*") if path.is_file()} == files


@pytest.mark.slow
def test_a_list_of_some_tables_looks_at_these_alone(incoming, instance):
    assert _run(instance, tables=SCAN[:1]).success
    assert _steps(_run(instance, tables=SCAN[:1])) == ["take_list"]
    planned = read_planned(instance, _run(instance, tables=SCAN[:2]).dagster_run)
    assert (list(planned.plates), planned.tables) == (SCATTERED, set(SCAN[:2]))


@pytest.mark.slow
def test_current_plates_that_the_history_does_not_know_are_recorded_and_not_built(incoming, instance):
    assert _run(instance).success
    elsewhere = dg.DagsterInstance.ephemeral()
    register_plates(elsewhere, KEYS)
    result = _run(elsewhere)
    assert _steps(result) == ["take_list"]
    assert _status(elsewhere, SCAN[0]) == (set(SCATTERED), set())
    assert not _run(elsewhere).get_asset_materialization_events()


@pytest.mark.slow
def test_a_bad_plate_fails_alone_to_the_last_table_and_is_what_is_left(incoming, instance):
    measured = incoming / "screen" / "measurements"
    measured.mkdir()
    (measured / "P3.parquet").write_bytes(b"no table")
    result = _run(instance, tables=[])
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert failure.step_key == "end_list"
    assert "P3.parquet" in failure.step_failure_data.user_failure_data.description
    bad = {"screen/P3"}
    for step in STEPS[1:]:
        for table in step.tables if step.dimension == "plate" else ():
            done, failed = _status(instance, table.name)
            is_page = table.home == "page"  # it says that the plate failed
            assert done == ({*SCATTERED} if is_page else {*SCATTERED} - bad), table.name
            assert failed == (set() if is_page else bad), table.name
    (measured / "P3.parquet").unlink()
    again = _run(instance, tables=[])
    assert again.success
    assert list(read_planned(instance, again.dagster_run).plates) == ["screen/P3"]


@pytest.mark.slow
def test_a_store_that_is_gone_fails_alone_and_a_misspelt_plate_refuses_the_list(incoming, instance):
    (incoming / "screen" / "P3.zarr").rename(incoming / "aside")
    result = _run(instance)
    assert not result.success
    assert _status(instance, SCAN[0]) == ({*SCATTERED} - {"screen/P3"}, {"screen/P3"})
    result = _run(instance, [*SCATTERED, "screen/P33"], tags={"bioimage/force": "true"})
    assert not result.success
    assert _steps(result) == []
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "'screen/P33'" in failure.step_failure_data.error.to_string()


@pytest.mark.slow
def test_failed_plates_are_a_list_that_need_not_be_written(incoming, instance):
    (incoming / "screen" / "P3.zarr").rename(incoming / "aside")
    assert not _run(instance).success
    (incoming / "aside").rename(incoming / "screen" / "P3.zarr")

    def retry(**config) -> dg.ExecuteInProcessResult:
        return defs.resolve_job_def(JOB_NAME).execute_in_process(
            instance=instance,
            run_config={"ops": {"take_list": {"config": {"tables": SCAN, **config}}}, **QUIET},
            raise_on_error=False,
        )

    result = retry(failed=True)
    assert result.success
    assert list(read_planned(instance, result.dagster_run).plates) == ["screen/P3"]
    assert _steps(retry(failed=True)) == ["take_list"]
    assert not retry().success


@pytest.mark.slow
def test_a_list_that_was_killed_is_gone_on_with_by_the_next_one(incoming, instance, monkeypatch):
    from bioimage_assets.assets import scanning
    from bioimage_assets.io_managers import plate_batch

    whole = scanning.scan_plate_tables

    def scan(inputs):
        if inputs.partition == SCATTERED[2]:
            raise RuntimeError("the power is off")
        return whole(inputs)

    monkeypatch.setattr(plate_batch, "STORED_TOGETHER", 2)
    monkeypatch.setattr(scanning, "scan_plate_tables", scan)
    assert not _run(instance).success
    assert _status(instance, SCAN[0]) == (set(SCATTERED[:2]), set(SCATTERED[2:]))
    monkeypatch.setattr(scanning, "scan_plate_tables", whole)
    result = _run(instance)
    assert result.success
    assert list(read_planned(instance, result.dagster_run).plates) == SCATTERED[2:]
    assert _status(instance, SCAN[0]) == (set(SCATTERED), set())


def _define():
    """The job as another process would load it."""
    return defs.resolve_job_def(JOB_NAME)


@pytest.mark.slow
def test_a_run_that_dagster_goes_on_with_builds_what_it_was_to_build_from_the_step_that_failed(
    incoming, tmp_path, monkeypatch
):
    """As run retries do after a lost worker: in a new run, with the steps that are done left out."""
    from bioimage_assets.assets import cells

    (tmp_path / "instance").mkdir()
    instance = dg.DagsterInstance.local_temp(str(tmp_path / "instance"))
    whole = cells.build_single_cells

    def measure(inputs):
        raise RuntimeError("the power is off")

    monkeypatch.setattr(cells, "build_single_cells", measure)
    (incoming / "screen" / "P3.zarr").rename(incoming / "aside")
    register_plates(instance, KEYS)
    job = dg.reconstructable(_define)
    config = {**build_list_config(SCATTERED, [*SCAN, "single_cells"]), **QUIET}
    with dg.execute_job(job, instance, run_config=config) as first:
        assert not first.success
    monkeypatch.setattr(cells, "build_single_cells", whole)
    again = dg.ReexecutionOptions.from_failure(first.run_id, instance)
    with dg.execute_job(job, instance, run_config=config, reexecution_options=again) as second:
        events = list(second.all_events)
    steps = [event.step_key for event in events if event.is_step_start]
    assert "take_list" not in steps
    assert "scan_plates" not in steps
    assert steps[0] == "measure_plates"
    (failure,) = [event for event in events if event.is_step_failure]
    assert failure.step_key == "end_list"
    assert list(failure.step_failure_data.user_failure_data.metadata["errors_by_plate"].value) == [
        "screen/P3"
    ]
    assert _status(instance, "single_cells") == ({*SCATTERED} - {"screen/P3"}, {"screen/P3"})
    # Executed again as a whole it has a plan of its own, and what failed before is not its failure.
    (incoming / "aside").rename(incoming / "screen" / "P3.zarr")
    result = _run(instance, tables=[*SCAN, "single_cells"], tags={"dagster/parent_run_id": second.run_id})
    assert result.success
    assert list(read_planned(instance, result.dagster_run).plates) == ["screen/P3"]


@pytest.mark.slow
def test_a_forced_list_builds_what_is_current(incoming, instance):
    assert _run(instance).success
    result = _run(instance, tags={"bioimage/force": "true"})
    planned = read_planned(instance, result.dagster_run)
    assert (list(planned.plates), planned.tables) == (SCATTERED, set(SCAN))
