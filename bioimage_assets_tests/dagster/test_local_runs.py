"""Runs whose processes are all gone are told lost; runs whose server answers are left alone."""

import json
from pathlib import Path

import dagster as dg
from dagster._core.launcher.base import WorkerStatus

from bioimage_assets.definitions import defs
from bioimage_assets.local_runs import LocalRunLauncher


def _launcher(instance: dg.DagsterInstance) -> LocalRunLauncher:
    launcher = LocalRunLauncher()
    launcher.register_instance(instance)
    return launcher


def _started_run(instance: dg.DagsterInstance, tags: dict[str, str]) -> dg.DagsterRun:
    job = defs.resolve_job_def("upkeep")
    return instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)


def test_a_run_whose_code_server_is_gone_is_lost(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("bioimage_assets.local_runs.BETWEEN_PINGS_S", 0.0)
    with dg.DagsterInstance.ephemeral() as instance:
        where = json.dumps({"host": "localhost", "socket": str(tmp_path / "nobody")})
        run = _started_run(instance, {".dagster/grpc_info": where})
        health = _launcher(instance).check_run_worker_health(run)
    assert health.status is WorkerStatus.FAILED


def test_a_run_whose_code_server_is_gone_can_be_cancelled(tmp_path: Path):
    with dg.DagsterInstance.ephemeral() as instance:
        where = json.dumps({"host": "localhost", "socket": str(tmp_path / "nobody")})
        run = _started_run(instance, {".dagster/grpc_info": where})
        assert _launcher(instance).terminate(run.run_id)
        found = instance.get_run_by_id(run.run_id)
        assert found is not None
        assert found.status is dg.DagsterRunStatus.CANCELED
        assert not _launcher(instance).terminate(run.run_id)


def test_a_run_that_was_not_started_by_a_code_server_is_left_alone():
    with dg.DagsterInstance.ephemeral() as instance:
        run = _started_run(instance, {})
        assert _launcher(instance).check_run_worker_health(run).status is WorkerStatus.RUNNING
