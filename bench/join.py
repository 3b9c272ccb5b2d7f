"""How long a join takes against a bare DuckDB COPY of the same table, and how much memory it needs.

    python bench/join.py

The defaults are the claim's own size: 1,000,000 rows × 500 features joined to 4,000 images. Each step runs in a
process of its own, so that its peak memory is its own, and ends when its output is on the disk. The COPY runs
twice: with all the memory it wants, and within the bound that the join keeps. The join must take at most 1.3 ×
the faster of the two, and less than 2 GB. The folder's files are removed at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MAX_RATIO = 1.3
MAX_PEAK_BYTES = 2_000_000_000
COPY_MEMORY_LIMIT = "2GB"
BUILD_ROWS = 50_000
CHANNELS = ("DNA", "ER", "RNA", "AGP", "Mito")


def build_images(image_count: int) -> pa.Table:
    """A 384-well plate with enough fields per well, as the scan would describe it."""
    from bioimage_assets.core.model.identity import build_well_id

    sites = -(-image_count // 384)
    wells = [(row, column) for row in range(16) for column in range(24)]
    positions = [(well, site) for well in wells for site in range(sites)][:image_count]
    well_ids = [build_well_id(*well) for well, _ in positions]
    array_paths = [f"{chr(65 + well[0])}/{well[1] + 1}/{site}/0" for well, site in positions]
    return pa.table(
        {
            "plate_key": ["bench/P1"] * image_count,
            "dataset_id": ["bench"] * image_count,
            "plate_id": ["P1"] * image_count,
            "well_id": well_ids,
            "site_id": [str(site) for _, site in positions],
            "image_id": [f"P1:{w}:{site}" for w, (_, site) in zip(well_ids, positions, strict=True)],
            "image_kind": ["image"] * image_count,
            "format_family": ["ome-zarr"] * image_count,
            "uri": ["/data/bench/P1.ome.zarr"] * image_count,
            "array_path": array_paths,
            "axes": ["cyx"] * image_count,
            "shape": [[5, 1080, 1080]] * image_count,
            "dtype": ["uint16"] * image_count,
            "channel_names": [list(CHANNELS)] * image_count,
        }
    )


def write_profiles(path: Path, images: pa.Table, row_count: int, feature_count: int) -> None:
    """Cells in measurement order: keys as CellProfiler writes them, float64 features."""
    rng = np.random.default_rng(0)
    image_of_row = np.sort(rng.integers(0, images.num_rows, row_count))
    wells = [
        f"{w[0]}{int(w[1:])}" for w in images.column("well_id").to_pylist()
    ]  # unpadded, to be normalised
    sites = images.column("site_id").to_pylist()
    writer = None
    for start in range(0, row_count, BUILD_ROWS):
        rows = pa.array(image_of_row[start : start + BUILD_ROWS])
        columns: dict[str, pa.Array] = {
            "Metadata_ObjectID": pa.array([f"bench/P1/{start + i}" for i in range(len(rows))]),
            "Metadata_Plate": pa.array(["P1"] * len(rows)),
            "Metadata_Well": pa.array(wells).take(rows),
            "Metadata_Site": pa.array(sites).take(rows),
        }
        for channel in CHANNELS:
            names = pa.array([f"{w}_s{s}_{channel}.tiff" for w, s in zip(wells, sites, strict=True)])
            columns[f"Image_FileName_{channel}"] = names.take(rows)
        features = rng.normal(size=(feature_count, len(rows)))
        columns |= {f"Cells_Feature_{i}": pa.array(features[i]) for i in range(feature_count)}
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema, use_dictionary=["Metadata_Well"])
        writer.write_table(table)
    assert writer is not None
    writer.close()


def run_copy(folder: Path, memory_limit: str | None = None) -> Path:
    """The yardstick: DuckDB reads the Parquet and writes it again."""
    import duckdb

    connection = duckdb.connect()
    if memory_limit:
        connection.execute(f"SET memory_limit = '{memory_limit}'")
        connection.execute(f"SET temp_directory = '{folder / 'spill'}'")
    source, target = folder / "profiles.parquet", folder / "copy.parquet"
    connection.execute(f"COPY (SELECT * FROM read_parquet('{source}')) TO '{target}' (FORMAT parquet)")
    return target


def run_limited_copy(folder: Path) -> Path:
    """The yardstick within the memory that the join may use."""
    return run_copy(folder, COPY_MEMORY_LIMIT)


def run_join(folder: Path) -> Path:
    """The join as an asset does it: Parquet in, linked and written as Parquet."""
    from bioimage_assets.core.joins.join import join_plate

    images = pq.read_table(folder / "images.parquet")
    result = join_plate(images, [str(folder / "profiles.parquet")], plate_key="bench/P1", dataset_id="bench")
    target = folder / "joined.parquet"
    written = result.write_parquet(target)
    assert result.report.matched_rows == written
    return target


STEPS = {"copy": run_copy, "copy_within_2_gb": run_limited_copy, "join": run_join}


def run_step(step: str, folder: Path) -> dict[str, float]:
    """Time one step up to the moment its output is on the disk, and remove the output."""
    started = time.perf_counter()
    target = STEPS[step](folder)
    with target.open("rb") as handle:
        os.fsync(handle.fileno())
    seconds = time.perf_counter() - started
    usage = resource.getrusage(resource.RUSAGE_SELF)
    found = {
        "rows": pq.ParquetFile(target).metadata.num_rows,
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * 1024,
        "output_bytes": target.stat().st_size,
    }
    target.unlink()
    return found


def measure(step: str, folder: Path) -> dict[str, float]:
    """Run one step in its own process."""
    command = [sys.executable, __file__, "--step", step, "--folder", str(folder)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=500)
    parser.add_argument("--images", type=int, default=4_000)
    parser.add_argument("--repeat", type=int, default=3, help="the fastest run of each step counts")
    parser.add_argument("--folder", type=Path, help="scratch folder; default: a temporary one")
    parser.add_argument("--step", choices=sorted(STEPS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(run_step(options.step, options.folder)))
        return 0
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-join-", dir=options.folder) as folder:
        options.folder = Path(folder)
        return compare(options)


def compare(options: argparse.Namespace) -> int:
    """Build the plate, run every step ``--repeat`` times in turn, and judge the fastest run of each."""
    images = build_images(options.images)
    pq.write_table(images, options.folder / "images.parquet")
    write_profiles(options.folder / "profiles.parquet", images, options.rows, options.features)
    runs: dict[str, list[dict[str, float]]] = {step: [] for step in STEPS}
    for _ in range(options.repeat):
        for step in STEPS:
            runs[step].append(measure(step, options.folder))
    best = {step: min(found, key=lambda run: run["seconds"]) for step, found in runs.items()}
    ratios = {step: best["join"]["seconds"] / best[step]["seconds"] for step in STEPS if step != "join"}
    passed = max(ratios.values()) <= MAX_RATIO and best["join"]["peak_bytes"] < MAX_PEAK_BYTES
    print(json.dumps({**best, "join_to": ratios, "passed": passed}, indent=2))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
