"""Names of IN Cell Analyzer with z steps and time points, alone and beside an XDCE: channels are channels, planes are planes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from bioimage_assets.core.formats.plate_folders.patterns import parse_name
from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets_tests.builders.tiff_plates import XdceImage, write_plane, write_xdce_images
from bioimage_assets_tests.core.formats.ome_tiff.tiff_oracle import read_chunks

DYES = ("UV - DAPI", "Blue - FITC")

NAMES = {
    "A - 01(fld 1 wv UV - DAPI z 3 time 2 - 2636ms).tif": (None, "A01", "1", "UV - DAPI", 3, 2),
    "A - 01(fld 1 wv UV - DAPI z 3 time 2 - 2636 ms).tif": (None, "A01", "1", "UV - DAPI", 3, 2),
    "A - 1(fld 02 wv FITC - FITC).tif": (None, "A01", "2", "FITC - FITC", None, None),
    "P - 24(fld 1 wv Cy3 - Cy3 z 1).tif": (None, "P24", "1", "Cy3 - Cy3", 1, None),
    "A - 1(fld 1 wv TL-Brightfield - Cy3 time 1 - 0 ms).tif": (
        None,
        "A01",
        "1",
        "TL-Brightfield - Cy3",
        None,
        1,
    ),
    "H - 12(fld 1 z 1- time 1 - 0 ms).tif": (None, "H12", "1", None, 1, 1),
    "H - 2(fld 2- time 10 - 153890 ms).tif": (None, "H02", "2", None, None, 10),
    "B - 03(fld 1 wv TL-Phase Contrast - Cy3 wix 1).tif": (
        None,
        "B03",
        "1",
        "TL-Phase Contrast - Cy3 wix 1",
        None,
        None,
    ),
    "x_CORR_B - 2(fld 1 wv Cy5 - Cy5).tif": ("x_CORR", "B02", "1", "Cy5 - Cy5", None, None),
    "Plate1_A01(fld 1 wv 390 - Blue).tif": ("Plate1", "A01", "1", "390 - Blue", None, None),
    "A  -  1( fld  1  wv  FITC - FITC  z  2 ).tif": (None, "A01", "1", "FITC - FITC", 2, None),
    "A - 1(fld 1).tif": (None, "A01", "1", None, None, None),
}


@pytest.mark.parametrize("name", NAMES)
def test_z_and_time_of_a_name_never_land_in_its_channel(name: str):
    parts = parse_name(name)
    assert parts is not None
    assert parts.layout == "incell"
    assert (parts.plate, parts.well_id, parts.site_id, parts.channel, parts.z, parts.t) == NAMES[name]


def _stack_name(wave: int, z: int, t: int) -> str:
    return f"A - 01(fld 1 wv {DYES[wave]} z {z + 1} time {t + 1} - {1318 * t}ms).tif"


def _write_stack(folder: Path, name_of: Callable[[int, int, int], str] = _stack_name) -> list[XdceImage]:
    """One field of two waves, three z steps and two time points; pixels say wave, z and t."""
    images = []
    for wave in (0, 1):
        for z in range(3):
            for t in (0, 1):
                write_plane(folder / name_of(wave, z, t), 100 * t + 10 * wave + z)
                images.append(XdceImage(name_of(wave, z, t), "A01", 0, wave, z, t))
    return images


def test_a_stack_is_one_field_of_two_channels_and_each_plane_stands_in_its_place(tmp_path: Path):
    _write_stack(tmp_path / "P")
    scan = scan_plate_folder(str(tmp_path / "P"))
    (image,) = scan.images
    assert (image.shape, image.axes, image.channel_names) == ((2, 2, 3, 12, 16), "tczyx", DYES[::-1])
    assert scan.findings == ()
    for row in read_chunks(scan).to_pylist():
        t, c, z = row["chunk_coords"][:3]
        pixels = tifffile.imread(tmp_path / "P" / row["chunk_key"].partition("#")[0])
        assert (np.unique(pixels) == 100 * t + 10 * (1 - c) + z).all()


def test_an_xdce_beside_a_stack_names_its_two_channels_by_emission_filter(tmp_path: Path):
    images = _write_stack(tmp_path / "P")
    write_xdce_images(tmp_path / "P/run.xdce", ("DAPI", "FITC"), images)
    scan = scan_plate_folder(str(tmp_path / "P"))
    (image,) = scan.images
    assert (image.shape, image.channel_names) == ((2, 2, 3, 12, 16), ("FITC", "DAPI"))
    assert scan.findings == ()


def test_planes_that_a_name_misspells_are_placed_by_the_xdce_and_that_is_said(tmp_path: Path):
    images = _write_stack(tmp_path / "P", lambda wave, z, t: f"A - 01(fld 1 wv {DYES[wave]} zed{z}t{t}).tif")
    path = write_xdce_images(tmp_path / "P/run.xdce", ("DAPI", "FITC"), images)
    scan = scan_plate_folder(str(tmp_path / "P"))
    (image,) = scan.images
    assert (image.shape, image.axes, image.channel_names) == ((2, 2, 3, 12, 16), "tczyx", ("DAPI", "FITC"))
    assert [(finding.code, finding.severity) for finding in scan.findings] == [("sidecar-differs", "warning")]
    told = _places_by_hand(path)
    assert {file.path: (file.c, file.z, file.t) for file in image.files} == told


def _places_by_hand(path: Path) -> dict[str, tuple[int, int, int]]:
    places = {}
    for image in ElementTree.fromstring(path.read_bytes().decode("latin-1").partition("?>")[2]).iter("Image"):
        index = image.find("Identifier")
        assert index is not None
        places[image.attrib["filename"]] = tuple(
            int(index.attrib[f"{axis}_index"]) for axis in ("wave", "z", "time")
        )
    return places


def test_a_well_of_the_xdce_wins_over_that_of_the_name_and_is_said(tmp_path: Path):
    names = [f"A - 0{n}(fld 1 wv {dye}).tif" for n in (1, 2) for dye in DYES]
    for name in names:
        write_plane(tmp_path / "P" / name)
    images = [
        XdceImage(name, {"1": "C07", "2": "C08"}[name[5]], 0, DYES.index(name[16:-5])) for name in names
    ]
    write_xdce_images(tmp_path / "P/run.xdce", ("DAPI", "FITC"), images)
    scan = scan_plate_folder(str(tmp_path / "P"))
    assert [image.image_id for image in scan.images] == ["P:C07:1", "P:C08:1"]
    (finding,) = scan.findings
    assert finding.code == "sidecar-differs"
    assert "'A01'" in finding.message
    assert "'C07'" in finding.message


def test_a_given_pattern_is_followed_where_an_xdce_says_otherwise(tmp_path: Path):
    images = [XdceImage("A - 01(fld 1 wv UV - DAPI).tif", "C07", 0, 0)]
    write_plane(tmp_path / "P" / images[0].name)
    write_xdce_images(tmp_path / "P/run.xdce", ("DAPI",), images)
    options = ScanOptions(file_pattern=r"(?P<well>[A-P] - \d+)\(fld (?P<site>\d+) wv (?P<channel>[^)]+)")
    scan = scan_plate_folder(str(tmp_path / "P"), options)
    assert [image.image_id for image in scan.images] == ["P:A01:1"]


def test_a_movie_of_one_unnamed_channel_is_one_field(tmp_path: Path):
    for t in (1, 2, 3):
        write_plane(tmp_path / f"P/H - 12(fld 1 z 1- time {t} - {t * 30000} ms).tif", t)
    scan = scan_plate_folder(str(tmp_path / "P"))
    (image,) = scan.images
    assert (image.image_id, image.axes, image.shape) == ("P:H12:1", "tyx", (3, 12, 16))
    assert scan.findings == ()
    found = defaultdict(set)
    for row in read_chunks(scan).to_pylist():
        found[row["chunk_coords"][0]].add(row["chunk_key"].partition("#")[0])
    assert {t: len(names) for t, names in found.items()} == {0: 1, 1: 1, 2: 1}
