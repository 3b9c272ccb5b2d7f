"""Fields and cells of a stored plate as a SpatialData object: the pixels of the files, read when they are asked for, and cells on them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tifffile
import zarr

from bioimage_assets import open_spatialdata, register_store
from bioimage_assets.core.anndata.export import AnnDataExport, export_anndata
from bioimage_assets.core.anndata.library import require_spatialdata
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.errors import MissingExtraError, MissingTableError, StoreChangedError, UsageError
from bioimage_assets.core.settings.project import ProjectSettings, read_project_settings
from bioimage_assets.core.storage.open_tables import open_project_tables
from bioimage_assets_tests.builders.stored_project import settings_of, store_cells, store_images
from bioimage_assets_tests.builders.tiff_files import write_ome_tiff
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
    data = open_spatialdata(project.folder, ZARR, cells=project.file, wells="A02", sites=0)
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


def test_fields_lie_in_their_well_as_the_store_says_and_labels_on_them(tmp_path: Path) -> None:
    store = write_pixel_plate(tmp_path / "P2.zarr", columns=1, levels=1, size=SIZE)
    for site, x in (("0", 100.0), ("1", 110.0)):
        group = zarr.open_group(store / "A" / "1" / site)
        ome = dict(group.attrs["ome"])
        ome["multiscales"][0]["datasets"][0]["coordinateTransformations"].append(
            {"type": "translation", "translation": [0.0, 50.0, x]}
        )
        group.attrs["ome"] = ome
    nuclei = np.arange(SIZE * SIZE, dtype=np.int32).reshape(SIZE, SIZE)
    scale = {"type": "scale", "scale": [0.65, 0.65]}
    level = {"path": "0", "coordinateTransformations": [scale]}
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"]
    labels = zarr.open_group(store / "A" / "1" / "1").create_group("labels")
    labels.attrs["ome"] = {"version": "0.5", "labels": ["nuclei", "pair"]}
    label = labels.create_group("nuclei")
    label.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [{"axes": axes, "datasets": [level]}],
        "image-label": {},
    }
    label.create_array("0", data=nuclei)
    pair = labels.create_group("pair")
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1.0, 0.65, 0.65]}]}
    axes = [{"name": "c", "type": "channel"}, *axes]
    pair.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [{"axes": axes, "datasets": [level]}],
        "image-label": {},
    }
    pair.create_array("0", data=np.stack([nuclei, nuclei + 1]))
    settings = settings_of(tmp_path)
    store_images(settings, "screen/P2", store)
    data = open_spatialdata(tmp_path, "screen/P2", sites=["1"])
    assert list(data.images) == ["P1_A01_1"]
    assert len(data.labels) == 2
    for element in data.labels.values():
        np.testing.assert_array_equal(element.data.compute(), nuclei)
    assert "has 2 channels" in " ".join(data.attrs["bioimage_assets"]["findings"])
    for element in (data.images["P1_A01_1"], *data.labels.values()):
        extent = spatialdata.get_extent(element, "A01_um")
        assert extent["x"] == (10, pytest.approx(10 + 0.65 * SIZE))
        assert extent["y"] == (0, pytest.approx(0.65 * SIZE))


def test_stacks_have_planes_and_each_time_is_an_element(tmp_path: Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 999, (2, 3, 2, 16, 24), np.uint16)
    metadata = {
        "PhysicalSizeX": 0.5,
        "PhysicalSizeY": 0.25,
        "PhysicalSizeZ": 2.0,
        "Channel": {"Name": ["DNA", "DNA"]},
    }
    store = write_ome_tiff(tmp_path / "film.ome.tif", pixels, "TZCYX", metadata=metadata)
    store_images(settings_of(tmp_path), "screen/film", store)
    data = open_spatialdata(tmp_path, "screen/film")
    assert len(data.images) == 2
    for time, (name, image) in enumerate(data.images.items()):
        assert name.endswith(f"_t{time}")
        assert image.dims == ("c", "z", "y", "x")
        assert image.coords["c"].to_numpy().tolist() == ["DNA", "DNA 1"]
        np.testing.assert_array_equal(image.data.compute(), pixels[time].transpose(1, 0, 2, 3))
        (system, place) = next(iter(get_transformation(image, get_all=True).items()))
        assert system.endswith("_um")
        assert np.diag(place.to_affine_matrix(("z", "y", "x"), ("z", "y", "x"))).tolist() == [
            2.0,
            0.25,
            0.5,
            1.0,
        ]


def test_a_file_that_changes_is_refused_by_name(tmp_path: Path) -> None:
    tiffs = write_named(tmp_path / "T2", imagexpress_name, wells=["A01"])
    store_images(settings_of(tmp_path), "screen/T2", tiffs)
    data = open_spatialdata(tmp_path, "screen/T2")
    changed = tiffs / imagexpress_name("A01", 1, 1)
    changed.write_bytes(changed.read_bytes() + b"\0")
    image, other = data.images.values()
    with pytest.raises(StoreChangedError, match=changed.name):
        image.isel(c=0).data.compute(scheduler="synchronous")
    assert other.data.compute().shape == (3, 12, 16)
    changed.unlink()
    data = open_spatialdata(tmp_path, "screen/T2")
    assert len(data.images) == 1
    assert "not in the virtual plate: its file" in data.attrs["bioimage_assets"]["findings"][0]


def test_cells_of_wells_or_of_no_place_are_said(project: Project, tmp_path: Path) -> None:
    whole = anndata.read_h5ad(project.file)
    del whole.obsm["spatial"]
    whole.write_h5ad(tmp_path / "no-places.h5ad")
    data = open_spatialdata(project.folder, ZARR, cells=tmp_path / "no-places.h5ad")
    assert (len(data.tables["table"]), len(data.shapes)) == (16, 0)
    assert "says of no cell where it lies" in " ".join(data.attrs["bioimage_assets"]["findings"])
    whole[whole.obs["plate_key"] == TIFFS].write_h5ad(tmp_path / "other.h5ad")
    data = open_spatialdata(project.folder, ZARR, cells=tmp_path / "other.h5ad")
    assert list(data.tables) == []
    assert "has no cell in the 4 images" in " ".join(data.attrs["bioimage_assets"]["findings"])
    whole.obs = whole.obs.drop(columns="image_id")
    whole.write_h5ad(tmp_path / "wells.h5ad")
    with pytest.raises(UsageError, match="no column image_id in obs"):
        open_spatialdata(project.folder, ZARR, cells=tmp_path / "wells.h5ad")


def test_images_are_found_in_the_catalog_beside_the_warehouse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a project keeps them unless it says otherwise; wherever the call comes from."""
    store = write_pixel_plate(tmp_path / "P3.zarr", columns=1, fields=1, levels=1, size=SIZE)
    settings = read_project_settings({"BIOIMAGE_DATA_DIR": str(tmp_path / "data")})
    tables = open_project_tables(settings)
    register_store(str(store), tables.open_catalog(), settings.catalog_namespace)
    catalog, identifier = tables.identify("image_assets")
    (plate,) = catalog.load_table(identifier).scan().to_arrow()["plate_key"].unique().to_pylist()
    monkeypatch.delenv("BIOIMAGE_DATA_DIR", raising=False)
    monkeypatch.delenv("BIOIMAGE_CATALOG", raising=False)
    for place in (tmp_path / "data", tmp_path / "data" / "warehouse"):
        (image,) = open_spatialdata(place, plate).images.values()
        np.testing.assert_array_equal(image.data.compute(), zarr.open_array(store / "A/1/0/0", mode="r")[...])


def test_a_root_without_a_catalog_is_read_alone_wherever_the_call_comes_from(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The project that the call comes from has a plate of the same key, and other images."""
    tables = open_project_tables(read_project_settings({"BIOIMAGE_DATA_DIR": str(tmp_path / "data")}))
    other = write_pixel_plate(tmp_path / "P1.zarr", columns=1, fields=1, levels=1, size=SIZE)
    images = store_images(settings_of(tmp_path / "elsewhere"), ZARR, other)
    replace_partitions(*tables.identify("image_assets"), images, [ZARR])
    expected = open_spatialdata(project.folder, ZARR)
    monkeypatch.chdir(tmp_path)
    data = open_spatialdata(project.folder, ZARR)
    assert set(data.images) == set(expected.images)
    for name, image in data.images.items():
        np.testing.assert_array_equal(image.data.compute(), expected.images[name].data.compute())
    monkeypatch.setenv("BIOIMAGE_CATALOG", "server-of-another-project")
    assert set(open_spatialdata(project.folder, ZARR).images) == set(expected.images)
