"""Rows of ``image_assets`` and a virtual plate in, the attributes of all its groups out, as OME-Zarr 0.5 or 0.4 wants them.

https://ngff.openmicroscopy.org/0.5/index.html#plate-md, #well-md, #labels-md, #bf2raw and https://ngff.openmicroscopy.org/0.4/. What the
catalogue calls an image stands in attributes of our own (``bioimage_assets``), since names of groups are letters and digits alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from bioimage_assets.core.model.identity import row_letters
from bioimage_assets.core.settings.dataset import OmeZarrVersion
from bioimage_assets.core.virtual.field_offsets import find_field_offsets
from bioimage_assets.core.virtual.image_paths import WellPlace, place_well
from bioimage_assets.core.virtual.model import VirtualImage, VirtualPlate
from bioimage_assets.core.virtual.multiscale_metadata import (
    Json,
    Row,
    Window,
    build_multiscale,
    build_omero,
)

OWN_KEY = "bioimage_assets"
"""Attributes of our own in every group that stands for something of the catalogue."""

Groups = dict[str, Json]
# What is told of an image; its files are most of its row, and not among it.
_COLUMNS = (
    "image_id", "well_id", "site_id", "acquisition_id", "source_image_id", "image_name", "axes", "levels", "channel_names",
    "acquisition", "pixel_size_x_um", "pixel_size_y_um", "pixel_size_z_um", "time_increment_s",
)  # fmt: skip
# More refused images are counted, not listed: the root document is read by everybody who opens the plate.
_MAX_REFUSED = 100


def build_group_documents(
    image_assets: pa.Table,
    plate: VirtualPlate,
    version: OmeZarrVersion = "0.5",
    windows: Mapping[str, Sequence[Window | None]] | None = None,
) -> Groups:
    """Attributes of every group by its path, parents before children; ``""`` is the root.

    Parameters
    ----------
    image_assets
        Rows of at least all images of the plate.
    plate
        What could be expressed; other rows are left out.
    version
        Of OME-Zarr: 0.5 has everything below ``ome``, 0.4 has a version in each block.
    windows
        Black and white points per channel by ``image_id``, where they were measured.
    """
    table = image_assets.select([name for name in _COLUMNS if name in image_assets.column_names])
    rows = {str(row["image_id"]): row for row in table.to_pylist()}
    images = sorted(plate.images, key=lambda image: image.path)
    fields = [image for image in images if not image.is_label]
    offsets = find_field_offsets(rows[image.image_id] for image in fields)
    groups: Groups = {}
    for image in images:
        row = rows[image.image_id]
        found = offsets.get(str(row["source_image_id"]) if image.is_label else image.image_id, {})
        own = windows.get(image.image_id, ()) if windows else ()
        content = _describe_image(image, row, found, own, is_label=image.is_label)
        groups[image.path] = _wrap(content, version, _name_image(row))
    groups |= _describe_labels([image for image in images if image.is_label], version)
    groups |= _describe_collection(fields, rows, plate, version)
    return dict(sorted(groups.items()))


def _describe_image(
    image: VirtualImage,
    row: Row,
    offset: Mapping[str, float],
    windows: Sequence[Window | None],
    is_label: bool,
) -> Json:
    content: Json = {"multiscales": [build_multiscale(image, row, offset)]}
    if is_label:
        return content | {"image-label": {"source": {"image": "../../"}}}
    omero = build_omero(image, row, windows)
    return content if omero is None else content | {"omero": omero}


def _name_image(row: Row) -> Json:
    """Ids of the catalogue, and where the stage was, as it counted."""
    facts = row.get("acquisition")
    stage = {name: facts[name] for name in ("stage_x_um", "stage_y_um", "stage_z_um")} if isinstance(facts, Mapping) else {}  # fmt: skip
    names = ("image_id", "well_id", "site_id", "acquisition_id", "source_image_id")
    found = {name: row.get(name) for name in names} | stage
    return {name: value for name, value in found.items() if value is not None}


def _describe_labels(labels: Iterable[VirtualImage], version: OmeZarrVersion) -> Groups:
    """The group that lists the label images of one image."""
    names: dict[str, list[object]] = {}
    for image in labels:
        parent, name = image.path.rsplit("/", 1)
        names.setdefault(parent, []).append(name)
    return {parent: _wrap({"labels": found}, version) for parent, found in names.items()}


def _describe_collection(
    fields: Sequence[VirtualImage], rows: Mapping[str, Row], plate: VirtualPlate, version: OmeZarrVersion
) -> Groups:
    """Root, rows, wells and the rest: a plate where any image has a well, else a numbered collection."""
    places = {image.path: place_well(_text(rows[image.image_id].get("well_id"))) for image in fields}
    loose = [image for image in fields if places[image.path] is None]
    own: Json = {"plate": plate.name, **_describe_refused(plate)}
    if len(loose) == len(fields):
        series: Json = {"series": [image.path for image in fields]}
        root: Json = {"bioformats2raw.layout": 3}
        return {"": _wrap(root, version, own), "OME": _wrap(series, version)}
    wells: dict[WellPlace, list[VirtualImage]] = {}
    for image in fields:
        place = places[image.path]
        if place is not None:
            wells.setdefault(place, []).append(image)
    groups: Groups = {row_letters(place.row): {} for place in wells}
    acquisitions = _number_acquisitions([rows[image.image_id] for found in wells.values() for image in found])
    for place, found in wells.items():
        content = [_list_field(image, rows[image.image_id], acquisitions) for image in found]
        groups[place.path] = _wrap({"well": {"images": content}}, version)
    if loose:
        own["unplaced"] = [image.path for image in loose]
        groups[loose[0].path.rsplit("/", 1)[0]] = {}
    described = _describe_plate(plate.name, wells, rows, acquisitions)
    return groups | {"": _wrap({"plate": described}, version, own)}


def _describe_plate(
    name: str,
    wells: Mapping[WellPlace, Sequence[VirtualImage]],
    rows: Mapping[str, Row],
    acquisitions: Mapping[str, int],
) -> Json:
    """Rows and columns up to the last one that has a well, so that a picture of the plate has no well at a wrong place."""
    row_count = max(place.row for place in wells) + 1
    column_count = max(place.column for place in wells) + 1
    described: Json = {
        "name": name,
        "rows": [{"name": row_letters(row)} for row in range(row_count)],
        "columns": [{"name": str(column + 1)} for column in range(column_count)],
        "wells": [
            {"path": place.path, "rowIndex": place.row, "columnIndex": place.column}
            for place in sorted(wells)
        ],
        "field_count": max(len(images) for images in wells.values()),
    }
    if acquisitions:
        counts = _count_fields(wells, rows)
        described["acquisitions"] = [
            {"id": number, "name": name, "maximumfieldcount": counts[name]}
            for name, number in acquisitions.items()
        ]
    return described


def _list_field(image: VirtualImage, row: Row, acquisitions: Mapping[str, int]) -> Json:
    number = acquisitions.get(str(row.get("acquisition_id")))
    name = image.path.rsplit("/", 1)[-1]
    return {"path": name} if number is None else {"path": name, "acquisition": number}


def _number_acquisitions(rows: Iterable[Row]) -> dict[str, int]:
    """The number of each acquisition: its own where all have whole numbers, else its rank; empty where there is none."""
    names = {str(row["acquisition_id"]) for row in rows if row.get("acquisition_id") is not None}
    if all(name.isascii() and name.isdigit() for name in names) and len({int(n) for n in names}) == len(
        names
    ):
        return {name: int(name) for name in sorted(names, key=int)}
    return {name: number for number, name in enumerate(sorted(names))}


def _count_fields(
    wells: Mapping[WellPlace, Sequence[VirtualImage]], rows: Mapping[str, Row]
) -> dict[str, int]:
    """The most fields that any well has of each acquisition."""
    most: dict[str, int] = {}
    for images in wells.values():
        names = [str(rows[image.image_id].get("acquisition_id")) for image in images]
        for name in set(names):
            most[name] = max(most.get(name, 0), names.count(name))
    return most


def _describe_refused(plate: VirtualPlate) -> Json:
    if not plate.refused:
        return {}
    listed = [
        {"code": finding.code, "location": finding.location, "message": finding.message}
        for finding in plate.refused[:_MAX_REFUSED]
    ]
    return {"refused_count": len(plate.refused), "refused": listed}


def _wrap(content: Json, version: OmeZarrVersion, own: Json | None = None) -> Json:
    """Below ``ome`` with a version, or beside each other; our own attributes are beside them."""
    extra: Json = {OWN_KEY: own} if own else {}
    described = {name: _add_version(name, block, version) for name, block in content.items()}
    return ({"ome": {"version": version, **described}} if version == "0.5" else described) | extra


def _add_version(name: str, block: object, version: OmeZarrVersion) -> object:
    """Plate, well and image-label say their version in 0.5, too; in 0.4 multiscales and omero do as well, labels do not."""
    if isinstance(block, list):
        is_versioned = name == "multiscales" and version == "0.4"
        return [{"version": version, **entry} for entry in block] if is_versioned else block
    is_versioned = name in ("plate", "well", "image-label") or (name == "omero" and version == "0.4")
    return {"version": version, **block} if is_versioned and isinstance(block, dict) else block


def _text(value: object) -> str | None:
    return None if value is None else str(value)
