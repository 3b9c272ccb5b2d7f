"""OME-XML beside TIFFs: a companion where it names the files, else facts, and never the end of what file names say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from ome_types import from_xml

from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets.core.model.scan import StoreScan
from bioimage_assets_tests.builders import instrument_plates as instruments
from bioimage_assets_tests.builders import tiff_plates as plates
from bioimage_assets_tests.builders.tiff_files import (
    build_block,
    build_ome_image,
    build_ome_xml,
    write_pages,
)
from bioimage_assets_tests.core.formats.ome_tiff.tiff_oracle import read_chunks

SIZES = 'PhysicalSizeX="0.325" PhysicalSizeY="0.325"'


def codes(scan: StoreScan) -> list[str]:
    return sorted({finding.code for finding in scan.findings})


@pytest.mark.parametrize("start", ["", "data"])
def test_metadata_of_scanr_make_the_images_and_names_of_files_place_them(tmp_path: Path, start: str):
    folder = instruments.write_scanr(tmp_path / "Run5")
    assert len(from_xml((folder / "data/metadata.ome.xml").read_text()).images) == 6
    scan = scan_plate_folder(str(folder / start))
    assert [image.image_id for image in scan.images] == [
        f"Run5:{well}:{site}" for well in plates.WELLS for site in (1, 2)
    ]
    for image in scan.images:
        assert (image.shape, image.axes, image.scan_status) == ((3, 12, 16), "cyx", "ok")
        assert image.channel_names == instruments.SCANR_DYES
        assert image.pixel_size_x_um == pytest.approx(0.325)
        assert image.storage_variant == "ome-tiff-set"
        assert image.image_name is not None
    assert scan.findings == ()
    rows = read_chunks(scan).to_pylist()
    assert len(rows) == 18
    for row in rows:
        name = row["chunk_key"].rpartition("#")[0]
        with tifffile.TiffFile(folder / start / name) as tiff:
            page = tiff.pages[0].aspage()
            assert (row["stored_offset"], row["stored_bytes"]) == (
                page.dataoffsets[0],
                page.databytecounts[0],
            )
            assert page.asarray()[0, 0] == row["chunk_coords"][0] + 1


def test_a_file_that_the_metadata_name_and_is_gone_is_missing(tmp_path: Path):
    folder = instruments.write_scanr(tmp_path / "Run5")
    (folder / instruments.scanr_name("A02", 1, 3)).unlink()
    scan = scan_plate_folder(str(folder))
    assert {image.image_id: image.scan_status for image in scan.images}["Run5:A02:1"] == "partial"
    assert codes(scan) == ["file-missing", "missing-planes"]
    places = {(row["image_id"], tuple(row["chunk_coords"])) for row in read_chunks(scan).to_pylist()}
    assert {place for image, place in places if image == "Run5:A02:1"} == {(0, 0, 0), (1, 0, 0)}


def test_an_image_whose_files_are_of_two_wells_has_no_place(tmp_path: Path):
    folder = plates.write_named(
        tmp_path / "P", instruments.scanr_name, wells=("A01", "A02"), sites=1, channels=1
    )
    names = [Path(instruments.scanr_name(well, 1, 1)).name for well in ("A01", "A02")]
    blocks = "".join(build_block(0, c=c, file=name) for c, name in enumerate(names))
    (folder / "data/x.ome.xml").write_text(
        build_ome_xml([build_ome_image(0, x=16, y=12, c=2, blocks=blocks)])
    )
    assert [image.well_id for image in scan_plate_folder(str(folder)).images] == [None]


@pytest.mark.parametrize("name", ["MeasurementResult.ome.xml", "plate.ome", "P7.OME.XML"])
def test_a_document_that_names_one_file_of_many_tears_no_field_apart(tmp_path: Path, name: str):
    folder = plates.write_named(tmp_path / "P", plates.imagexpress_name)
    one = plates.imagexpress_name("A01", 1, 1)
    image = build_ome_image(
        0, x=16, y=12, blocks=build_block(0, file=one), channels=("DAPI",), pixel_attributes=SIZES
    )
    (folder / name).write_text(build_ome_xml([image]))
    scan = scan_plate_folder(str(folder))
    assert [(image.shape, image.scan_status) for image in scan.images] == [((3, 12, 16), "ok")] * 6
    assert {image.channel_names for image in scan.images} == {("w1", "w2", "w3")}, (
        "one name for three channels is none"
    )
    assert {image.pixel_size_x_um for image in scan.images} == {0.325}
    (finding,) = scan.findings
    assert (finding.code, finding.severity) == ("ome-xml-no-companion", "info")
    assert "names 1 of the 18 TIFFs" in finding.message


def test_channels_of_a_document_without_files_name_tokens_that_are_as_many(tmp_path: Path):
    folder = plates.write_named(tmp_path / "P", plates.imagexpress_name)
    image = build_ome_image(0, x=16, y=12, c=3, blocks="", channels=("DAPI", "FITC", "Cy5"))
    (folder / "plate.ome.xml").write_text(build_ome_xml([image]))
    assert {image.channel_names for image in scan_plate_folder(str(folder)).images} == {
        ("DAPI", "FITC", "Cy5")
    }
    plates.write_htd(folder / "P.HTD", ["Hoechst", "GFP", "Far red"])
    channels = {image.channel_names for image in scan_plate_folder(str(folder)).images}
    assert channels == {("Hoechst", "GFP", "Far red")}, "the instrument's own sidecar wins"


def test_channels_of_a_document_are_not_given_to_names_with_a_gap(tmp_path: Path):
    folder = plates.write_named(tmp_path / "P", plates.imagexpress_name, channels=3)
    for path in folder.glob("*_w2*"):
        path.unlink()
    image = build_ome_image(0, x=16, y=12, c=2, blocks="", channels=("DAPI", "FITC"))
    (folder / "plate.ome.xml").write_text(build_ome_xml([image]))
    assert {image.channel_names for image in scan_plate_folder(str(folder)).images} == {("w1", "w3")}


@pytest.mark.parametrize("text", ["", "<OME", "<!DOCTYPE x [<!ENTITY a 'b'>]><OME>&a;</OME>", "<x/>", "\0\1"])
def test_a_broken_document_costs_no_image(tmp_path: Path, text: str):
    folder = plates.write_named(tmp_path / "P", plates.imagexpress_name, wells=("A01",), sites=1)
    (folder / "plate.ome.xml").write_text(text)
    scan = scan_plate_folder(str(folder))
    assert [image.image_id for image in scan.images] == ["Plate7:A01:1"]
    assert len(codes(scan)) == 1
    assert codes(scan)[0] in ("sidecar-unreadable", "ome-xml-no-companion")


def test_a_document_that_names_files_elsewhere_opens_none(tmp_path: Path):
    plates.write_plane(tmp_path / "secret/x.tif", shape=(7, 7))
    folder = plates.write_named(tmp_path / "P", plates.imagexpress_name, wells=("A01",), sites=1)
    blocks = build_block(0, file="../secret/x.tif") + build_block(0, c=1, file="/etc/passwd")
    (folder / "plate.ome.xml").write_text(build_ome_xml([build_ome_image(0, x=7, y=7, c=2, blocks=blocks)]))
    scan = scan_plate_folder(str(folder))
    assert [image.shape for image in scan.images] == [(3, 12, 16)]
    assert codes(scan) == ["ome-xml-no-companion"]


def test_the_descriptor_of_scanr_gives_the_pixel_size(tmp_path: Path):
    folder = plates.write_named(tmp_path / "Run5", instruments.scanr_name)
    pairs = "<DBL><Name>conversion factor um/pixel</Name><Val>0.645</Val></DBL><I32><Name>rows/well</Name><Val>2</Val></I32>"
    (folder / "experiment_descriptor.xml").write_bytes(
        f"<?xml version='1.0'?><LVData>\xb5{pairs}</LVData>".encode("latin-1")
    )
    scan = scan_plate_folder(str(folder))
    assert {(image.pixel_size_x_um, image.pixel_size_y_um) for image in scan.images} == {(0.645, 0.645)}
    assert scan.findings == ()


@pytest.mark.parametrize("planes", [((0, 0), (1, 0), (0, 1), (1, 1)), ((1, 1), (0, 0), (1, 0), (0, 1))])
def test_pages_of_files_that_do_not_name_their_document_are_where_it_says(
    tmp_path: Path, planes: tuple[tuple[int, int], ...]
):
    images = []
    for number in range(2):
        pages = [np.full((12, 16), 10 * c + z, np.uint16) for c, z in planes]
        write_pages(tmp_path / f"P/data/field{number}.tif", pages)
        blocks = "".join(
            build_block(ifd, c=c, z=z, file=f"data/field{number}.tif") for ifd, (c, z) in enumerate(planes)
        )
        images.append(build_ome_image(number, x=16, y=12, c=2, z=2, blocks=blocks))
    (tmp_path / "P/plate.ome.xml").write_text(build_ome_xml(images))
    scan = scan_plate_folder(str(tmp_path / "P"))
    assert [(image.axes, image.shape) for image in scan.images] == [("zcyx", (2, 2, 12, 16))] * 2
    rows = read_chunks(scan).to_pylist()
    assert len(rows) == 8
    uris = {image.image_id: Path(image.uri) for image in scan.images}
    for row in rows:
        raw = uris[row["image_id"]].read_bytes()[row["stored_offset"] :]
        assert np.frombuffer(raw[:2], "<u2")[0] == 10 * row["chunk_coords"][1] + row["chunk_coords"][0]
