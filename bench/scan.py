"""Scan speed as ratios to what the machine itself can do, in one run.

    python bench/scan.py [--images 432] [--rows 2000000] [--delay-ms 30] [--only local,chunks,s3,tiff]

Every line prints a ratio and its goal; absolute numbers depend on the machine and its load.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
import zarr

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bioimage_assets.core.model.image import ImageRecord
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_store_records
from bioimage_assets.core.scan.stores import ScannedStore, scan_stores
from bioimage_assets_tests.builders.zarr_documents import write_array
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate

FIELDS = 9
LEVELS = 3


def best_of(
    work: Callable[[], object], repeats: int = 5, clock: Callable[[], float] = time.process_time
) -> float:
    """Shortest time of several runs, in seconds; processor time unless waiting is what is measured."""
    times = []
    for _ in range(repeats):
        started = clock()
        work()
        times.append(clock() - started)
    return min(times)


def best_in_turn(
    first: Callable[[], object], second: Callable[[], object], repeats: int
) -> tuple[float, float]:
    """Shortest processor time of two pieces of work run in turn, so that both meet the same load of the machine."""
    times = [(best_of(first, 1), best_of(second, 1)) for _ in range(repeats)]
    return min(time for time, _ in times), min(time for _, time in times)


def report(what: str, value: float, goal: float, unit: str = "x") -> None:
    """Print one measure beside its goal."""
    print(
        f"{'ok  ' if value >= goal else 'LOW '} {what:<62} {value:10.2f} {unit:<8} goal {goal:g}", flush=True
    )


def metadata_files(root: Path) -> list[str]:
    """The documents that a scan has to read."""
    names = ("zarr.json", ".zattrs", ".zarray")
    keep = []
    for folder, _, files in os.walk(root):
        keep += [os.path.join(folder, name) for name in files if name in names]
        if ".zarray" in files and ".zattrs" in files:
            keep.remove(os.path.join(folder, ".zattrs"))
    return keep


def read_raw(files: list[str]) -> None:
    """Open, read and close each file."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        os.read(descriptor, 1 << 16)
        os.close(descriptor)


async def _walk(root: Path) -> int:
    group = await zarr.api.asynchronous.open_group(str(root), mode="r", use_consolidated=False)
    return len([1 async for _ in group.members(max_depth=None)])


def bench_local(folder: Path, images: int) -> None:
    """Plates on a local disk, warm: against raw reads and zarr-python's own traversal."""
    for zarr_format in (2, 3):
        root = folder / f"plate{zarr_format}.zarr"
        columns = max(1, images // FIELDS // 8)
        write_pixel_plate(
            root, zarr_format=zarr_format, rows=8, columns=columns, fields=FIELDS, levels=LEVELS, pixels=False
        )
        files = metadata_files(root)
        count = 8 * columns * FIELDS
        raw, ours = best_in_turn(
            lambda files=files: read_raw(files), lambda root=root: scan_store_records(str(root)), 15
        )
        theirs = best_of(lambda root=root: asyncio.run(_walk(root)), 1)
        print(
            f"     v{zarr_format}: {count / ours:,.0f} images/s; raw {count / raw:,.0f}; zarr-python {count / theirs:,.0f}"
        )
        report(f"Zarr v{zarr_format} plate, fraction of raw open+read", raw / ours, 0.3)
        report(f"Zarr v{zarr_format} plate, against zarr-python members()", theirs / ours, 12)


def build_bare(rows: int, batch: int = 250_000) -> None:
    """The least that an index of this size can be: integer columns and one text key, by numpy and Arrow."""
    side = int(rows**0.5)
    for start in range(0, side * side, batch):
        linear = np.arange(start, min(start + batch, side * side))
        y, x = np.divmod(linear, side)
        keys = pa.compute.binary_join_element_wise(
            pa.scalar("c"), pa.array(y).cast(pa.string()), pa.array(x).cast(pa.string()), pa.scalar("/")
        )
        coords = pa.array(np.stack([y, x], axis=1).astype(np.int32).reshape(-1))
        pa.RecordBatch.from_arrays([keys, coords.slice(0, len(keys))], names=["key", "coords"])


def bench_chunks(folder: Path, rows: int) -> None:
    """A logical chunk index: rows per second, against a bare build, and its peak memory."""
    side = int(rows**0.5)
    root = folder / "large.zarr"
    write_array(root, "", (side, side), (1, 1), zarr_format=3)
    options = ScanOptions(observe_chunks=False)

    def stream() -> None:
        for _ in scan_chunk_index(str(root), options=options):
            pass

    ours, bare = best_in_turn(stream, lambda: build_bare(rows), 5)
    report("chunk index, logical, one array", side * side / ours / 1e6, 3, "Mrows/s")
    report("chunk index against a bare numpy and Arrow build", bare / ours, 0.5)
    plate = folder / "plate3.zarr"
    if plate.exists():
        (store,), _ = scan_stores(str(plate), options)
        images = store.scan.images
        total = sum(batch.num_rows for batch in store.plan_chunks(images))
        built = best_of(lambda: sum(batch.num_rows for batch in store.plan_chunks(images)), 15)
        report("chunk index, logical, plate of 8 chunks per level", total / built / 1e6, 3, "Mrows/s")
    code = (
        "import sys, resource; sys.path.insert(0, sys.argv[2])\n"
        "from bioimage_assets.core.scan.scanner import scan_chunk_index; from bioimage_assets.core.model.scan import ScanOptions\n"
        "n = sum(b.num_rows for b in scan_chunk_index(sys.argv[1], options=ScanOptions(observe_chunks=False)))\n"
        "print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    ten = folder / "ten.zarr"
    write_array(ten, "", (3163, 3163), (1, 1), zarr_format=3)
    repository = str(Path(__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code, str(ten), repository], capture_output=True, text=True, check=True
    )
    count, peak_kb = map(int, done.stdout.split())
    report(
        f"peak memory of {count / 1e6:.0f} million rows, below 300 MB",
        300 / (peak_kb / 1024),
        1,
        f"({peak_kb // 1024} MB)",
    )


def walk_folders(folders: list[str], tail_bytes: int = 0) -> int:
    """List folders with all below them and ask each file for its size; with ``tail_bytes`` read the end of each chunk as well."""
    found = 0
    for start in folders:
        pending = [start]
        while pending:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                        continue
                    found += 1
                    size = entry.stat().st_size
                    if tail_bytes and not entry.name.startswith((".", "zarr.")):
                        descriptor = os.open(entry.path, os.O_RDONLY)
                        os.pread(descriptor, tail_bytes, max(0, size - tail_bytes))
                        os.close(descriptor)
    return found


def bench_observed(folder: Path) -> None:
    """An observed chunk index against a walk that lists the same folders, and reads the ends of shards where there are some.

    The walk checks nothing; we hold the index of each shard against its checksum and its size as well, hence the lower goal.
    """
    layouts = {"v2": (2, False, 0, 0.5), "v3": (3, False, 0, 0.5), "v3 shards": (3, True, 16 * 8 + 4, 0.35)}
    for name, (zarr_format, sharded, tail_bytes, goal) in layouts.items():
        root = folder / f"observed-{name.replace(' ', '-')}.zarr"
        write_pixel_plate(
            root, zarr_format=zarr_format, columns=12, fields=FIELDS, levels=LEVELS, sharded=sharded
        )
        (store,), _ = scan_stores(str(root), ScanOptions())
        images = store.scan.images
        folders = [f"{root}/{level.path}" for image in images for level in image.levels]
        ours, bare = best_in_turn(
            partial(count_rows, store, images), partial(walk_folders, folders, tail_bytes), 9
        )
        report(f"chunk index, observed, {name}, a walk of the folders / ours", bare / ours, goal)


def count_rows(store: ScannedStore, images: Sequence[ImageRecord]) -> int:
    """Read all chunk rows of some images."""
    return sum(batch.num_rows for batch in store.plan_chunks(images))


def bench_s3(folder: Path, delay_ms: float, images: int) -> None:
    """A plate behind a server that delays every request: against what the latency allows."""
    bucket = folder / "bucket"
    columns = max(1, images // FIELDS // 8)
    write_pixel_plate(bucket / "p.zarr", rows=8, columns=columns, fields=FIELDS, levels=LEVELS, pixels=False)
    script = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
        "from bioimage_assets_tests.builders.zarr_server import StandInS3\n"
        "server = StandInS3(Path(sys.argv[2]), delay_s=float(sys.argv[3]))\n"
        "with server.running(): print(server.endpoint, flush=True); sys.stdin.read()\n"
    )
    command = [
        sys.executable,
        "-c",
        script,
        str(Path(__file__).resolve().parents[1]),
        str(bucket),
        str(delay_ms / 1000),
    ]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    endpoint = server.stdout.readline().strip()
    in_flight = 64
    keys = {
        "endpoint": endpoint,
        "skip_signature": "true",
        "region": "us-east-1",
        "requests_in_flight": in_flight,
    }
    try:
        ours = best_of(
            lambda: scan_store_records("s3://bucket/p.zarr", ScanOptions(storage_options=keys)),
            3,
            time.perf_counter,
        )
    finally:
        assert server.stdin is not None
        server.stdin.close()
        server.wait(10)
    count = 8 * columns * FIELDS
    requests = (1 + 8 * columns + count * (1 + LEVELS)) / count
    law = in_flight / (delay_ms / 1000 * requests)
    print(
        f"     S3 at {delay_ms:g} ms, {in_flight} in flight: {count / ours:,.0f} images/s; the latency allows {law:,.0f}"
    )
    report("S3, fraction of in_flight / (latency x requests)", count / ours / law, 0.7)


def main() -> None:
    """Run the chosen sections."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=432)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--delay-ms", type=float, default=30)
    parser.add_argument("--only", default="local,chunks,s3,tiff")
    chosen = parser.parse_args()
    sections = chosen.only.split(",")
    with tempfile.TemporaryDirectory(prefix="bench-scan-") as name:
        folder = Path(name)
        if "local" in sections:
            bench_local(folder, chosen.images)
        if "chunks" in sections:
            bench_chunks(folder, chosen.rows)
            bench_observed(folder)
        if "s3" in sections:
            bench_s3(folder, chosen.delay_ms, chosen.images)
    if "tiff" in sections and (Path(__file__).parent / "scan_tiff.py").exists():
        subprocess.run([sys.executable, str(Path(__file__).parent / "scan_tiff.py")], check=False)
    print(f"     peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
