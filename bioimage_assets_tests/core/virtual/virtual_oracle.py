"""Makes virtual plates of scanned stores, and reads the originals with libraries that know nothing of references."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import tifffile
import zarr
from zarr.abc.store import Store

from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.pixels.location import read_geometry
from bioimage_assets.core.pixels.png_planes import PngPlanes
from bioimage_assets.core.pixels.tiff_planes import TiffPlanes
from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_image_assets
from bioimage_assets.core.stores.pixel_store import ReadCount, open_pixel_store
from bioimage_assets.core.virtual.model import VirtualImage, VirtualPlate
from bioimage_assets.core.virtual.ome_metadata import OmeZarrVersion, build_group_documents
from bioimage_assets.core.virtual.open import open_virtual_plate
from bioimage_assets.core.virtual.plan import plan_virtual_plate
from bioimage_assets.core.virtual.write_json import write_kerchunk_json

Options = Mapping[str, object] | None
Pixels = np.ndarray


def plan(uri: str, version: OmeZarrVersion = "0.5", options: Options = None) -> tuple[pa.Table, VirtualPlate]:
    """Scan a store and plan its virtual plate."""
    scan_options = ScanOptions(storage_options=dict(options)) if options else None
    images = scan_image_assets(uri, options=scan_options)
    chunks = scan_chunk_index(uri, options=scan_options)
    return images, plan_virtual_plate(images, chunks, version=version, storage_options=options)


def make(
    uri: str,
    target: Path | str,
    version: OmeZarrVersion = "0.5",
    options: Options = None,
    *,
    absolute: bool = False,
) -> tuple[pa.Table, VirtualPlate]:
    """Write the virtual plate of a store as JSON."""
    images, plate = plan(uri, version, options)
    groups = build_group_documents(images, plate, version)
    write_kerchunk_json(plate, groups, str(target), version, absolute=absolute, storage_options=options)
    return images, plate


def assert_same_pixels(images: pa.Table, plate: VirtualPlate, store: Store, options: Options = None) -> int:
    """Every level of every image reads as the original does; gives the number of compared planes."""
    rows = {row["image_id"]: row for row in images.to_pylist()}
    planes = 0
    for image in plate.images:
        for level, array in enumerate(image.arrays):
            found = zarr.open_array(store, path=array.path, mode="r")
            expected = read_original(rows[image.image_id], level, options)
            np.testing.assert_array_equal(found[...], expected, err_msg=f"{image.image_id} level {level}")
            assert found.dtype.name == array.dtype
            assert found.shape == array.shape
            planes += int(np.prod(array.shape[:-2]))
    return planes


def read_original(row: Mapping[str, object], level: int, options: Options = None) -> Pixels:
    """Pixels of one level: by tifffile or imagecodecs, axes t c z y x as far as there are any, or by zarr-python as they are stored."""
    geometry = read_geometry(row)
    if not geometry.is_in_files:
        store = open_pixel_store(geometry.uri, options)
        return np.asarray(zarr.open_array(store, path=geometry.levels[level].path, mode="r")[...])
    shape = dict(zip(geometry.axes, geometry.levels[level].shape, strict=True))
    lead = [axis for axis in geometry.axes if axis not in "yxs"]
    y, x = (0, shape["y"]), (0, shape["x"])
    planes = []
    if geometry.is_png:
        reader = PngPlanes(geometry, ReadCount(), options)
        planes = [
            reader.read(dict(zip(lead, place, strict=True)), y, x)
            for place in product(*(range(shape[a]) for a in lead))
        ]
    else:
        with TiffPlanes(geometry, ReadCount(), options) as tiff:
            planes = [
                tiff.read(dict(zip(lead, place, strict=True)), level, y, x)
                for place in product(*(range(shape[a]) for a in lead))
            ]
    whole = np.stack(planes).reshape(*(shape[a] for a in lead), *planes[0].shape)
    return arrange(whole, [*lead, "y", "x", *(["s"] if "s" in geometry.axes else [])])


def arrange(pixels: Pixels, axes: list[str]) -> Pixels:
    """Axes in the order of OME-Zarr: pages that nobody names are time points, samples are channels behind one another."""
    axes = ["t" if axis not in "tczyxs" else axis for axis in axes]
    if "s" in axes and "c" not in axes:
        pixels, axes = pixels[np.newaxis], ["c", *axes]
    wanted = [axis for axis in ("t", "c", "s", "z", "y", "x") if axis in axes]
    moved = pixels.transpose([axes.index(axis) for axis in wanted])
    if "s" in axes:
        at = wanted.index("c")
        moved = moved.reshape(
            *moved.shape[:at], moved.shape[at] * moved.shape[at + 1], *moved.shape[at + 2 :]
        )
    return moved


def scramble(folder: Path) -> int:
    """Give every uncompressed TIFF below a folder pixels of its own, in place; says how many pages there are."""
    rng = np.random.default_rng(11)
    pages = 0
    for path in sorted(folder.rglob("*.[tT][iI][fF]*")):
        with tifffile.TiffFile(path) as tiff:
            places = [
                (offset, size)
                for page in tiff.pages
                for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True)
            ]
        raw = bytearray(path.read_bytes())
        for offset, size in places:
            raw[offset : offset + size] = rng.integers(0, 256, size, np.uint8).tobytes()
        path.write_bytes(raw)
        pages += len(places)
    return pages


def find_image(plate: VirtualPlate, path: str) -> VirtualImage:
    """Image by its group."""
    return next(image for image in plate.images if image.path == path)


def open_plate(target: Path | str, options: Options = None) -> Store:
    """Open a virtual plate as users do."""
    return open_virtual_plate(str(target), options)
