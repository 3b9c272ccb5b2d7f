"""Plates in a bucket are shown through the server, which alone has the credentials; other objects of the bucket are not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from zarr.storage import FsspecStore

from bioimage_assets.core.settings.project import ProjectSettings
from bioimage_assets_tests.browse.server.conftest import TIFF_PLATE, ZARR_PLATE, write_tiff_plate
from bioimage_assets_tests.builders.browse_thread import Server, run_in_thread
from bioimage_assets_tests.builders.stored_project import settings_of, store_images_at
from bioimage_assets_tests.builders.tiff_plates import imagexpress_name
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate
from bioimage_assets_tests.builders.zarr_server import StandInS3


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server over two plates of a bucket, and the folder that the bucket is."""
    root = tmp_path_factory.mktemp("bucket")
    write_pixel_plate(root / "screen" / "P1.zarr", size=32)
    write_tiff_plate(root / "screen" / "Plate7")
    (root / "secret.txt").write_text("what nobody may see")
    with StandInS3(root).running() as s3:
        given = {f"BIOIMAGE_STORAGE_{name.upper()}": str(value) for name, value in s3.options().items()}
        settings: ProjectSettings = settings_of(tmp_path_factory.mktemp("project") / "data", **given)
        store_images_at(settings, ZARR_PLATE, "s3://screens/screen/P1.zarr")
        store_images_at(settings, TIFF_PLATE, "s3://screens/screen/Plate7")
        with run_in_thread(settings) as running:
            yield running, root


def url_of(server: Server, plate_key: str) -> str:
    return str(server.get("api/plate", plate_key=plate_key).json()["links"]["zarr"])


def test_a_zarr_plate_of_a_bucket_is_passed_through(bucket: tuple[Server, Path]) -> None:
    server, root = bucket
    group = zarr.open_group(FsspecStore.from_url(url_of(server, ZARR_PLATE), read_only=True), mode="r")
    own = zarr.open_group(root / "screen" / "P1.zarr", mode="r")
    assert np.array_equal(group["A/2/1/0"][:], own["A/2/1/0"][:])
    whole = (root / "screen" / "P1.zarr" / "zarr.json").read_bytes()
    part = server.ask(f"{server.base}zarr/{ZARR_PLATE}.zarr/zarr.json", {"Range": "bytes=5-20"})
    assert (part.status, part.body) == (206, whole[5:21])
    for key in ("../../secret.txt", "A/1/0/0/c/9/9/9", "A"):
        assert server.get(f"zarr/{ZARR_PLATE}.zarr/{key}").status == 404


def test_files_of_a_bucket_are_one_plate(bucket: tuple[Server, Path]) -> None:
    server, root = bucket
    group = zarr.open_group(FsspecStore.from_url(url_of(server, TIFF_PLATE), read_only=True), mode="r")
    found = np.asarray(group["B/3/2/0"][:])
    for channel in (0, 1):
        expected = tifffile.imread(root / "screen" / "Plate7" / imagexpress_name("B03", 2, channel + 1))
        assert np.array_equal(found[channel], expected)


@pytest.mark.parametrize("plate_key", [ZARR_PLATE, TIFF_PLATE])
def test_fields_of_a_bucket_have_pictures_and_pixels(bucket: tuple[Server, Path], plate_key: str) -> None:
    server, _ = bucket
    plate = server.get("api/plate", plate_key=plate_key).json()
    one = plate["wells"][0]["fields"][0]
    assert all(channel["min"] < channel["max"] < channel["limit"] for channel in plate["channels"])
    assert server.ask(f"{server.base}{one['thumbnail']}").status == 200
    box = {"y0": 0, "y1": 32, "x0": 0, "x1": 32}
    assert server.get("pixels", plate_key=plate_key, image_id=one["image_id"], **box).status == 200


def test_the_page_of_a_plate_does_not_wait_for_the_pixels_of_its_wells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bioimage_assets.browse.channels.MAX_WAIT_S", 0.0)
    write_pixel_plate(tmp_path / "bucket" / "P1.zarr", size=32)
    with StandInS3(tmp_path / "bucket").running() as s3:
        given = {f"BIOIMAGE_STORAGE_{name.upper()}": str(value) for name, value in s3.options().items()}
        settings = settings_of(tmp_path / "data", **given)
        images = store_images_at(settings, ZARR_PLATE, "s3://screens/P1.zarr")
        s3.delay_s = 0.2  # of each answer
        with run_in_thread(settings) as running:
            first = running.get("api/plate", plate_key=ZARR_PLATE).json()["channels"]
            assert [(one["name"], one["min"], one["max"]) for one in first] == [
                ("DNA", 0.0, 65535.0),
                ("ER", 0.0, 65535.0),
            ]
            image = running.get(
                "api/image", plate_key=ZARR_PLATE, image_id=images["image_id"][0].as_py()
            ).json()
            assert all(one["max"] < 65535 for one in image["channels"])
            assert running.get("api/plate", plate_key=ZARR_PLATE).json()["channels"] == image["channels"]
