"""Images that an OME-XML speaks of and no file holds are one finding with their number, not one for each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bioimage_assets.core.scan.scanner import scan_store_records
from bioimage_assets_tests.builders.tiff_files import (
    UUIDS,
    build_block,
    build_ome_image,
    build_ome_xml,
    build_plate_xml,
    write_pages,
)

PAGE = np.zeros((16, 24), np.uint16)
NAMES = [f"f{n}.ome.tif" for n in range(8)]


@pytest.mark.parametrize(("is_alone", "expected"), [(False, "5 times"), (True, None)])
def test_files_of_a_set_that_are_not_there(tmp_path: Path, is_alone: bool, expected: str | None):
    images = [
        build_ome_image(n, x=24, y=16, blocks=build_block(0, file=name, uuid=UUIDS[n]))
        for n, name in enumerate(NAMES)
    ]
    for n in range(3):
        write_pages(tmp_path / "P1" / NAMES[n], [PAGE], build_ome_xml(images, uuid=UUIDS[n]))
    scan = scan_store_records(str(tmp_path / "P1" / (NAMES[0] if is_alone else "")))
    assert len(scan.images) == (1 if is_alone else 3)
    told = [finding for finding in scan.findings if finding.code == "image-unreadable"]
    assert len(told) == (0 if expected is None else 1)
    assert all(finding.severity == "error" and (expected or "") in finding.message for finding in told)


@pytest.mark.filterwarnings("ignore:Reference to unknown ID")  # ome-types says so, too
@pytest.mark.parametrize("is_alone", [False, True])
def test_a_plate_that_each_file_declares_whole(tmp_path: Path, is_alone: bool):
    plate = build_plate_xml([(0, n, [(n, n)]) for n in range(8)])
    for n in range(3):
        image = build_ome_image(n, x=24, y=16, blocks=build_block(0))
        write_pages(tmp_path / "P1" / NAMES[n], [PAGE], build_ome_xml([image], plates=plate))
    scan = scan_store_records(str(tmp_path / "P1" / (NAMES[0] if is_alone else "")))
    (finding,) = [finding for finding in scan.findings if finding.code == "plate-image-missing"]
    assert finding.severity == "warning"
    assert f"{7 if is_alone else 21} times" in finding.message
    assert "Well A02 site 0 refers to image 'Image:1'" in finding.message


def test_one_image_that_is_not_held_is_told_as_it_is(tmp_path: Path):
    images = [build_ome_image(n, x=24, y=16, blocks=build_block(5 * n)) for n in range(2)]
    write_pages(tmp_path / "a.ome.tif", [PAGE], build_ome_xml(images))
    (finding,) = [
        f for f in scan_store_records(str(tmp_path / "a.ome.tif")).findings if f.code == "image-unreadable"
    ]
    assert finding.message.endswith("a.ome.tif: no page of the image is stored.")
