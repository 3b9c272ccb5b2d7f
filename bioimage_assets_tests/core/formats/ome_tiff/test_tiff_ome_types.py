"""OME-XML as ome-types writes and reads it: every fact this project takes is the one ome-types takes."""

from __future__ import annotations

import random

import ome_types
import pytest
from ome_types import model
from ome_types.model import Binning, Channel_ContrastMethod, UnitsLength, UnitsTime

from bioimage_assets.core.formats.ome_tiff.ome_xml import parse_ome_xml
from bioimage_assets_tests.builders.tiff_files import (
    UUIDS,
    build_block,
    build_ome_image,
    build_ome_xml,
    build_plate_xml,
)
from bioimage_assets_tests.core.formats.ome_tiff.ome_types_witness import (
    SECONDS_PER,
    UM_PER,
    check_document,
)

_LENGTHS = [UnitsLength(unit) for unit in UM_PER]
_TIMES = [UnitsTime(unit) for unit in SECONDS_PER]


def _build_planes(draw: random.Random, sizes: dict[str, int]) -> list[model.Plane]:
    """Planes with some of their facts, in any unit."""
    places = [(c, z, t) for t in range(sizes["t"]) for z in range(sizes["z"]) for c in range(sizes["c"])]
    draw.shuffle(places)
    return [
        model.Plane(
            the_c=c, the_z=z, the_t=t, delta_t=draw.choice([None, 0, 0.25, 61.5, -3]), delta_t_unit=draw.choice(_TIMES),
            exposure_time=draw.choice([None, 0.1, 250]), exposure_time_unit=draw.choice(_TIMES),
            **{f"position_{a}": draw.choice([None, 0, -1200.5, 3.25e-3]) for a in "xyz"},
            **{f"position_{a}_unit": draw.choice(_LENGTHS) for a in "xyz"},
        )
        for c, z, t in places
    ]  # fmt: skip


def _build_instruments() -> list[model.Instrument]:
    return [
        model.Instrument(
            id=f"Instrument:{n}", microscope=model.Microscope(manufacturer="Maker", model=("X1", None)[n]),
            detectors=[model.Detector(id=f"Detector:{n}")],
            objectives=[
                model.Objective(id=f"Objective:{n}:0", model="Plan 20x", nominal_magnification=20, lens_na=0.75),
                model.Objective(id=f"Objective:{n}:1", calibrated_magnification=39.8),
            ],
        )
        for n in range(2)
    ]  # fmt: skip


def _build_image(draw: random.Random, number: int) -> model.Image:
    instrument = draw.choice([None, 0, 1])
    return model.Image(
        id=f"Image:{number}", name=draw.choice([None, f"field {number}"]), pixels=_build_pixels(draw, number),
        acquisition_date=draw.choice([None, "2026-03-01T10:20:30", "2026-03-01T10:20:30.123456+02:00", "2026-03-01T10:20:30Z"]),
        instrument_ref=None if instrument is None else model.InstrumentRef(id=f"Instrument:{instrument}"),
        objective_settings=None if instrument is None else model.ObjectiveSettings(id=f"Objective:{instrument}:{number % 2}"),
        stage_label=draw.choice([None, model.StageLabel(name="s", x=-5, y=7.5, z=0, x_unit="mm", y_unit="mm", z_unit="pixel")]),
    )  # fmt: skip


def _build_pixels(draw: random.Random, number: int) -> model.Pixels:
    sizes = {axis: draw.randint(1, 4) for axis in "czt"}
    samples = draw.choice([1, 1, 3])
    channels = [
        model.Channel(
            id=f"Channel:{number}:{index}", name=draw.choice([None, "DAPI", "α-tubulin <é>", ""]), samples_per_pixel=samples,
            excitation_wavelength=draw.choice([None, 488, 4.05e-7]), excitation_wavelength_unit=draw.choice(_LENGTHS),
            emission_wavelength=draw.choice([None, 525.5]), contrast_method=draw.choice([None, *Channel_ContrastMethod]),
            detector_settings=draw.choice([None, model.DetectorSettings(id="Detector:0", binning=draw.choice([None, *Binning]))]),
        )
        for index in range(sizes["c"])
    ]  # fmt: skip
    blocks = [
        model.TiffData(
            ifd=index, first_c=index % sizes["c"], plane_count=1,
            uuid=draw.choice([None, model.TiffData.UUID(value=UUIDS[number], file_name=f"sub/f{number}.ome.tif")]),
        )
        for index in range(draw.randint(1, 5))
    ]  # fmt: skip
    return model.Pixels(
        id=f"Pixels:{number}", dimension_order=draw.choice(list(model.Pixels_DimensionOrder)),
        type=draw.choice(list(model.PixelType)), size_x=draw.randint(1, 9999), size_y=draw.randint(1, 9999),
        size_z=sizes["z"], size_c=sizes["c"] * samples, size_t=sizes["t"], channels=channels, tiff_data_blocks=blocks,
        physical_size_x=draw.choice([None, 0.65, 1e-7, 325.0]),
        physical_size_x_unit=draw.choice([UnitsLength(unit) for unit in UM_PER if unit != "reference frame"]),
        physical_size_y=draw.choice([None, 0.65]), physical_size_z=draw.choice([None, 2.0]),
        planes=_build_planes(draw, sizes) if draw.random() < 0.7 else [],
        time_increment=draw.choice([None, 1.5]), time_increment_unit=draw.choice(_TIMES),
    )  # fmt: skip


def _build_ome(seed: int) -> ome_types.OME:
    """A random document with images and, for every second seed, a plate of several runs that refers to them."""
    draw = random.Random(seed)
    images = [_build_image(draw, n) for n in range(draw.randint(1, 6))]
    ome = ome_types.OME(
        uuid=draw.choice([None, UUIDS[seed]]), creator=draw.choice([None, "x 1.0"]), images=images,
        instruments=_build_instruments(),
    )  # fmt: skip
    if seed % 2:
        samples = [
            model.WellSample(
                id=f"WellSample:{n}", index=7 * n, image_ref=model.ImageRef(id=f"Image:{n}"),
                position_x=draw.choice([None, -0.5]), position_x_unit=draw.choice(_LENGTHS), position_y=2, position_y_unit="mm",
            )
            for n in range(len(images))
        ]  # fmt: skip
        wells = [
            model.Well(
                id=f"Well:{n}", row=draw.randint(0, 31), column=draw.randint(0, 47), well_samples=[sample]
            )
            for n, sample in enumerate(samples)
        ]
        runs = [
            model.PlateAcquisition(
                id=f"PlateAcquisition:{n}",
                well_sample_refs=[model.WellSampleRef(id=s.id) for s in samples[n::2]],
            )
            for n in range(2)
        ]
        ome.plates = [model.Plate(id="Plate:0", name="P µ1", wells=wells, plate_acquisitions=runs)]
    return ome


@pytest.mark.parametrize("seed", range(24))
def test_random_documents_of_ome_types_read_alike(seed: int):
    xml = _build_ome(seed).to_xml()
    check_document(parse_ome_xml(xml.encode(), "a"), ome_types.from_xml(xml))


def _fixtures() -> dict[str, str]:
    """Documents of every shape that the other tests build their files from."""
    planes = "".join(build_block(n, c=n, file=f"c{n}.ome.tif", uuid=UUIDS[n]) for n in range(3))
    images = [build_ome_image(n, x=24, y=16, c=2, channels=("DNA", None)) for n in range(4)]
    sized = build_ome_image(
        0, x=5, y=7, z=3, t=2, order="XYZTC", pixel_attributes='PhysicalSizeX="325" PhysicalSizeXUnit="nm"'
    )
    return {
        "one image": build_ome_xml([images[0]], uuid=UUIDS[0]),
        "several images": build_ome_xml(images),
        "set of files": build_ome_xml([build_ome_image(0, x=4, y=4, c=3, blocks=planes)], uuid=UUIDS[1]),
        "sizes": build_ome_xml([sized]),
        "rgb": build_ome_xml([build_ome_image(0, x=4, y=4, c=3, channels=("rgb",), samples=3, pixel_type="uint8")]),
        "plate": build_ome_xml(images, plates=build_plate_xml([(0, 0, [(0, 0), (1, 1)]), (7, 11, [(5, 2), (9, 3)])])),
        "companion link": build_ome_xml([], extra=f'<BinaryOnly MetadataFile="p.companion.ome" UUID="{UUIDS[2]}"/>'),
        "no declaration": build_ome_xml([images[1]], declaration=False),
    }  # fmt: skip


@pytest.mark.parametrize("name", _fixtures())
def test_documents_of_the_other_tests_read_alike(name: str):
    xml = _fixtures()[name]
    check_document(parse_ome_xml(xml.encode(), name), ome_types.from_xml(xml))
