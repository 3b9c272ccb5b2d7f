"""What a TIFF declares and does not hold, or holds and does not declare, is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from bioimage_assets.core.formats.ome_tiff.scan import scan_tiff
from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets.core.model.scan import StoreScan
from bioimage_assets_tests.builders.tiff_files import (
    UUIDS,
    build_block,
    build_ome_image,
    build_ome_xml,
    write_pages,
)

PAGE = np.zeros((16, 24), np.uint16)


def codes(scan: StoreScan) -> list[tuple[str, str]]:
    return [(finding.code, finding.severity) for finding in scan.findings]


@pytest.mark.parametrize(
    ("blocks", "count"),
    [
        ([build_block(c, c=c) for c in range(4)], 2),
        ([build_block(0, c=0), build_block(1, c=1), build_block(2, z=1)], 1),
        ([build_block(0, count=4)], 1),
        ([build_block(0, count=2)], 0),
        (["<TiffData/>"], 0),
    ],
)
def test_tiff_data_beyond_the_declared_sizes_are_said(tmp_path: Path, blocks: list[str], count: int):
    xml = build_ome_xml([build_ome_image(0, x=24, y=16, c=2, blocks="".join(blocks))])
    path = write_pages(tmp_path / "a.ome.tif", [PAGE] * 4, xml)
    scan = scan_tiff(str(path))
    assert scan.images[0].shape == (2, 16, 24)
    assert codes(scan) == ([("tiff-data-outside", "warning")] if count else [])
    assert all(finding.message.startswith(f"{count} of {len(blocks)} TiffData") for finding in scan.findings)


MICRO = {
    "utf-8": "µm".encode(), "latin-1": "µm".encode("latin-1"), "escaped": b"\\u00B5m", "greek": "\u03bcm".encode(),
    "word": b"micron", "words": b"microns", "plain": b"um", "long": b"micrometers", "twice": "Âµm".encode(),
}  # fmt: skip


@pytest.mark.parametrize("spelling", MICRO)
def test_every_spelling_of_a_micrometre_in_an_imagej_text_is_one(tmp_path: Path, spelling: str):
    path = tmp_path / "a.tif"
    text = b"ImageJ=1.53t\nimages=3\nslices=3\nunit=" + MICRO[spelling] + b"\nspacing=2.0\n"
    with tifffile.TiffWriter(path) as writer:
        for number in range(3):
            own = {"extratags": [(270, 2, len(text) + 1, text + b"\0", True)]} if number == 0 else {}
            writer.write(PAGE, metadata=None, resolution=(4.0, 2.0), contiguous=False, **own)
    scan = scan_tiff(str(path))
    (image,) = scan.images
    assert image.storage_variant == "imagej-tiff"
    assert (image.pixel_size_x_um, image.pixel_size_y_um, image.pixel_size_z_um) == (0.25, 0.5, 2.0)


@pytest.mark.parametrize(
    ("name", "code"),
    [("../other/b.ome.tif", "file-outside-store"), ("b.ome.tif", "planes-elsewhere")],
)
def test_a_file_whose_planes_lie_elsewhere_is_said(tmp_path: Path, name: str, code: str):
    image = build_ome_image(0, x=24, y=16, blocks=build_block(0, file=name, uuid=UUIDS[1]))
    path = write_pages(tmp_path / "set" / "a.ome.tif", [PAGE, PAGE], build_ome_xml([image], uuid=UUIDS[0]))
    write_pages(tmp_path / "other" / "b.ome.tif", [PAGE + 1], build_ome_xml([image], uuid=UUIDS[1]))
    scan = scan_tiff(str(path))
    assert codes(scan) == [(code, "warning")]
    assert (scan.images[0].shape, scan.images[0].axes) == ((2, 16, 24), "iyx")
    assert repr(name) in scan.findings[0].message


def test_a_folder_whose_file_names_one_outside_is_told_so(tmp_path: Path):
    image = build_ome_image(0, x=24, y=16, blocks=build_block(0, file="../other/b.ome.tif", uuid=UUIDS[1]))
    write_pages(tmp_path / "set" / "a.ome.tif", [PAGE, PAGE], build_ome_xml([image], uuid=UUIDS[0]))
    scan = scan_plate_folder(str(tmp_path / "set"))
    assert "file-outside-store" in [finding.code for finding in scan.findings]
