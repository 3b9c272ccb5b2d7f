"""When, where and with what OME-TIFFs were taken: from the file on disk to the rows that users query."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import ome_types
import pytest
import tifffile

from bioimage_assets.core.formats.ome_tiff import ome_xml
from bioimage_assets.core.formats.ome_tiff.metaxpress_facts import build_metaxpress_facts
from bioimage_assets.core.formats.ome_tiff.ome_acquisition import (
    build_image_acquisition,
    index_instruments,
    read_moment,
)
from bioimage_assets.core.formats.ome_tiff.ome_xml import parse_ome_xml
from bioimage_assets.core.formats.ome_tiff.scan import scan_tiff
from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets.core.model.acquisition import AcquisitionFacts, PlaneFacts
from bioimage_assets.core.tables.acquisition_planes import build_acquisition_planes
from bioimage_assets.core.tables.image_assets import build_image_assets
from bioimage_assets_tests.builders.tiff_files import (
    UUIDS,
    build_block,
    build_ome_image,
    build_ome_xml,
    build_plate_xml,
    write_pages,
)

START = datetime(2026, 3, 1, 10, 20, 30, tzinfo=UTC)
PAGE = np.zeros((8, 8), np.uint16)
INSTRUMENT = (
    '<Instrument ID="Instrument:0"><Microscope Manufacturer="Maker" Model="X1"/><Detector ID="Detector:0"/>'
    '<Objective ID="Objective:0" Model="Plan 20x" NominalMagnification="20" LensNA="0.75"/></Instrument>'
)


def build_plane(c: int, **attributes: object) -> str:
    text = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f'<Plane TheC="{c}" TheZ="0" TheT="0"{text}/>'


def build_image(number: int, inner: str = "", beside: str = "", **options: object) -> str:
    """An Image element with more inside its Pixels (behind the blocks) and before them."""
    blocks = str(options.pop("blocks", "<TiffData/>")) + inner
    image = build_ome_image(number, x=8, y=8, blocks=blocks, **options)  # type: ignore[arg-type]
    head, tail = image.split("<Pixels ", 1)
    return f"{head}{beside}<Pixels {tail}"


def test_a_file_written_by_tifffile_has_a_row_per_plane_and_its_facts(tmp_path: Path):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(
        path, np.zeros((2, 3, 8, 8), np.uint16), ome=True,
        metadata={
            "axes": "ZCYX", "AcquisitionDate": "2026-03-01T12:20:30+02:00",
            "Channel": {"Name": ["DNA", "ER", "AGP"], "ExcitationWavelength": [405, 488, 561], "EmissionWavelength": [447.5, 525, 600]},
            "Plane": {
                "DeltaT": [n * 0.5 for n in range(6)], "ExposureTime": [0.1, 0.2, 0.3] * 2,
                "PositionX": [-1.25] * 6, "PositionXUnit": ["mm"] * 6, "PositionY": [2500.0] * 6, "PositionYUnit": ["µm"] * 6,
                "PositionZ": [10.0] * 3 + [12.0] * 3, "PositionZUnit": ["µm"] * 6,
            },
        },
    )  # fmt: skip
    (image,) = scan_tiff(str(path)).images
    assert image.acquisition == AcquisitionFacts(
        "ome-xml", -1250.0, 2500.0, 10.0, START,
        exposures_s=(0.1, 0.2, 0.3), excitation_nm=(405.0, 488.0, 561.0), emission_nm=(447.5, 525.0, 600.0),
    )  # fmt: skip
    planes = ome_types.from_tiff(path).images[0].pixels.planes
    rows = build_acquisition_planes([image]).to_pylist()
    assert [(r["z"], r["c"], r["channel"]) for r in rows] == [
        (z, c, name) for z in range(2) for c, name in enumerate(("DNA", "ER", "AGP"))
    ]
    for row, plane in zip(rows, sorted(planes, key=lambda p: (p.the_z, p.the_c)), strict=True):
        assert row["acquired_at"] == START + timedelta(seconds=plane.delta_t)
        assert (row["exposure_s"], row["stage_z_um"]) == (plane.exposure_time, plane.position_z)
    assert build_image_assets([image])["acquisition"][0].as_py()["exposures_s"] == [0.1, 0.2, 0.3]


def test_fields_of_a_plate_have_their_stage_positions_instrument_and_binning(tmp_path: Path):
    images = [
        build_image(
            n, build_plane(0, DeltaT=60 * n, ExposureTime=20, ExposureTimeUnit="ms", PositionX=n, PositionXUnit="mm"),
            '<AcquisitionDate>2026-03-01T10:20:30</AcquisitionDate><InstrumentRef ID="Instrument:0"/><ObjectiveSettings ID="Objective:0"/>',
            channels=("DNA",), blocks=build_block(n),
        ).replace(' Name="DNA"/>', ' Name="DNA" ContrastMethod="Fluorescence"><DetectorSettings ID="Detector:0" Binning="2x2"/></Channel>')
        for n in range(3)
    ]  # fmt: skip
    plates = build_plate_xml([(0, 0, [(0, 0), (1, 1)]), (0, 1, [(2, 2)])])
    write_pages(tmp_path / "p.ome.tif", [PAGE] * 3, build_ome_xml(images, plates=plates, extra=INSTRUMENT))
    found = scan_tiff(str(tmp_path / "p.ome.tif")).images
    assert [(i.well_id, i.site_id, i.acquisition and i.acquisition.stage_x_um) for i in found] == [
        ("A01", "0", 0.0), ("A01", "1", 1000.0), ("A02", "0", 2000.0),
    ]  # fmt: skip
    assert found[1].acquisition == AcquisitionFacts(
        "ome-xml", 1000.0, acquired_at=START + timedelta(minutes=1), exposures_s=(0.02,), contrast_methods=("Fluorescence",),
        objective="Plan 20x", magnification=20.0, numerical_aperture=0.75, binning="2x2", instrument="Maker X1",
    )  # fmt: skip


def test_planes_of_a_set_and_of_its_companion_are_those_of_the_whole_image(tmp_path: Path):
    blocks = "".join(build_block(0, c=c, file=f"c{c}.ome.tif", uuid=UUIDS[c]) for c in range(2))
    planes = build_plane(0, PositionX=1, PositionXUnit="µm") + build_plane(1, PositionX=2, PositionXUnit="µm")
    (tmp_path / "set.companion.ome").write_text(
        build_ome_xml([build_image(0, planes, c=2, channels=("DNA", "ER"), blocks=blocks)], uuid=UUIDS[9])
    )
    for c in range(2):
        link = f'<BinaryOnly MetadataFile="set.companion.ome" UUID="{UUIDS[9]}"/>'
        write_pages(tmp_path / f"c{c}.ome.tif", [PAGE], build_ome_xml([], uuid=UUIDS[c], extra=link))
    expected = (PlaneFacts(0, 0, 0, stage_x_um=1.0), PlaneFacts(1, 0, 0, stage_x_um=2.0))
    for scan in (scan_tiff(str(tmp_path / "set.companion.ome")), scan_plate_folder(str(tmp_path))):
        assert [image.planes for image in scan.images] == [expected]


def test_a_position_in_reference_frames_is_no_length_and_is_said_once(tmp_path: Path):
    images = [
        build_image(n, build_plane(0, PositionX=5, PositionY=6), blocks=build_block(n)) for n in range(3)
    ]
    scan = scan_tiff(str(write_pages(tmp_path / "a.ome.tif", [PAGE] * 3, build_ome_xml(images))))
    assert [image.acquisition for image in scan.images] == [None] * 3
    (finding,) = [finding for finding in scan.findings if finding.code == "stage-unit-unknown"]
    assert "3 images have the unit 'reference frame'" in finding.message


def test_the_place_in_the_well_stands_in_where_no_stage_position_is_given(tmp_path: Path):
    plate = build_plate_xml([(0, 0, [(0, 0)])]).replace(
        'Index="0">', 'Index="0" PositionX="-0.5" PositionXUnit="mm" PositionY="250" PositionYUnit="µm">'
    )
    path = write_pages(tmp_path / "a.ome.tif", [PAGE], build_ome_xml([build_image(0)], plates=plate))
    assert scan_tiff(str(path)).images[0].acquisition == AcquisitionFacts("ome-xml", -500.0, 250.0)


def test_planes_outside_the_image_twice_or_with_odd_values_are_left_out():
    odd = (
        build_plane(7, DeltaT=1) + build_plane(0, DeltaT="soon", PositionX="1e400", PositionXUnit="mm") + build_plane(0, DeltaT=1)
        + build_plane(0, PositionX="1e306", PositionXUnit="mm") + build_plane(0, DeltaT=2) + '<Plane TheC="-1" TheZ="0" TheT="x" DeltaT="1"/>' + build_plane(1, ExposureTime=-4)
    )  # fmt: skip
    document = parse_ome_xml(build_ome_xml([build_image(0, odd, c=2, channels=("a", "b"))]).encode(), "a")
    acquired = document.images[0].acquisition
    assert acquired is not None
    assert len(acquired.planes) == 6
    built = build_image_acquisition(acquired, index_instruments(()), (2, 1, 1))
    assert (built.facts, built.planes) == (None, (PlaneFacts(0, 0, 0, None, 1.0),))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01T10:20:30", START), (" 2026-03-01T12:20:30+02:00\n", START), ("2026-03-01T10:20:30.000Z", START),
        ("2026-03-01T10:20:30.1234567", START.replace(microsecond=123456)), ("2026-03-01", None), ("", None), (None, None),
        ("0001-01-01T00:00:00+14:00", None), ("2026-13-01T00:00:00", None), ("T" * 100_000, None),
    ],
)  # fmt: skip
def test_a_date_without_a_zone_is_utc_and_what_is_no_moment_is_nothing(
    text: str | None, expected: datetime | None
):
    assert read_moment(text) == expected


def test_a_large_document_says_what_a_small_one_says_and_too_many_planes_are_counted(
    monkeypatch: pytest.MonkeyPatch,
):
    images = [
        build_image(n, "".join(build_plane(c, DeltaT=c, ExposureTime=0.5) for c in range(40)), c=40)
        for n in range(3)
    ]
    xml = build_ome_xml(images, extra=INSTRUMENT).encode()
    small = parse_ome_xml(xml, "a")
    monkeypatch.setattr(ome_xml, "_REMEMBERED_CHARACTERS", 0)
    monkeypatch.setattr(ome_xml, "_SMALL_DOCUMENT", 0)
    monkeypatch.setattr(ome_xml, "_MOST_UNREAD", 8)
    assert parse_ome_xml(xml, "a") == small
    monkeypatch.setattr(ome_xml, "MAX_PLANES", 100)
    cut = parse_ome_xml(xml, "a")
    assert [len(i.acquisition.planes) if i.acquisition else 0 for i in cut.images] == [40, 40, 20]
    assert cut.planes_left_out == 20


def test_documents_before_2010_keep_times_and_places_below_the_plane():
    text = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2008-09"><Instrument ID="I:0"><Microscope Model="Old"/>'
        '<Objective ID="O:0" Model="Plan"><LensNA>0.5</LensNA><NominalMagnification>10</NominalMagnification></Objective></Instrument>'
        '<Image ID="Image:0"><CreationDate>2008-05-06T07:08:09</CreationDate><ObjectiveRef ID="O:0"/>'
        '<LogicalChannel Name="DNA" ExWave="405" EmWave="450"/><Pixels SizeX="8" SizeY="8" SizeC="1" SizeZ="1" SizeT="1">'
        '<Plane TheC="0" TheZ="0" TheT="0"><PlaneTiming DeltaT="1.5" ExposureTime="0.25"/></Plane></Pixels></Image></OME>'
    )
    document = parse_ome_xml(text.encode(), "a")
    acquired = document.images[0].acquisition
    assert acquired is not None
    assert acquired.planes[0].texts[:2] == ("1.5", "0.25")
    assert (acquired.date, acquired.objective_id) == ("2008-05-06T07:08:09", "O:0")
    assert acquired.channels[0][:4] == ("405", None, "450", None)
    assert document.instruments[0].objectives[0][1:] == ("Plan", "10", None, "0.5")


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"Exposure Time": "100 ms"}, 0.1), ({"Exposure Time": "500 µs"}, 5e-4), ({"Exposure Time": "40"}, 0.04),
        ({"Description": "Exposure: 1.5 s\r\nBinning: 2 x 2"}, 1.5), ({"Exposure Time": "1.2.3 ms"}, None), ({}, None),
    ],
)  # fmt: skip
def test_exposures_of_metaxpress_are_read_with_their_unit(properties: dict[str, str], expected: float | None):
    facts, planes = build_metaxpress_facts(properties)
    assert [plane.exposure_s for plane in planes] == ([] if expected is None else [expected])
    assert (facts is None) == (expected is None)
