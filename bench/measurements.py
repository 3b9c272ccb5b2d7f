"""How long a CellProfiler plate takes to read against a bare DuckDB join of its CSVs, and how much memory it needs.

    python bench/measurements.py --cells 50000 --features 160 --images 384

Each step runs in a process of its own, so that its peak memory is its own. ``features`` are per compartment.
The pass criterion is a time of at most 1.5 × the bare join and a peak under 2 GB, which the bare join does not keep
once a plate is larger than memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

MAX_RATIO = 1.5
MAX_PEAK_BYTES = 2_000_000_000
COMPARTMENTS = ("Cells", "Cytoplasm", "Nuclei")
BLOCK_IMAGES = 16


def peak_memory_bytes() -> int:
    """Peak of this program alone: ``ru_maxrss`` would include the process that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:", 1)[1].split()[0]) * 1024


def build_plate(folder: Path, cells: int, features: int, images: int) -> None:
    """Three CSVs of random features with shuffled parents, and an Image.csv; written a few images at a time."""
    rng = np.random.default_rng(7)
    per_image = cells // images
    folder.mkdir(parents=True, exist_ok=True)
    for compartment in COMPARTMENTS:
        writer = None
        for start in range(0, images, BLOCK_IMAGES):
            block = np.arange(start, min(start + BLOCK_IMAGES, images)) + 1
            count = len(block) * per_image
            columns = {
                "ImageNumber": np.repeat(block, per_image),
                "ObjectNumber": np.tile(np.arange(1, per_image + 1), len(block)),
                **{f"Texture_F{i}_DNA": rng.normal(size=count) for i in range(features)},
                "Number_Object_Number": np.tile(np.arange(1, per_image + 1), len(block)),
            }
            if compartment != "Nuclei":
                columns["Parent_Nuclei"] = np.tile(np.arange(per_image, 0, -1), len(block))
            if compartment == "Cytoplasm":
                columns["Parent_Cells"] = np.tile(np.arange(1, per_image + 1), len(block))
            table = pa.table(columns)
            writer = writer or pa_csv.CSVWriter(folder / f"{compartment}.csv", table.schema)
            writer.write(table)
        if writer is not None:
            writer.close()
    numbers = np.arange(1, images + 1)
    counts = {f"Count_{name}": np.full(images, float(per_image)) for name in COMPARTMENTS}
    names = [f"P1_{chr(65 + i // 24 % 16)}{i % 24 + 1:02d}_s{i // 384 + 1}_w1.tif" for i in range(images)]
    pa_csv.write_csv(
        pa.table({"ImageNumber": numbers, **counts, "FileName_DNA": names}), folder / "Image.csv"
    )


def run_bare(folder: Path, target: Path) -> int:
    """The join as one SQL statement over the CSVs, straight to Parquet."""
    import duckdb

    connection = duckdb.connect(config={"threads": 2})
    tables = {name: f"read_csv('{folder / name}.csv')" for name in COMPARTMENTS}
    connection.execute(
        f"COPY (SELECT * FROM {tables['Cytoplasm']} y "
        f"LEFT JOIN {tables['Cells']} c ON c.ImageNumber = y.ImageNumber AND c.ObjectNumber = y.Parent_Cells "
        f"LEFT JOIN {tables['Nuclei']} n ON n.ImageNumber = y.ImageNumber AND n.ObjectNumber = y.Parent_Nuclei "
        f"LEFT JOIN read_csv('{folder}/Image.csv') i ON i.ImageNumber = y.ImageNumber) "
        f"TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
    )
    return pq.read_metadata(target).num_rows


def run_reader(folder: Path, target: Path) -> int:
    """The product's reader, streamed to the same kind of file."""
    from bioimage_assets.core.measurements.read import read_measurements
    from bioimage_assets.core.settings.dataset import DatasetSettings

    plate = read_measurements(
        [str(folder)], plate_key="bench/P1", dataset_id="bench", plate_name="P1", settings=DatasetSettings(),
        staging_root=str(target.parent),
    )  # fmt: skip
    errors = [finding.message for finding in plate.findings if finding.severity == "error"]
    if errors:
        raise SystemExit(f"unexpected findings: {errors}")
    with pq.ParquetWriter(target, plate.reader.schema, compression="zstd") as writer:
        for batch in plate.reader:
            writer.write_batch(batch)
    return pq.read_metadata(target).num_rows


def measure(step: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Run one step in a process of its own and give its seconds, rows and peak bytes."""
    command = [sys.executable, __file__, "--step", step, "--folder", str(arguments.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=50_000)
    parser.add_argument("--features", type=int, default=160)
    parser.add_argument("--images", type=int, default=384)
    parser.add_argument("--folder", type=Path, help="scratch folder; default: a temporary one")
    parser.add_argument("--step", choices=["bare", "reader"])
    parser.add_argument("--only-build", action="store_true", help="write the plate and stop")
    arguments = parser.parse_args()
    with nullcontext(arguments.folder) if arguments.folder else TemporaryDirectory() as folder:
        arguments.folder = Path(folder)
        bench(arguments)


def bench(arguments: argparse.Namespace) -> None:
    """Build the plate where it is not there, and time both ways to read it; or one of them, where that is asked for."""
    plate = arguments.folder / "plate"
    if arguments.step:
        run = run_bare if arguments.step == "bare" else run_reader
        start = time.perf_counter()
        rows = run(plate, arguments.folder / f"{arguments.step}.parquet")
        peak = peak_memory_bytes()
        print(json.dumps({"seconds": time.perf_counter() - start, "rows": rows, "peak_bytes": peak}))
        return
    if not (plate / "Image.csv").exists():
        build_plate(plate, arguments.cells, arguments.features, arguments.images)
    if arguments.only_build:
        return
    csv_bytes = sum(path.stat().st_size for path in plate.glob("*.csv"))
    results = {step: measure(step, arguments) for step in ("bare", "reader")}
    ratio = results["reader"]["seconds"] / results["bare"]["seconds"]
    print(f"{csv_bytes / 1e6:.0f} MB of CSV, {results['reader']['rows']:.0f} cells")
    for step, result in results.items():
        print(f"{step:>7}: {result['seconds']:6.1f} s, peak {result['peak_bytes'] / 1e6:6.0f} MB")
    print(f"ratio {ratio:.2f} (at most {MAX_RATIO})")
    if results["bare"]["rows"] != results["reader"]["rows"]:
        raise SystemExit("the two results differ in rows")
    if ratio > MAX_RATIO or results["reader"]["peak_bytes"] > MAX_PEAK_BYTES:
        raise SystemExit("slower or larger than allowed")


if __name__ == "__main__":
    main()
