"""What ome-types, the independent reader of OME-XML, takes from a document, compared fact by fact."""

from __future__ import annotations

import ome_types
import pytest
from ome_types import model

from bioimage_assets.core.formats.ome_tiff.ome_model import OmeDocument, OmeImage

UM_PER = {"µm": 1.0, "nm": 1e-3, "mm": 1e3, "Å": 1e-4, "pixel": None}
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
