"""A virtual plate beside its chunk index, in one run: processor time of planning and writing, as a ratio.

    python bench/virtual.py [--wells 384] [--sites 9] [--channels 5] [--repeats 3]

Folders of one-channel TIFFs and a Zarr plate; the groups' documents are part of it. The index is that of a plate which was scanned already:
its rows alone. Times are those of the fastest of several runs in turn.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.scan import best_in_turn, report
from bioimage_assets.core.formats.ome_tiff.chunks import build_tiff_chunks
from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_image_assets, scan_store_records
from bioimage_assets.core.virtual.ome_metadata import build_group_documents
from bioimage_assets.core.virtual.plan import plan_virtual_plate
from bioimage_assets.core.virtual.write_json import write_kerchunk_json
from bioimage_assets_tests.builders.tiff_plates import imagexpress_name, write_plane
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate

LIMIT = 1.2
ZARR_LIMIT = 2.0  # every chunk is a file, which is listed for the index and looked at again for its time


def write_files(folder: Path, wells: int, sites: int, channels: int) -> int:
    """Write the plate: one small file, and copies of it."""
    names = [f"{chr(65 + number // 24)}{number % 24 + 1:02d}" for number in range(wells)]
    first = write_plane(folder / "first.tif")
    raw = first.read_bytes()
    first.unlink()
    for well in names:
        for site in range(1, sites + 1):
            for channel in range(1, channels + 1):
                (folder / imagexpress_name(well, site, channel)).write_bytes(raw)
    return wells * sites * channels


def bench_plate(name: str, uri: str, target: Path, repeats: int, limit: float) -> None:
    """Time both, and say where the time goes; ``limit`` times the index is allowed."""
    images = scan_image_assets(uri)
    chunks: list[pa.Table] = []
    scan = scan_store_records(uri)

    def index() -> None:
        batches = build_tiff_chunks(scan) if "tiff" in scan.format_family else scan_chunk_index(uri)
        chunks[:] = [pa.Table.from_batches(batches)]

    def virtual() -> None:
        plate = plan_virtual_plate(images, chunks[0].to_batches())
        write_kerchunk_json(plate, build_group_documents(images, plate), str(target))

    indexed, made = best_in_turn(index, virtual, repeats)
    plate = plan_virtual_plate(images, chunks[0].to_batches())
    groups = build_group_documents(images, plate)
    parts = {
        "plan": time_of(lambda: plan_virtual_plate(images, chunks[0].to_batches())),
        "groups": time_of(lambda: build_group_documents(images, plate)),
        "write": time_of(lambda: write_kerchunk_json(plate, groups, str(target))),
    }
    shown = ", ".join(f"{part} {seconds:.2f} s" for part, seconds in parts.items())
    size = target.stat().st_size / 2**20
    print(
        f"     {name}: {len(images):,} images, {len(chunks[0]):,} rows, {size:.1f} MB; index {indexed:.2f} s, virtual plate {made:.2f} s ({shown})"
    )
    report(f"{name}: chunk index against virtual plate", limit * indexed / made, 1.0)


def time_of(work: Callable[[], object]) -> float:
    """Processor time of one run."""
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("wells", 384), ("sites", 9), ("channels", 5), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        root = Path(folder)
        count = write_files(root / "plate", options.wells, options.sites, options.channels)
        bench_plate(
            f"{count:,} one-channel TIFFs", str(root / "plate"), root / "tiff.json", options.repeats, LIMIT
        )
        write_pixel_plate(root / "P1.zarr", rows=8, columns=6, fields=3, levels=3)
        bench_plate("Zarr plate", str(root / "P1.zarr"), root / "zarr.json", options.repeats, ZARR_LIMIT)


if __name__ == "__main__":
    main()
