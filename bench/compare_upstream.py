"""Speed beside iceberg-bioimage 0.1.0, the package the seeds describe: ratios of the same work in one run.

    python -m venv /some/where && /some/where/bin/pip install 'iceberg-bioimage[duckdb]==0.1.0' s3fs
    python bench/compare_upstream.py --upstream-python /some/where/bin/python [--wells 96] [--chunks 250000]

Each package runs in an environment of its own, in a process of its own; imports and a first small scan are
not counted. Without ``--upstream-python`` nothing is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bioimage_assets_tests.builders.zarr_documents import write_array, write_image
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate
from bioimage_assets_tests.builders.zarr_server import StandInS3

REPOSITORY = Path(__file__).resolve().parents[1]
GOALS = {"scan": 12.0, "chunks": 30.0, "remote": 20.0}

# What both packages are asked to do, at least so many times and for two seconds; it prints the shortest time and how
# much was found.
COMMON = """
import json, sys, time
what, uri, warm, repeats, options = json.loads(sys.argv[1])
{setup}
work(warm)
best, count, runs, begun = None, 0, 0, time.perf_counter()
while runs < repeats or (repeats > 1 and time.perf_counter() - begun < 2):
    started = time.perf_counter()
    count = work(uri)
    seconds = time.perf_counter() - started
    best, runs = seconds if best is None else min(best, seconds), runs + 1
print("RESULT", json.dumps([best, count]))
"""

UPSTREAM = """
import pyarrow as pa
from iceberg_bioimage import scan_store
from iceberg_bioimage.publishing.chunk_index import scan_result_to_chunk_rows
scans = {}
def work(uri):
    if what != "chunks":
        return len(scan_store(uri).image_assets)
    if uri not in scans:
        scans[uri] = scan_store(uri)
    return pa.Table.from_pylist(scan_result_to_chunk_rows(scans[uri])).num_rows
if what == "chunks":
    scan_store(uri)
"""

HERE = """
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_store_records
chosen = ScanOptions(storage_options=options, observe_chunks=False)
def work(uri):
    if what != "chunks":
        return sum(len(image.levels) for image in scan_store_records(uri, chosen).images)
    return scan_chunk_index(uri, options=chosen).read_all().num_rows
"""


def run(
    python: str, setup: str, task: Sequence[object], environment: dict[str, str] | None = None
) -> tuple[float, int]:
    """Run the work in one environment; give its shortest time and what it counted."""
    command = [python, "-W", "ignore", "-c", COMMON.replace("{setup}", setup), json.dumps(task)]
    environ = {**os.environ, **(environment or {})}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if python == sys.executable:
        environ["PYTHONPATH"] = str(REPOSITORY)
    done = subprocess.run(command, capture_output=True, text=True, env=environ)
    if done.returncode:
        raise SystemExit(f"{python}:\n{done.stderr[-3000:]}")
    seconds, count = json.loads(done.stdout.rpartition("RESULT ")[2])
    return seconds, count


def report(what: str, theirs: tuple[float, int], ours: tuple[float, int], goal: float) -> None:
    """Print times and ratio; what was found must be the same, or the times mean nothing."""
    ratio = theirs[0] / ours[0]
    mark = "ok  " if ratio >= goal else "LOW "
    same = "" if theirs[1] == ours[1] else f"  (they found {theirs[1]}, here {ours[1]})"
    print(
        f"{mark} {what:<52} {theirs[0] * 1000:9.1f} ms / {ours[0] * 1000:7.1f} ms = {ratio:6.1f} x  goal {goal:g}{same}",
        flush=True,
    )


def bench_scan(python: str, folder: Path, warm: Path, wells: int) -> None:
    """A plate of four fields per well and three levels, without its pixels."""
    for zarr_format in (2, 3):
        plate = write_pixel_plate(
            folder / f"p{zarr_format}.zarr", zarr_format=zarr_format, columns=wells, fields=4, pixels=False
        )
        tasks = ["scan", str(plate), str(warm), 3]
        theirs = run(python, UPSTREAM, [*tasks, {}])
        ours = run(sys.executable, HERE, [*tasks, {}])
        report(f"scan of a plate, {wells * 12} arrays, Zarr v{zarr_format}", theirs, ours, GOALS["scan"])


def bench_chunks(python: str, folder: Path, warm: Path, chunks: int) -> None:
    """The chunk grid of one large array as an Arrow table; nothing is listed by either."""
    side = int(chunks**0.5)
    store = folder / "large.zarr"
    write_array(store, "", (side * 8, side * 8), (8, 8))
    tasks = ["chunks", str(store), str(warm), 2]
    theirs = run(python, UPSTREAM, [*tasks, {}])
    ours = run(sys.executable, HERE, [*tasks, {}])
    report(f"chunk rows to Arrow, {side * side:,} rows", theirs, ours, GOALS["chunks"])


def bench_remote(python: str, folder: Path, wells: int, delay_ms: float) -> None:
    """A plate in a bucket whose every answer takes a while."""
    bucket = folder / "bucket"
    write_pixel_plate(bucket / "p.zarr", zarr_format=2, columns=wells, fields=2, levels=2, pixels=False)
    write_image(bucket / "warm.zarr", levels=("0",))
    server = StandInS3(bucket, delay_s=delay_ms / 1000)
    with server.running():
        environment = {
            "FSSPEC_S3_ENDPOINT_URL": server.endpoint,
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        tasks = ["remote", "s3://bucket/p.zarr", "s3://bucket/warm.zarr", 1]
        theirs = run(python, UPSTREAM, [*tasks, {}], environment)
        requests = dict(server.counts)
        server.counts.clear()
        ours = run(sys.executable, HERE, [*tasks, server.options()])
        report(
            f"plate of {wells * 4} arrays in a bucket, {delay_ms:g} ms per answer",
            theirs,
            ours,
            GOALS["remote"],
        )
        print(f"     requests: {sum(requests.values())} there, {sum(server.counts.values())} here")


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--upstream-python", metavar="PATH", help="Python with iceberg-bioimage 0.1.0")
    parser.add_argument("--wells", type=int, default=96)
    parser.add_argument("--chunks", type=int, default=250_000)
    parser.add_argument("--delay-ms", type=float, default=20.0)
    parser.add_argument("--only", default="scan,chunks,remote")
    chosen = parser.parse_args()
    if chosen.upstream_python is None:
        print("Skipped: name a Python that has iceberg-bioimage 0.1.0 with --upstream-python.")
        return
    sections = chosen.only.split(",")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warm = folder / "warm.zarr"
        write_image(warm, levels=("0",))
        if "scan" in sections:
            bench_scan(chosen.upstream_python, folder, warm, chosen.wells)
        if "chunks" in sections:
            bench_chunks(chosen.upstream_python, folder, warm, chosen.chunks)
        if "remote" in sections:
            bench_remote(chosen.upstream_python, folder, min(chosen.wells, 24), chosen.delay_ms)


if __name__ == "__main__":
    main()
