"""What 10,000 crops of 64 x 64 x 5 cost in one pass, against reading each cell by itself.

    python bench/crops.py [--cells 10000] [--naive 500] [--layout zarr|tiff]

Makes a plate of 36 fields of 5 x 2,160 x 2,160 pixels (16 bits, compressed) and cells at random places, exports their crops in a
process of its own, and reads a part of the same cells one by one with ``read_crop``, which stands for a loop that a user
would write. Each stored piece must be read once; the export must take at most a fifth of the time per cell, and less than
1 GB. The folder is removed at the end.
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

FIELDS, CHANNELS, SIDE, SIZE = 36, 5, 2_160, 64
MAX_RATIO, MAX_PEAK_BYTES = 0.2, 1_000_000_000


def write_fields(folder: Path, layout: str) -> pa.Table:
    """The plate on disk, and its images as the scan describes them."""
    import tifffile
    import zarr

    from bioimage_assets.core.tables.schemas import IMAGE_ASSETS

    rng = np.random.default_rng(0)
    rows = []
    smooth = rng.integers(100, 4_000, (CHANNELS, SIDE // 8, SIDE // 8)).astype(np.uint16)
    base = np.kron(smooth, np.ones((8, 8), np.uint16))
    for field in range(FIELDS):
        pixels = base + rng.integers(0, 16, base.shape).astype(np.uint16)
        image = {
            "plate_key": "bench/P1", "dataset_id": "bench", "plate_id": "P1", "image_id": f"P1:A01:{field}", "well_id": "A01",
            "site_id": str(field), "image_kind": "image", "axes": "cyx", "shape": list(pixels.shape), "dtype": "uint16",
            "level_count": 1, "fingerprint": "f", "scan_status": "ok", "channel_names": [f"C{n}" for n in range(CHANNELS)],
        }  # fmt: skip
        if layout == "zarr":
            array = zarr.create_array(
                folder / "P1.ome.zarr" / f"A/1/{field}/0",
                shape=pixels.shape,
                dtype=pixels.dtype,
                chunks=(1, 540, 540),
            )
            array[...] = pixels
            place = {"uri": str(folder / "P1.ome.zarr"), "array_path": f"A/1/{field}/0", "format_family": "ome-zarr",
                     "storage_variant": "zarr-v3", "chunk_shape": [1, 540, 540]}  # fmt: skip
        else:
            names = [f"A01_s{field}_w{channel}.tif" for channel in range(CHANNELS)]
            for channel, name in enumerate(names):
                tifffile.imwrite(folder / name, pixels[channel], rowsperstrip=32, compression="zlib", metadata=None)  # fmt: skip
            files = [{"path": name, "role": "image", "c": c, "ifd": 0} for c, name in enumerate(names)]
            place = {
                "uri": str(folder),
                "format_family": "ome-tiff",
                "storage_variant": "tiff",
                "files": files,
            }
        rows.append(image | place)
    return pa.Table.from_pylist(rows, schema=IMAGE_ASSETS)


def build_cells(count: int) -> pa.Table:
    """Cells at random places, in random order."""
    rng = np.random.default_rng(1)
    fields = rng.integers(0, FIELDS, count)
    return pa.table(
        {
            "dataset_id": ["bench"] * count,
            "plate_key": ["bench/P1"] * count,
            "image_id": [f"P1:A01:{field}" for field in fields],
            "Metadata_ObjectID": [f"bench/P1/{number}" for number in range(count)],
            "Nuclei_Location_Center_Y": rng.uniform(0, SIDE, count),
            "Nuclei_Location_Center_X": rng.uniform(0, SIDE, count),
        }
    )


def run_export(folder: Path) -> dict[str, float]:
    """One export, in this process: seconds, processor seconds, peak memory, pieces."""
    from bioimage_assets.core.pixels.crop_export.export import export_crops
    from bioimage_assets.core.pixels.crop_export.options import CropExport
    from bioimage_assets.core.stores.pixel_store import ReadCount

    began, processor, count = time.perf_counter(), time.process_time(), ReadCount()
    result = export_crops(
        folder / "cells.parquet",
        folder / "images.parquet",
        folder / "out",
        export=CropExport(size_px=SIZE),
        count=count,
    )
    return {
        "seconds": time.perf_counter() - began,
        "processor_seconds": time.process_time() - processor,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "crops": result.crop_count,
        "pieces": result.pieces_read,
        "distinct_pieces": len(set(count.keys)),
    }


def run_naive(folder: Path, count: int) -> dict[str, float]:
    """The first cells one by one."""
    from bioimage_assets.core.pixels.boxes import PixelBox
    from bioimage_assets.core.pixels.crop import read_crop
    from bioimage_assets.core.pixels.locate import CropChoice, build_location
    from bioimage_assets.core.pixels.location import read_geometry
    from bioimage_assets.core.stores.pixel_store import ReadCount

    images = {
        row["image_id"]: read_geometry(row) for row in pq.read_table(folder / "images.parquet").to_pylist()
    }
    cells = pq.read_table(folder / "cells.parquet").slice(0, count).to_pylist()
    reads = ReadCount()
    began, processor = time.perf_counter(), time.process_time()
    for cell in cells:
        y, x = (int(cell[f"Nuclei_Location_Center_{axis}"]) - SIZE // 2 for axis in "YX")
        box = PixelBox(y, y + SIZE, x, x + SIZE)
        read_crop(build_location(images[cell["image_id"]], box, CropChoice()), count=reads)
    return {
        "seconds": time.perf_counter() - began,
        "processor_seconds": time.process_time() - processor,
        "pieces": reads.pieces,
        "crops": len(cells),
    }


def _run_in_own_process(*arguments: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(layout: str, cells: int, naive: int) -> bool:
    """Measure one layout and print what was found; whether the goals were reached."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = write_fields(folder, layout)
        pq.write_table(images, folder / "images.parquet")
        pq.write_table(build_cells(cells), folder / "cells.parquet")
        own = _run_in_own_process("--run", "export", "--folder", name)
        loop = _run_in_own_process("--run", "naive", "--folder", name, "--naive", str(naive))
        size = sum(path.stat().st_size for path in (folder / "out").rglob("*") if path.is_file())
    there = FIELDS * CHANNELS * (16 if layout == "zarr" else -(-SIDE // 32))
    per_cell = [one["processor_seconds"] / one["crops"] for one in (own, loop)]
    ratio = per_cell[0] / per_cell[1]
    print(
        f"{layout}: {own['crops']:.0f} crops of {SIZE} x {SIZE} x {CHANNELS} in {own['seconds']:.1f} s ({own['processor_seconds']:.1f} s of the "
        f"processor), peak {own['peak_bytes'] / 1e6:.0f} MB, {size / 1e6:.0f} MB written\n"
        f"  pieces read {own['pieces']:.0f}, distinct {own['distinct_pieces']:.0f}, of {there}; a loop of read_crop reads "
        f"{loop['pieces'] / loop['crops']:.1f} for each cell, this {own['pieces'] / own['crops']:.2f}\n"
        f"  processor time for each cell against the loop: {ratio:.3f} ({per_cell[0] * 1e3:.2f} ms, {per_cell[1] * 1e3:.2f} ms)"
    )
    is_once = own["pieces"] == own["distinct_pieces"] <= there
    return is_once and ratio <= MAX_RATIO and own["peak_bytes"] <= MAX_PEAK_BYTES


def main() -> int:
    """Measure both layouts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--naive", type=int, default=500)
    parser.add_argument("--layout", choices=("zarr", "tiff"), action="append")
    parser.add_argument("--run", choices=("export", "naive"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        found = run_export(given.folder) if given.run == "export" else run_naive(given.folder, given.naive)
        print(json.dumps(found))
        return 0
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    reached = [compare(layout, given.cells, given.naive) for layout in given.layout or ("zarr", "tiff")]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
