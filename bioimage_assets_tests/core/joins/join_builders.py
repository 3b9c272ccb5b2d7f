"""Image tables by hand, and a tiny two-field OME-Zarr plate whose cells were measured with numpy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import zarr

from bioimage_assets.core.tables.schemas import IMAGE_ASSETS

CHANNELS = ("DNA", "ER")
PIXEL_UM = 0.5


def image_row(image_id: str = "P1:A01:0", **values: object) -> dict[str, object]:
    """One row of image_assets with plausible defaults."""
    row: dict[str, object] = {
        "plate_key": "ds/P1", "dataset_id": "ds", "plate_id": "P1", "image_id": image_id, "image_kind": "image",
        "format_family": "zarr", "storage_variant": "zarr-v3", "uri": "/data/ds/P1.ome.zarr", "axes": "cyx",
        "shape": [2, 64, 64], "dtype": "uint16", "level_count": 1, "fingerprint": "f", "scan_status": "ok",
        "channel_names": list(CHANNELS),
    }  # fmt: skip
    return row | values


def image_table(*rows: dict[str, object]) -> pa.Table:
    """Image rows as the project's table."""
    return pa.Table.from_pylist(list(rows), schema=IMAGE_ASSETS)


def plate_images(wells: tuple[str, ...] = ("A01", "B02"), sites: tuple[str, ...] = ("0", "1")) -> pa.Table:
    """Images of plate P1: every well with every site."""
    return image_table(
        *(
            image_row(f"P1:{w}:{s}", well_id=w, site_id=s, array_path=f"{w[0]}/{int(w[1:])}/{s}/0")
            for w in wells
            for s in sites
        )
    )


def tiff_set_row(image_id: str, folder: str, names: dict[str, str], **values: object) -> dict[str, object]:
    """A field whose channels are one-channel files: ``names`` maps channel to file name."""
    files = [
        {"path": name, "channel": channel, "role": "image", "c": c, "ifd": 0}
        for c, (channel, name) in enumerate(names.items())
    ]
    row = image_row(image_id, uri=folder, files=files, format_family="ome-tiff", array_path=None)
    return row | {"channel_names": list(names), "shape": [len(names), 64, 64]} | values


@dataclass(frozen=True)
class SmallPlate:
    """A plate on disk: its image table (with labels) and what was measured on it."""

    store: Path
    images: pa.Table
    cells: pa.Table
    pixels: dict[str, np.ndarray]


def write_small_plate(root: Path, *, zarr_format: int = 3, shards: bool = False) -> SmallPlate:
    """Two fields of 2 × 100 × 120 pixels with two levels, three square cells each, chunks of 32 × 32."""
    rng = np.random.default_rng(3)
    store = root / f"P{zarr_format}{'s' if shards else ''}.ome.zarr"
    rows, cells, pixels = [], [], {}
    for site in ("0", "1"):
        image = rng.integers(100, 60_000, (2, 100, 120)).astype(np.uint16)
        labels = np.zeros((100, 120), np.uint16)
        for number, (y, x) in enumerate(((5, 7), (30, 60), (77, 99)), start=1):
            labels[y : y + 20, x : x + 18] = number
        image_id = f"P1:A01:{site}"
        pixels[image_id] = image
        base = f"A/1/{site}"
        arrays = {f"{base}/0": image, f"{base}/1": image[:, ::2, ::2], f"{base}/labels/cells/0": labels}
        for path, data in arrays.items():
            _write_array(store / path, data, zarr_format, shards)
        levels = [
            {"level": n, "path": f"{base}/{n}", "shape": list(arrays[f"{base}/{n}"].shape),
             "chunk_shape": [1, 32, 32], "shard_shape": [2, 64, 64] if shards else None}
            for n in (0, 1)
        ]  # fmt: skip
        place = {"uri": str(store), "well_id": "A01", "site_id": site}
        rows.append(
            image_row(image_id, array_path=f"{base}/0", shape=[2, 100, 120], levels=levels, level_count=2,
                      chunk_shape=[1, 32, 32], shard_shape=levels[0]["shard_shape"],
                      pixel_size_y_um=PIXEL_UM, pixel_size_x_um=PIXEL_UM, **place)
        )  # fmt: skip
        rows.append(
            image_row(f"{image_id}:labels/cells", image_kind="label", source_image_id=image_id, axes="yx",
                      array_path=f"{base}/labels/cells/0", shape=[100, 120], channel_names=None, **place)
        )  # fmt: skip
        cells += [_measure(image, labels, number, site) for number in (1, 2, 3)]
    return SmallPlate(store, image_table(*rows), pa.Table.from_pylist(cells), pixels)


def _write_array(path: Path, data: np.ndarray, zarr_format: int, shards: bool) -> None:
    chunks = (1, 32, 32)[-data.ndim :]
    array = zarr.create_array(
        path, shape=data.shape, dtype=data.dtype, chunks=chunks, zarr_format=zarr_format,
        shards=(2, 64, 64)[-data.ndim :] if shards else None,
    )  # fmt: skip
    array[...] = data


def _measure(image: np.ndarray, labels: np.ndarray, number: int, site: str) -> dict[str, object]:
    ys, xs = np.nonzero(labels == number)
    row: dict[str, object] = {
        "Metadata_ObjectID": f"ds/P1/{site}/{number}", "Metadata_Plate": "P1", "Metadata_Well": "A1",
        "Metadata_Site": site, "Metadata_ObjectNumber": number,
        "Cells_AreaShape_BoundingBoxMinimum_Y": float(ys.min()), "Cells_AreaShape_BoundingBoxMinimum_X": float(xs.min()),
        "Cells_AreaShape_BoundingBoxMaximum_Y": float(ys.max() + 1), "Cells_AreaShape_BoundingBoxMaximum_X": float(xs.max() + 1),
        "Nuclei_Location_Center_Y": float(ys.mean()), "Nuclei_Location_Center_X": float(xs.mean()),
    }  # fmt: skip
    means = {
        f"Cells_Intensity_MeanIntensity_{c}": float(image[i, ys, xs].mean()) / 65_535
        for i, c in enumerate(CHANNELS)
    }
    return row | means
