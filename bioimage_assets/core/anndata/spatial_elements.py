"""Fields of view and cells in, the elements of a SpatialData object out: images, labels, circles, table, and where they lie.

https://spatialdata.scverse.org/en/stable/design_doc.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from bioimage_assets.core.anndata.spatial_cells import INSTANCE, REGION, FieldCells
from bioimage_assets.core.anndata.spatial_fields import Field, iterate_times, name_elements
from bioimage_assets.core.findings import Finding

if TYPE_CHECKING:
    from spatialdata import SpatialData

KEY = "bioimage_assets"
_RADIUS_PX = 10.0


def name_regions(fields: Sequence[Field]) -> dict[str, str]:
    """Names of the circles by image id, which no image has."""
    names = [name for field in fields for name, _, _ in iterate_times(field)]
    owners = [field for field in fields if not field.is_label]
    told = name_elements([*names, *(f"{field.name}_cells" for field in owners)])
    return {field.image_id: told[f"{field.name}_cells"] for field in owners}


def build_spatialdata(
    library: Any,
    plate: str,
    fields: Sequence[Field],
    regions: Mapping[str, str],
    cells: FieldCells,
    findings: Sequence[Finding],
) -> SpatialData:
    """The object: images and labels, circles of cells, their table; ``library`` is spatialdata, ``regions`` names the circles by image id."""
    models = library.models
    images: dict[str, Any] = {}
    labels: dict[str, Any] = {}
    shapes: dict[str, Any] = {}
    told: dict[str, str] = {}
    for field in fields:
        place = partial(_place, library.transformations, field)
        for name, axes, pixels in iterate_times(field):
            told[name] = field.image_id
            spatial = tuple(axis for axis in axes if axis != "c")
            if field.is_label:
                labels[name] = _parse_labels(models, axes, pixels, place(field.scale, spatial))
            else:
                images[name] = _parse_image(models, field, axes, pixels, place(field.scale, spatial))
        if field.image_id in cells.places and not field.is_label:
            points = cells.places[field.image_id]
            shapes[regions[field.image_id]] = models.ShapesModel.parse(
                points.to_numpy(),
                geometry=0,
                radius=_RADIUS_PX,
                index=points.index,
                transformations=place(field.full_scale, ("y", "x")),
            )
    attrs = {KEY: {"plate_key": plate, "images": told, "findings": [finding.message for finding in findings]}}
    tables = {} if cells.table is None else {"table": _parse_table(models, cells.table, list(shapes))}
    return library.SpatialData(images=images, labels=labels, shapes=shapes, tables=tables, attrs=attrs)


def _parse_image(models: Any, field: Field, axes: Sequence[str], pixels: Any, places: Any) -> Any:
    if "c" not in axes:
        pixels, axes = pixels[None], ("c", *axes)
    model = models.Image3DModel if "z" in axes else models.Image2DModel
    wanted = ("c", "z", "y", "x") if "z" in axes else ("c", "y", "x")
    pixels = pixels.transpose([axes.index(axis) for axis in wanted])
    return model.parse(pixels, dims=wanted, c_coords=list(field.channels), transformations=places)


def _parse_labels(models: Any, axes: Sequence[str], pixels: Any, places: Any) -> Any:
    if "c" in axes:
        pixels = pixels[(slice(None),) * axes.index("c") + (0,)]
        axes = tuple(axis for axis in axes if axis != "c")
    model = models.Labels3DModel if "z" in axes else models.Labels2DModel
    return model.parse(pixels, dims=tuple(axes), transformations=places)


def _parse_table(models: Any, table: Any, regions: list[str]) -> Any:
    if not regions:
        return models.TableModel.parse(table)
    return models.TableModel.parse(
        table, region=regions, region_key=REGION, instance_key=INSTANCE, overwrite_metadata=True
    )


def _place(library: Any, field: Field, scale: Mapping[str, float], axes: tuple[str, ...]) -> dict[str, Any]:
    """Coordinate systems that an element lies in, by name."""
    sized = library.Scale([scale.get(axis, 1.0) for axis in axes], axes=axes)
    found = {f"{field.name}_{'um' if field.is_in_um else 'px'}": sized}
    if field.offset and field.well_id is not None:
        moved = library.Translation([field.offset.get(axis, 0.0) for axis in axes], axes=axes)
        found[f"{field.well_id}_um"] = library.Sequence([sized, moved])
    return found
