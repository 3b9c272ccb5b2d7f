"""What the Iceberg catalog costs: batches of plates, one large plate, many commits, and a stream larger than memory should hold.

    python bench/_storage_catalog.py --folder <scratch folder> --plates 100 --chunks 120000 --commits 500 --stream-rows 5000000

Pass criteria: a batch of plates is one commit per table; replacing one plate's chunk rows takes at most 3 × the
bare Parquet file; the last commits take at most 2 × the first with maintenance on; a stream is written
with less than 1.5 GB.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog

from bioimage_assets.core.catalog.history import list_snapshots
from bioimage_assets.core.catalog.maintain import MaintenanceOptions, maintain_table
from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.catalog.session import open_catalog
from bioimage_assets.core.tables.schemas import CHUNK_INDEX, IMAGE_ASSETS

MAX_PARQUET_RATIO = 3.0
MAX_GROWTH_RATIO = 2.0
MAX_PEAK_BYTES = 1_500_000_000
MAINTAIN_EVERY = 25
NAMESPACE = "bioimage.cytotable"


def build_chunks(plate_key: str, row_count: int) -> pa.Table:
    """Chunk rows as a scan of a plate gives them: 16 chunks per array."""
    array = np.arange(row_count) // 16
    coords = pa.ListArray.from_arrays(
        pa.array(np.arange(0, 2 * row_count + 1, 2), pa.int32()),
        pa.array(np.stack([np.arange(row_count) // 4 % 4, np.arange(row_count) % 4], 1).ravel(), pa.int32()),
    )
    keys = pa.array([f"c/{y}/{x}" for y in range(4) for x in range(4)])
    columns = {
        "plate_key": pa.repeat(plate_key, row_count),
        "dataset_id": pa.repeat(plate_key.split("/")[0], row_count),
        "plate_id": pa.repeat(plate_key.split("/")[1], row_count),
        "image_id": pa.array([f"P1:A01:{i}" for i in range(int(array[-1]) + 1)]).take(pa.array(array)),
        "array_path": pa.array([f"A/1/{i}/0" for i in range(int(array[-1]) + 1)]).take(pa.array(array)),
        "level": pa.array(np.zeros(row_count, "int32")),
        "kind": pa.repeat("object", row_count),
        "chunk_key": keys.take(pa.array(np.arange(row_count) % 16)),
        "chunk_coords": coords,
        "strip_count": pa.nulls(row_count, pa.int32()),
        "nominal_bytes": pa.array(np.full(row_count, 524_288)),
        "stored_bytes": pa.array(np.random.default_rng(0).integers(10_000, 500_000, row_count)),
        "stored_offset": pa.nulls(row_count, pa.int64()),
        "is_present": pa.array(np.ones(row_count, bool)),
    }
    return pa.table(columns, schema=CHUNK_INDEX)


def build_images(plate_key: str, row_count: int) -> pa.Table:
    """Image rows with everything required filled and everything optional null."""
    filled = {
        "plate_key": plate_key, "dataset_id": "bench", "image_kind": "image", "format_family": "zarr",
        "storage_variant": "zarr-v3", "uri": f"/data/{plate_key}.ome.zarr", "dtype": "uint16", "fingerprint": "f",
        "scan_status": "ok", "level_count": 1, "shape": [5, 1080, 1080],
    }  # fmt: skip
    rows = [filled | {"image_id": f"{plate_key}:{i}"} for i in range(row_count)]
    return pa.Table.from_pylist(rows, schema=IMAGE_ASSETS)


def open_scratch(folder: Path) -> Catalog:
    shutil.rmtree(folder, ignore_errors=True)
    properties = {
        "type": "sql",
        "uri": f"sqlite:///{folder}/catalog.db",
        "warehouse": (folder / "tables").as_uri(),
    }
    return open_catalog("embedded", properties)


def bench_batch(folder: Path, plates: int) -> dict[str, object]:
    """A batch of plates in one commit per table."""
    catalog = open_scratch(folder)
    keys = [f"bench/P{number:04d}" for number in range(plates)]
    images = pa.concat_tables([build_images(key, 96) for key in keys])
    chunks = pa.concat_tables([build_chunks(key, 960) for key in keys])
    started = time.perf_counter()
    replace_partitions(catalog, f"{NAMESPACE}.image_assets", images, keys, schema=IMAGE_ASSETS)
    replace_partitions(catalog, f"{NAMESPACE}.chunk_index", chunks, keys, schema=CHUNK_INDEX)
    seconds = time.perf_counter() - started
    commits = [
        len(list_snapshots(catalog, f"{NAMESPACE}.{name}")) for name in ("image_assets", "chunk_index")
    ]
    return {"plates": plates, "seconds": round(seconds, 2), "commits": commits, "is_ok": commits == [1, 1]}


def bench_replace(folder: Path, row_count: int) -> dict[str, object]:
    """One plate's chunk rows against the bare Parquet file of the same rows; the best of five each."""
    catalog = open_scratch(folder)
    rows = build_chunks("bench/P1", row_count)
    bare, replaced = [], []
    for _ in range(5):
        started = time.perf_counter()
        pq.write_table(rows, folder / "bare.parquet", compression="zstd")
        bare.append(time.perf_counter() - started)
        started = time.perf_counter()
        replace_partitions(catalog, f"{NAMESPACE}.chunk_index", rows, ["bench/P1"], schema=CHUNK_INDEX)
        replaced.append(time.perf_counter() - started)
    started = time.perf_counter()
    assert read_table(catalog, f"{NAMESPACE}.chunk_index", plate_keys=["bench/P1"]).num_rows == row_count
    read_s = time.perf_counter() - started
    ratio = min(replaced) / min(bare)
    return {
        "rows": row_count, "bare_s": round(min(bare), 3), "replace_s": round(min(replaced), 3), "read_s": round(read_s, 3),
        "ratio": round(ratio, 2), "is_ok": ratio <= MAX_PARQUET_RATIO,
    }  # fmt: skip


def bench_commits(folder: Path, count: int) -> dict[str, object]:
    """Time of a commit at the beginning and at the end, maintained now and then as a job would."""
    catalog = open_scratch(folder)
    identifier = f"{NAMESPACE}.image_assets"
    options = MaintenanceOptions(keep_snapshots=20, snapshot_age_s=0, orphan_age_s=0)
    seconds, maintenance = [], []
    for number in range(count):
        key = f"bench/P{number % 200:04d}"
        images = build_images(key, 10)
        started = time.perf_counter()
        replace_partitions(catalog, identifier, images, [key], schema=IMAGE_ASSETS)
        seconds.append(time.perf_counter() - started)
        if number % MAINTAIN_EVERY == MAINTAIN_EVERY - 1:
            started = time.perf_counter()
            maintain_table(catalog, identifier, options=options, dry_run=False)
            maintenance.append(time.perf_counter() - started)
    first, last = statistics.median(seconds[:MAINTAIN_EVERY]), statistics.median(seconds[-MAINTAIN_EVERY:])
    return {
        "commits": count, "first_ms": round(first * 1000), "last_ms": round(last * 1000),
        "maintenance_ms": round(statistics.median(maintenance) * 1000), "ratio": round(last / first, 2),
        "is_ok": last <= MAX_GROWTH_RATIO * first,
    }  # fmt: skip


def bench_stream(folder: Path, row_count: int) -> dict[str, object]:
    """A stream of chunk rows of one plate; peak memory of this process."""
    catalog = open_scratch(folder)
    batch = build_chunks("bench/P1", 50_000).combine_chunks().to_batches()[0]

    def batches() -> Iterator[pa.RecordBatch]:
        for _ in range(row_count // batch.num_rows):
            yield batch

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    started = time.perf_counter()
    reader = pa.RecordBatchReader.from_batches(CHUNK_INDEX, batches())
    result = replace_partitions(catalog, f"{NAMESPACE}.chunk_index", reader, ["bench/P1"], schema=CHUNK_INDEX)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "rows": result.row_count, "files": result.file_count, "seconds": round(seconds, 1),
        "rows_per_s": round(result.row_count / seconds), "peak_mb": peak // 10**6, "start_mb": before // 10**6,
        "is_ok": peak < MAX_PEAK_BYTES,
    }  # fmt: skip


STEPS = {"batch": bench_batch, "replace": bench_replace, "commits": bench_commits, "stream": bench_stream}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--plates", type=int, default=100)
    parser.add_argument("--chunks", type=int, default=120_000)
    parser.add_argument("--commits", type=int, default=500)
    parser.add_argument("--stream-rows", type=int, default=5_000_000)
    parser.add_argument("--step", choices=STEPS)
    chosen = parser.parse_args()
    sizes = {
        "batch": chosen.plates,
        "replace": chosen.chunks,
        "commits": chosen.commits,
        "stream": chosen.stream_rows,
    }
    folder = chosen.folder.absolute() / "storage_catalog"
    if chosen.step:
        result = STEPS[chosen.step](folder, sizes[chosen.step])
        print(json.dumps({chosen.step: result}), flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        return 0 if result["is_ok"] else 1
    # Every step has a process of its own, so that peak memory is its own.
    return max(
        subprocess.run([sys.executable, *sys.argv, "--step", step], check=False).returncode for step in STEPS
    )


if __name__ == "__main__":
    sys.exit(main())
