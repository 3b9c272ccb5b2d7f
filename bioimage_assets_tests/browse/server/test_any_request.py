"""Whatever is asked, the answer is what was asked for or a sentence why not; never a fault of the server."""

from __future__ import annotations

import random
from urllib.parse import quote

import pytest

from bioimage_assets_tests.browse.server.conftest import TIFF_PLATE, ZARR_PLATE, Project
from bioimage_assets_tests.builders.browse_thread import Server

PARAMETERS = {
    "api/plates": (),
    "api/plate": ("plate_key",),
    "api/well-values": ("plate_key", "name"),
    "api/cells": ("plate_key", "well_id", "image_id", "only_failed", "offset", "limit"),
    "api/cell": ("plate_key", "object_id"),
    "api/image": ("plate_key", "image_id"),
    "thumb": ("plate_key", "image_id", "size"),
    "thumbs": ("plate_key", "image_id", "size"),
    "pixels": ("plate_key", "image_id", "level", "c", "z", "t", "y0", "y1", "x0", "x1"),
}
WORDS = (
    "", "0", "1", "-1", "999999", "16", "64", "a", "A01", "cells", "null", "nan", "1e9", "0,1", "0,99", "1,", "é", '"', "'", "\n", "\0",
    "../..", "x" * 3000, f"{ZARR_PLATE}/1/1", "Cells_AreaShape_Area", ZARR_PLATE, TIFF_PLATE,
)  # fmt: skip
PARTS = (
    "zarr.json",
    ".zattrs",
    "A",
    "B",
    "1",
    "3",
    "0",
    "c",
    "c/0/0/0",
    "..",
    "%2e%2e",
    "-1",
    "9" * 30,
    "labels",
    "",
    "%00",
)
RANGES = ("bytes=0-", "bytes=-", "bytes=-5", "bytes=5-1", "bytes=99999999999999999999-", "words", "")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_no_parameters_are_a_fault_of_the_server(server: Server, project: Project, seed: int) -> None:
    draw = random.Random(seed)
    images = [name for table in project.images.values() for name in table["image_id"].to_pylist()]
    likely = {"plate_key": [ZARR_PLATE, TIFF_PLATE], "image_id": images, "well_id": ["A01", "B03"]}
    answered = 0
    for _ in range(400):
        path = draw.choice(list(PARAMETERS))
        asked = []
        for name in PARAMETERS[path]:
            if draw.random() < 0.9:
                chosen = likely.get(name, WORDS) if draw.random() < 0.8 else WORDS
                asked.append(f"{name}={quote(draw.choice(chosen), safe='')}")
        answer = server.ask(f"{server.base}{path}?{'&'.join(asked)}")
        assert answer.status in (200, 400, 404), (path, asked, answer.body[:300])
        if answer.status == 200:
            answered += 1
        else:
            assert answer.json()["error"], (path, asked)
    assert answered > 40


@pytest.mark.slow
@pytest.mark.parametrize("plate_key", [ZARR_PLATE, TIFF_PLATE, "screen/none"])
def test_no_key_and_no_range_are_a_fault_of_the_server(server: Server, plate_key: str) -> None:
    draw = random.Random(plate_key)
    for _ in range(400):
        key = "/".join(draw.choice(PARTS) for _ in range(draw.randint(1, 7)))
        address = f"{server.base}zarr/{quote(plate_key)}.zarr/{key}"
        answer = server.ask(address, {"Range": draw.choice(RANGES)}, method=draw.choice(["GET", "HEAD"]))
        assert answer.status in (200, 206, 404, 416), (address, answer.body[:300])
