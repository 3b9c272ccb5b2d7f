"""Images of every layout that crops are cut from, with cells in their middles and beyond their borders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import tifffile

from bioimage_assets.core.scan.scanner import scan_image_assets
from bioimage_assets_tests.builders.png_files import write_png_plate
from bioimage_assets_tests.builders.tiff_files import write_ome_tiff
from bioimage_assets_tests.builders.tiff_plates import imagexpress_name
from bioimage_assets_tests.core.joins.join_builders import write_small_plate

_SHAPE = (100, 120)


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(1, 60_000, shape).astype(np.uint16)


def _zarr(folder: Path, zarr_format: int, shards: bool) -> pa.Table:
    return write_small_plate(folder, zarr_format=zarr_format, shards=shards).images


def _strips(folder: Path) -> pa.Table:
    plate = folder / "P1"
    plate.mkdir()
    for number, well in enumerate(("A01", "A02")):
        for channel in (1, 2, 3):
            pixels = _noise(number + channel, *_SHAPE)[0]
            tifffile.imwrite(plate / imagexpress_name(well, 1, channel), pixels, rowsperstrip=16, compression="lzw", metadata=None)  # fmt: skip
    return scan_image_assets(str(plate))


def _ome_tiff(folder: Path, axes: str, *shape: int, **options: object) -> pa.Table:
    return scan_image_assets(str(write_ome_tiff(folder / "one.ome.tiff", _noise(*shape), axes, **options)))


def _rgb(folder: Path) -> pa.Table:
    pixels = _noise(*_SHAPE, 3).astype(np.uint8)
    path = folder / "rgb.ome.tiff"
    return scan_image_assets(str(write_ome_tiff(path, pixels, "YXS", tile=(32, 32), photometric="rgb")))


def _float(folder: Path) -> pa.Table:
    path = write_ome_tiff(folder / "f.ome.tiff", _noise(2, *_SHAPE).astype(np.float32) / 7, "CYX")
    return scan_image_assets(str(path))


LAYOUTS: dict[str, Callable[[Path], pa.Table]] = {
    "zarr-v2": lambda folder: _zarr(folder, 2, False),
    "zarr-v3": lambda folder: _zarr(folder, 3, False),
    "zarr-sharded": lambda folder: _zarr(folder, 3, True),
    "tiff-strips": _strips,
    "tiff-tiles": lambda folder: _ome_tiff(folder, "CYX", 2, *_SHAPE, tile=(32, 48), compression="zlib"),
    "tiff-stack": lambda folder: _ome_tiff(folder, "ZCYX", 3, 2, *_SHAPE, rowsperstrip=32),
    "tiff-times": lambda folder: _ome_tiff(folder, "TCYX", 3, 2, *_SHAPE),
    "tiff-planar": lambda folder: _ome_tiff(folder, "YX", *_SHAPE),
    "rgb": _rgb,
    "float": _float,
    "png": lambda folder: scan_image_assets(str(write_png_plate(folder / "P", wells=("A01",)))),
}


def build_cells(images: pa.Table, *, per_image: int = 9, seed: int = 1) -> pa.Table:
    """Rows as joined profiles have them: a centre in each image, some of them at its very border."""
    rng = np.random.default_rng(seed)
    rows = []
    for image in images.filter(pa.compute.equal(images["image_kind"], "image")).to_pylist():
        axes = image["axes"].replace(",", "")
        height, width = (image["shape"][axes.index(axis)] for axis in "yx")
        for number in range(per_image):
            y, x = rng.uniform(0, height - 1), rng.uniform(0, width - 1)
            corner = {0: (0.0, 0.0), 1: (height - 1.0, width - 1.0)}
            y, x = corner.get(number, (y, x))
            rows.append(
                {name: image[name] for name in ("dataset_id", "plate_key", "plate_id", "well_id", "site_id", "image_id")}
                | {"Metadata_ObjectID": f"{image['plate_key']}/{image['image_id']}/{number}"}
                | {"Nuclei_Location_Center_Y": y, "Nuclei_Location_Center_X": x}
            )  # fmt: skip
    order = rng.permutation(len(rows))
    return pa.Table.from_pylist(rows).take(pa.array(order))
