"""What ome-types, the independent reader of OME-XML, takes from a document, compared fact by fact."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import ome_types
import pytest
from ome_types import model

from bioimage_assets.core.formats.ome_tiff.ome_acquisition import build_image_acquisition, index_instruments
from bioimage_assets.core.formats.ome_tiff.ome_model import OmeDocument, OmeImage
from bioimage_assets.core.model.acquisition import AcquisitionFacts, PlaneFacts

UM_PER = {
    "µm": 1.0, "nm": 1e-3, "mm": 1e3, "m": 1e6, "in": 25400.0, "Å": 1e-4, "pixel": None, "reference frame": None,
}  # fmt: skip
SECONDS_PER = {"s": 1.0, "ms": 1e-3, "min": 60.0, "h": 3600.0}


def _to_unit(value: float | None, unit: object, table: dict[str, float | None]) -> float | None:
    factor = table[getattr(unit, "value", str(unit))]
    return None if value is None or factor is None else value * factor


def _check_image(own: OmeImage, image: model.Image) -> None:
    pixels = image.pixels
    assert (own.ome_id, own.name, own.dimension_order) == (image.id, image.name, pixels.dimension_order.value)
    sizes = (pixels.size_x, pixels.size_y, pixels.size_z, pixels.size_c, pixels.size_t)
    assert (own.size_x, own.size_y, own.size_z, own.size_c, own.size_t) == sizes
    assert own.pixel_type == pixels.type.value
    assert own.channel_names == tuple(channel.name for channel in pixels.channels)
    assert own.samples_per_channel == tuple(channel.samples_per_pixel or 1 for channel in pixels.channels)
    for axis, own_size_um in zip("xyz", own.pixel_sizes_um, strict=True):
        value = getattr(pixels, f"physical_size_{axis}")
        expected = _to_unit(value, getattr(pixels, f"physical_size_{axis}_unit"), UM_PER)
        assert own_size_um == pytest.approx(expected)
    step = _to_unit(pixels.time_increment, pixels.time_increment_unit, SECONDS_PER)
    assert own.time_increment_s == pytest.approx(step)
    for block, data in zip(own.tiff_data, pixels.tiff_data_blocks, strict=True):
        assert (block.c, block.z, block.t) == (data.first_c or 0, data.first_z or 0, data.first_t or 0)
        assert block.ifd == (data.ifd or 0)
        if data.plane_count is not None:
            assert block.plane_count == data.plane_count
        assert block.file_name == (data.uuid.file_name if data.uuid else None)
        assert block.uuid == (data.uuid.value if data.uuid else None)


def _expect_plane(image: model.Image, plane: model.Plane) -> PlaneFacts:
    delta = _to_unit(plane.delta_t, plane.delta_t_unit, SECONDS_PER)
    start = image.acquisition_date
    if start is not None and start.tzinfo is None:
        start = start.replace(tzinfo=UTC)
    return PlaneFacts(
        plane.the_c, plane.the_z, plane.the_t,
        None if start is None or delta is None else start + timedelta(seconds=delta), delta,
        _to_unit(plane.exposure_time, plane.exposure_time_unit, SECONDS_PER),
        *(_to_unit(getattr(plane, f"position_{a}"), getattr(plane, f"position_{a}_unit"), UM_PER) for a in "xyz"),
    )  # fmt: skip


def _expect_facts(
    ome: ome_types.OME, image: model.Image, planes: list[PlaneFacts], sample: model.WellSample | None
) -> AcquisitionFacts | None:
    """What ome-types gives for an image, put together by the rules that the documentation states."""
    channels = image.pixels.channels
    start = image.acquisition_date
    facts = AcquisitionFacts(
        "ome-xml",
        acquired_at=next((p.acquired_at for p in planes if p.acquired_at), start and start.replace(tzinfo=start.tzinfo or UTC)),
        exposures_s=tuple(
            next((p.exposure_s for p in planes if p.c == n and p.exposure_s is not None), None) for n in range(len(channels))
        ),
        excitation_nm=tuple(_nm(c.excitation_wavelength, c.excitation_wavelength_unit) for c in channels),
        emission_nm=tuple(_nm(c.emission_wavelength, c.emission_wavelength_unit) for c in channels),
        contrast_methods=tuple(c.contrast_method and c.contrast_method.value for c in channels),
        binning=", ".join(dict.fromkeys(c.detector_settings.binning.value for c in channels if c.detector_settings and c.detector_settings.binning)) or None,
        **{f"stage_{a}_um": next((v for p in planes if (v := getattr(p, f"stage_{a}_um")) is not None), None) for a in "xyz"},
    )  # fmt: skip
    label = image.stage_label
    if label is not None:
        place = {a: _to_unit(getattr(label, a), getattr(label, f"{a}_unit"), UM_PER) for a in "xyz"}
        if facts.stage_x_um is None and facts.stage_y_um is None:
            facts = facts._replace(stage_x_um=place["x"], stage_y_um=place["y"])
        if facts.stage_z_um is None:
            facts = facts._replace(stage_z_um=place["z"])
    if facts.stage_x_um is None and facts.stage_y_um is None and sample is not None:
        facts = facts._replace(
            stage_x_um=_to_unit(sample.position_x, sample.position_x_unit, UM_PER),
            stage_y_um=_to_unit(sample.position_y, sample.position_y_unit, UM_PER),
        )
    for instrument in ome.instruments:
        for objective in instrument.objectives:
            if image.objective_settings and image.objective_settings.id == objective.id:
                power = objective.nominal_magnification or objective.calibrated_magnification
                facts = facts._replace(
                    objective=objective.model, magnification=power, numerical_aperture=objective.lens_na
                )
        if image.instrument_ref and image.instrument_ref.id == instrument.id and instrument.microscope:
            scope = instrument.microscope
            facts = facts._replace(
                instrument=" ".join(filter(None, (scope.manufacturer, scope.model))) or None
            )
    silent = {
        name: None
        for name, value in facts._asdict().items()
        if isinstance(value, tuple) and all(item is None for item in value)
    }
    facts = facts._replace(**silent)
    return None if all(value is None for value in facts[1:]) else facts


def _nm(value: float | None, unit: object) -> float | None:
    um = _to_unit(value, unit, UM_PER)
    return None if um is None else um * 1000


def check_acquisition(own: OmeDocument, ome: ome_types.OME) -> None:
    """Compare when, where and how each image and each plane was taken."""
    instruments = index_instruments(own.instruments)
    samples = {
        s.image_ref.id: s for plate in ome.plates for w in plate.wells for s in w.well_samples if s.image_ref
    }
    for image, expected in zip(own.images, ome.images, strict=True):
        pixels, sample = expected.pixels, samples.get(expected.id)
        found: dict[tuple[int, int, int], PlaneFacts] = {}
        for plane in pixels.planes:
            facts = _expect_plane(expected, plane)
            if set(facts[3:]) != {None}:
                found.setdefault((plane.the_t, plane.the_z, plane.the_c), facts)
        planes = [found[place] for place in sorted(found)]
        if image.acquisition is None:
            assert not planes
            assert _expect_facts(ome, expected, [], None) is None
            continue
        place = (None, None)
        if sample is not None:
            place = next(
                s.position_um for p in own.plates for w in p.wells for s in w.samples if s.ome_id == sample.id
            )
        limits = (len(pixels.channels), pixels.size_z, pixels.size_t)
        built = build_image_acquisition(image.acquisition, instruments, limits, place)
        for one, other in zip(built.planes, planes, strict=True):
            assert one[:4] == other[:4]
            assert one[4:] == pytest.approx(other[4:])
        expected_facts = _expect_facts(ome, expected, list(built.planes), sample)
        assert (built.facts is None) == (expected_facts is None)
        for one, other in zip(built.facts or (), expected_facts or (), strict=True):
            assert one == (
                other if other is None or isinstance(other, str | datetime) else pytest.approx(other)
            )


def check_document(own: OmeDocument, ome: ome_types.OME) -> None:
    """Compare every fact of a document; AssertionError where one differs."""
    assert own.uuid == ome.uuid
    assert own.creator == ome.creator
    binary = ome.binary_only
    assert own.binary_only_file == (binary.metadata_file if binary else None)
    for image, expected in zip(own.images, ome.images, strict=True):
        _check_image(image, expected)
    for plate, expected_plate in zip(own.plates, ome.plates, strict=True):
        assert (plate.ome_id, plate.name) == (expected_plate.id, expected_plate.name)
        runs = [
            (run.id, tuple(ref.id for ref in run.well_sample_refs))
            for run in expected_plate.plate_acquisitions
        ]
        assert list(plate.acquisitions) == runs
        for well, expected_well in zip(plate.wells, expected_plate.wells, strict=True):
            assert (well.row, well.column) == (expected_well.row, expected_well.column)
            samples = [
                (s.id, s.index, s.image_ref.id if s.image_ref else None) for s in expected_well.well_samples
            ]
            assert [(s.ome_id, s.index, s.image_ref) for s in well.samples] == samples
    check_acquisition(own, ome)
