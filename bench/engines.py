"""What the engines cost against polars by hand: well medians of all cells of a campaign, relative to each plate's controls.

    python bench/engines.py [--cells 100000000] [--features 50] [--sail-cells 10000000] [--folder FOLDER]

Plates of 384 wells x 1,000 cells lie as Parquet in the folder, float64 as measurements are, in steps of 1/256 so that
100 million cells fit on a disk (8 GB); they are made where they are missing and stay. Each step runs in a process of its
own, so that its peak memory is its own. By hand: one polars expression per plate for the medians, one for its controls.
The same through core/engines must take at most 1.3 x the processor time and 4 GB, and give the same numbers. Then Sail by
Spark Connect, in a cluster of one worker and of two, on fewer cells; a worker has one task at a time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MAX_RATIO = 1.3
MAX_PEAK_BYTES = 4_000_000_000
WELLS, CELLS_PER_WELL = 384, 1000
PLATE_CELLS = WELLS * CELLS_PER_WELL
_START_LIMIT_S = 60.0


def list_plates(folder: Path, cell_count: int, feature_count: int) -> list[Path]:
    """Files of enough plates; those that are missing are made."""
    count = -(-cell_count // PLATE_CELLS)
    place = folder / f"plates-{feature_count}"
    place.mkdir(parents=True, exist_ok=True)
    files = [place / f"P{number:05d}.parquet" for number in range(count)]
    for number, file in enumerate(files):
        if not file.exists():
            half = file.with_suffix(".half")
            pq.write_table(
                build_plate(number, feature_count), half, compression="zstd", row_group_size=1 << 17
            )
            half.rename(file)
    return files


def build_plate(number: int, feature_count: int) -> pa.Table:
    """Cells of one plate, in the order of measurement: site by site, wells in any order."""
    random = np.random.default_rng(number)
    pool = (random.normal(size=PLATE_CELLS * 2) * 256).round() / 256
    wells = np.repeat(random.permutation(WELLS), CELLS_PER_WELL).astype(np.int32)
    names = pa.array([f"{chr(65 + i // 24)}{i % 24 + 1:02d}" for i in range(WELLS)])
    kinds = pa.array(["negcon" if i % 24 < 2 else "treated" for i in range(WELLS)])
    columns = {
        "plate_key": pa.array([f"bench/P{number:05d}"]).take(pa.array(np.zeros(PLATE_CELLS, np.int32))),
        "well_id": names.take(pa.array(wells)),
        "Metadata_control_type": kinds.take(pa.array(wells)),
    }
    for feature in range(feature_count):
        start = int(random.integers(0, PLATE_CELLS))
        columns[name_feature(feature)] = pa.array(pool[start : start + PLATE_CELLS])
    return pa.table(columns)


def name_feature(number: int) -> str:
    return f"Cells_Texture_F{number}"


def run_by_hand(files: Sequence[Path], features: Sequence[str]) -> pa.Table:
    """What one would write with polars for this very task."""
    import polars as pl

    made = []
    for file in files:
        cells = pl.scan_parquet(file)
        controls = cells.filter(pl.col("Metadata_control_type") == "negcon")
        means = controls.select(pl.col(features).mean()).collect(engine="streaming")
        spreads = controls.select(pl.col(features).std(ddof=0)).collect(engine="streaming")
        medians = cells.group_by("plate_key", "well_id").agg(
            pl.col(features).median(), pl.len().alias("cells")
        )
        wells = medians.collect(engine="streaming")
        made.append(wells.with_columns([(pl.col(n) - means[n][0]) / spreads[n][0] for n in features]))
    table = pl.concat(made).sort("plate_key", "well_id").to_arrow()
    return table.select(["plate_key", "well_id", "cells", *features])


def run_engine(files: Sequence[Path], features: Sequence[str], remote: str) -> pa.Table:
    """The same by the reductions of the project."""
    from bioimage_assets.core.engines.aggregates import aggregate_cells
    from bioimage_assets.core.engines.normalize import fit_plates, normalize_groups
    from bioimage_assets.core.engines.open_engine import open_engine
    from bioimage_assets.core.engines.open_source import parquet_source
    from bioimage_assets.core.engines.plan import IsIn

    engine = open_engine("spark", remote) if remote else open_engine()
    cells = parquet_source("joined_profiles", files)
    controls = [IsIn("Metadata_control_type", ("negcon",))]
    scalings = fit_plates(engine, cells, features, reference=controls)
    wells = aggregate_cells(engine, cells, ["plate_key", "well_id"], features, count_name="cells")
    return normalize_groups(wells, scalings)


def run_step(step: str, files: Sequence[Path], features: Sequence[str], remote: str, output: Path) -> None:
    """One step in this process; its cost is printed as JSON."""
    start, cpu = time.perf_counter(), time.process_time()
    table = run_by_hand(files, features) if step == "hand" else run_engine(files, features, remote)
    pq.write_table(table, output)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    cost = {"wall_s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu, "peak_bytes": peak}
    print(json.dumps({**cost, "rows": table.num_rows}))


def measure(arguments: argparse.Namespace, step: str, cells: int, remote: str = "") -> dict[str, float]:
    """Run a step in a process of its own."""
    command = [
        sys.executable,
        __file__,
        "--step",
        step,
        "--cells",
        str(cells),
        "--folder",
        str(arguments.folder),
    ]
    command += ["--features", str(arguments.features), "--remote", remote]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    cost: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return cost


@contextmanager
def sail_cluster(workers: int) -> Iterator[tuple[str, int]]:
    """Address and process of a Sail server with a cluster of so many workers, each of one task at a time."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {
        **os.environ,
        "SAIL_MODE": "local-cluster",
        "SAIL_CLUSTER__WORKER_INITIAL_COUNT": str(workers),
        "SAIL_CLUSTER__WORKER_MAX_COUNT": str(workers),
        "SAIL_CLUSTER__WORKER_TASK_SLOTS": "1",
        "SAIL_EXECUTION__DEFAULT_PARALLELISM": str(workers),
        # Rows go from one worker to the other over this machine's own address: to compress them (zstd is the default)
        # takes longer than to send them.
        "SAIL_CLUSTER__SHUFFLE_BACKEND__FLIGHT__COMPRESSION": "none",
        "RUST_LOG": "error",
    }
    program = Path(sys.executable).with_name("sail")
    command = [str(program), "spark", "server", "--ip", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            wait_for(port)
            yield f"sc://127.0.0.1:{port}", server.pid
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()


def wait_for(port: int) -> None:
    """Wait until a port of this machine answers."""
    end = time.monotonic() + _START_LIMIT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def read_process(pid: int) -> tuple[float, int]:
    """Processor seconds and peak bytes of a running process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds, int(status["VmHWM"].split()[0]) * 1024


def compare(folder: Path, first: str, second: str) -> float:
    """Largest difference of two results, after a look that their rows are the same."""
    one, other = (pq.read_table(folder / f"{name}.result.parquet") for name in (first, second))
    keys = ["plate_key", "well_id", "cells"]
    if one.select(keys).to_pydict() != other.select(keys).to_pydict():
        raise SystemExit(f"{first} and {second} have other rows")
    names = [name for name in one.column_names if name not in keys]
    return max(float(np.abs(one[name].to_numpy() - other[name].to_numpy()).max()) for name in names)


def show(step: str, cost: dict[str, float], cells: int) -> None:
    line = f"{step:28s} wall {cost['wall_s']:8.1f} s  cpu {cost['cpu_s']:8.1f} s  peak {cost['peak_bytes'] / 1e9:5.2f} GB"
    print(f"{line}  {cells / 1e6 / cost['wall_s']:6.2f} M cells/s", flush=True)


def check(name: str, value: float, limit: float) -> bool:
    """Print a number beside its limit."""
    is_met = value <= limit
    print(f"{name:52s} {value:10.3g}  limit {limit:g}  {'ok' if is_met else 'MISSED'}", flush=True)
    return is_met


def run_polars(arguments: argparse.Namespace) -> list[bool]:
    """By hand and by the engine, on all cells."""
    hand = measure(arguments, "hand", arguments.cells)
    show("polars by hand", hand, arguments.cells)
    engine = measure(arguments, "engine", arguments.cells)
    show("core/engines, polars", engine, arguments.cells)
    return [
        check("engine / by hand, processor time", engine["cpu_s"] / hand["cpu_s"], MAX_RATIO),
        check("engine / by hand, clock", engine["wall_s"] / hand["wall_s"], MAX_RATIO),
        check("peak of the engine in GB", engine["peak_bytes"] / 1e9, MAX_PEAK_BYTES / 1e9),
        check("largest difference of the numbers", compare(arguments.folder, "hand", "engine"), 1e-9),
    ]


def run_sail(arguments: argparse.Namespace) -> list[bool]:
    """Sail with one worker and with two, on the first plates."""
    cells = arguments.sail_cells
    measure(arguments, "engine", cells)
    walls, checks = {}, []
    for workers in (1, 2):
        with sail_cluster(workers) as (remote, pid):
            cost = measure(arguments, f"sail-{workers}", cells, remote)
            server_s, peak = read_process(pid)
        show(
            f"Sail, {workers} worker(s)",
            {**cost, "cpu_s": cost["cpu_s"] + server_s, "peak_bytes": peak},
            cells,
        )
        walls[workers] = cost["wall_s"]
        difference = compare(arguments.folder, "engine", f"sail-{workers}")
        checks.append(check(f"largest difference of Sail, {workers} worker(s)", difference, 1e-9))
    checks.append(check("two workers / one, clock", walls[2] / walls[1], 1.0))
    return checks


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=100_000_000)
    parser.add_argument("--features", type=int, default=50)
    parser.add_argument("--sail-cells", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, default=Path("build/bench-engines"))
    parser.add_argument("--step", default="all", help=argparse.SUPPRESS)
    parser.add_argument("--remote", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    files = list_plates(arguments.folder, max(arguments.cells, 1), arguments.features)
    features = [name_feature(number) for number in range(arguments.features)]
    if arguments.step not in ("all", "make"):
        output = arguments.folder / f"{arguments.step}.result.parquet"
        run_step(arguments.step, files, features, arguments.remote, output)
        return
    size = sum(file.stat().st_size for file in files)
    print(
        f"{len(files)} plates, {len(files) * PLATE_CELLS:,} cells x {arguments.features} features, {size / 1e9:.1f} GB"
    )
    if arguments.step == "all":
        checks = run_polars(arguments) + (run_sail(arguments) if arguments.sail_cells else [])
        sys.exit(0 if all(checks) else 1)


if __name__ == "__main__":
    main()
