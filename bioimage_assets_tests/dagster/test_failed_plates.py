"""What failed last is found in what steps noted and in the history of runs, and taken up as one list."""

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from bioimage_assets.cli.main import main
from bioimage_assets.core.storage.step_failures import store_failures
from bioimage_assets.definitions import defs
from bioimage_assets.failed_plates import PROCESS_TAG, find_failed, name_process
from bioimage_assets.headless import materialize_plates
from bioimage_assets.jobs.plate_lists import JOB_NAME
from bioimage_assets_tests.dagster.plate_runs import know_plates, run_list, write_plates

KEYS = ["screen/P1", "screen/P2", "screen/P3"]


@pytest.fixture
def incoming(tmp_path: Path, use_data_dir) -> Path:
    use_data_dir(tmp_path / "data")
    return write_plates(tmp_path / "data" / "incoming", KEYS)


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return know_plates(KEYS)


def _scan(instance) -> dg.ExecuteInProcessResult:
    return run_list(instance, KEYS, ["image_assets"])


def _failed(instance, project) -> dict[str, tuple[str, str]]:
    return {one.partition: (one.step, one.why) for one in find_failed(instance, project)}


@pytest.fixture
def project(use_data_dir, tmp_path):
    return use_data_dir(tmp_path / "data")


@pytest.mark.slow
def test_a_failure_that_a_step_noted_is_found_with_step_and_reason_until_it_is_mended(
    incoming, instance, project
):
    assert _failed(instance, project) == {}
    (incoming / "screen" / "P2.zarr").rename(incoming / "aside")
    assert not _scan(instance).success
    found = _failed(instance, project)
    assert list(found) == ["screen/P2"]
    assert found["screen/P2"][0] == "scan_plates"
    assert "P2" in found["screen/P2"][1]
    # The history alone says it, too.
    from bioimage_assets.core.storage.step_failures import clear_all_failures

    clear_all_failures(project.tables().warehouse, KEYS)
    assert "failed or ended before it was built" in _failed(instance, project)["screen/P2"][1]
    (incoming / "aside").rename(incoming / "screen" / "P2.zarr")
    assert _scan(instance).success
    assert _failed(instance, project) == {}


@pytest.mark.parametrize(
    ("status", "words"),
    [(dg.DagsterRunStatus.CANCELED, "was cancelled"), (dg.DagsterRunStatus.FAILURE, "failed or ended")],
)
def test_what_a_run_left_undone_is_found_and_what_one_is_still_at_is_not(
    incoming, instance, project, status, words
):
    from bioimage_assets.jobs.pipelines import plate_pipeline

    job = defs.resolve_job_def(plate_pipeline.name)
    run = instance.create_run_for_job(
        job, tags={"dagster/partition": KEYS[1]}, status=dg.DagsterRunStatus.STARTED,
        asset_selection={dg.AssetKey("image_assets")},
    )  # fmt: skip
    _plan(instance, run, KEYS[1])
    assert _failed(instance, project) == {}
    end = (
        instance.report_run_canceled if status is dg.DagsterRunStatus.CANCELED else instance.report_run_failed
    )
    end(run)
    assert _failed(instance, project) == {
        KEYS[1]: ("scan_plates", f"run {run.run_id} {words} before it was built")
    }


def _plan(instance, run, key: str) -> None:
    from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent

    data = AssetMaterializationPlannedData(dg.AssetKey("image_assets"), partition=key, partitions_subset=None)
    event = DagsterEvent.build_asset_materialization_planned_event(run.job_name, "scan_plates", data)
    instance.report_dagster_event(event, run.run_id)


@pytest.mark.slow
def test_a_command_whose_process_is_gone_has_left_its_plate_undone(incoming, instance, project):
    host = name_process().rpartition(":")[0]
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    runs = [
        instance.create_run_for_job(
            defs.resolve_job_def("plate_pipeline"),
            tags={"dagster/partition": key, PROCESS_TAG: process},
            status=dg.DagsterRunStatus.STARTED,
        )
        for key, process in zip(KEYS, (f"{host}:{gone.pid}", f"elsewhere:{os.getpid()}", ""), strict=True)
    ]
    for key, run in zip(KEYS, runs, strict=True):
        _plan(instance, run, key)
    found = _failed(instance, project)
    assert {key: why for key, (_, why) in found.items()} == {
        KEYS[0]: f"run {runs[0].run_id} was killed before it was built"
    }
    assert instance.get_run_by_id(runs[0].run_id).status is dg.DagsterRunStatus.FAILURE


@pytest.mark.slow
def test_what_was_removed_is_not_taken_up(incoming, instance, project):
    from bioimage_assets.retire import retire_plates

    (incoming / "screen" / "P2.zarr").rename(incoming / "aside")
    assert not _scan(instance).success
    assert list(_failed(instance, project)) == ["screen/P2"]
    retire_plates(instance, project, ["screen/P2"])
    assert _failed(instance, project) == {}


@pytest.mark.slow
def test_a_dataset_that_failed_is_found_and_taken_up_without_its_plates(incoming, instance, project):
    store_failures(project.tables().warehouse, "measure_replicates", {"screen": "no memory"}, "r1")
    assert _failed(instance, project) == {"screen": ("measure_replicates", "no memory")}
    report = materialize_plates(instance, plate_keys=[], also=["screen"])
    assert [outcome.partition for outcome in report.datasets] == ["screen"]
    assert report.plates == []


@pytest.mark.slow
def test_more_than_twenty_plates_are_a_run_per_fifty_in_any_order(incoming, instance, monkeypatch):
    from bioimage_assets.jobs import plate_lists
    from bioimage_assets.sensors import requests

    monkeypatch.setattr(requests, "SINGLE_RUNS", 1)
    monkeypatch.setattr(requests, "PLATES_PER_RUN", 2)
    lines: list[str] = []
    report = materialize_plates(
        instance, select=["image_assets", "chunk_index"], progress=lines.append, with_datasets=False
    )
    runs = instance.get_runs()
    (listed,) = [run for run in runs if run.job_name == JOB_NAME]
    assert {run.tags.get("dagster/partition") for run in runs if run.job_name != JOB_NAME} == {"screen/P3"}
    assert [outcome.partition for outcome in report.plates] == KEYS
    assert plate_lists.read_list_config(listed) == KEYS[:2]
    assert any(line.startswith("[3/3] screen/P3: built") for line in lines)


@pytest.mark.slow
def test_the_command_says_what_it_takes_up_builds_it_and_tells_by_its_exit_code(
    incoming, project, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    measured = incoming / "screen" / "measurements"
    measured.mkdir()
    (measured / "P2.parquet").write_bytes(b"no table")
    assert main(["materialize", "--failed"]) == 0
    assert "Nothing failed last" in capsys.readouterr().err
    assert main(["materialize", "--failed", "--plates", "screen/P1"]) == 2
    assert main(["materialize"]) == 1
    (said,) = [line for line in capsys.readouterr().out.splitlines() if "P2.parquet" in line]
    assert said.startswith("failed: screen/P2: measure_plates: ")
    assert main(["materialize", "--failed", "--dry-run"]) == 0
    said = capsys.readouterr()
    assert "Takes up 1 plate and" in said.err
    assert "screen/P2: measure_plates: " in said.err
    assert "screen/P1" not in said.out
    assert main(["materialize", "--failed"]) == 1
    (measured / "P2.parquet").unlink()
    capsys.readouterr()
    assert main(["materialize", "--failed", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert {one["partition"] for one in answer["taken_up"]} >= {"screen/P2"}
    assert [one["partition"] for one in answer["outcomes"] if "/" in one["partition"]] == ["screen/P2"]
    assert main(["materialize", "--failed"]) == 0
    assert "Nothing failed last" in capsys.readouterr().err
