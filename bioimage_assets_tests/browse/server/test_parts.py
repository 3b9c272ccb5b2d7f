"""Parts of the server that a request alone does not show: what is kept and for how long, cells and images that are told otherwise than usual."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pytest
import tifffile
import zarr
from PIL import Image

from bioimage_assets.browse import open_images as open_module
from bioimage_assets.browse.access import is_loopback
from bioimage_assets.browse.disk_cache import DiskCache
from bioimage_assets.browse.kept import Kept
from bioimage_assets.browse.open_images import OpenImages
from bioimage_assets.browse.plates import find_plate
from bioimage_assets.browse.project import BrowsedProject, open_project_tables
from bioimage_assets.browse.qc_columns import list_conditions
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.pixels.locate import CropChoice, build_location
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets_tests.browse.server.conftest import TIFF_PLATE, ZARR_PLATE, Project
from bioimage_assets_tests.builders.browse_thread import Server, run_in_thread
from bioimage_assets_tests.builders.stored_project import FEATURE, settings_of, store_cells, store_images
from bioimage_assets_tests.builders.tiff_plates import imagexpress_name
from bioimage_assets_tests.builders.zarr_documents import write_group
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate


def test_the_least_recently_used_file_goes_when_the_folder_is_full(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "kept", max_bytes=10_000)
    for number in range(9):
        cache.put(str(number), bytes(1_000))
        os.utime(cache._path(str(number)), (number, number))
    assert cache.get("0") is not None  # used now
    cache.put("9", bytes(2_000))
    assert cache.get("0") is not None
    assert cache.get("1") is None
    assert cache.get("9") == bytes(2_000)
    assert sum(path.stat().st_size for path in (tmp_path / "kept").rglob("*") if path.is_file()) <= 10_000


def test_a_folder_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = DiskCache(tmp_path / "file" / "kept")
    cache.put("a", b"x")
    assert cache.get("a") is None


def test_what_many_ask_for_at_once_is_made_once() -> None:
    kept: Kept[int] = Kept(2)
    made: list[int] = []

    def make() -> int:
        time.sleep(0.05)
        made.append(1)
        return len(made)

    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(kept.get("a", make))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 8
    assert made == [1]


def test_a_value_that_could_not_be_made_is_tried_again() -> None:
    kept: Kept[int] = Kept(1)
    with pytest.raises(ZeroDivisionError):
        kept.get("a", lambda: 1 // 0)
    assert kept.get("a", lambda: 7) == 7
    assert kept.get("b", lambda: 8) == 8
    assert kept.get("a", lambda: 9) == 9  # the first one had to go


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("127.9.9.9", True), ("0.0.0.0", False), ("::", False), ("lab.example", False), ("10.0.0.5", False)],
)  # fmt: skip
def test_only_this_machine_s_own_addresses_are_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_conditions_whose_names_begin_alike_keep_their_features() -> None:
    columns = [
        "Metadata_cqc_large_is_outlier", "Metadata_cqc_large_Area_zscore", "Metadata_cqc_large_nuclei_is_outlier",
        "Metadata_cqc_large_nuclei_Nuclei_Area_zscore", "Metadata_cqc_failed", "Cells_Area_zscore",
    ]  # fmt: skip
    assert [(one.name, list(one.scores)) for one in list_conditions(columns)] == [
        ("large", ["Area"]),
        ("large_nuclei", ["Nuclei_Area"]),
    ]


def test_few_stores_stay_open_and_one_that_rested_is_opened_anew(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    plate = find_plate(BrowsedProject(project.settings), TIFF_PLATE)
    images = OpenImages(max_open=2)
    ids = list(plate.fields)
    assert len(ids) == 4

    def read(image_id: str) -> None:
        geometry = plate.geometry(image_id)
        box = open_module.whole(geometry)
        images.read(build_location(geometry, box, CropChoice(channels=(0,))), "f")

    for image_id in ids:
        read(image_id)
    assert len(images._opened) == 2
    assert images.opened_count == 4
    read(ids[3])
    assert images.opened_count == 4
    monkeypatch.setattr(open_module, "MAX_IDLE_S", -1.0)
    read(ids[3])
    assert images.opened_count == 5
    images.close()


def test_a_well_has_the_cells_that_no_image_was_found_for(tmp_path: Path) -> None:
    """Their well is known from the measurements alone, in whatever spelling these have."""
    settings = settings_of(tmp_path / "data")
    images = store_images(settings, ZARR_PLATE, write_pixel_plate(tmp_path / "P1.zarr"))
    cells = store_cells(settings, ZARR_PLATE, images).to_pylist()
    for cell, spelled in zip(cells[:3], ("a1", "A-01", "A1"), strict=True):
        cell.update(well_id=None, image_id=None, site_id=None, Metadata_Well=spelled)
    cells[3].update(well_id="A02", Metadata_Well="A1")  # the image says more than the measurements
    open_warehouse(settings.warehouse_uri).replace_partitions(
        "joined_profiles", pa.Table.from_pylist(cells), [ZARR_PLATE]
    )
    with run_in_thread(settings) as running:
        page = running.get("api/cells", plate_key=ZARR_PLATE, well_id="A01", limit=1000).json()
        other = running.get("api/cells", plate_key=ZARR_PLATE, well_id="A02", limit=1000).json()
    assert page["total"] == 7
    assert [row["image_id"] for row in page["rows"][:3]] == [None] * 3
    assert {row["site_id"] for row in page["rows"][:3]} == {cells[0]["Metadata_Site"]}
    assert other["total"] == 9


def test_planes_of_a_stack_and_of_a_series_are_told_apart(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "data")
    store = tmp_path / "stack.zarr"
    names = "tczyx"
    axes = [{"name": name, "type": {"t": "time", "c": "channel"}.get(name, "space")} for name in names]
    datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1.0] * 5}]}]
    write_group(
        store,
        "",
        {"ome": {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}},
        zarr_format=3,
    )
    pixels = np.arange(2 * 3 * 4 * 8 * 9, dtype=np.int32).reshape(2, 3, 4, 8, 9)
    zarr.create_array(store / "0", data=pixels, chunks=(1, 1, 2, 8, 9), dimension_names=tuple(names))
    images = store_images(settings, ZARR_PLATE, store)
    given = {"plate_key": ZARR_PLATE, "image_id": images["image_id"][0].as_py()}
    with run_in_thread(settings) as running:
        image = running.get("api/image", **given).json()
        assert (image["axes"], image["z_count"], image["t_count"], len(image["channels"])) == (
            "tczyx",
            4,
            2,
            3,
        )
        answer = running.get("pixels", **given, c=2, z=3, t=1, y0=1, y1=8, x0=0, x1=9)
        assert np.array_equal(np.frombuffer(answer.body, "<i4").reshape(7, 9), pixels[1, 2, 3, 1:])
        assert running.get("pixels", **given, z=4, y0=0, y1=1, x0=0, x1=1).status == 400
        assert running.get("thumb", **given).status == 200


def test_a_colour_image_has_its_samples_as_channels(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "data")
    y, x = np.mgrid[:48, :64]
    pixels = np.stack([5 * y, 4 * x, 255 - 5 * y], axis=-1).astype(np.uint8)
    tifffile.imwrite(tmp_path / "slide.tif", pixels, photometric="rgb", tile=(16, 16))
    images = store_images(settings, ZARR_PLATE, tmp_path / "slide.tif")
    given = {"plate_key": ZARR_PLATE, "image_id": images["image_id"][0].as_py()}
    with run_in_thread(settings) as running:
        assert [one["color"] for one in running.get("api/image", **given).json()["channels"]] == [
            "FF0000",
            "00FF00",
            "0000FF",
        ]
        answer = running.get("pixels", **given, c=1, y0=3, y1=40, x0=5, x1=64)
        assert np.array_equal(np.frombuffer(answer.body, np.uint8).reshape(37, 59), pixels[3:40, 5:, 1])
        picture = np.asarray(Image.open(io.BytesIO(running.get("thumb", **given, size=64).body)), np.float64)
        assert np.abs(picture - pixels).mean() < 5  # it is a JPEG


@pytest.mark.parametrize("plate_key", [ZARR_PLATE, TIFF_PLATE])
def test_many_may_ask_at_once(server: Server, plate_key: str) -> None:
    plate = server.get("api/plate", plate_key=plate_key).json()
    ids = [one["image_id"] for well in plate["wells"] for one in well["fields"]] * 8
    box = {"y0": 0, "y1": 16, "x0": 0, "x1": 16}
    expected = {
        image_id: server.get("pixels", plate_key=plate_key, image_id=image_id, **box).body
        for image_id in set(ids)
    }
    found: list[tuple[str, bytes]] = []

    def ask(image_id: str) -> None:
        found.append((image_id, server.get("pixels", plate_key=plate_key, image_id=image_id, **box).body))

    threads = [threading.Thread(target=ask, args=(image_id,)) for image_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(ids)
    assert all(body == expected[image_id] for image_id, body in found)


def test_tables_of_the_catalog_are_read_as_those_of_the_warehouse(tmp_path: Path) -> None:
    kept = settings_of(tmp_path / "data")
    images = store_images(kept, ZARR_PLATE, write_pixel_plate(tmp_path / "P1.zarr"))
    store_cells(kept, ZARR_PLATE, images)
    names = ("image_assets", "chunk_index", "joined_profiles", "cosmicqc_profiles")
    moved = settings_of(
        tmp_path / "data", BIOIMAGE_CATALOG="embedded", BIOIMAGE_ICEBERG_TABLES=",".join(names)
    )
    tables = open_project_tables(moved)
    warehouse = open_warehouse(kept.warehouse_uri)
    rows = {name: warehouse.read(name) for name in names}
    asked = [
        ("api/cells", {"well_id": "A01", "only_failed": 1}),
        ("api/cells", {"well_id": "A02"}),
        ("api/cell", {"object_id": f"{ZARR_PLATE}/4/4"}),
        ("api/well-values", {"name": "nothing"}),
    ]
    with run_in_thread(kept) as running:
        expected = [running.get(path, plate_key=ZARR_PLATE, **given).json() for path, given in asked]
        listed = running.get("api/plates").json()
    for name in names:
        catalog, identifier = tables.identify(name)
        replace_partitions(catalog, identifier, rows[name], [ZARR_PLATE])
        warehouse.remove_partitions(name, [ZARR_PLATE])
    with run_in_thread(moved) as running:
        found = [running.get(path, plate_key=ZARR_PLATE, **given).json() for path, given in asked]
        assert running.get("api/plates").json() == listed
        assert running.get("api/plate", plate_key=ZARR_PLATE).json()["wells"]
    limit = expected[2]["why"][0]["thresholds"].pop(FEATURE)  # is noted in the warehouse alone
    assert limit["zscore"] == 1.0
    assert found[2]["why"][0]["thresholds"].pop(FEATURE) == {"zscore": None, "cutoff": None}
    assert found == expected


def test_pieces_that_an_earlier_version_indexed_are_a_sentence_that_says_what_to_type(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "data")
    (tmp_path / "Plate7").mkdir()
    tifffile.imwrite(
        tmp_path / "Plate7" / imagexpress_name("A01", 1, 1), np.zeros((8, 8), np.uint16), metadata=None
    )
    store_images(settings, TIFF_PLATE, tmp_path / "Plate7")
    warehouse = open_warehouse(settings.warehouse_uri)
    old = warehouse.read("chunk_index").drop_columns(["codec"])
    warehouse.overwrite("chunk_index", {TIFF_PLATE: old})
    with run_in_thread(settings) as running:
        answer = running.get(f"zarr/{quote(TIFF_PLATE)}.zarr/zarr.json")
        assert answer.status == 422
        assert "bioimage-assets materialize" in str(answer.json()["error"])


@pytest.mark.slow
def test_the_server_starts_without_dagster_and_the_libraries_of_profiles() -> None:
    code = (
        "import sys, bioimage_assets.browse.serve; print(*sorted(name.split('.')[0] for name in sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "starlette" in loaded
    assert not {"dagster", "pycytominer", "cosmicqc", "matplotlib", "polars", "scipy"} & set(loaded)
