"""What the Parquet warehouse root costs: one large plate, many plates, a grown manifest, reruns, schema growth, a long stream.

    python bench/_storage_warehouse.py --folder <scratch folder> --plates 500 --chunks 120000 --stream-rows 2000000

Pass criteria: replacing one plate's chunk rows takes at most 3 × the bare Parquet file; the last plates of many
take at most 2 × the first; an unchanged rerun costs no more than the write; reading everything takes at most 2 × of
pyarrow's own folder reader; a stream is written with less than 1 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.core.warehouse.root import Warehouse, open_warehouse

MAX_PARQUET_RATIO = 3.0
MAX_GROWTH_RATIO = 2.0
MAX_READ_RATIO = 2.0
MAX_PEAK_BYTES = 1_000_000_000


def build_chunks(plate_key: str, row_count: int, seed: int = 0) -> pa.Table:
    """Chunk rows as a scan of a plate gives them: 16 chunks per array."""
    array = pa.array(np.arange(row_count) // 16)
    names = pa.array([f"P1:A01:{i}" for i in range(row_count // 16 + 1)])
    coords = np.stack([np.arange(row_count) // 4 % 4, np.arange(row_count) % 4], 1).ravel()
    return pa.table(
        {
            "plate_key": pa.repeat(plate_key, row_count),
            "dataset_id": pa.repeat(plate_key.split("/")[0], row_count),
            "image_id": names.take(array),
            "array_path": names.take(array),
            "chunk_key": pa.array([f"c/{y}/{x}" for y in range(4) for x in range(4)]).take(
                pa.array(np.arange(row_count) % 16)
            ),
            "chunk_coords": pa.ListArray.from_arrays(
                pa.array(np.arange(0, 2 * row_count + 1, 2), pa.int32()), pa.array(coords, pa.int32())
            ),
            "stored_bytes": pa.array(np.random.default_rng(seed).integers(1000, 60_000, row_count)),
        }
    )


def measure(action: Callable[[], object], repeats: int = 5) -> float:
    """Median seconds of an action."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def write_bare(path: Path, table: pa.Table) -> None:
    """The file that any program would write, flushed to the disk as ours is."""
    pq.write_table(table, path, compression="zstd")
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def bench_one_plate(folder: Path, row_count: int) -> dict[str, float]:
    """Replace one plate's rows, with other rows each time, and again with the same."""
    warehouse = open_warehouse(folder / "one")
    tables = iter([build_chunks("screen/P1", row_count, seed) for seed in range(6)])
    same = build_chunks("screen/P1", row_count, 99)
    bare = measure(lambda: write_bare(folder / "bare.parquet", same))
    replace_s = measure(lambda: warehouse.replace_partitions("chunk_index", next(tables), ["screen/P1"]))
    warehouse.replace_partitions("chunk_index", same, ["screen/P1"])
    rerun = measure(lambda: warehouse.replace_partitions("chunk_index", same, ["screen/P1"]))
    return {
        "bare_parquet_s": bare,
        "replace_s": replace_s,
        "rerun_s": rerun,
        "replace_ratio": replace_s / bare,
    }


def bench_many_plates(folder: Path, plates: int) -> dict[str, float]:
    """Write plates one by one into three tables; then read all of one, and grow its schema once."""
    warehouse = open_warehouse(folder / "many")
    times: list[float] = []
    for number in range(plates):
        table = build_chunks(f"screen/P{number:05d}", 400)
        start = time.perf_counter()
        for name in ("chunk_index", "single_cells", "joined_profiles"):
            warehouse.replace_partitions(name, table, [f"screen/P{number:05d}"])
        times.append((time.perf_counter() - start) / 3)
    tenth = max(1, plates // 10)
    first, last = statistics.median(times[:tenth]), statistics.median(times[-tenth:])
    ours = measure(lambda: warehouse.read("chunk_index"), 3)
    theirs = measure(lambda: pq.read_table(folder / "many" / "chunk_index"), 3)
    return {
        "first_write_s": first,
        "last_write_s": last,
        "growth_ratio": last / first,
        "manifest_bytes": (folder / "many" / "warehouse_manifest.json").stat().st_size,
        "read_all_s": ours,
        "pyarrow_read_all_s": theirs,
        "read_ratio": ours / theirs,
        "one_plate_read_s": measure(lambda: warehouse.read("chunk_index", plate_keys=["screen/P00000"])),
        "new_column_s": _grow(warehouse),
    }


def _grow(warehouse: Warehouse) -> float:
    table = build_chunks("screen/P00000", 400)
    wider = table.append_column("new", pa.array(np.arange(400)))
    return measure(lambda: warehouse.replace_partitions("chunk_index", wider, ["screen/P00000"]), 1)


def bench_stream(folder: Path, row_count: int) -> dict[str, float]:
    """Stream one wide partition in a process of its own and report its peak memory."""
    start = time.perf_counter()
    code = f"import sys; from bench._storage_warehouse import stream; stream({str(folder / 'stream')!r}, {row_count})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {"stream_s": time.perf_counter() - start, "stream_peak_bytes": float(done.stdout)}


def stream(folder: str, row_count: int) -> None:
    """Write ``row_count`` rows of 50 features and print the peak resident bytes."""
    features = {f"f{i}": np.random.default_rng(i).random(10_000) for i in range(50)}
    batch = pa.table({"plate_key": ["screen/P1"] * 10_000, **features}).to_batches()[0]

    def batches() -> Iterator[pa.RecordBatch]:
        for _ in range(row_count // 10_000):
            yield batch

    reader = pa.RecordBatchReader.from_batches(batch.schema, batches())
    open_warehouse(folder).replace_partitions("single_cells", reader, ["screen/P1"])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def main() -> None:
    """Run all parts and fail when a criterion is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--plates", type=int, default=100)
    parser.add_argument("--chunks", type=int, default=120_000)
    parser.add_argument("--stream-rows", type=int, default=500_000)
    given = parser.parse_args()
    shutil.rmtree(given.folder, ignore_errors=True)
    given.folder.mkdir(parents=True)
    found = {
        **bench_one_plate(given.folder, given.chunks),
        **bench_many_plates(given.folder, given.plates),
        **bench_stream(given.folder, given.stream_rows),
    }
    print(json.dumps({name: round(value, 4) for name, value in found.items()}, indent=2))
    missed = [
        name
        for name, is_met in {
            "replace_ratio": found["replace_ratio"] <= MAX_PARQUET_RATIO,
            "growth_ratio": found["growth_ratio"] <= MAX_GROWTH_RATIO,
            "read_ratio": found["read_ratio"] <= MAX_READ_RATIO,
            "rerun_s": found["rerun_s"] <= 1.2 * found["replace_s"],
            "stream_peak_bytes": found["stream_peak_bytes"] <= MAX_PEAK_BYTES,
        }.items()
        if not is_met
    ]
    shutil.rmtree(given.folder)
    if missed:
        sys.exit(f"missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
