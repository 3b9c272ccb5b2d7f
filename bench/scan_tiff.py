"""TIFF scanning as ratios in one run: against raw open+read, tifffile's first page and series, and a plate folder.

Run: ``python bench/scan_tiff.py [files] [rounds]``. Times are CPU seconds of the best of several interleaved
rounds, since ratios of one run are solid where absolute times are not.
"""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tifffile

from bioimage_assets.core.formats.ome_tiff.chunks import build_tiff_chunks
from bioimage_assets.core.formats.ome_tiff.file_scan import scan_file
from bioimage_assets.core.formats.ome_tiff.scan import scan_tiff
from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets.core.stores.open import open_store

CHANNELS = ("DNA", "ER", "RNA", "AGP", "Mito")


OPTIONAL = (
    "Color",
    "EmissionWavelength",
    "ExcitationWavelength",
    "NDFilter",
    "PinholeSize",
    "PockelCellSetting",
    "SamplesPerPixel",
)

OWN = {
    "uuid": "OME-XML equal but for the UUID",
    "name": "names of each file its own, structure shared",
    "size": "name, pixel size and width of each file its own",
    "parsed": "attributes there in one file and not in the next, so that nothing is shared",
}


def write_files(
    folder: Path, count: int, *, own: str = "uuid", channels: Sequence[str] = CHANNELS
) -> list[Path]:
    """Write OME-TIFFs with sizes and names, as one field each.

    ``own`` says in what each file's XML is different: its UUID, also the image's name, also its sizes, or also which
    attributes there are, so that the documents of no two files have one structure and each is parsed.
    """
    metadata: dict[str, object] = {
        "axes": "CYX",
        "Channel": {"Name": list(channels)},
        "PhysicalSizeX": 0.65,
        "PhysicalSizeY": 0.65,
    }
    paths = [folder / f"image{number:05d}.ome.tif" for number in range(count)]
    for number, path in enumerate(paths):
        if own != "uuid":
            metadata["Name"] = path.name
        if own in ("size", "parsed"):
            metadata["PhysicalSizeX"] = 0.65 + number * 1e-6
        if own == "parsed":
            present = {name: [1] * len(channels) for bit, name in enumerate(OPTIONAL) if number >> bit & 1}
            metadata["Channel"] = {"Name": list(channels), **present}
        width = 64 if own in ("uuid", "name") else 32 + number % 64
        tifffile.imwrite(path, np.zeros((len(channels), 64, width), np.uint16), ome=True, metadata=metadata)
    return paths


def read_raw(path: Path) -> None:
    with path.open("rb") as handle:
        handle.read(16384)


def read_first_page(path: Path) -> None:
    with path.open("rb") as handle:
        tifffile.TiffFile(handle, _multifile=False).pages[0].shape  # noqa: B018


def read_series(path: Path) -> None:
    with tifffile.TiffFile(path) as tiff:
        for series in tiff.series:
            [(page.dataoffsets, page.databytecounts) for page in series.pages]


def measure(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """CPU seconds of the best round of each call; rounds are interleaved."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.process_time()
            call()
            best[name] = min(best[name], time.process_time() - started)
    return best


def bench_files(folder: Path, count: int, rounds: int, own: str, channels: Sequence[str]) -> None:
    paths = write_files(folder, count, own=own, channels=channels)
    print(f"{len(channels)} channel(s); {OWN[own]}:")
    store = open_store(str(folder))
    calls: dict[str, Callable[[], object]] = {
        "raw open + 16 kB": lambda: [read_raw(path) for path in paths],
        "tifffile pages[0]": lambda: [read_first_page(path) for path in paths],
        "tifffile series + offsets": lambda: [read_series(path) for path in paths],
        "scan_file (row and offsets)": lambda: [scan_file(store, path.name, {}) for path in paths],
        "scan_plate_folder": lambda: scan_plate_folder(str(folder)),
    }
    best = measure(calls, rounds)
    for name, seconds in best.items():
        print(f"{name:32s} {count / seconds:10,.0f} files/s")
    own = best["scan_file (row and offsets)"]
    print(f"of tifffile pages[0] {best['tifffile pages[0]'] / own:.2f}x (goal 0.6)")
    print(f"of tifffile series + offsets {best['tifffile series + offsets'] / own:.2f}x (goal 1.5)")


def bench_plate(folder: Path, wells: int, sites: int) -> None:
    """A plate of one-channel files: fields per second, chunk rows per second, peak memory."""
    plane = np.zeros((16, 16), np.uint16)
    tifffile.imwrite(folder / "plane.tif", plane, metadata=None)
    payload = (folder / "plane.tif").read_bytes()
    (folder / "plane.tif").unlink()
    for well in range(wells):
        for site in range(sites):
            for channel in range(5):
                name = f"P1_{chr(65 + well // 24)}{well % 24 + 1:02d}_s{site + 1}_w{channel + 1}.tif"
                (folder / name).write_bytes(payload)
    started = time.process_time()
    scan = scan_plate_folder(str(folder))
    seconds = time.process_time() - started
    files = wells * sites * 5
    print(
        f"plate of {files:,} one-channel files: {seconds:.2f} s, {len(scan.images) / seconds:,.0f} fields/s"
    )
    started = time.process_time()
    rows = sum(batch.num_rows for batch in build_tiff_chunks(scan))
    seconds = time.process_time() - started
    tracemalloc.start()
    sum(batch.num_rows for batch in build_tiff_chunks(scan))
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    print(
        f"its chunk index: {rows:,} rows, {rows / seconds:,.0f} rows/s (every directory read), peak {peak:.0f} MB traced"
    )


def bench_tiles(folder: Path) -> None:
    """One large tiled image: chunk rows per second from its tags."""
    path = folder / "tiles.tif"
    tifffile.imwrite(
        path, np.zeros((8, 4096, 4096), np.uint8), tile=(16, 16), compression="zlib", metadata=None
    )
    scan = scan_tiff(str(path))
    started = time.process_time()
    rows = sum(batch.num_rows for batch in build_tiff_chunks(scan))
    print(f"tiles of one file: {rows:,} rows, {rows / (time.process_time() - started):,.0f} rows/s")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    for own in OWN:
        for channels in (CHANNELS, CHANNELS[:1]):
            with TemporaryDirectory() as folder:
                bench_files(Path(folder), count, rounds, own, channels)
    with TemporaryDirectory() as folder:
        bench_plate(Path(folder), 96, 9)
    with TemporaryDirectory() as folder:
        bench_tiles(Path(folder))


if __name__ == "__main__":
    main()
