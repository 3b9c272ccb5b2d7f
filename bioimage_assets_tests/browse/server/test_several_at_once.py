"""Answers that hold several things, so that a page asks less often: channels of a box, thumbnails of wells."""

from __future__ import annotations

from urllib.parse import urlencode

import numpy as np
import pytest
import tifffile
import zarr

from bioimage_assets_tests.browse.server.conftest import TIFF_PLATE, ZARR_PLATE, Project
from bioimage_assets_tests.builders.browse_thread import Server
from bioimage_assets_tests.builders.tiff_plates import imagexpress_name

BOX = {"y0": 3, "y1": 20, "x0": 5, "x1": 31}


def image_of(project: Project, plate_key: str, well: str) -> dict[str, object]:
    return next(row for row in project.images[plate_key].to_pylist() if row["well_id"] == well)


def test_channels_of_a_zarr_array_and_of_tiffs_come_together(server: Server, project: Project) -> None:
    image = image_of(project, ZARR_PLATE, "A02")
    array = zarr.open_array(project.zarr_store / str(image["array_path"]), mode="r")
    tiffs = image_of(project, TIFF_PLATE, "B03")
    site = int(str(tiffs["site_id"]))
    planes = [tifffile.imread(project.tiff_folder / imagexpress_name("B03", site, c)) for c in (1, 2)]
    for row, plate_key, pixels in (
        (image, ZARR_PLATE, np.asarray(array)),
        (tiffs, TIFF_PLATE, np.stack(planes)),
    ):
        answer = server.get("pixels", plate_key=plate_key, image_id=row["image_id"], c="0,1", **BOX)
        assert answer.headers["x-shape"] == "2,17,26"
        found = np.frombuffer(answer.body, "<u2").reshape(2, 17, 26)
        assert np.array_equal(found, pixels[:, 3:20, 5:31])


@pytest.mark.parametrize("channels", ["1,0", "0,0", "0,", "0,2", "a", "0,-1"])
def test_channels_that_an_image_has_not_or_out_of_order_are_refused_in_words(
    server: Server, project: Project, channels: str
) -> None:
    image = image_of(project, ZARR_PLATE, "A01")
    answer = server.get("pixels", plate_key=ZARR_PLATE, image_id=image["image_id"], c=channels, **BOX)
    assert answer.status == 400
    assert len(str(answer.json()["error"])) > 20


def test_levels_say_what_is_decoded_at_once(server: Server, project: Project) -> None:
    for plate_key, well in ((ZARR_PLATE, "A01"), (TIFF_PLATE, "A01")):
        row = image_of(project, plate_key, well)
        level = server.get("api/image", plate_key=plate_key, image_id=row["image_id"]).json()["levels"][0]
        if plate_key == ZARR_PLATE:
            chunks = zarr.open_array(project.zarr_store / str(row["array_path"]), mode="r").chunks
        else:
            site = int(str(row["site_id"]))
            with tifffile.TiffFile(project.tiff_folder / imagexpress_name(well, site, 1)) as file:
                chunks = (file.pages[0].rowsperstrip, file.pages[0].imagewidth)
        assert level["chunk"] == list(chunks[-2:])


def test_thumbnails_that_were_made_come_together_and_others_are_none(
    server: Server, project: Project
) -> None:
    fields = [row["image_id"] for row in project.images[TIFF_PLATE].to_pylist()]
    size = {"plate_key": TIFF_PLATE, "size": 208}
    assert read_bundle(server, size, fields) == [b""] * len(fields)
    made = [server.get("thumb", **size, image_id=name).body for name in fields[1:3]]
    assert all(made)
    assert read_bundle(server, size, fields) == [b"", *made, *([b""] * (len(fields) - 3))]


def read_bundle(server: Server, size: dict[str, object], image_ids: list[object]) -> list[bytes]:
    """The pictures of an answer, empty where there is none yet; only whole answers may be kept."""
    query = urlencode([*size.items(), *(("image_id", name) for name in image_ids)])
    answer = server.ask(f"{server.base}thumbs?{query}")
    found, at = [], 0
    while at < len(answer.body):
        length = int.from_bytes(answer.body[at : at + 4], "little")
        found.append(answer.body[at + 4 : at + 4 + length])
        at += 4 + length
    assert ("no-store" in answer.headers["cache-control"]) == (b"" in found)
    return found


def test_too_many_thumbnails_are_refused(server: Server, project: Project) -> None:
    image = project.images[TIFF_PLATE]["image_id"][0].as_py()
    query = urlencode([("plate_key", TIFF_PLATE), *([("image_id", image)] * 65)])
    assert server.ask(f"{server.base}thumbs?{query}").status == 400
