"""How images of bioformats2raw stores were taken stands in their METADATA.ome.xml: what ome-types reads of it is in the rows."""

from __future__ import annotations

from datetime import UTC, timedelta
from pathlib import Path

import ome_types
import pytest

from bioimage_assets.core.model.image import ImageRecord
from bioimage_assets.core.scan.scanner import scan_store_records
from bioimage_assets_tests.builders.tiff_files import build_ome_image, build_ome_xml
from bioimage_assets_tests.builders.zarr_documents import AXES_CYX, multiscales, write_group, write_image

INSTRUMENT = (
    '<Instrument ID="Instrument:0"><Microscope Manufacturer="Maker" Model="X1"/>'
    '<Objective ID="Objective:0" Model="Plan 20x" NominalMagnification="20" LensNA="0.75"/></Instrument>'
)


def build_xml(count: int, unit: str = "mm") -> str:
    images = []
    for number in range(count):
        planes = "".join(
            f'<Plane TheC="{c}" TheZ="0" TheT="0" DeltaT="{number * 10 + c}" ExposureTime="0.{c + 1}" '
            f'PositionX="{number}.5" PositionXUnit="{unit}" PositionY="-2" PositionYUnit="{unit}"/>'
            for c in range(2)
        )
        image = build_ome_image(number, x=16, y=16, c=2, channels=("DAPI", "GFP"), blocks=planes)
        beside = (
            "<AcquisitionDate>2026-03-01T10:20:30</AcquisitionDate>"
            '<InstrumentRef ID="Instrument:0"/><ObjectiveSettings ID="Objective:0"/><Pixels '
        )
        images.append(image.replace("<Pixels ", beside, 1))
    return build_ome_xml(images, extra=INSTRUMENT)


def write_series(root: Path, xml: str, translations: list[list[float]]) -> Path:
    write_group(root, "", {"bioformats2raw.layout": 3})
    write_group(root, "OME", {})
    (root / "OME/METADATA.ome.xml").write_text(xml)
    axes = [{**axis, "unit": "micrometer"} if axis["type"] == "space" else axis for axis in AXES_CYX]
    for number, translation in enumerate(translations):
        entry = multiscales(("0", "1"), axes=axes)
        for dataset in entry["datasets"]:  # type: ignore[attr-defined]
            dataset["coordinateTransformations"].append(
                {"type": "translation", "translation": [0, *translation]}
            )
        write_image(root, str(number), entries=[entry])
    return root


def check_planes(image: ImageRecord, expected: ome_types.model.Image) -> None:
    start = expected.acquisition_date
    assert start is not None
    for plane, own in zip(image.planes, expected.pixels.planes, strict=True):
        assert plane[:3] == (own.the_c, own.the_z, own.the_t)
        assert plane.acquired_at == start.replace(tzinfo=UTC) + timedelta(seconds=own.delta_t or 0)
        assert plane.exposure_s == own.exposure_time
        assert plane.stage_x_um == pytest.approx((own.position_x or 0) * 1000)
    facts = image.acquisition
    assert facts is not None
    assert (facts.source, facts.instrument, facts.objective) == ("ome-xml", "Maker X1", "Plan 20x")
    assert (facts.stage_x_um, facts.stage_y_um) == (image.planes[0].stage_x_um, -2000.0)


def test_series_have_the_planes_and_the_objective_of_their_image(tmp_path: Path) -> None:
    xml = build_xml(3)
    images = scan_store_records(str(write_series(tmp_path / "b.zarr", xml, [[0, 0]] * 3))).images
    for image, expected in zip(images, ome_types.from_xml(xml).images, strict=True):
        check_planes(image, expected)


@pytest.mark.parametrize("places", [[[5.0, 0.0], [5.0, 10.0]], [[0.0, 0.0], [0.0, 0.0]]])
def test_a_translation_is_the_place_where_the_xml_has_none_in_a_unit_of_length(
    tmp_path: Path, places: list[list[float]]
) -> None:
    root = write_series(tmp_path / "b.zarr", build_xml(2, unit="reference frame"), places)
    scan = scan_store_records(str(root))
    facts = [image.acquisition for image in scan.images]
    is_moved = any(any(place) for place in places)
    assert [fact and (fact.stage_y_um, fact.stage_x_um) for fact in facts] == [
        tuple(place) if is_moved else (None, None) for place in places
    ]
    assert {fact.source for fact in facts if fact} == {"ome-xml, ngff-translation" if is_moved else "ome-xml"}
    assert [fact.magnification if fact else None for fact in facts] == [20.0, 20.0]
    assert [finding.code for finding in scan.findings] == ["stage-unit-unknown"]


def test_a_document_with_an_impossible_value_still_gives_its_names(tmp_path: Path) -> None:
    xml = build_xml(1).replace('SizeZ="1"', 'SizeZ="-1"')
    (image,) = scan_store_records(str(write_series(tmp_path / "b.zarr", xml, [[0, 0]]))).images
    assert (image.channel_names, image.acquisition) == (("DAPI", "GFP"), None)
