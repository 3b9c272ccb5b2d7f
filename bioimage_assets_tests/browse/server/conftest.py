"""Two small plates in a project, one of a Zarr store and one of one-channel TIFFs, and a server over them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tifffile

from bioimage_assets.core.settings.project import ProjectSettings
from bioimage_assets_tests.builders.browse_thread import Server, run_in_thread
from bioimage_assets_tests.builders.stored_project import settings_of, store_cells, store_images, store_wells
from bioimage_assets_tests.builders.tiff_plates import imagexpress_name
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate

ZARR_PLATE, TIFF_PLATE = "screen/P1", "screen%20two/Plate7"


@dataclass(frozen=True)
class Project:
    """Settings, the stores of its plates, and the rows that were stored of them."""

    settings: ProjectSettings
    zarr_store: Path
    tiff_folder: Path
    images: dict[str, pa.Table]
    cells: pa.Table


def write_tiff_plate(folder: Path) -> Path:
    """Two wells of two sites in two channels of 40 x 48 pixels, no two of them alike, as zlib with a predictor."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(5)
    for well in ("A01", "B03"):
        for site in (1, 2):
            for channel in (1, 2):
                pixels = draw.integers(0, 4000, (40, 48), dtype=np.uint16)
                tifffile.imwrite(
                    folder / imagexpress_name(well, site, channel),
                    pixels,
                    metadata=None,
                    compression="zlib",
                    predictor=True,
                )
    return folder


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that tests do not change."""
    folder = tmp_path_factory.mktemp("browsed")
    settings = settings_of(folder / "data")
    store = write_pixel_plate(folder / "incoming" / "screen" / "P1.zarr", size=32)
    tiffs = write_tiff_plate(folder / "incoming" / "screen two" / "Plate7")
    images = {
        ZARR_PLATE: store_images(settings, ZARR_PLATE, store),
        TIFF_PLATE: store_images(settings, TIFF_PLATE, tiffs),
    }
    cells = store_cells(settings, ZARR_PLATE, images[ZARR_PLATE])
    store_wells(settings, ZARR_PLATE, {"A01": (6, 2, 1.5), "A02": (0, 0, -2.0)})
    return Project(settings, store, tiffs, images, cells)


@pytest.fixture(scope="session")
def server(project: Project) -> Iterator[Server]:
    """A server over the project."""
    with run_in_thread(project.settings) as running:
        yield running
