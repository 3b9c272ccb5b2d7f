"""A real Slurm of one node: the shipped batch script as an array over the plates, and runs of a daemon as jobs."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from bioimage_assets.resources.project import ProjectResource
from bioimage_assets.slurm_runs import JOB_TAG
from bioimage_assets.summary import summarize_plates
from bioimage_assets_tests.builders.processes import started_or_skipped
from bioimage_assets_tests.builders.slurm_cluster import SlurmCluster, run_slurm
from bioimage_assets_tests.dagster.deployment import Deployment, running, wait_until
from bioimage_assets_tests.dagster.store_ticks import write_plate

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = REPOSITORY / "deploy" / "hpc" / "plates.sbatch"
PLATES = ["screen-a/SA-P1", "screen-a/SA-P2"]

pytestmark = pytest.mark.stress


@pytest.fixture(scope="module")
def cluster() -> Iterator[SlurmCluster]:
    with started_or_skipped(run_slurm()) as started:
        yield started


@pytest.fixture
def site(screens_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with plates and an instance, and the environment file that the script reads."""
    shutil.copytree(screens_root / "screen-a", tmp_path / "data" / "incoming" / "screen-a")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    lines = [
        f"export PATH={Path(sys.executable).parent}:$PATH PYTHONPATH={REPOSITORY}",
        f"export DAGSTER_HOME={tmp_path / 'home'} BIOIMAGE_DATA_DIR={tmp_path / 'data'}",
    ]
    (tmp_path / "bioimage.env").write_text("\n".join(lines) + "\n")
    monkeypatch.setenv("BIOIMAGE_ENVIRONMENT", str(tmp_path / "bioimage.env"))
    return tmp_path


def _logs(site: Path) -> str:
    return "\n".join(path.read_text()[-2000:] for path in sorted(site.glob("*.log")))


def test_an_array_of_jobs_builds_the_plates_and_a_job_behind_it_the_datasets(
    cluster: SlurmCluster, site: Path
) -> None:
    array = cluster.call("sbatch", "--parsable", "--mem=2G", "--array=0-2%2", SCRIPT, cwd=site).strip()
    datasets = cluster.call(
        "sbatch", "--parsable", "--mem=2G", f"--dependency=afterok:{array}", "--output=datasets.log",
        "--wrap", f". {site / 'bioimage.env'} && bioimage-assets materialize", cwd=site,
    ).strip()  # fmt: skip
    assert cluster.wait(array, 600) == dict.fromkeys("012", "COMPLETED"), _logs(site)
    assert set(cluster.wait(datasets, 300).values()) == {"COMPLETED"}, _logs(site)

    # Three jobs for two plates: one of them says that there is nothing for it.
    assert _logs(site).count("no plates for job") == 1
    rows = summarize_plates(ProjectResource(data_dir=str(site / "data")), PLATES)
    assert [(row.images, row.cells == row.matched) for row in rows] == [(12, True)] * 2
    assert (site / "data" / "reports" / "datasets" / "screen-a.html").exists()
    assert "up to date" in (site / "datasets.log").read_text()


def test_a_plate_that_fails_fails_its_job_and_holds_the_datasets_back(
    cluster: SlurmCluster, site: Path
) -> None:
    shutil.rmtree(site / "data" / "incoming" / "screen-a" / "SA-P2.ome.zarr", ignore_errors=True)
    measured = site / "data" / "incoming" / "screen-a" / "measurements" / "SA-P1.parquet"
    measured.write_bytes(b"no table")
    job = cluster.call("sbatch", "--parsable", "--mem=2G", "--array=0-0", SCRIPT, cwd=site).strip()
    after = cluster.call(
        "sbatch", "--parsable", f"--dependency=afterok:{job}", "--kill-on-invalid-dep=yes", "--wrap", "true", cwd=site
    ).strip()  # fmt: skip
    assert set(cluster.wait(job, 300).values()) == {"FAILED"}, _logs(site)
    assert "SA-P1" in _logs(site)
    assert set(cluster.wait(after, 60).values()) <= {"CANCELLED"}, _logs(site)


def _launcher(folder: Path) -> str:
    """The launcher of the shipped instance, with a small job and the environment of the test."""
    setup = [
        f"export PATH={Path(sys.executable).parent}:$PATH PYTHONPATH={REPOSITORY} MPLBACKEND=Agg",
        f"export DAGSTER_HOME={folder / 'home'} BIOIMAGE_DATA_DIR={folder / 'data'}",
        'test -z "${BIOIMAGE_SENSORS:-}"  # nothing of the daemon\'s environment is here',
    ]
    config = {
        "options": ["--mem=2G", "--cpus-per-task=1", f"--output={folder}/job-%j.log"],
        "setup": "\n".join(setup),
    }
    return json.dumps({"module": "bioimage_assets.slurm_runs", "class": "SlurmRunLauncher", "config": config})


def _runs(deployment: Deployment) -> list[dg.DagsterRun]:
    with deployment.instance() as instance:
        return list(instance.get_runs(dg.RunsFilter(job_name="plate_pipeline")))


def test_runs_of_the_daemon_are_jobs_that_are_noticed_when_they_die_and_can_be_cancelled(
    cluster: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])
    folder = tmp_path / "site"
    with running(folder, launcher=_launcher(folder)) as deployment:
        write_plate(deployment.incoming / "screen" / "P1.zarr", name="P1")
        wait_until(lambda: any(JOB_TAG in run.tags for run in _runs(deployment)), 120, "a job")
        (lost,) = _runs(deployment)
        wait_until(lambda: _runs(deployment)[-1].status is dg.DagsterRunStatus.STARTED, 120, "its start")
        cluster.call("scancel", "--full", "--signal=KILL", lost.tags[JOB_TAG])  # a node that goes down
        wait_until(lambda: any(run.is_success for run in _runs(deployment)), 240, "the second run")
        second, first = _runs(deployment)
        assert (first.run_id, first.status) == (lost.run_id, dg.DagsterRunStatus.FAILURE)
        assert second.tags[JOB_TAG] != first.tags[JOB_TAG]

        write_plate(deployment.incoming / "screen" / "P2.zarr", name="P2")
        wait_until(lambda: _runs(deployment)[0].status is dg.DagsterRunStatus.STARTED, 120, "the third run")
        third = _runs(deployment)[0]
        with deployment.instance() as instance:
            assert instance.run_launcher.terminate(third.run_id)
        wait_until(
            lambda: _runs(deployment)[0].status is dg.DagsterRunStatus.CANCELED, 60, "the cancellation"
        )
    project = ProjectResource(data_dir=str(folder / "data"))
    assert project.warehouse().read("image_assets", columns=["plate_key"])["plate_key"].to_pylist() == [
        "screen/P1"
    ]
