"""The measured parts of bench/plates.py: each brings its stage to N plates and gives numbers by name.

Seconds are processor seconds of the process that works, unless the name says clock. "one plate" is the marginal cost of one
plate at N; "a plate" is the mean over the plates between the size before and N.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import _plates_grow as grow
from _plates_grow import Room, plate_key

Numbers = dict[str, float]
CHANGED = 10


def peak_mb() -> float:
    """Highest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def median_cpu(work: Callable[[int], object], times: int = 5) -> float:
    """Processor seconds of one call, the median of some."""
    spent = []
    for number in range(times):
        started = time.process_time()
        work(number)
        spent.append(time.process_time() - started)
    return statistics.median(spent)


def measure_scan(room: Room, count: int) -> Numbers:
    """Real plates of one well, made, scanned and removed in slices."""
    room.grow("scan", count, lambda numbers: grow.scan_slice(room, numbers))
    lines = [json.loads(line) for line in (room.folder / "scan_seconds.jsonl").read_text().splitlines()]
    # The slices of this size alone: those before it were measured with the smaller sizes.
    slices = [line for line in lines if line["first"] >= count // 10 or count <= grow.SLICE]
    slices = [line for line in slices if line["first"] < count]
    seconds, plates = sum(line["seconds"] for line in slices), sum(line["plates"] for line in slices)
    return {"scan: a plate of one well, s": seconds / plates}


def measure_catalog(room: Room, count: int) -> Numbers:
    """Image and chunk rows of N plates in the embedded Iceberg catalog."""
    from bioimage_assets.core.catalog.lost_files import read_presence
    from bioimage_assets.core.catalog.read import read_table
    from bioimage_assets.core.catalog.replace import replace_partitions
    from bioimage_assets.core.catalog.session import parse_identifier
    from bioimage_assets.resources.project import ProjectResource

    project, rows = ProjectResource(), grow.scan_rows(room.folder)
    mean = room.grow("catalog", count, lambda numbers: grow.fill_catalog(numbers, project, rows))
    catalog, name = project.catalog(), f"{grow.NAMESPACE}.image_assets"
    fifty = [plate_key(number) for number in range(count // 2, count // 2 + 50)]
    one = fifty[:1]

    def replace(keys: list[str]) -> object:
        return replace_partitions(catalog, name, grow.tile_rows(rows[0], keys), keys)

    replace(one)
    numbers: Numbers = (
        {} if mean is None else {f"catalog: a plate, two tables, in ranges of {grow.SLICE}, s": mean}
    )
    numbers["catalog: replace one plate, one table, s"] = median_cpu(lambda _: replace(one))
    numbers["catalog: replace fifty plates, one table, s"] = median_cpu(lambda _: replace(fifty), 3)
    numbers["catalog: read one plate, s"] = median_cpu(lambda _: read_table(catalog, name, plate_keys=one))
    look = lambda _: read_presence(catalog, parse_identifier(name), fifty)  # noqa: E731
    numbers["catalog: what is stored of fifty plates, one table, s"] = median_cpu(look, 3)
    table = catalog.load_table(name)
    numbers["catalog: metadata file, kB"] = _size(table.metadata_location) / 1e3
    numbers["catalog: manifest list, kB"] = _size(table.current_snapshot().manifest_list) / 1e3
    return numbers


def _size(uri: str) -> int:
    return Path(uri.removeprefix("file://")).stat().st_size


def measure_warehouse(room: Room, count: int) -> Numbers:
    """A table of wells of N plates in the warehouse root."""
    from bioimage_assets.resources.project import ProjectResource

    project = ProjectResource()
    mean = room.grow("warehouse", count, lambda numbers: grow.fill_warehouse(numbers, project))
    warehouse, one = project.warehouse(), [plate_key(count // 2)]
    fifty = [plate_key(number) for number in range(count // 2, count // 2 + 50)]

    def replace(keys: list[str], number: int) -> object:
        data = grow.build_wells(keys, number + time.time())
        return warehouse.replace_partitions("pycytominer_profiles", data, keys, fingerprint=f"f{number}")

    replace(one, 9)
    numbers: Numbers = (
        {} if mean is None else {f"warehouse: a plate, one table, in ranges of {grow.SLICE}, s": mean}
    )
    numbers["warehouse: replace one plate, one table, s"] = median_cpu(lambda number: replace(one, number))
    numbers["warehouse: replace fifty plates, one table, s"] = median_cpu(
        lambda number: replace(fifty, number), 3
    )
    read = lambda _: warehouse.read("pycytominer_profiles", plate_keys=one)  # noqa: E731
    numbers["warehouse: read one plate, s"] = median_cpu(read)
    numbers["warehouse: manifest file, kB"] = (
        room.data / "warehouse" / "warehouse_manifest.json"
    ).stat().st_size / 1e3
    return numbers


def measure_maintenance(room: Room, count: int) -> Numbers:
    """Upkeep of the catalog's larger table and of the warehouse root."""
    from bioimage_assets.core.catalog.maintain import MaintenanceOptions, maintain_table
    from bioimage_assets.core.warehouse.maintain import maintain_warehouse
    from bioimage_assets.resources.project import ProjectResource

    project, options = ProjectResource(), MaintenanceOptions(snapshot_age_s=0, orphan_age_s=3600)
    name = f"{grow.NAMESPACE}.chunk_index"
    started = time.process_time()
    maintain_table(project.catalog(), name, options=options, dry_run=False)
    catalog_s = time.process_time() - started
    started = time.process_time()
    report = maintain_warehouse(project.settings.warehouse_uri)
    assert not report.problems, report.problems[:3]
    return {
        "maintenance: one table of the catalog, s": catalog_s,
        "maintenance: the warehouse root, s": time.process_time() - started,
        "maintenance: memory, MB": peak_mb(),
    }


@contextmanager
def open_instance(room: Room, count: int, assets: tuple[str, ...]) -> Iterator[object]:
    """The instance with N plates that were materialised."""
    import dagster as dg
    from orchestration import read_versions

    room.grow("stores", count, lambda numbers: grow.write_skeletons(room, numbers))
    with dg.DagsterInstance.from_config(str(room.home)) as instance:
        room.grow("partitions", count, lambda numbers: grow.register(instance, numbers))
        for asset in assets:
            notes = room.folder / f"events_{asset}.json"
            done = json.loads(notes.read_text()) if notes.exists() else 0
            if done < count:
                keys = [plate_key(number) for number in range(done, count)]
                # The sensor compares its versions with the stores; of a table any will do.
                known = read_versions(room.incoming) if asset == "image_stores" else {}
                grow.fill_events(instance, asset, {key: known.get(key, f"version-of-{key}") for key in keys})
                notes.write_text(json.dumps(count))
        yield instance


def measure_sensor(room: Room, count: int) -> Numbers:
    """Looks of the store sensor at N plates that were taken before, and at ten of them that changed."""
    import dagster as dg

    from bioimage_assets.resources.project import ProjectResource
    from bioimage_assets.sensors import stores

    with open_instance(room, count, ("image_stores",)) as instance:
        project = ProjectResource()

        def tick(cursor: str | None) -> tuple[float, dg.SensorResult]:
            context = dg.build_sensor_context(instance=instance, cursor=cursor)
            started = time.process_time()
            result = stores.image_store_sensor(context, project=project)
            seconds = time.process_time() - started
            for event in result.asset_events or ():  # as the daemon does
                instance.report_runless_asset_event(event)
            return seconds, result

        while (result := tick(None)[1]).run_requests:  # what an earlier try left changed
            pass
        stores._memory.cache_clear()
        before_mb = peak_mb()
        cold_s, result = tick(None)
        _, result = tick(result.cursor)
        warm_s, result = tick(result.cursor)
        added_mb, unchanged = peak_mb() - before_mb, len(result.cursor or "")
        for number in range(0, count, count // CHANGED):
            grow.write_store(
                room.incoming / f"{plate_key(number)}.zarr" / "B" / f"{time.time_ns()}", "x", chunks=False
            )
        looks, spent, asked, longest = 0, 0.0, set(), 0
        while len(asked) < CHANGED and looks < 500:
            seconds, result = tick(result.cursor)
            looks, spent, longest = looks + 1, spent + seconds, max(longest, len(result.cursor or ""))
            asked |= {request.partition_key for request in result.run_requests or ()}
        assert len(asked) == CHANGED, (asked, result.skip_reason)
    return {
        "sensor: tick after a restart, s": cold_s,
        "sensor: unchanged tick, s": warm_s,
        "sensor: memory added, MB": added_mb,
        "sensor: cursor of an unchanged tick, bytes": unchanged,
        "sensor: looks until ten changed plates are requested": looks,
        "sensor: those looks, s": spent,
        "sensor: longest cursor of them, bytes": longest,
    }


def measure_status(room: Room, count: int) -> Numbers:
    """`bioimage-assets status --json` as a process of its own."""
    with open_instance(room, count, ("image_stores",)):
        pass
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "bioimage_assets.cli.main", "status", "--json"]
    done = subprocess.run(command, capture_output=True, check=True, cwd=room.home)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    rows = json.loads(done.stdout)["plates"]
    assert len(rows) == count, len(rows)
    return {
        "status: all rows, s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "status: memory, MB": after.ru_maxrss / 1024,
    }


def measure_pages(room: Room, count: int) -> Numbers:
    """The index of N pages."""
    from bioimage_assets.core.storage.page_index import write_index

    room.grow("pages", count, lambda numbers: grow.fill_pages(room, numbers))
    seconds = median_cpu(lambda _: write_index(room.data / "reports"), 3)
    index = room.data / "reports" / "index.html"
    return {"page index: made, s": seconds, "page index: file, kB": index.stat().st_size / 1e3}
