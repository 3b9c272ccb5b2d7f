"""How plates of each instrument were taken: the rows are what ElementTree finds in the sidecar, by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets.core.formats.plate_folders.sidecar_acquisition import read_binning, read_power
from bioimage_assets.core.model.acquisition import PlaneFacts
from bioimage_assets.core.model.image import ImageRecord
from bioimage_assets.core.tables.acquisition_planes import build_acquisition_planes
from bioimage_assets_tests.builders import instrument_plates as instruments
from bioimage_assets_tests.builders import tiff_plates as plates
from bioimage_assets_tests.builders.tiff_files import write_pages

DYES = ("Hoechst", "Alexa 488", "MitoTracker")
WAVES = ((405, 450), (488, 522), (561, 599))


def local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def rewrite(path: Path, change: Callable[[ElementTree.Element], None]) -> ElementTree.Element:
    """Change every element of an XML file that a builder wrote; give its root."""
    root = ElementTree.parse(path).getroot()
    for number, element in enumerate(list(root.iter())):
        element.set("n", str(number))
        change(element)
        del element.attrib["n"]
    ElementTree.ElementTree(root).write(path)
    return root


def add(parent: ElementTree.Element, name: str, text: object, unit: str = "") -> None:
    space = parent.tag.rpartition("}")[0]
    child = ElementTree.SubElement(parent, f"{space}}}{name}" if space else name)
    child.text = str(text)
    if unit:
        child.set("Unit", unit)


def child_text(element: ElementTree.Element, name: str) -> str:
    return next(child.text or "" for child in element if local(child) == name)


def planes_by_file(images: tuple[ImageRecord, ...]) -> dict[str, PlaneFacts]:
    """Facts of each file of plates of one z and one time point."""
    found = {}
    for image in images:
        by_channel = {plane.c: plane for plane in image.planes}
        for file in image.files:
            found[file.path.rpartition("/")[2]] = by_channel[file.c or 0]
    return found


def harmony_common(channel: int, target: ElementTree.Element) -> None:
    excitation, emission = WAVES[channel - 1]
    add(target, "ChannelType", "Fluorescence")
    add(target, "BinningX", 2)
    add(target, "BinningY", 2)
    add(target, "MainExcitationWavelength", excitation, "nm")
    add(target, "MainEmissionWavelength", emission, "nm")
    add(target, "ObjectiveMagnification", 20)
    add(target, "ObjectiveNA", 0.8)
    add(target, "ExposureTime", 0.1 * channel, "s")


@pytest.mark.parametrize("version", [5, 6])
def test_harmony_gives_places_times_and_optics_per_image_or_in_maps(tmp_path: Path, version: int):
    folder = plates.write_named(tmp_path / "plate", plates.phenix_name)
    index = plates.write_maps_index(
        folder / "Images/Index.idx.xml", DYES, plates.phenix_name, version=version
    )

    def change(element: ElementTree.Element) -> None:
        number = int(element.get("n", 0))
        if local(element) == "Image":
            add(element, "PositionX", f"{-1e-4 * number:.7f}", "m")
            add(element, "PositionY", "3.25E-04", "m")
            add(element, "AbsPositionZ", "0.135", "m")
            add(element, "PositionZ", "1E-06", "m")
            add(element, "MeasurementTimeOffset", number, "s")
            add(element, "AbsTime", f"2026-03-01T10:{number % 60:02d}:30.1234567+01:00")
            if version < 6:
                harmony_common(int(child_text(element, "ChannelID")), element)
        elif local(element) == "Entry" and len(element):
            harmony_common(int(element.get("ChannelID", 0)), element)
        elif local(element) == "Plate":
            add(element, "MeasurementStartTime", "2026-03-01T09:00:00+01:00")
        elif local(element) == "EvaluationInputData":
            add(element, "InstrumentType", "Phenix")

    root = rewrite(index, change)
    images = scan_plate_folder(str(folder)).images
    planes = planes_by_file(images)
    listed = [element for element in root.iter() if local(element) == "Image"]
    assert len(planes) == len(listed) == 18
    for element in listed:
        plane = planes[child_text(element, "URL")]
        channel = int(child_text(element, "ChannelID"))
        moment = datetime.fromisoformat(child_text(element, "AbsTime")[:-7] + "+01:00")
        assert plane.c == channel - 1
        assert plane.acquired_at == moment.astimezone(UTC)
        assert plane.stage_x_um == pytest.approx(float(child_text(element, "PositionX")) * 1e6)
        assert (plane.stage_y_um, plane.stage_z_um) == (325.0, 135_000.0)
        assert plane.exposure_s == pytest.approx(0.1 * channel)
        assert plane.time_offset_s == float(child_text(element, "MeasurementTimeOffset"))
    for image in images:
        facts = image.acquisition
        assert facts is not None
        assert (facts.source, facts.instrument) == ("harmony-index", "Phenix")
        assert (facts.magnification, facts.numerical_aperture, facts.binning) == (20.0, 0.8, "2x2")
        assert (facts.excitation_nm, facts.emission_nm) == ((405.0, 488.0, 561.0), (450.0, 522.0, 599.0))
        assert facts.exposures_s == pytest.approx((0.1, 0.2, 0.3))
        assert facts.stage_x_um == image.planes[0].stage_x_um
    rows = build_acquisition_planes(images)
    assert rows.num_rows == 18
    assert set(rows["channel"].to_pylist()) == set(DYES)


def test_cellvoyager_gives_places_times_light_sources_and_exposures(tmp_path: Path):
    folder = plates.write_bts(tmp_path / "plate", DYES, plates.cellvoyager_name)
    plates.write_named(folder, plates.cellvoyager_name)
    bts = "{http://www.yokogawa.co.jp/BTS/BTSSchema/1.0}"

    def change_record(element: ElementTree.Element) -> None:
        number = int(element.get("n", 0))
        if local(element) == "MeasurementRecord":
            for name, value in (
                ("Time", f"2026-03-01T10:{number:02d}:30.5+09:00"),
                ("X", -1.5 * number),
                ("Y", 2),
                ("Z", 8.5),
            ):
                element.set(f"{bts}{name}", str(value))  # fmt: skip

    def change_settings(element: ElementTree.Element) -> None:
        if local(element) == "MeasurementSetting":
            sources = ElementTree.Element(f"{bts}LightSourceList")
            for excitation, _ in WAVES:
                own = {f"{bts}Name": f"L{excitation}", f"{bts}WaveLength": str(excitation)}
                ElementTree.SubElement(sources, f"{bts}LightSource", own)
            element.insert(0, sources)
        elif local(element) == "Channel":
            number = int(element.get(f"{bts}Ch", 0))
            excitation, emission = WAVES[number - 1]
            element.set(f"{bts}Acquisition", f"BP{emission}/45")
            element.set(f"{bts}ExposureTime", str(50 * number))
            element.set(f"{bts}Binning", "2")
            element.set(f"{bts}Objective", "20x long WD")
            element.set(f"{bts}Magnification", "20")
            ElementTree.SubElement(element, f"{bts}LightSourceName").text = f"L{excitation}"

    rewrite(folder / "S.mes", change_settings)
    root = rewrite(folder / "MeasurementData.mlf", change_record)
    images = scan_plate_folder(str(folder)).images
    planes = planes_by_file(images)
    for element in root.iter(f"{bts}MeasurementRecord"):
        plane = planes[(element.text or "").rpartition("/")[2]]
        assert plane.acquired_at == datetime.fromisoformat(element.get(f"{bts}Time", "")).astimezone(UTC)
        assert (plane.stage_x_um, plane.stage_y_um) == (float(element.get(f"{bts}X", "")), 2.0)
        assert plane.exposure_s == pytest.approx(0.05 * int(element.get(f"{bts}Ch", "")))
    for image in images:
        facts = image.acquisition
        assert facts is not None
        assert (facts.source, facts.objective, facts.magnification) == ("cellvoyager", "20x long WD", 20.0)
        assert (facts.excitation_nm, facts.emission_nm) == ((405.0, 488.0, 561.0), (450.0, 522.0, 599.0))
        assert (facts.exposures_s, facts.binning) == ((0.05, 0.1, 0.15), "2x2")


@pytest.mark.parametrize("stamp", ["epoch", "from the start"])
def test_incell_gives_places_on_the_plate_times_filters_and_the_objective(tmp_path: Path, stamp: str):
    folder = plates.write_named(tmp_path / "plate", plates.incell_name)
    plates.write_xdce(folder / "run.xdce", ("Blue", "Green", "Orange"))
    began = datetime(2026, 3, 1, 10, 0, tzinfo=UTC).timestamp()

    def change(element: ElementTree.Element) -> None:
        number = int(element.get("n", 0))
        if local(element) == "Image":
            time = (
                {"timestamp_sec": f"{began + number:.2f}"}
                if stamp == "epoch"
                else {"acquisition_time_ms": str(1000 * number)}
            )
            element.attrib.update(time)
            ElementTree.SubElement(element, "PlatePosition_um", x=str(30_000 + number), y="45276.5")
            ElementTree.SubElement(element, "FocusPosition", z="8491.9", unit="um")
            ElementTree.SubElement(element, "Exposure", time="200", unit="ms")
        elif local(element) == "Wavelength":
            excitation, emission = WAVES[int(element.get("index", 0))]
            element[0].set("wavelength", str(excitation))
            element[1].set("wavelength", str(emission))
        elif local(element) == "ObjectiveCalibration":
            element.attrib.update(
                {"objective_name": "Nikon 20X/0.45", "magnification": "20.0", "numerical_aperture": "0.45"}
            )
        elif local(element) == "ImageStack":
            element.insert(0, ElementTree.Element("Creation", date="2026-03-01", time="10:00:00"))
            element.insert(0, ElementTree.Element("Application", name="IN Cell Analyzer 2000"))
            element.insert(0, ElementTree.Element("Binning", value="1 X 1"))

    root = rewrite(folder / "run.xdce", change)
    images = scan_plate_folder(str(folder)).images
    planes = planes_by_file(images)
    for element in root.iter("Image"):
        plane = planes[element.get("filename", "")]
        place = next(element.iter("PlatePosition_um"))
        seconds = (
            float(element.get("timestamp_sec", 0))
            or began + float(element.get("acquisition_time_ms", 0)) / 1000
        )
        assert plane.acquired_at == datetime.fromtimestamp(seconds, UTC)
        assert (plane.stage_x_um, plane.stage_z_um, plane.exposure_s) == (
            float(place.get("x", 0)),
            8491.9,
            0.2,
        )
    for image in images:
        facts = image.acquisition
        assert facts is not None
        assert (facts.source, facts.instrument) == ("xdce", "IN Cell Analyzer 2000")
        assert (facts.objective, facts.numerical_aperture, facts.binning) == ("Nikon 20X/0.45", 0.45, "1x1")
        assert facts.emission_nm == (599.0, 450.0, 522.0)  # the tokens sort as Cy3, DAPI, FITC


def test_metaxpress_acquire_gives_the_objective_binning_and_wavelengths(tmp_path: Path):
    name_of = instruments.metaxpress_acquire_name
    folder = plates.write_named(tmp_path / "plate", name_of)
    waves = [
        {"Index": n, "EmissionFilter": {"Name": f"f{n}", "Wavelength": 450 + n}, "ExcitationFilter": {"Wavelength": 405}}
        for n in range(3)
    ]  # fmt: skip
    objective = {
        "ObjectiveName": "10X Plan Apo",
        "PixelWidth": 0.58,
        "PixelHeight": 0.58,
        "NumericalAperture": 0.45,
    }
    protocol = {"ObjectiveCalibration": objective, "Camera": {"Binning": "1 X 1"}, "Wavelengths": waves}
    document = {"ImageStack": {"AutoLeadAcquisitionProtocol": protocol}}
    (folder / "Exp_7.jdce").write_text(json.dumps(document))
    for image in scan_plate_folder(str(folder)).images:
        facts = image.acquisition
        assert facts is not None
        assert (facts.source, facts.objective, facts.magnification) == ("jdce", "10X Plan Apo", 10.0)
        assert (facts.numerical_aperture, facts.binning) == (0.45, "1x1")
        assert (facts.excitation_nm, facts.emission_nm) == ((405.0,) * 3, (450.0, 451.0, 452.0))


def test_two_measurements_of_one_plate_keep_their_own_times(tmp_path: Path):
    for run in (1, 2):
        folder = plates.write_named(tmp_path / f"plate/m{run}", plates.phenix_name, wells=("A01",), sites=1)
        index = plates.write_phenix_index(folder / "Images/Index.idx.xml", DYES, wells=("A01",), sites=1)

        def change(element: ElementTree.Element, run: int = run) -> None:
            if local(element) == "Image":
                add(element, "AbsTime", f"2026-03-0{run}T10:00:00Z")

        rewrite(index, change)
    scan = scan_plate_folder(str(tmp_path / "plate"))
    images = scan.images
    assert not [finding for finding in scan.findings if finding.code == "pages-not-explained"]
    times = [image.acquisition.acquired_at if image.acquisition else None for image in images]
    assert times == [datetime(2026, 3, run, 10, tzinfo=UTC) for run in (1, 2)]


def metaxpress_xml(channel: int, x: float) -> str:
    own = {
        "spatial-calibration-x": 0.65, "spatial-calibration-y": 0.65, "spatial-calibration-units": "um", "stage-position-x": x,
        "stage-position-y": -20, "z-position": 8491.5, "camera-binning-x": 2, "camera-binning-y": 2, "wavelength": 450 + channel,
        "acquisition-time-local": f"20260301 10:20:3{channel}.66", "Description": "Exposure: 40 ms&#13;&#10;Binning: 2 x 2",
    }  # fmt: skip
    types = {"spatial-calibration-units": "string", "acquisition-time-local": "time", "Description": "string"}
    props = "".join(f'<prop id="{k}" type="{types.get(k, "float")}" value="{v}"/>' for k, v in own.items())
    custom = {"_MagSetting_": "20X Plan Apo", "_MagNA_": "0.75", "_IllumSetting_": f"dye {channel}"}
    props += "".join(f'<custom-prop id="{k}" type="string" value="{v}"/>' for k, v in custom.items())
    return f"<MetaData><PlaneInfo>{props}</PlaneInfo></MetaData>"


def test_tags_of_metaxpress_give_the_facts_of_opened_files_and_the_optics_of_all(tmp_path: Path):
    """One header per channel is read: no other file gets its time and place."""
    folder = tmp_path / "plate"
    opened = []
    for well in ("A01", "A02"):
        for channel in (1, 2):
            path = folder / plates.imagexpress_name(well, 1, channel)
            x = 1000.5 if well == "A01" else 9000.5
            write_pages(
                path, [np.zeros((8, 8), np.uint16)], metaxpress_xml(channel, x), software="MetaSeries"
            )
            opened.append(path)
    first, second = scan_plate_folder(str(folder)).images
    with tifffile.TiffFile(opened[0]) as tiff:
        assert tiff.metaseries_metadata is not None
        info = tiff.metaseries_metadata["PlaneInfo"]
    assert first.acquisition is not None
    assert first.acquisition.stage_x_um == info["stage-position-x"] == 1000.5
    assert first.acquisition.stage_z_um == info["z-position"]
    assert [plane.acquired_at for plane in first.planes] == [
        datetime(2026, 3, 1, 10, 20, 30 + channel, 66_000, UTC) for channel in (1, 2)
    ]
    assert first.acquisition.exposures_s == (0.04, 0.04)
    assert (second.planes, second.acquisition and second.acquisition.stage_x_um) == ((), None)
    for image in (first, second):
        facts = image.acquisition
        assert facts is not None
        assert (facts.source, facts.objective, facts.magnification) == (
            "metaxpress-tags",
            "20X Plan Apo",
            20.0,
        )
        assert (facts.numerical_aperture, facts.binning, facts.emission_nm) == (0.75, "2x2", (451.0, 452.0))


def test_a_file_of_several_planes_has_the_place_of_its_field_and_no_rows_of_planes(tmp_path: Path):
    """Which of its pages an entry of the index means is not known."""
    folder = tmp_path / "plate/Images"
    page = np.zeros((8, 8), np.uint16)
    entries = ""
    for site in (1, 2):
        write_pages(folder / f"001001-{site}.tif", [page, page + site])
        entries += "".join(
            f"<Image><id>i</id><URL>001001-{site}.tif</URL><Row>1</Row><Col>1</Col><FieldID>{site}</FieldID><PlaneID>1</PlaneID>"
            f"<TimepointID>0</TimepointID><ChannelID>{c}</ChannelID><PositionX Unit='m'>{site}E-04</PositionX>"
            "<PositionY Unit='m'>0</PositionY><ObjectiveMagnification>20</ObjectiveMagnification></Image>"
            for c in (1, 2)
        )
    (folder / "Index.xml").write_text(
        f"<EvaluationInputData><Images>{entries}</Images></EvaluationInputData>"
    )
    images = scan_plate_folder(str(tmp_path / "plate")).images
    found = [(i.well_id, i.acquisition and i.acquisition.stage_x_um, i.planes) for i in images]
    assert found == [("A01", 100.0, ()), ("A01", 200.0, ())]
    assert {i.acquisition.magnification for i in images if i.acquisition} == {20.0}


@pytest.mark.parametrize(
    "odd", ["", "NaN", "1e999", "-inf", "soon", "9" * 400, "2026-99-99T00:00:00", "0x10", "\u0661"]
)
def test_odd_numbers_and_dates_in_a_sidecar_cost_their_fact_and_nothing_else(tmp_path: Path, odd: str):
    folder = plates.write_named(tmp_path / "plate", plates.phenix_name, wells=("A01",), sites=1)
    index = plates.write_phenix_index(folder / "Images/Index.idx.xml", DYES, wells=("A01",), sites=1)
    names = (
        "PositionX", "PositionY", "AbsPositionZ", "AbsTime", "ExposureTime", "MainExcitationWavelength", "MainEmissionWavelength",
        "ObjectiveMagnification", "ObjectiveNA", "BinningX", "BinningY", "MeasurementTimeOffset",
    )  # fmt: skip

    def change(element: ElementTree.Element) -> None:
        if local(element) == "Image":
            for name in names:
                add(element, name, odd, "parsec" if name == "PositionY" else "")
            add(element, "ChannelType", "Fluorescence")

    rewrite(index, change)
    (image,) = scan_plate_folder(str(folder)).images
    assert image.channel_names == DYES
    facts = image.acquisition
    assert facts is not None
    assert facts.contrast_methods == ("Fluorescence",) * 3
    assert (facts.stage_y_um, facts.acquired_at, facts.binning) == (None, None, None)
    numbers = [
        facts.stage_x_um,
        facts.stage_z_um,
        facts.magnification,
        *(plane.exposure_s for plane in image.planes),
    ]
    assert {number for number in numbers if number is not None} <= {1.0, 1e6}
    build_acquisition_planes([image])


def test_plates_without_facts_have_none(tmp_path: Path):
    folder = plates.write_named(tmp_path / "plate", plates.imagexpress_name)
    plates.write_htd(folder / "p.HTD", DYES)
    assert {image.acquisition for image in scan_plate_folder(str(folder)).images} == {None}


def test_names_of_objectives_and_binning_are_read_where_they_are_plain():
    assert [read_power(name) for name in ("20X Plan", " 4x", "63x/1.4", "Plan 20x", "20x40", "0x", None)] == [
        20.0, 4.0, 63.0, None, None, None, None,
    ]  # fmt: skip
    assert [read_binning(text) for text in ("2", "2x2", " 1 X 2 ", "0", "x", "", None, "two")] == [
        "2x2", "2x2", "1x2", None, None, None, None, None,
    ]  # fmt: skip
