"""Plates whose cells were measured with numpy from the pixels that are written, and links that are wrong on purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import tifffile
import zarr

from bioimage_assets.core.tables.schemas import IMAGE_ASSETS

CHANNELS = ("DNA", "ER", "Mito")
# Radius of what is bright in each channel.
RADII = (7, 12, 10)


@dataclass(frozen=True)
class PlateLook:
    """How a plate is made.

    ``correction``: intensities are measured on images that were divided by the illumination. ``scale``: by which stored
    values are multiplied when measured. ``noise`` intensities are random numbers without relation to the pixels.
    """

    seed: int = 0
    rows: int = 3
    columns: int = 5
    sites: int = 2
    first_site: int = 0
    size: int = 256
    kind: Literal["zarr", "tiff"] = "zarr"
    correction: bool = False
    scale: float = 1.0
    intensity: Literal["measured", "noise"] = "measured"
    max_cells: int = 14
    levels: int = 2
    brightness: float = 1.0
    has_boxes: bool = False
    chunk_px: int = 1_024


@dataclass(frozen=True)
class WitnessPlate:
    """Images on disk and the cells measured on them, truly linked."""

    images: pa.Table
    cells: pa.Table

    def link(self, image_of: Callable[[str, int], str | None]) -> pa.Table:
        """The cells linked otherwise: ``image_of`` gives the image of a well and site, None for no such image."""
        wells, sites = (self.cells[name].to_pylist() for name in ("well_id", "site_id"))
        known = set(self.images["image_id"].to_pylist())
        ids = [image_of(well, int(site)) for well, site in zip(wells, sites, strict=True)]
        column = pa.array([one if one in known else None for one in ids], pa.string())
        return self.cells.set_column(self.cells.column_names.index("image_id"), "image_id", column)


def look_of(seed: int) -> PlateLook:
    """A plate of each sort in turn: corrected or raw, rescaled or not, TIFF or Zarr, two or three sites, noise at times."""
    return PlateLook(
        seed=seed,
        rows=3,
        columns=5 if seed % 3 else 4,
        sites=2 if seed % 3 else 3,
        first_site=seed % 2,
        kind="tiff" if seed % 4 == 1 else "zarr",
        correction=seed % 2 == 0,
        scale=1 / 65_535 if seed % 5 < 3 else 1.0,
        has_boxes=seed % 6 > 3,
    )


def image_id(well: str, site: int) -> str:
    return f"P1:{well}:{site}"


def write_witness_plate(folder: Path, look: PlateLook) -> WitnessPlate:
    """Write a plate, one array or set of files per field."""
    rng = np.random.default_rng(look.seed)
    illumination = _illumination(look.size, rng)
    rows: list[dict[str, object]] = []
    cells: list[dict[str, object]] = []
    for row in range(look.rows):
        for column in range(look.columns):
            well = f"{chr(65 + row)}{column + 1:02d}"
            # A treatment changes all cells of a well, so that wells differ more than the fields of one.
            brightness = rng.lognormal(0, 0.4, len(CHANNELS))
            for site in range(look.first_site, look.first_site + look.sites):
                pixels, found = _draw_field(look, rng, illumination, brightness)
                write = _write_tiffs if look.kind == "tiff" else _write_zarr
                rows.append(write(folder, well, site, pixels, look))
                place = {"image_id": image_id(well, site), "dataset_id": "ds", "plate_key": "ds/P1",
                         "well_id": well, "site_id": str(site)}  # fmt: skip
                source = pixels / illumination if look.correction else pixels
                place |= {f"Image_Intensity_MeanIntensity_{name}": float(source[channel].mean() * look.scale)
                          for channel, name in enumerate(CHANNELS)}  # fmt: skip
                cells += [place | cell for cell in found]
    return WitnessPlate(pa.Table.from_pylist(rows, schema=IMAGE_ASSETS), pa.Table.from_pylist(cells))


def _illumination(size: int, rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[:size, :size] / size - 0.5
    centre = rng.uniform(-0.15, 0.15, (len(CHANNELS), 2))
    return np.stack([1 / (1 + 1.5 * ((y - cy) ** 2 + (x - cx) ** 2)) for cy, cx in centre])


def _draw_field(
    look: PlateLook, rng: np.random.Generator, illumination: np.ndarray, brightness: np.ndarray
) -> tuple[np.ndarray, list[dict[str, object]]]:
    """Cells that keep some distance, of individual brightness in each channel, with background, vignetting and noise."""
    size = look.size
    places: list[np.ndarray] = []
    for _ in range(int(rng.integers(5, look.max_cells + 1)) * 3):
        place = rng.uniform(14, size - 14, 2)
        if len(places) < look.max_cells and all(np.hypot(*(place - other)) > 17 for other in places):
            places.append(place)
    wanted = int(rng.integers(5, look.max_cells + 1))
    places = places[:wanted]
    y, x = np.mgrid[:size, :size]
    light = np.full((len(CHANNELS), size, size), 150.0)
    general = rng.lognormal(0, 0.3, len(places))
    masks = []
    for number, (cy, cx) in enumerate(places):
        distance = np.hypot(y - cy, x - cx)
        own = rng.lognormal(0, 0.35, len(CHANNELS))
        for channel, radius in enumerate(RADII):
            # Blurred by the optics over two pixels.
            disc = np.clip((radius - distance) / 2 + 0.5, 0, 1)
            light[channel] += (
                900 * look.brightness * brightness[channel] * own[channel] * general[number] * disc
            )
        masks.append(distance < RADII[0])
    shot = rng.normal(0, 1, light.shape) * np.sqrt(light * illumination)
    pixels = np.clip(light * illumination + 2 * shot + 100, 0, 65_535).astype(np.uint16)
    source = pixels / illumination if look.correction else pixels.astype(float)
    return pixels, [
        _measure(place, mask, source, look, rng) for place, mask in zip(places, masks, strict=True)
    ]


def _measure(
    place: np.ndarray, mask: np.ndarray, source: np.ndarray, look: PlateLook, rng: np.random.Generator
) -> dict[str, object]:
    row: dict[str, object] = {
        "Nuclei_Location_Center_Y": float(place[0]), "Nuclei_Location_Center_X": float(place[1]),
        "Nuclei_AreaShape_Area": float(mask.sum()),
    }  # fmt: skip
    if look.has_boxes:
        for axis, taken in zip("YX", np.nonzero(mask), strict=True):
            row[f"Nuclei_AreaShape_BoundingBoxMinimum_{axis}"] = float(taken.min())
            row[f"Nuclei_AreaShape_BoundingBoxMaximum_{axis}"] = float(taken.max() + 1)
    for channel, name in enumerate(CHANNELS):
        value = source[channel][mask].mean() * rng.normal(1, 0.05) * look.scale
        if look.intensity == "noise":
            value = rng.normal(0.1, 0.01)
        row[f"Nuclei_Intensity_MeanIntensity_{name}"] = float(value)
    return row


def _image_row(well: str, site: int, look: PlateLook, **values: object) -> dict[str, object]:
    shape = [len(CHANNELS), look.size, look.size]
    row: dict[str, object] = {
        "plate_key": "ds/P1", "dataset_id": "ds", "plate_id": "P1", "image_id": image_id(well, site), "image_kind": "image",
        "well_id": well, "site_id": str(site), "axes": "cyx", "shape": shape, "dtype": "uint16", "level_count": 1,
        "fingerprint": "f", "scan_status": "ok", "channel_names": list(CHANNELS),
    }  # fmt: skip
    return row | values


def _write_zarr(folder: Path, well: str, site: int, pixels: np.ndarray, look: PlateLook) -> dict[str, object]:
    store = folder / "P1.ome.zarr"
    levels = []
    for level in range(look.levels):
        step = 2**level
        size = look.size // step
        chunk = min(size, look.chunk_px)
        data = pixels.reshape(len(CHANNELS), size, step, size, step).mean((2, 4)).astype(np.uint16)
        path = f"{well[0]}/{int(well[1:])}/{site}/{level}"
        array = zarr.create_array(store / path, shape=data.shape, dtype=data.dtype, chunks=(1, chunk, chunk))
        array[...] = data
        levels.append({"level": level, "path": path, "shape": list(data.shape), "chunk_shape": [1, chunk, chunk],
                       "shard_shape": None})  # fmt: skip
    values = {"uri": str(store), "format_family": "zarr", "storage_variant": "zarr-v3", "levels": levels,
              "array_path": levels[0]["path"], "level_count": look.levels}  # fmt: skip
    return _image_row(well, site, look, **values)


def _write_tiffs(
    folder: Path, well: str, site: int, pixels: np.ndarray, look: PlateLook
) -> dict[str, object]:
    target = folder / "P1"
    target.mkdir(parents=True, exist_ok=True)
    files = []
    for channel, name in enumerate(CHANNELS):
        path = f"P1_{well}_s{site}_w{channel + 1}.tif"
        tifffile.imwrite(target / path, pixels[channel], metadata=None)
        files.append({"path": path, "channel": name, "role": "image", "c": channel, "ifd": 0})
    values = {"uri": str(target), "format_family": "ome-tiff", "storage_variant": "tiff", "files": files}
    return _image_row(well, site, look, **values)


def mirror_columns(plate: WitnessPlate, look: PlateLook) -> pa.Table:
    """Links to the wells of mirrored columns."""
    return plate.link(lambda well, site: image_id(f"{well[0]}{look.columns + 1 - int(well[1:]):02d}", site))


def swap_wells(plate: WitnessPlate, one: str, other: str) -> pa.Table:
    """Links of two wells exchanged."""
    swap = {one: other, other: one}
    return plate.link(lambda well, site: image_id(swap.get(well, well), site))


def rename_columns(table: pa.Table, names: Mapping[str, str]) -> pa.Table:
    """Columns under other names: what was measured as one thing is called another."""
    return table.rename_columns([names.get(name, name) for name in table.column_names])


def swap_axes(table: pa.Table) -> pa.Table:
    """Whatever says where a cell is along y says it along x, and the other way round."""
    places = [name for name in table.column_names if name.endswith(("_Y", "_X"))]
    return rename_columns(
        table, {name: f"{name[:-1]}{'X' if name.endswith('Y') else 'Y'}" for name in places}
    )


def swap_columns(table: pa.Table, one: str, other: str) -> pa.Table:
    """Two columns exchanged."""
    return rename_columns(table, {one: other, other: one})
