"""The real daemon, left alone: a plate copied slowly, changed, removed; and killed in the middle of a bulk arrival."""

import shutil
import signal
import time
from pathlib import Path

import dagster as dg
import pytest

from bioimage_assets.headless import materialize_plates
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets.summary import summarize_plates
from bioimage_assets_tests.builders.processes import send
from bioimage_assets_tests.dagster.deployment import Deployment, running, wait_until
from bioimage_assets_tests.dagster.store_ticks import write_plate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PLATE = "screen-a/SA-P1"
COPY_S = 15.0
# A whole test takes two minutes beside other work; what has not happened after so long does not happen.
PATIENCE_S = 300.0
WORKER, EVERYTHING = "the run's worker", "everything"


def _copy_slowly(source: Path, target: Path, seconds: float) -> float:
    """Copy a tree file by file, the root's documents first, as copying tools do; say when the last file came.

    The document of the last well is that file: however long the copying stands still, the plate is not whole before.
    """
    files = sorted(path for path in source.rglob("*") if path.is_file())
    last = max(path for path in files if path.parent.parent.parent == source and path.name != ".zgroup")
    files.sort(key=lambda path: path == last)
    for path in files:
        time.sleep(seconds / len(files))
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        copied_s = time.time()
        shutil.copyfile(path, place)
    return copied_s


def _runs(instance: dg.DagsterInstance, job: str, plate: str) -> list[dg.DagsterRun]:
    runs = instance.get_runs(dg.RunsFilter(job_name=job))
    return [run for run in runs if run.tags.get("dagster/partition") == plate]


def _has_run(deployment: Deployment, job: str, partition: str, count: int = 1) -> bool:
    with deployment.instance() as instance:
        runs = _runs(instance, job, partition)
        assert not [run for run in runs if run.status is dg.DagsterRunStatus.FAILURE], runs
        return len([run for run in runs if run.is_success]) >= count


def test_a_plate_copied_slowly_is_ingested_once_and_followed_by_every_table(tmp_path, screens_root):
    with running(tmp_path) as deployment:
        shutil.copytree(
            screens_root / "screen-a", deployment.incoming / "screen-a", ignore=shutil.ignore_patterns("SA-*")
        )
        store = next((screens_root / "screen-a").glob("SA-P1.*"))
        measured = screens_root / "screen-a" / "measurements" / "SA-P1.parquet"
        (deployment.incoming / "screen-a" / "measurements").mkdir(exist_ok=True)
        shutil.copyfile(measured, deployment.incoming / "screen-a" / "measurements" / "SA-P1.parquet")
        target = deployment.incoming / "screen-a" / store.name
        copied_s = _copy_slowly(store, target, COPY_S)

        wait_until(lambda: _has_run(deployment, "plate_pipeline", PLATE), PATIENCE_S, "the plate's run")
        wait_until(
            lambda: _has_run(deployment, "dataset_pipeline", "screen-a"), PATIENCE_S, "the dataset's run"
        )
        with deployment.instance() as instance:
            (run,) = _runs(instance, "plate_pipeline", PLATE)
            assert instance.get_run_record_by_id(run.run_id).create_timestamp.timestamp() > copied_s
        (before,) = summarize_plates(ProjectResource(data_dir=str(tmp_path / "data")), [PLATE])
        assert (before.images, before.cells == before.matched) == (12, True)
        assert (tmp_path / "data" / "reports" / "datasets" / "screen-a.html").exists()

        field = next(
            path.parent
            for path in sorted(target.rglob("0"))
            if (path.parent / ".zattrs").exists() or (path.parent / "zarr.json").exists()
        )
        # Whole before and after: a machine that stands still in between makes no third state of it.
        shutil.copytree(field, tmp_path / "field", copy_function=shutil.copyfile)
        field.rename(tmp_path / "replaced")
        (tmp_path / "field").rename(field)
        wait_until(lambda: _has_run(deployment, "plate_pipeline", PLATE, 2), PATIENCE_S, "the second run")

        target.rename(tmp_path / "removed")
        wait_until(lambda: _check_failed(deployment), PATIENCE_S, "the failing check")
        assert summarize_plates(ProjectResource(data_dir=str(tmp_path / "data")), [PLATE]) == [before]
        with deployment.instance() as instance:
            assert len(_runs(instance, "plate_pipeline", PLATE)) == 2


def _check_failed(deployment: Deployment) -> bool:
    with deployment.instance() as instance:
        key = dg.AssetCheckKey(dg.AssetKey("image_stores"), "store_is_present")
        history = instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
        latest = [record for record in history if record.partition == PLATE]
        return bool(latest) and latest[0].status.value == "FAILED"


@pytest.mark.parametrize(
    ("victims", "count"),
    [
        pytest.param((WORKER, EVERYTHING), 5, id="5 plates, a worker and then everything"),
        pytest.param((WORKER,), 30, id="30 plates, a worker", marks=pytest.mark.stress),
        pytest.param((EVERYTHING,), 30, id="30 plates, everything", marks=pytest.mark.stress),
    ],
)
def test_a_kill_in_the_middle_of_a_bulk_arrival_ends_with_every_plate_right(
    tmp_path, use_data_dir, victims, count
):
    keys = [f"bulk/P{number:02}" for number in range(count)]
    with running(tmp_path / "killed") as deployment:
        for key in keys:
            write_plate(deployment.incoming / f"{key}.zarr", ("A/1", "B/2"), fields=2, name=key[-3:])
        for scanned, victim in enumerate(victims):
            _wait_until_scanned(deployment, scanned + 1)
            assert _count(deployment, "plate_report") < len(keys)
            if victim == EVERYTHING:
                deployment.stop(signal.SIGKILL)
                deployment.start()
            else:  # between two runs there is none
                wait_until(lambda: _kill_workers(deployment) > 0, PATIENCE_S, "a run's worker")
        wait_until(
            lambda: _count(deployment, "plate_report") == len(keys), PATIENCE_S, "every plate's report"
        )
        wait_until(lambda: not _unfinished(deployment), PATIENCE_S, "the end of all runs")
    clean = use_data_dir(tmp_path / "clean")
    shutil.copytree(deployment.incoming, tmp_path / "clean" / "incoming")
    some = keys[:: max(1, count // 3)]
    materialize_plates(dg.DagsterInstance.ephemeral(), plate_keys=some, with_datasets=False)
    killed = ProjectResource(data_dir=str(tmp_path / "killed" / "data"))
    assert summarize_plates(killed, some) == summarize_plates(clean, some)
    images = killed.warehouse().read("image_assets", columns=["plate_key", "image_id"])
    assert images.num_rows == 4 * len(keys) == len(set(images["image_id"].to_pylist()))


def _wait_until_scanned(deployment: Deployment, least: int) -> None:
    wait_until(
        lambda: _count(deployment, "image_assets") >= least, PATIENCE_S, f"{least} plates that are scanned"
    )


def _kill_workers(deployment: Deployment) -> int:
    """Kill the processes that run steps; the daemon and its code server stay. Give how many there were."""
    killed = 0
    for pid in deployment.descendants():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"multiprocessing" in command and b"resource_tracker" not in command:
            send(pid, signal.SIGKILL)
            killed += 1
    return killed


def _count(deployment: Deployment, table: str) -> int:
    with deployment.instance() as instance:
        return len(instance.get_materialized_partitions(dg.AssetKey(table)))


def _unfinished(deployment: Deployment) -> bool:
    from bioimage_assets.sensors.rollups import UNFINISHED

    with deployment.instance() as instance:
        return bool(instance.get_runs_count(dg.RunsFilter(statuses=UNFINISHED)))
