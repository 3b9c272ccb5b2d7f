"""What one more plate costs when very many are stored already: the warehouse root, on a disk and in a bucket.

    python bench/growth.py --folder <scratch folder> [--steps 20,200,2000,10000] [--tables 13] [--s3] [--linked] [--until 600]

Tables of small plates are filled up to each step; then one plate is replaced, replaced by the same rows, and read, a root opened, and
what `status` asks about all plates looked at. Bytes and requests are counted, processor time is taken: a shared machine's clock says
little. The folder is kept: a run that ends at ``--until`` seconds goes on where it ended. ``--s3`` starts SeaweedFS on this machine.

Pass criteria: replacing one plate takes at most 1.5 × the processor time, bytes and requests of that among 20, up to 2,000 plates; at the last step the
processor time and the requests still do, the bytes at most 2 × (the index of a table has 1.4 bytes for each plate); the manifest is not larger.
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
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import obstore
import pyarrow as pa

from bioimage_assets.core.warehouse.changes.stage_entries import stage_entries
from bioimage_assets.core.warehouse.manifest import manifest_file, stored_partitions
from bioimage_assets.core.warehouse.manifest.changed_partitions import ChangedPartitions
from bioimage_assets.core.warehouse.manifest.layout import MANIFEST_NAME, build_part_name
from bioimage_assets.core.warehouse.root import Warehouse, open_warehouse
from bioimage_assets.core.warehouse.validation.lost_files import read_stored

MAX_RATIO = 1.5
MAX_LAST_RATIO = 2.0
BATCH = 500  # plates that are filled in by one change
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


def fill_linked(warehouse: Warehouse, tables: list[str], target: int) -> bool:
    """The same on a disk in a fraction of the time: parts of further plates are links to one part, their entries are written at once."""
    fill(warehouse, tables, min(target, 20), math.inf)
    files = warehouse.files_at
    for name in tables:
        with files.staging() as folder, files.exclusive():
            manifest, version = manifest_file.read_manifest(files)
            before = manifest.entry(name)
            assert before is not None
            partitions = ChangedPartitions(before.partitions)
            pattern = partitions[key_of(0)]
            for number in range(20, target):
                key, part = key_of(number), build_part_name(key_of(number))
                if key not in partitions:
                    os.link(
                        Path(files.location(f"{name}/{pattern.files[0]}")), files.location(f"{name}/{part}")
                    )
                    partitions[key] = replace(
                        pattern, files=(part,), digest=f"{number:032x}", file_digests=(f"{number:032x}",)
                    )
            staged = stage_entries(
                files, replace(before, partitions=partitions), before, before.steps, folder
            )
            files.put_documents(staged.puts)
            files.commit(None, manifest.with_entry(staged.entry).to_bytes(), version, None)
    return True


@contextmanager
def counted_requests() -> Iterator[Counter[str]]:
    """Requests by kind while a block runs."""
    found: Counter[str] = Counter()

    def around(name: str, original: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            found[name] += 1
            return original(*arguments, **options)

        return call

    with ExitStack() as patched:
        for name in ("get", "put", "head", "delete", "list"):
            patched.enter_context(patch.object(obstore, name, around(name, getattr(obstore, name))))
        yield found


def measure(act: Callable[[int], object], repeats: int = 7) -> dict[str, float]:
    """Median processor and clock seconds of an act."""
    cpu, wall = [], []
    for number in range(repeats):
        begun = (time.process_time(), time.perf_counter())
        act(number)
        cpu.append(time.process_time() - begun[0])
        wall.append(time.perf_counter() - begun[1])
    return {"cpu_ms": statistics.median(cpu) * 1e3, "wall_ms": statistics.median(wall) * 1e3}


def forget() -> None:
    """As a new process: nothing is known of any root."""
    manifest_file._PARSED.clear()
    stored_partitions._PARSED.clear()


def measure_step(
    place: str, options: Mapping[str, object], tables: list[str], plates: int
) -> dict[str, object]:
    """All numbers of one step."""
    warehouse, name, number = open_warehouse(place, storage_options=options), tables[0], 7
    key = key_of(number)

    def replace_one(seed: int) -> None:
        warehouse.replace_partitions(
            name,
            build_plate(number, seed),
            [key],
            role="profiles",
            fingerprint=f"g{seed}",
            run_id="r" * 36,
            steps=STEPS,
        )

    def replace_three(seed: int) -> None:
        plates = {key_of(number + i): build_plate(number + i, seed) for i in range(3)}
        warehouse.replace_partitions(
            tables[-1],
            plates,
            list(plates),
            role="profiles",
            fingerprint=f"g{seed}",
            run_id="r" * 36,
            steps=STEPS,
        )

    def look_at_all(_: int) -> None:
        forget()
        read_stored(warehouse.files_at)

    def open_new(_: int) -> None:
        forget()
        open_warehouse(place, storage_options=options).tables()

    def read_new(_: int) -> None:
        forget()
        warehouse.read(name, plate_keys=[key])

    first = time.time_ns() % 1_000_000  # other rows than those of the run before
    replace_one(first)
    found: dict[str, object] = {"plates": plates, "tables": len(tables)}
    found["replace"] = measure(lambda i: replace_one(first + 1 + i))
    found["same"] = measure(lambda _: replace_one(first + 7))
    found["replace_three_at_once"] = measure(lambda i: replace_three(first + 1 + i), 3)
    found["read_one"] = measure(lambda _: warehouse.read(name, plate_keys=[key]))
    found["read_one_new_process"] = measure(read_new)
    found["open_new_process"] = measure(open_new)
    found["status_new_process"] = measure(look_at_all, 3)
    found["status_again"] = measure(lambda _: read_stored(warehouse.files_at), 3)
    if options:
        with counted_requests() as requests:
            replace_one(first + 9)
        found["requests"] = dict(requests)
        manifest = warehouse.files_at.read(MANIFEST_NAME)
        found["manifest_bytes"] = len(manifest[0]) if manifest is not None else 0
    else:
        found["bytes_written"] = _bytes_written(Path(place), lambda: replace_one(first + 9))
        found["manifest_bytes"] = (Path(place) / MANIFEST_NAME).stat().st_size
    return found


def _bytes_written(root: Path, act: Callable[[], object]) -> int:
    """Bytes of the files that are other ones afterwards; a copy of a table's folder is none."""
    before = {path: path.stat().st_ino for path in root.rglob("*") if path.is_file()}
    act()
    return sum(p.stat().st_size for p in root.rglob("*") if p.is_file() and before.get(p) != p.stat().st_ino)


@contextmanager
def run_seaweedfs(folder: Path) -> Iterator[dict[str, object]]:
    """Start master, volume, filer and S3 on this machine's own address; give the options for its clients."""
    program = Path(sys.executable).with_name("weed")
    ports = {name: _free_port() for name in ("master", "volume", "filer", "s3")}
    grpc = {f"{name}.grpc": _free_port() for name in ports}
    arguments = [
        f"-{name.replace('.grpc', '.port.grpc') if '.grpc' in name else f'{name}.port'}={port}"
        for name, port in (ports | grpc).items()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("ab") as log:
        server = subprocess.Popen(
            [program, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-master.volumeSizeLimitMB=1024",
             "-volume.max=64", *arguments],
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
        yield options
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


def run(place: str, options: Mapping[str, object], chosen: argparse.Namespace) -> list[dict[str, object]]:
    """Fill and measure, step by step, until the time is over."""
    deadline = time.monotonic() + chosen.until
    tables = [f"table_{number:02d}" for number in range(chosen.tables)]
    rows: list[dict[str, object]] = []
    for plates in map(int, chosen.steps.split(",")):
        warehouse = open_warehouse(place, storage_options=options)
        have = warehouse.row_count(tables[-1]) // 8 if warehouse.has_table(tables[-1]) else 0
        if have > plates:
            continue  # of a run before
        is_full = (
            fill_linked(warehouse, tables, plates)
            if chosen.linked
            else fill(warehouse, tables, plates, deadline)
        )
        if not is_full:
            print(f"the time is over before {plates} plates; run again", flush=True)
            break
        rows.append(measure_step(place, options, tables, plates))
        print(json.dumps(rows[-1]), flush=True)
        with (chosen.folder / f"growth-{'s3' if options else 'local'}.jsonl").open("a") as kept:
            kept.write(json.dumps(rows[-1]) + "\n")
    return rows


def report(path: Path) -> int:
    """Table of all steps that were measured, the exponent between the last two, and what is missed."""
    rows = {row["plates"]: row for row in map(json.loads, path.read_text().splitlines())}
    kinds = [
        name
        for name, value in next(iter(rows.values())).items()
        if isinstance(value, dict) and "cpu_ms" in value
    ]
    print(
        "| plates | "
        + " | ".join(f"{kind} CPU ms (clock)" for kind in kinds)
        + " | manifest bytes | written or requests |"
    )
    print("|---" * (len(kinds) + 3) + "|")
    for plates, row in rows.items():
        cells = [f"{row[kind]['cpu_ms']:.1f} ({row[kind]['wall_ms']:.0f})" for kind in kinds]
        print(f"| {plates} | " + " | ".join(cells) + f" | {row['manifest_bytes']} | {_moved(row):.0f} |")
    first, *_, before, last = (rows[min(rows)], *rows.values()) if len(rows) > 1 else (rows[min(rows)],) * 3
    if last is first:
        return 0
    spread = math.log(last["plates"] / before["plates"]) if last is not before else math.inf
    for kind in kinds:
        print(f"{kind}: exponent {math.log(last[kind]['cpu_ms'] / before[kind]['cpu_ms']) / spread:.2f}")
    missed = ["manifest"] if last["manifest_bytes"] > 1.05 * first["manifest_bytes"] else []
    for row in rows.values():
        cpu = row["replace"]["cpu_ms"] / first["replace"]["cpu_ms"]
        moved = _moved(row) / _moved(first)
        print(
            f"{first['plates']} to {row['plates']} plates: processor time {cpu:.2f} ×, written or requests {moved:.2f} ×"
        )
        most = MAX_RATIO if row["plates"] <= 2_000 or "requests" in row else MAX_LAST_RATIO
        missed += [
            f"{row['plates']}: {ratio:.2f} ×"
            for ratio, most in ((cpu, MAX_RATIO), (moved, most))
            if ratio > most
        ]
    print(f"missed: {', '.join(missed)}" if missed else "met")
    return 1 if missed else 0


def _moved(row: Mapping[str, Any]) -> float:
    """Bytes that one plate writes, in a bucket its requests."""
    return float(row.get("bytes_written") or sum(row["requests"].values()))


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
        "--linked", action="store_true", help="on a disk: parts of all but 20 plates are links to one part"
    )
    parser.add_argument(
        "--until", type=float, default=math.inf, help="seconds after which no further plates are filled in"
    )
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    kind = "s3" if chosen.s3 else "local"
    if chosen.s3:
        with run_seaweedfs(chosen.folder / "weed") as options:
            _make_bucket(options)
            run("s3://growth/root", options, chosen)
    else:
        run(str(chosen.folder / "root"), {}, chosen)
    kept = chosen.folder / f"growth-{kind}.jsonl"
    return report(kept) if kept.exists() else 1


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
