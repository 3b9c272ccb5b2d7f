"""How much the orchestration costs beside the work it starts: loading, one plate's run, a look at many stores.

Run ``python bench/orchestration.py`` for a small look, ``--plates 100000`` for the stated limit: a tick over
100,000 unchanged stores within 5 s and 200 MB. Times of the sensor include the event log's answer.
"""

import argparse
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DATASETS = 50


def peak_mb() -> float:
    """Highest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write_stores(root: Path, count: int) -> None:
    """HCS stores with a root document, two rows and one well each."""
    document = json.dumps({"plate": {"name": "P", "wells": []}})
    for number in range(count):
        store = root / f"set{number % DATASETS:02}" / f"P{number:06}.zarr"
        for well in ("A/1", "B/2"):
            os.makedirs(store / well)
        (store / ".zattrs").write_text(document)
        (store / ".zgroup").write_text('{"zarr_format": 2}')


def read_versions(root: Path) -> dict[str, str]:
    """Version of every plate as the sensor would have taken it."""
    from bioimage_assets.core.discovery.layout import read_layout
    from bioimage_assets.core.discovery.signatures import read_deep, read_shallow
    from bioimage_assets.core.discovery.survey import Taken
    from bioimage_assets.core.stores.tree import open_tree

    shared: dict = {}
    return {
        plate.plate_key: str(Taken(read_deep(plate, shared).signature, read_shallow(plate, shared)))
        for plate in read_layout(open_tree(str(root))).plates
    }


def fill_event_log(instance, versions: dict[str, str]) -> None:
    """Say that all plates were taken: one real event, copied in SQL; through Dagster it would take an hour."""
    import dagster as dg

    keys = sorted(versions)
    for start in range(0, len(keys), 10_000):
        instance.add_dynamic_partitions("plates", keys[start : start + 10_000])
    instance.add_dynamic_partitions("datasets", sorted({key.split("/")[0] for key in keys}))
    tags = {"dagster/data_version": versions[keys[0]]}
    instance.report_runless_asset_event(dg.AssetMaterialization("image_stores", partition=keys[0], tags=tags))
    (path,) = Path(instance.root_directory).rglob("index.db")
    with sqlite3.connect(path) as database:
        (row,) = database.execute(
            "SELECT run_id, event, dagster_event_type, timestamp, step_key, asset_key FROM event_logs"
        ).fetchall()
        fields = "id, run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition"
        database.executemany(
            f"INSERT INTO event_logs ({fields}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            ((number, *row, key) for number, key in enumerate(keys[1:], 2)),
        )
        database.executemany(
            "INSERT INTO asset_event_tags (event_id, asset_key, key, value, event_timestamp) VALUES (?, ?, ?, ?, ?)",
            (
                (number, row[5], "dagster/data_version", versions[key], row[3])
                for number, key in enumerate(keys[1:], 2)
            ),
        )


def measure_ticks(folder: Path, count: int) -> dict[str, object]:
    """Look at unchanged stores; at one that changed; at stores never seen before."""
    import dagster as dg

    from bioimage_assets.resources.project import ProjectResource
    from bioimage_assets.sensors import stores

    root = folder / "incoming"
    write_stores(root, count)
    os.environ["BIOIMAGE_DATA_DIR"] = str(folder)
    os.environ["BIOIMAGE_QUIET_SECONDS"] = "0"
    (folder / "instance").mkdir()
    with dg.DagsterInstance.local_temp(str(folder / "instance")) as instance:
        project = ProjectResource()

        def tick(cursor: str | None) -> tuple[float, dg.SensorResult]:
            context = dg.build_sensor_context(instance=instance, cursor=cursor)
            started = time.perf_counter()
            result = stores.image_store_sensor(context, project=project)
            return time.perf_counter() - started, result

        first_s, first = tick(None)
        fill_event_log(instance, read_versions(root))
        stores._memory.cache_clear()
        before_mb = peak_mb()
        cold_s, result = tick(None)
        _, result = tick(result.cursor)
        cpu_s = time.process_time()
        warm_s, result = tick(result.cursor)
        cpu_s = time.process_time() - cpu_s
        after_mb = peak_mb()
        some = root / "set07" / "P000007.zarr" / "A" / "1"
        (some / "0").mkdir()
        (some / "0" / ".zattrs").write_text("{}")
        looks, changed_s = 0, time.perf_counter()
        while not result.run_requests and looks < 200:
            looks += 1
            result = tick(result.cursor)[1]
        return {
            "stores": count,
            "first look at new stores, s": round(first_s, 2),
            "plates taken by the first look": len(first.asset_events or ()),
            "cursor of the first look, bytes": len(first.cursor or ""),
            "tick after a restart, s": round(cold_s, 2),
            "unchanged tick, s": round(warm_s, 2),
            "unchanged tick, s of CPU": round(cpu_s, 2),
            "memory added by unchanged ticks, MB": round(after_mb - before_mb),
            "cursor of an unchanged tick, bytes": len(result.cursor or ""),
            "looks until a changed well is requested": looks,
            "seconds of those looks": round(time.perf_counter() - changed_s, 2),
        }


def measure_loading() -> dict[str, object]:
    """Seconds of ``dagster definitions validate`` and of importing the definitions, the second time."""
    validate = [
        sys.executable,
        "-m",
        "dagster",
        "definitions",
        "validate",
        "-m",
        "bioimage_assets.definitions",
    ]
    load = [sys.executable, "-X", "importtime", "-c", "import bioimage_assets.definitions"]
    times = {}
    for name, command in (("definitions validate", validate), ("import of the definitions", load)):
        for _ in range(2):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            elapsed = time.perf_counter() - started
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times[f"{name}, s"] = round(elapsed, 2)
        times[f"{name}, s of CPU"] = round(
            after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2
        )
    return times


def measure_plate_run(folder: Path) -> dict[str, object]:
    """A plate's run in which every table is current: what is left is the orchestration and the checks."""
    import dagster as dg

    from bioimage_assets.demo.screens import build_screens
    from bioimage_assets.headless import materialize_plates
    from bioimage_assets.headless_runs import run_partition

    os.environ["BIOIMAGE_DATA_DIR"] = str(folder)
    build_screens(folder / "incoming", size="ci", workers=1)
    (folder / "instance").mkdir()
    with dg.DagsterInstance.local_temp(str(folder / "instance")) as instance:
        from bioimage_assets.definitions import defs

        key = "screen-a/SA-P1"
        built = materialize_plates(instance, plate_keys=[key], with_datasets=False).plates[0]
        again = run_partition(defs, instance, "plate_pipeline", key, None)
    return {
        "first run of a small plate, s": round(built.seconds, 2),
        "run of the same plate, nothing to build, s": round(again.seconds, 2),
        "outcome": f"{built.status}, {again.status}",
    }


def main() -> int:
    """Measure and print, one JSON object per part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plates", type=int, default=2_000)
    parser.add_argument("--only", choices=("ticks", "loading", "run"))
    parser.add_argument("--folder", help="where scratch files go; default: the system's temporary folder")
    arguments = parser.parse_args()
    parts = {
        "loading": measure_loading,
        "ticks": lambda: measure_ticks(Path(scratch) / "ticks", arguments.plates),
        "run": lambda: measure_plate_run(Path(scratch) / "run"),
    }
    with tempfile.TemporaryDirectory(prefix="bench-orchestration-", dir=arguments.folder) as scratch:
        for name, measure in parts.items():
            if arguments.only in (None, name):
                (Path(scratch) / name).mkdir(exist_ok=True)
                print(name, json.dumps(measure(), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
