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
from bioimage_assets.core.model.scan import StoreScan
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
    bench_chunks("chunk table", lambda: scan_plate_folder(str(folder)), rounds)


def bench_plate(folder: Path, wells: int, sites: int, channels: int, rounds: int) -> None:
    """A plate of one-channel files: fields per second, chunk rows per second and as a ratio, peak memory."""
    plane = np.zeros((16, 16), np.uint16)
    tifffile.imwrite(folder / "plane.tif", plane, metadata=None)
    payload = (folder / "plane.tif").read_bytes()
    (folder / "plane.tif").unlink()
    for well in range(wells):
        for site in range(sites):
            for channel in range(channels):
                name = f"P1_{chr(65 + well // 24)}{well % 24 + 1:02d}_s{site + 1}_w{channel + 1}.tif"
                (folder / name).write_bytes(payload)
    scan = scan_plate_folder(str(folder))
    name = f"plate of {wells * sites * channels:,} files, {channels} per field"
    bench_chunks(name, lambda: scan_plate_folder(str(folder)), rounds)
    tracemalloc.start()
    sum(batch.num_rows for batch in build_tiff_chunks(scan))
    print(f"peak {tracemalloc.get_traced_memory()[1] / 1e6:.0f} MB traced")
    tracemalloc.stop()


def bench_chunks(name: str, scan_call: Callable[[], StoreScan], rounds: int) -> None:
    """The chunk table of one scan against the scan."""
    scan = scan_call()
    rows = sum(batch.num_rows for batch in build_tiff_chunks(scan))
    best = measure(
        {"scan": scan_call, "chunks": lambda: sum(batch.num_rows for batch in build_tiff_chunks(scan))},
        rounds,
    )
    print(
        f"{name}: {len(scan.images) / best['scan']:,.0f} images/s, {rows / best['chunks']:,.0f} chunk rows/s, "
        f"{best['chunks'] / best['scan']:.2f}x the scan (goal 2)"
    )


def bench_stacks(folder: Path, rounds: int) -> None:
    """Many pages in one file: the chunk table against the scan."""
    options = {"photometric": "minisblack"}
    tifffile.imwrite(folder / "stack.tif", np.zeros((3000, 16, 16), np.uint16), metadata=None, **options)
    ome = {"ome": True, "metadata": {"axes": "TCZYX"}, **options}
    tifffile.imwrite(folder / "stack.ome.tif", np.zeros((10, 5, 60, 16, 16), np.uint16), **ome)
    packed = {"rowsperstrip": 4, "compression": "zlib", "metadata": None, **options}
    tifffile.imwrite(folder / "strips.tif", np.zeros((500, 64, 16), np.uint16), **packed)
    for path in sorted(folder.iterdir()):
        bench_chunks(path.name, lambda path=path: scan_tiff(str(path)), rounds)


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
    for channels in (5, 1):
        with TemporaryDirectory() as folder:
            bench_plate(Path(folder), 96, 20 // channels, channels, rounds)
    with TemporaryDirectory() as folder:
        bench_stacks(Path(folder), rounds)
    with TemporaryDirectory() as folder:
        bench_tiles(Path(folder))


if __name__ == "__main__":
    main()
