"""A worker that dies or hangs on one plate is that plate's failure, and the others go on. Processes are really killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent
from dagster._core.log_manager import DagsterLogManager

import bioimage_assets
from bioimage_assets.core.settings.project import read_project_settings
from bioimage_assets.definitions import defs
from bioimage_assets.headless import materialize_plates
from bioimage_assets.jobs.plate_lists import JOB_NAME, build_list_config
from bioimage_assets.partitions import register_plates
from bioimage_assets.plate_at_work import (
    AT_WORK,
    PARENT_TAG,
    PlateAtWork,
    describe_exit,
    describe_lost_worker,
    find_plate_at_work,
    is_worker,
    read_exit,
)
from bioimage_assets.sensors.failures import plate_failure_sensor
from bioimage_assets.sensors.requests import MAX_RUNTIME_TAG, build_run_requests
from bioimage_assets.sensors.store_events import read_held
from bioimage_assets_tests.dagster.plate_runs import QUIET, tag_range
from bioimage_assets_tests.dagster.store_ticks import write_plate

KEYS = ["screen/P1", "screen/P2", "screen/P3", "screen/P4"]
RANGE = tag_range(KEYS)

# Loaded by every Python that a test starts: reading P2 ends the process, reading P3 never ends.
FAULTS = """
import os, signal, time
from bioimage_assets.core.measurements import read
honest = read.read_measurements

def read_measurements(uris, *, plate_key, **options):
    if plate_key == os.environ.get("DIES_AT"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if plate_key == os.environ.get("HANGS_AT"):
        time.sleep(600)
    return honest(uris, plate_key=plate_key, **options)

read.read_measurements = read_measurements
"""
RUNS_A_RANGE = """
import sys
import dagster as dg
from bioimage_assets.definitions import defs
job = defs.resolve_job_def("plate_pipeline")
tags = {"dagster/asset_partition_range_start": sys.argv[2], "dagster/asset_partition_range_end": sys.argv[3]}
job.execute_in_process(
    instance=dg.DagsterInstance.local_temp(sys.argv[1]), tags=tags, raise_on_error=False,
    asset_selection=[dg.AssetKey("single_cells")],
)
"""


@pytest.fixture
def project(tmp_path: Path, use_data_dir, monkeypatch: pytest.MonkeyPatch):
    """Four plates with a cell each, and a Python that two of them can break."""
    incoming = tmp_path / "data" / "incoming" / "screen"
    (incoming / "measurements").mkdir(parents=True)
    cell = pa.table({"Metadata_Well": ["A01"], "Metadata_Site": [0], "Cells_AreaShape_Area": [1.5]})
    for key in KEYS:
        write_plate(incoming / f"{key[-2:]}.zarr", name=key[-2:])
        pq.write_table(cell, incoming / "measurements" / f"{key[-2:]}.parquet")
    (tmp_path / "faults").mkdir()
    (tmp_path / "faults" / "sitecustomize.py").write_text(FAULTS)
    here = Path(bioimage_assets.__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'faults'}{os.pathsep}{here}")
    monkeypatch.chdir(tmp_path)
    return use_data_dir(tmp_path / "data")


@pytest.fixture
def instance(tmp_path: Path) -> dg.DagsterInstance:
    (tmp_path / "instance").mkdir()
    instance = dg.DagsterInstance.local_temp(str(tmp_path / "instance"))
    register_plates(instance, KEYS)
    return instance


@pytest.mark.slow
def test_a_command_goes_on_behind_a_plate_that_ends_its_worker_and_one_that_never_ends(
    project, instance, monkeypatch
):
    monkeypatch.setenv("DIES_AT", "screen/P2")
    monkeypatch.setenv("HANGS_AT", "screen/P3")
    monkeypatch.setenv("BIOIMAGE_MAX_PLATE_SECONDS", "10")
    report = materialize_plates(instance, select=["single_cells"], is_isolated=True)
    assert [outcome.status for outcome in report.plates] == ["built", "failed", "failed", "built"]
    assert not report.is_ok
    dead, endless = report.plates[1:3]
    assert dead.message.startswith("measure_plates: the worker ended by SIGSEGV (signal 11).")
    assert endless.message.startswith("measure_plates: the work took longer than 10 s")
    assert "BIOIMAGE_MAX_PLATE_SECONDS" in endless.message
    for outcome in (dead, endless):
        run = instance.get_run_by_id(outcome.run_id)
        assert run is not None
        assert run.status is dg.DagsterRunStatus.FAILURE
    assert not [run for run in instance.get_runs() if not run.is_finished]

    monkeypatch.delenv("DIES_AT")
    monkeypatch.delenv("HANGS_AT")
    again = materialize_plates(instance, plate_keys=["screen/P2"], select=["single_cells"])
    assert [outcome.status for outcome in again.plates] == ["built"]


@pytest.mark.slow
def test_the_next_try_of_a_range_leaves_out_the_plate_at_which_its_worker_died(
    project, instance, monkeypatch
):
    monkeypatch.setenv("DIES_AT", "screen/P2")
    dead = _die_in_a_range(instance)
    assert find_plate_at_work(instance, dead.run_id) == PlateAtWork("screen/P2", "measure_plates")
    instance.report_run_failed(dead)
    # Dagster's daemon is to try again: until then nothing else is requested.
    instance.add_run_tags(dead.run_id, {"dagster/will_retry": "true"})
    assert _answer(instance, instance.get_run_by_id(dead.run_id)) == []

    job = defs.resolve_job_def("plate_pipeline")
    again = job.execute_in_process(
        instance=instance, tags={**RANGE, PARENT_TAG: dead.run_id}, raise_on_error=False, run_config=QUIET,
        asset_selection=[dg.AssetKey("single_cells")],
    )  # fmt: skip
    assert not again.success
    stored = instance.get_materialized_partitions(dg.AssetKey("single_cells"))
    assert stored == {"screen/P1", "screen/P3", "screen/P4"}
    requests = _answer(instance, again.dagster_run)
    assert [request.partition_key for request in requests] == [
        "screen/P1",
        "screen/P3",
        "screen/P4",
        "screen/P2",
    ]
    held = read_held(instance, KEYS)
    assert list(held) == ["screen/P2"]
    assert "the worker ended" in held["screen/P2"]


def test_a_range_that_is_not_tried_again_goes_on_without_the_plate_and_tries_it_alone(project, instance):
    job = defs.resolve_job_def("plate_pipeline")
    chosen = job.get_subset(asset_selection={dg.AssetKey("single_cells")})
    dead = instance.create_run_for_job(chosen, status=dg.DagsterRunStatus.STARTED, tags=RANGE)
    _go_to_work(instance, dead, "screen/P4")
    instance.report_engine_event("Run execution process was terminated by signal 11 (SIGSEGV).", dead)
    instance.report_run_failed(dead)
    requests = _answer(instance, instance.get_run_by_id(dead.run_id))
    assert [request.partition_key for request in requests] == [*KEYS[:3], "screen/P4"]
    assert "by SIGSEGV (signal 11)" in read_held(instance, KEYS)["screen/P4"]


@pytest.mark.slow
def test_a_command_goes_on_with_the_other_plates_of_a_list_whose_worker_died(project, instance, monkeypatch):
    from bioimage_assets.sensors import requests

    monkeypatch.setattr(requests, "SINGLE_RUNS", 1)
    monkeypatch.setenv("DIES_AT", "screen/P2")
    report = materialize_plates(instance, select=["single_cells"], is_isolated=True)
    assert [outcome.status for outcome in report.plates] == ["built", "failed", "built", "built"]
    assert report.plates[1].message.startswith("measure_plates: the worker ended by SIGSEGV (signal 11).")
    runs = instance.get_runs()
    assert [run.job_name for run in runs] == ["plates_by_list"] * 2
    assert not [run for run in runs if not run.is_finished]


@pytest.mark.slow
def test_a_list_whose_worker_is_lost_for_good_is_gone_on_with_and_its_plate_tried_alone(project, instance):
    dead = _die_in_a_list(instance, "screen/P2")
    requests = _answer(instance, dead)
    assert [request.partition_key for request in requests] == [KEYS[0], *KEYS[2:], KEYS[1]]
    assert [key.to_user_string() for key in requests[0].asset_selection or ()] == ["single_cells"]
    assert list(read_held(instance, KEYS)) == ["screen/P2"]


def _die_in_a_list(instance: dg.DagsterInstance, plate_key: str) -> dg.DagsterRun:
    """The history of a run of a list whose worker ended at a plate."""
    job = defs.resolve_job_def(JOB_NAME)
    run = instance.create_run_for_job(
        job, run_config=build_list_config(KEYS), status=dg.DagsterRunStatus.STARTED, tags={}
    )
    for key in KEYS:
        data = AssetMaterializationPlannedData(
            dg.AssetKey("single_cells"), partition=key, partitions_subset=None
        )
        event = DagsterEvent.build_asset_materialization_planned_event(JOB_NAME, "take_list", data)
        instance.report_dagster_event(event, run.run_id)
    _go_to_work(instance, run, plate_key)
    instance.report_run_failed(run)
    return instance.get_run_by_id(run.run_id)


def _go_to_work(instance: dg.DagsterInstance, run: dg.DagsterRun, plate_key: str) -> None:
    """What the history of a run says while a step is at a plate."""
    begins = DagsterEvent(dg.DagsterEventType.STEP_START.value, run.job_name, step_key="measure_plates")
    instance.report_dagster_event(begins, run.run_id)
    DagsterLogManager.create(loggers=[], instance=instance, dagster_run=run).info(f"{AT_WORK}{plate_key}")


@pytest.mark.slow
def test_a_killed_command_leaves_no_worker_behind(project, instance, tmp_path, monkeypatch):
    monkeypatch.setenv("HANGS_AT", "screen/P1")
    code = (
        "import sys, dagster as dg\nfrom bioimage_assets.headless import materialize_plates\n"
        "instance = dg.DagsterInstance.local_temp(sys.argv[1])\n"
        "materialize_plates(instance, select=['single_cells'], is_isolated=True)\n"
    )
    command = subprocess.Popen([sys.executable, "-c", code, instance.root_directory])
    worker = _wait_for_worker(instance, command)
    command.kill()
    command.wait()
    _wait_until(lambda: not _is_running(worker))


@pytest.mark.slow
def test_an_interrupted_command_ends_its_worker_and_the_run_is_over(project, instance, monkeypatch):
    monkeypatch.setenv("HANGS_AT", "screen/P1")
    code = (
        "import signal, sys, dagster as dg\nfrom bioimage_assets.headless import materialize_plates\n"
        # Whoever runs the tests in the background has interrupts ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "instance = dg.DagsterInstance.local_temp(sys.argv[1])\n"
        "try: materialize_plates(instance, select=['single_cells'], is_isolated=True)\n"
        "except KeyboardInterrupt: sys.exit(130)\n"
    )
    command = subprocess.Popen([sys.executable, "-c", code, instance.root_directory])
    worker = _wait_for_worker(instance, command)
    command.send_signal(signal.SIGINT)
    assert command.wait(120) == 130
    assert not _is_running(worker)
    assert all(run.is_finished for run in instance.get_runs())


def _die_in_a_range(instance: dg.DagsterInstance) -> dg.DagsterRun:
    """A run of all plates whose process ends at the plate that the environment names; as its launcher finds it."""
    words = [sys.executable, "-c", RUNS_A_RANGE, instance.root_directory, KEYS[0], KEYS[-1]]
    assert subprocess.run(words, capture_output=True, check=False).returncode == -signal.SIGSEGV
    (dead,) = instance.get_runs()
    return dead


def _wait_for_worker(instance: dg.DagsterInstance, command: subprocess.Popen) -> int:
    """Process number of the worker, once it is at work on a plate."""
    _wait_until(
        lambda: any(
            run.status is dg.DagsterRunStatus.STARTED and find_plate_at_work(instance, run.run_id)
            for run in instance.get_runs()
        )
    )
    children = Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text().split()
    return int(children[-1])


def _is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _wait_until(is_true, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.1)


def _answer(instance, run) -> list[dg.RunRequest]:
    """What the sensor asks for when it is told of the failure."""
    (failure,) = [
        entry.dagster_event
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    ]
    context = dg.build_run_status_sensor_context(
        sensor_name="plate_failure_sensor", dagster_event=failure, dagster_instance=instance, dagster_run=run
    ).for_run_failure()
    return list(plate_failure_sensor(context) or ())


def test_only_a_process_that_was_started_for_runs_may_be_ended(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/bin/jupyter", "lab"])
    assert not is_worker()
    monkeypatch.setattr(sys, "argv", ["/bin/dagster", "api", "execute_run", "{}"])
    assert is_worker()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "with exit code 1"),
        (-9, "by SIGKILL (signal 9)"),
        (-11, "by SIGSEGV (signal 11)"),
        (-99, "by signal 99"),
    ],
)
def test_the_end_of_a_process_is_said_as_the_system_names_it(code, words):
    assert describe_exit(code) == words


@pytest.mark.parametrize(
    ("noticed", "words"),
    [
        ("Run execution process for 7 was terminated by signal 9 (SIGKILL). This usually", "by SIGKILL (signal 9)"),
        ("Run execution process for 7 unexpectedly exited with code 3.", "with exit code 3"),
        ("the process that ran it is gone", ""),
    ],
)  # fmt: skip
def test_what_dagster_noticed_of_an_end_is_part_of_the_failure(noticed, words):
    assert read_exit(noticed) == words
    assert f"the worker ended {words or 'without a word'}." in describe_lost_worker(read_exit(noticed))


def test_requested_runs_have_a_limit_that_grows_with_their_plates_up_to_two_days(monkeypatch):
    def limits() -> list[str | None]:
        generations = {f"s/P{number}": "1" for number in range(50)}
        batches = [["s/P0"], ["s/P1", "s/P2"], list(generations)]
        requests = build_run_requests("plate_pipeline", batches, generations)
        return [request.tags.get(MAX_RUNTIME_TAG) for request in requests]

    assert limits() == ["21600", "43200", "172800"]
    monkeypatch.setenv("BIOIMAGE_MAX_PLATE_SECONDS", "360000")
    assert limits() == ["360000", "360000", "360000"]
    monkeypatch.setenv("BIOIMAGE_MAX_PLATE_SECONDS", "0")
    assert limits() == [None, None, None]
    assert read_project_settings().max_plate_s == 0
