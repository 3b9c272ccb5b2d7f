"""Fields and cells of a stored plate as a SpatialData object: the pixels of the files, read when they are asked for, and cells on them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tifffile
import zarr

from bioimage_assets import open_spatialdata
from bioimage_assets.core.anndata.export import AnnDataExport, export_anndata
from bioimage_assets.core.anndata.library import require_spatialdata
from bioimage_assets.core.errors import MissingExtraError, MissingTableError, UsageError
from bioimage_assets.core.settings.project import ProjectSettings
from bioimage_assets.core.storage.open_tables import open_project_tables
from bioimage_assets_tests.builders.stored_project import settings_of, store_cells, store_images
from bioimage_assets_tests.builders.tiff_plates import imagexpress_name, write_named
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate
from bioimage_assets_tests.core.virtual.virtual_oracle import scramble

spatialdata = require_spatialdata()
from spatialdata.transformations import get_transformation  # noqa: E402  # after the import that quiets its warnings

ZARR, TIFFS = "screen/P1", "screen/T1"
SIZE = 16
OPENED: list[str] | None = None


def _note(event: str, args: tuple[object, ...]) -> None:
    if event == "open" and OPENED is not None and args:
        OPENED.append(str(args[0]))


sys.addaudithook(_note)


@contextmanager
def opened_files() -> Iterator[list[str]]:
    """Paths that this process opens meanwhile."""
    global OPENED
    OPENED = found = []
    try:
        yield found
    finally:
        OPENED = None


@dataclass(frozen=True, slots=True)
class Project:
    folder: Path
    settings: ProjectSettings
    plate: Path
    tiffs: Path
    cells: pd.DataFrame
    file: Path


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A plate of OME-Zarr (0.65 µm) and one of TIFFs, with cells of which one has no place, and their AnnData file."""
    folder = tmp_path_factory.mktemp("project")
    plate = write_pixel_plate(folder / "incoming" / "P1.zarr", size=SIZE)
    tiffs = write_named(folder / "incoming" / "T1", imagexpress_name)
    scramble(tiffs)
    settings = settings_of(folder)
    tables = open_project_tables(settings)
    kept = []
    for key, store in ((ZARR, plate), (TIFFS, tiffs)):
        cells = store_cells(settings, key, store_images(settings, key, store))
        numbers = np.arange(cells.num_rows)
        x, y = 1.25 + numbers % 9, 0.5 + numbers % 7
        y[0] = np.nan
        for axis, values in (("X", x), ("Y", y)):
            cells = cells.append_column(f"Cells_Location_Center_{axis}", pa.array(values, from_pandas=True))
        cells = cells.append_column("Metadata_Plate Map", pa.array(["a"] * cells.num_rows))
        tables.warehouse.replace_partitions("joined_profiles", cells, [key])
        kept.append(cells.to_pandas())
    (folder / "scratch").mkdir()
    file = folder / "cells.h5ad"
    export_anndata(tables, (ZARR, TIFFS), file, folder / "scratch", AnnDataExport("cells"))
    return Project(folder, settings, plate, tiffs, pd.concat(kept, ignore_index=True), file)


def test_images_of_an_ome_zarr_plate_are_its_arrays_in_micrometres(project: Project) -> None:
    data = open_spatialdata(project.folder, ZARR)
    assert sorted(data.images) == ["P1_A01_0", "P1_A01_1", "P1_A02_0", "P1_A02_1"]
    for name in data.images:
        image = data.images[name]
        _, well, site = name.split("_")
        expected = zarr.open_array(project.plate / "A" / str(int(well[1:])) / site / "0", mode="r")
        np.testing.assert_array_equal(image.data.compute(), expected[...])
        assert (image.dims, image.dtype) == (("c", "y", "x"), expected.dtype)
        assert image.coords["c"].to_numpy().tolist() == ["DNA", "ER"]
        (place,) = get_transformation(image, get_all=True).items()
        assert place[0] == f"{name}_um"
        np.testing.assert_allclose(
            place[1].to_affine_matrix(("y", "x"), ("y", "x")), np.diag([0.65, 0.65, 1])
        )


def test_images_of_tiffs_are_what_tifffile_reads(project: Project) -> None:
    data = open_spatialdata(project.folder / "warehouse", TIFFS, wells=["A1"], sites=[2])
    (image,) = data.images.values()
    expected = [tifffile.imread(project.tiffs / imagexpress_name("A01", 2, channel)) for channel in (1, 2, 3)]
    np.testing.assert_array_equal(image.data.compute(), np.stack(expected))
    (system,) = get_transformation(image, get_all=True)
    assert system.endswith("_px")  # these files do not say how large a pixel is


def test_no_pixel_is_read_before_it_is_asked_for_and_then_no_other(project: Project) -> None:
    with opened_files() as found:
        data = open_spatialdata(project.folder, ZARR, cells=project.file)
        flat = open_spatialdata(project.folder, TIFFS, cells=project.file)
        assert (len(data.images), len(flat.images)) == (4, 6)
    assert [path for path in found if str(project.tiffs) in path] == []
    assert {Path(path).name for path in found if str(project.plate) in path and Path(path).is_file()} <= {
        "zarr.json"
    }
    with opened_files() as found:
        data.images["P1_A01_0"].sel(c="ER").data.compute()
    chunks = [
        Path(path).relative_to(project.plate).as_posix() for path in found if str(project.plate) in path
    ]
    assert sorted(chunks) == [f"A/1/0/0/c/1/{y}/{x}" for y in (0, 1) for x in (0, 1)]
    with opened_files() as found:
        next(iter(flat.images.values())).isel(c=1).data.compute()
    assert [Path(path).name for path in found if str(project.tiffs) in path] == [
        imagexpress_name("A01", 1, 2)
    ]


def test_cells_are_circles_on_their_images_annotated_by_the_table(project: Project) -> None:
    data = open_spatialdata(project.folder, ZARR, cells=project.file)
    table = data.tables["table"]
    own = project.cells[project.cells["plate_key"] == ZARR].iloc[1:]
    assert table.obs["Metadata_ObjectID"].tolist() == own["Metadata_ObjectID"].tolist()
    np.testing.assert_array_equal(np.asarray(table.to_memory().X).ravel(), own["Cells_AreaShape_Area"])
    assert sorted(data.shapes) == [f"{name}_cells" for name in sorted(data.images)]
    for name in data.images:
        circles, joined = spatialdata.join_spatialelement_table(
            sdata=data, spatial_element_names=f"{name}_cells", table_name="table", how="inner"
        )
        circles = circles[f"{name}_cells"]
        image_id = data.attrs["bioimage_assets"]["images"][name]
        cells = own[own["image_id"] == image_id]
        assert joined.obs["Metadata_ObjectID"].tolist() == cells["Metadata_ObjectID"].tolist()
        # The middle of the first pixel is at 0.5.
        np.testing.assert_array_equal(circles.geometry.x, cells["Cells_Location_Center_X"] + 0.5)
        np.testing.assert_array_equal(circles.geometry.y, cells["Cells_Location_Center_Y"] + 0.5)
        image, extent = data.images[name], spatialdata.get_extent(data.images[name], f"{name}_um")
        placed = spatialdata.transform(circles, to_coordinate_system=f"{name}_um")
        assert extent["x"] == (0, pytest.approx(0.65 * image.sizes["x"]))
        assert placed.geometry.x.between(*extent["x"]).all()
        assert placed.geometry.y.between(*extent["y"]).all()
    told = " ".join(data.attrs["bioimage_assets"]["findings"])
    assert "1 of 16 cells are left out" in told
    assert "Metadata_Plate Map is Metadata_Plate_Map" in told


def test_matrices_of_cells_stay_in_the_file(project: Project) -> None:
    data = open_spatialdata(project.folder, ZARR, cells=project.file, wells=["A02"], sites=["0"])
    table = data.tables["table"]
    assert type(table.X).__module__.startswith("dask")
    assert set(table.obs["region"]) == {"P1_A02_0_cells"}
    own = project.cells[project.cells["image_id"] == "P1:A02:0"]
    np.testing.assert_array_equal(table.X.compute().ravel(), own["Cells_AreaShape_Area"])


def test_a_coarse_level_covers_the_same_micrometres(project: Project) -> None:
    fine, coarse = (
        open_spatialdata(project.folder, ZARR, wells=["A01"], sites=[0], level=level) for level in (0, 1)
    )
    extents = [spatialdata.get_extent(data.images["P1_A01_0"], "P1_A01_0_um") for data in (fine, coarse)]
    assert coarse.images["P1_A01_0"].sizes["x"] == SIZE // 2
    assert extents[0] == extents[1]
    with pytest.raises(UsageError, match="3 levels, level 5 is asked for"):
        open_spatialdata(project.folder, ZARR, level=5)


def test_what_is_not_there_is_named(project: Project, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no image with well_id 'H12'; there are A01, A02"):
        open_spatialdata(project.folder, ZARR, wells=["H12"])
    with pytest.raises(UsageError, match="no image with site_id '7'"):
        open_spatialdata(project.folder, ZARR, sites=[7])
    with pytest.raises(MissingTableError, match="No image of screen/none"):
        open_spatialdata(project.folder, "screen/none")
    with pytest.raises(MissingTableError, match="No image of screen/P1"):
        open_spatialdata(tmp_path, ZARR)


def test_the_extra_is_named_where_the_library_is_absent(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spatialdata", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bioimage_assets\[spatialdata\]'"):
        open_spatialdata(project.folder, ZARR)
