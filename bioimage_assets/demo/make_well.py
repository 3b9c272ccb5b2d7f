"""Make the image files and measured objects of one well: the unit of work of a worker process."""

from __future__ import annotations

from pathlib import Path

from bioimage_assets.demo import write_tiff, write_zarr
from bioimage_assets.demo.artefacts import (
    add_debris,
    choose_spoilt_fields,
    mark_all,
    merge_neighbours,
    spoil_exposure,
)
from bioimage_assets.demo.camera import Exposure, build_plate_gains, build_position_gain, expose
from bioimage_assets.demo.measure import measure_field
from bioimage_assets.demo.phenotypes import build_phenotype
from bioimage_assets.demo.plan import FieldImages, MadeField, PlatePlan, WrittenFiles
from bioimage_assets.demo.render import CHANNELS, draw_field

IMAGES_FOLDER = "images"
SEGMENTATION_FOLDER = "segmentation"


def make_well(plan: PlatePlan, well_index: int, staging: str) -> tuple[MadeField, ...]:
    """Render, write and measure all fields of a well below the staging folder of its plate."""
    store = Path(staging) / IMAGES_FOLDER
    if plan.is_zarr:
        write_zarr.write_well_group(store, plan, well_index)
    fields = []
    for site in range(plan.size.site_count):
        images = render_field(plan, well_index, site)
        files = _write_field(Path(staging), plan, well_index, site, images)
        measured = measure_field(images.pixels, images.cells, images.nuclei)
        fields.append(MadeField(well_index, site, files, images.artefacts, measured.names, measured.values))
    return tuple(fields)


def render_field(plan: PlatePlan, well_index: int, site: int) -> FieldImages:
    """Pixels and labels of one field, faults included; depends on nothing but the plan."""
    well = plan.wells[well_index]
    plate_rng, rng = plan.plate_rng(), plan.field_rng(well_index, site)
    plate_gains = build_plate_gains(plate_rng, len(CHANNELS))
    spoilt = choose_spoilt_fields(plate_rng, plan.size)
    field = draw_field(
        rng, plan.size.field_px, build_phenotype(well.compound, well.concentration_um), is_edge=well.is_edge
    )
    field = merge_neighbours(rng, field)
    if (well_index, site) in spoilt.with_debris:
        field = add_debris(rng, field)
    position_gain = build_position_gain(well.column, is_edge=well.is_edge)
    exposure, fault = spoil_exposure(
        Exposure(tuple(gain * position_gain for gain in plate_gains)), spoilt, (well_index, site)
    )
    if fault is not None:
        field = mark_all(field, fault)
    return FieldImages(expose(rng, field.light, exposure), field.cells, field.nuclei, field.artefacts)


def _write_field(
    staging: Path, plan: PlatePlan, well_index: int, site: int, images: FieldImages
) -> WrittenFiles:
    store = staging / IMAGES_FOLDER
    if plan.is_zarr:
        return write_zarr.write_field(store, plan, well_index, site, images)
    return write_tiff.write_field(store, staging / SEGMENTATION_FOLDER, plan, well_index, site, images)
