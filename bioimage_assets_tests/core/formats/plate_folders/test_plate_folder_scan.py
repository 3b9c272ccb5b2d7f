"""Folders of one-channel TIFFs as microscopes write them: one row per field of view, whoever named the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from bioimage_assets.core.errors import StoreChangedError, UnsupportedStoreError, UsageError
from bioimage_assets.core.formats.plate_folders import png_plate
from bioimage_assets.core.formats.plate_folders import scan as folder_scan
from bioimage_assets.core.formats.plate_folders.listing import read_listing
from bioimage_assets.core.formats.plate_folders.patterns import parse_name
from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets_tests.builders import tiff_plates as plates
from bioimage_assets_tests.builders.tiff_files import (
    build_block,
    build_ome_image,
    build_ome_xml,
    build_plate_xml,
    write_ome_tiff,
    write_pages,
)
from bioimage_assets_tests.core.formats.ome_tiff.tiff_oracle import read_chunks

REAL = Path(__file__).resolve().parents[4] / "../shared/data/examplehuman"

LAYOUTS = {
    "imagexpress": (plates.imagexpress_name, "Plate7", ("1", "2"), ("w1", "w2", "w3")),
    "opera-phenix": (plates.phenix_name, "plate", ("1", "2"), ("ch1", "ch2", "ch3")),
    "cellvoyager": (plates.cellvoyager_name, "Plate7", ("1", "2"), ("C01", "C02", "C03")),
    "cellomics": (plates.cellomics_name, "Plate7", ("0", "1"), ("d0", "d1", "d2")),
    "incell": (plates.incell_name, "plate", ("1", "2"), ("Cy3 - Cy3", "DAPI - DAPI", "FITC - FITC")),
    "cytation": (plates.cytation_name, "plate", ("1", "2"), ("DAPI", "GFP 469,525", "Texas Red")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_microscope_gives_one_row_per_field(tmp_path: Path, layout: str):
    name_of, plate, sites, channels = LAYOUTS[layout]
    folder = plates.write_named(tmp_path / "plate", name_of)
    scan = scan_plate_folder(str(folder))
    expected = [f"{plate}:{well}:{site}" for well in plates.WELLS for site in sites]
    assert [image.image_id for image in scan.images] == expected
    for image in scan.images:
        assert (image.shape, image.axes, image.dtype) == ((3, 12, 16), "cyx", "uint16")
        assert image.channel_names == channels
        assert image.storage_variant == f"tiff-plate-{layout}"
        assert image.uri == str(folder)
        assert [file.c for file in image.files] == [0, 1, 2]
        assert image.scan_status == "ok"
    assert scan.findings == ()


def test_every_chunk_row_of_a_grouped_field_points_at_its_channel(tmp_path: Path):
    folder = plates.write_named(tmp_path / "plate", plates.phenix_name)
    rows = read_chunks(scan_plate_folder(str(folder))).to_pylist()
    assert len(rows) == 18
    for row in rows:
        name = row["chunk_key"].rpartition("#")[0]
        raw = (folder / name).read_bytes()[row["stored_offset"] :][: row["stored_bytes"]]
        assert np.frombuffer(raw, "<u2")[0] == row["chunk_coords"][0] + 1
        assert (np.frombuffer(raw, "<u2").reshape(12, 16) == tifffile.imread(folder / name)).all()


@pytest.mark.external
@pytest.mark.skipif(not REAL.exists(), reason="real ExampleHuman images are not here")
def test_the_real_examplehuman_images_are_one_field_of_three_channels():
    (image,) = scan_plate_folder(str(REAL)).images
    assert image.image_id == "AS_09125_050116030001:D03:0"
    assert (image.plate_id, image.well_id, image.site_id) == ("AS_09125_050116030001", "D03", "0")
    assert (image.shape, image.axes, image.dtype) == ((3, 512, 512), "cyx", "uint8")
    names = [f"AS_09125_050116030001_D03f00d{channel}.tif" for channel in range(3)]
    assert [file.path for file in image.files] == names
    pages = [_first_page(REAL / name) for name in names]
    assert image.stored_bytes == sum(sum(page.databytecounts) for page in pages)
    rows = read_chunks(scan_plate_folder(str(REAL))).to_pylist()
    assert [(row["stored_offset"], row["stored_bytes"]) for row in rows] == [
        (page.dataoffsets[0], sum(page.databytecounts)) for page in pages
    ]


def _first_page(path: Path) -> tifffile.TiffPage:
    with tifffile.TiffFile(path) as tiff:
        return tiff.pages[0].aspage()


@pytest.mark.external
@pytest.mark.skipif(not REAL.exists(), reason="real ExampleHuman images are not here")
def test_md5_of_the_real_files_is_what_cellprofiler_recorded():
    (image,) = scan_plate_folder(str(REAL), ScanOptions(file_md5=True)).images
    recorded = (REAL / "Image.csv").read_text().splitlines()
    row = dict(zip(recorded[0].split(","), recorded[1].split(","), strict=False))
    digests = [row[f"MD5Digest_{channel}"] for channel in ("DNA", "PH3", "cellbody")]
    assert image.file_md5 == ",".join(digests)


def test_htd_names_the_channels_and_declares_the_wells(tmp_path: Path):
    folder = plates.write_named(tmp_path / "plate", plates.imagexpress_name)
    plates.write_htd(folder / "Plate7.HTD", ["DAPI", "FITC", "Cy5"], wells=(*plates.WELLS, "H12"))
    scan = scan_plate_folder(str(folder))
    assert scan.images[0].channel_names == ("DAPI", "FITC", "Cy5")
    assert [file.channel for file in scan.images[0].files] == ["DAPI", "FITC", "Cy5"]
    (plate,) = scan.plates
    assert (plate.source, plate.plate_id) == ("htd", "Plate7")
    assert [(well.well_id, well.field_count) for well in plate.wells] == [
        ("A01", 2), ("A02", 2), ("B03", 2), ("H12", 2),
    ]  # fmt: skip


def test_the_phenix_index_gives_plate_channels_pixel_size_and_wells(tmp_path: Path):
    folder = plates.write_named(tmp_path / "measurement", plates.phenix_name)
    plates.write_phenix_index(
        folder / "Images" / "Index.idx.xml", ["HOECHST 33342", "Alexa 488", "MitoTracker"]
    )
    scan = scan_plate_folder(str(folder))
    image = scan.images[0]
    assert (image.plate_id, image.channel_names) == (
        "HarmonyPlate",
        ("HOECHST 33342", "Alexa 488", "MitoTracker"),
    )
    assert image.pixel_size_x_um == pytest.approx(0.299)
    assert image.levels[0].scale == pytest.approx((1.0, 0.299, 0.299))
    assert [(well.well_id, well.sites) for well in scan.plates[0].wells] == [
        (w, ("1", "2")) for w in plates.WELLS
    ]


def test_the_images_folder_of_harmony_is_named_by_the_folder_above(tmp_path: Path):
    plates.write_named(tmp_path / "BR001", plates.phenix_name)
    assert scan_plate_folder(str(tmp_path / "BR001" / "Images")).images[0].plate_id == "BR001"


def test_cellvoyager_sidecars_give_pixel_size_and_declared_fields(tmp_path: Path):
    folder = plates.write_named(tmp_path / "plate", plates.cellvoyager_name, wells=("A01",))
    space = 'xmlns:bts="http://www.yokogawa.co.jp/BTS/BTSSchema/1.0"'
    (folder / "MeasurementDetail.mrf").write_text(
        f'<bts:MeasurementDetail {space} bts:RowCount="16"><bts:MeasurementChannel bts:Ch="1" '
        'bts:HorizontalPixelDimension="0.325" bts:VerticalPixelDimension="0.325"/></bts:MeasurementDetail>'
    )
    (folder / "MeasurementData.mlf").write_text(
        f"<bts:MeasurementData {space}>"
        + "".join(
            f'<bts:MeasurementRecord bts:Type="IMG" bts:Row="1" bts:Column="1" bts:FieldIndex="{n}"/>'
            for n in (1, 2, 3)
        )
        + "</bts:MeasurementData>"
    )
    scan = scan_plate_folder(str(folder))
    assert scan.images[0].pixel_size_x_um == pytest.approx(0.325)
    assert scan.plates[0].wells[0].sites == ("1", "2", "3")


def test_thumbnails_are_no_images(tmp_path: Path):
    folder = plates.write_named(tmp_path / "plate", plates.imagexpress_name, wells=("A01",))
    plates.write_plane(folder / f"Plate7_A01_s1_w1_thumb{plates.GUID}.tif", shape=(4, 4))
    scan = scan_plate_folder(str(folder))
    assert len(scan.images) == 2
    assert scan.findings == ()


def test_a_missing_channel_leaves_a_gap_and_moves_nothing(tmp_path: Path):
    folder = plates.write_named(tmp_path / "plate", plates.imagexpress_name)
    (folder / plates.imagexpress_name("A02", 1, 2)).unlink()
    scan = scan_plate_folder(str(folder))
    image = next(image for image in scan.images if image.image_id == "Plate7:A02:1")
    assert (image.scan_status, image.shape) == ("partial", (3, 12, 16))
    assert [(file.c, file.role) for file in image.files] == [(0, "image"), (2, "image"), (1, "missing")]
    assert [finding.code for finding in scan.findings] == ["file-missing"]
    assert sum(image.scan_status == "ok" for image in scan.images) == 5
    assert {
        row["chunk_coords"][0] for row in read_chunks(scan).to_pylist() if row["image_id"] == image.image_id
    } == {0, 2}


@pytest.mark.parametrize(("content", "code"), [(b"", "file-unreadable"), (None, "data-cut-off")])
def test_an_empty_or_cut_off_file_is_noticed_by_its_size(tmp_path: Path, content: bytes | None, code: str):
    folder = plates.write_named(tmp_path / "plate", plates.imagexpress_name)
    victim = folder / plates.imagexpress_name("B03", 2, 3)
    victim.write_bytes(victim.read_bytes()[:-100] if content is None else content)
    scan = scan_plate_folder(str(folder))
    image = next(image for image in scan.images if image.image_id == "Plate7:B03:2")
    assert image.scan_status == "partial"
    assert [finding.code for finding in scan.findings] == [code]
    assert scan.findings[0].location == victim.name


def test_a_file_of_another_shape_is_said_and_the_field_partial(tmp_path: Path):
    folder = plates.write_named(tmp_path / "plate", plates.imagexpress_name, wells=("A01",))
    plates.write_plane(folder / plates.imagexpress_name("A01", 1, 3), shape=(6, 8))
    scan = scan_plate_folder(str(folder))
    assert (scan.images[0].shape, scan.images[0].scan_status) == ((3, 12, 16), "partial")
    assert [finding.code for finding in scan.findings] == ["file-shape-differs"]


def test_one_header_is_read_per_channel_and_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = plates.write_named(tmp_path / "plate", plates.imagexpress_name)
    opened: list[str] = []
    original = folder_scan.HeaderPool.read

    def read(self, key, layout, channel):
        before = self.read_count
        result = original(self, key, layout, channel)
        opened.extend([key] * (self.read_count - before))
        return result

    monkeypatch.setattr(folder_scan.HeaderPool, "read", read)
    scan_plate_folder(str(folder))
    assert len(opened) == 3


def test_time_points_and_z_steps_of_metaxpress_folders_are_axes(tmp_path: Path):
    for t in (1, 2):
        for z in (1, 2, 3):
            for w in (1, 2):
                plates.write_plane(
                    tmp_path / f"plate/TimePoint_{t}/ZStep_{z}/P_A01_s1_w{w}.tif", 100 * t + 10 * z + w
                )
        plates.write_plane(tmp_path / f"plate/TimePoint_{t}/ZStep_0/P_A01_s1_w1.tif")
    scan = scan_plate_folder(str(tmp_path / "plate"))
    (image,) = scan.images
    assert (image.shape, image.axes) == ((2, 2, 3, 12, 16), "tczyx")
    assert [finding.code for finding in scan.findings] == ["derived-images"]
    for row in read_chunks(scan).to_pylist():
        t, c, z = row["chunk_coords"][:3]
        name = row["chunk_key"].partition("#")[0]
        assert name == f"TimePoint_{t + 1}/ZStep_{z + 1}/P_A01_s1_w{c + 1}.tif"


def test_two_measurements_of_a_plate_are_acquisitions(tmp_path: Path):
    for run in ("run1", "run2"):
        plates.write_named(tmp_path / "plate" / run, plates.phenix_name, wells=("A01",), sites=1)
    scan = scan_plate_folder(str(tmp_path / "plate"))
    assert [image.image_id for image in scan.images] == ["plate:A01:1:run1", "plate:A01:1:run2"]


def test_a_given_pattern_decides_what_is_an_image(tmp_path: Path):
    for well in ("b2", "b3"):
        for channel in ("dna", "actin"):
            plates.write_plane(tmp_path / f"p/exp9__{well}__pos3__{channel}.tif")
    plates.write_plane(tmp_path / "p/overview.tif")
    pattern = r"(?P<plate>exp\d+)__(?P<well>[a-z]\d+)__pos(?P<site>\d+)__(?P<channel>\w+)\.tif"
    scan = scan_plate_folder(str(tmp_path / "p"), ScanOptions(file_pattern=pattern))
    assert [image.image_id for image in scan.images] == ["exp9:B02:3", "exp9:B03:3"]
    assert scan.images[0].channel_names == ("actin", "dna")
    assert [finding.code for finding in scan.findings] == ["file-not-matched"]


@pytest.mark.parametrize("pattern", ["(", r"(?P<site>\d+)"])
def test_a_useless_pattern_is_refused_before_anything_is_read(tmp_path: Path, pattern: str):
    plates.write_plane(tmp_path / "p/a.tif")
    with pytest.raises(UsageError, match="file_pattern"):
        scan_plate_folder(str(tmp_path / "p"), ScanOptions(file_pattern=pattern))


@pytest.mark.parametrize("style", ["path", "url"])
def test_load_data_gives_image_sets_of_any_names(tmp_path: Path, style: str):
    for n in range(4):
        plates.write_plane(tmp_path / f"p/img{n}.tif", n)
    if style == "path":
        lines = [
            "FileName_DNA,PathName_DNA,FileName_ER,PathName_ER,Metadata_Plate,Metadata_Well,Metadata_Site"
        ]
        lines += [
            f"img{2 * n}.tif,/mnt/scope/p,img{2 * n + 1}.tif,/mnt/scope/p,BR7,c{n + 1},2" for n in range(2)
        ]
    else:
        lines = ["URL_DNA,URL_ER,Metadata_Plate,Metadata_Well,Metadata_Site"]
        lines += [
            f"s3://bucket/p/img{2 * n}.tif,s3://bucket/p/img{2 * n + 1}.tif,BR7,c{n + 1},2" for n in range(2)
        ]
    (tmp_path / "p/load_data.csv").write_text("\n".join(lines))
    scan = scan_plate_folder(str(tmp_path / "p"))
    assert [image.image_id for image in scan.images] == ["BR7:C01:2", "BR7:C02:2"]
    assert [[file.path for file in image.files] for image in scan.images] == [
        ["img0.tif", "img1.tif"], ["img2.tif", "img3.tif"],
    ]  # fmt: skip
    assert scan.images[0].channel_names == ("DNA", "ER")


def test_multi_channel_ome_tiffs_are_fields_by_their_names(tmp_path: Path):
    for well in ("A01", "B02"):
        for site in (1, 2):
            data = np.zeros((5, 16, 24), np.uint16)
            write_ome_tiff(tmp_path / "P9" / f"P9_{well}_s{site}.ome.tif", data, "CYX")
    scan = scan_plate_folder(str(tmp_path / "P9"))
    assert [image.image_id for image in scan.images] == ["P9:A01:1", "P9:A01:2", "P9:B02:1", "P9:B02:2"]
    assert {image.shape for image in scan.images} == {(5, 16, 24)}
    assert [image.uri for image in scan.images][:1] == [str(tmp_path / "P9" / "P9_A01_s1.ome.tif")]


def _write_plate_field(path: Path, well: tuple[int, int], samples: list[tuple[int, int]], image: int) -> None:
    xml = build_ome_xml(
        [build_ome_image(image, x=24, y=16, blocks=build_block(0))],
        plates=build_plate_xml([(*well, samples)], name="XP"),
    )
    write_pages(path, [np.zeros((16, 24), np.uint16)], xml)


def test_files_that_declare_their_whole_well_keep_the_rank_of_the_xml(tmp_path: Path):
    for n in range(3):
        samples = [(10 + m, m) for m in range(3)]
        _write_plate_field(tmp_path / f"p/XP_A01_s{n + 1}.ome.tif", (0, 0), samples, n)
    scan = scan_plate_folder(str(tmp_path / "p"))
    assert [image.image_id for image in scan.images] == ["XP:A01:0", "XP:A01:1", "XP:A01:2"]
    assert [well.sites for well in scan.plates[0].wells] == [("0", "1", "2")]


def test_files_that_declare_only_themselves_take_the_site_of_their_name(tmp_path: Path):
    for well in range(2):
        for n in (1, 2, 4):
            _write_plate_field(tmp_path / f"p/XP_A{well + 1:02d}_s{n}.ome.tif", (0, well), [(0, 0)], 0)
    scan = scan_plate_folder(str(tmp_path / "p"))
    assert [image.site_id for image in scan.images] == ["1", "2", "4"] * 2
    assert [well.sites for well in scan.plates[0].wells] == [("1", "2", "4")] * 2


def test_files_without_site_in_the_name_take_the_stored_index(tmp_path: Path):
    for well in range(2):
        for n in (0, 1, 3):
            _write_plate_field(tmp_path / f"p/w{well}_{n}.ome.tif", (0, well), [(n, 0)], 0)
    assert [image.site_id for image in scan_plate_folder(str(tmp_path / "p")).images] == ["0", "1", "3"] * 2


def test_the_well_of_the_xml_wins_over_the_name_and_that_is_said(tmp_path: Path):
    _write_plate_field(tmp_path / "p/XP_C05_s1.ome.tif", (0, 0), [(0, 0)], 0)
    scan = scan_plate_folder(str(tmp_path / "p"))
    assert scan.images[0].well_id == "A01"
    assert [finding.code for finding in scan.findings] == ["well-differs"]


def test_several_plates_in_one_folder_are_told_apart_and_said(tmp_path: Path):
    for plate in ("PA", "PB"):
        for channel in (1, 2):
            plates.write_plane(tmp_path / f"mix/{plate}_A01_s1_w{channel}.tif")
    scan = scan_plate_folder(str(tmp_path / "mix"))
    assert [image.image_id for image in scan.images] == ["PA:A01:1", "PB:A01:1"]
    assert [finding.code for finding in scan.findings] == ["several-plates"]
    assert [plate.plate_id for plate in scan.plates] == ["PA", "PB"]


def test_wells_with_fewer_fields_are_named(tmp_path: Path):
    folder = plates.write_named(tmp_path / "plate", plates.imagexpress_name, channels=1)
    (folder / plates.imagexpress_name("A02", 2, 1)).unlink()
    (finding,) = scan_plate_folder(str(folder)).findings
    assert finding.code == "wells-with-fewer-fields"
    assert "A02" in finding.message


def test_unnamed_images_are_rows_by_path(tmp_path: Path):
    plates.write_plane(tmp_path / "loose/sub/holiday.tif")
    plates.write_plane(tmp_path / "loose/cat.tif")
    images = scan_plate_folder(str(tmp_path / "loose")).images
    assert [image.image_id for image in images] == ["cat", "sub/holiday"]
    assert {image.well_id for image in images} == {None}


def test_the_same_plane_twice_is_left_out_and_said(tmp_path: Path):
    folder = plates.write_named(
        tmp_path / "plate", plates.imagexpress_name, wells=("A01",), sites=1, channels=1
    )
    plates.write_plane(folder / "Plate7_A01_s1_w1.tif")
    scan = scan_plate_folder(str(folder))
    assert len(scan.images) == 1
    assert [finding.code for finding in scan.findings] == ["duplicate-plane"]


def test_a_folder_without_tiffs_is_unsupported(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UnsupportedStoreError, match="no TIFF"):
        scan_plate_folder(str(tmp_path))


def test_a_folder_that_grows_during_the_scan_publishes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = plates.write_named(tmp_path / "plate", plates.imagexpress_name)
    calls = []

    def listing(store, **options):
        calls.append(1)
        if len(calls) == 2:
            plates.write_plane(folder / plates.imagexpress_name("C04", 1, 1))
        return read_listing(store, **options)

    monkeypatch.setattr(png_plate, "read_listing", listing)
    with pytest.raises(StoreChangedError):
        scan_plate_folder(str(folder))


def test_the_fingerprint_follows_every_file_and_sidecar(tmp_path: Path):
    folder = plates.write_named(tmp_path / "plate", plates.imagexpress_name)
    first = scan_plate_folder(str(folder)).fingerprint
    assert scan_plate_folder(str(folder)).fingerprint == first
    plates.write_htd(folder / "Plate7.HTD", ["a", "b", "c"])
    second = scan_plate_folder(str(folder)).fingerprint
    plates.write_plane(folder / plates.imagexpress_name("A01", 1, 1), 99)
    third = scan_plate_folder(str(folder)).fingerprint
    assert len({first, second, third}) == 3


def test_a_broken_sidecar_costs_only_its_facts(tmp_path: Path):
    folder = plates.write_named(tmp_path / "plate", plates.phenix_name)
    (folder / "Images" / "Index.idx.xml").write_text("<!DOCTYPE x [<!ENTITY a 'b'>]><E>&a;</E>")
    scan = scan_plate_folder(str(folder))
    assert len(scan.images) == 6
    assert [finding.code for finding in scan.findings] == ["sidecar-unreadable"]


def test_two_files_of_one_field_keep_the_first_and_say_so(tmp_path: Path):
    _write_plate_field(tmp_path / "p/a.ome.tif", (0, 0), [(0, 0), (1, 1)], 0)
    _write_plate_field(tmp_path / "p/b.ome.tif", (0, 0), [(0, 0), (1, 1)], 0)
    scan = scan_plate_folder(str(tmp_path / "p"))
    assert [image.image_id for image in scan.images] == ["XP:A01:0"]
    assert "duplicate-image-id" in {finding.code for finding in scan.findings}


def test_a_load_data_row_may_name_an_absent_file(tmp_path: Path):
    plates.write_plane(tmp_path / "p/img0.tif")
    lines = [
        "FileName_DNA,FileName_ER,Metadata_Plate,Metadata_Well,Metadata_Site",
        "img0.tif,gone.tif,BR7,C01,2",
    ]
    (tmp_path / "p/load_data.csv").write_text("\n".join(lines))
    scan = scan_plate_folder(str(tmp_path / "p"))
    assert [finding.location for finding in scan.findings if finding.code == "file-missing"] == ["gone.tif"]
    assert len(scan.images) == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("P_A01_s10_w12.tif", ("P", "A01", "10", "w12")),
        ("A01_s10.tif", (None, "A01", "10", None)),
        ("exp_B02_A01_s3_w1.tif", ("exp_B02", "A01", "3", "w1")),
        ("P_AF48_w2.tif", ("P", "AF48", "1", "w2")),
        ("P_A1_site3_ch2.ome.tif", ("P", "A01", "3", "ch2")),
        ("P-H12-f07.tiff", ("P", "H12", "7", None)),
        ("r16c24f01p02-ch5sk3fk1fl1.tiff", (None, "P24", "1", "ch5")),
        ("DSC_0001.tif", None),
        ("P_Z99_s1_w1.tif", None),
    ],
)
def test_names_are_read_whole_or_not_at_all(name: str, expected: tuple[str | None, ...] | None):
    parts = parse_name(name)
    found = None if parts is None else (parts.plate, parts.well_id, parts.site_id, parts.channel)
    assert found == expected
