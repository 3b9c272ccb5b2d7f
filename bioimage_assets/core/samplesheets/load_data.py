"""Planes of a plate in, the rows of CellProfiler's LoadData table out: one per field, z and t, all channels beside each other.

Source of truth: https://cellprofiler-manual.s3.amazonaws.com/CellProfiler-4.2.8/modules/fileprocessing.html#loaddata
``Series_…`` and ``Frame_…`` stand in all rows or in none: CellProfiler reads a column as whole numbers only where each cell is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.plate_folders.fields import natural_order
from bioimage_assets.core.samplesheets.illumination import build_illumination_columns
from bioimage_assets.core.samplesheets.image_names import name_images
from bioimage_assets.core.samplesheets.options import SheetOptions
from bioimage_assets.core.samplesheets.places import as_url, is_on_disk, rewrite_place, split_place
from bioimage_assets.core.samplesheets.planes import Plane, SheetImage
from bioimage_assets.core.samplesheets.sheet import Sheet

_SetKey = tuple[str, int | None, int | None]


@dataclass(frozen=True, slots=True)
class _ImageSet:
    image: SheetImage
    z: int | None
    t: int | None
    planes: Mapping[str, Plane]


def build_load_data(
    planes: Sequence[Plane], options: SheetOptions, *, with_illumination: bool = False
) -> Sheet:
    """Rows of one plate, sorted by well, site, t and z.

    CellProfiler stops at an image set that lacks a channel: such sets are left out, and the finding ``image-set-incomplete`` counts them.
    """
    names = name_images((plane.channel for plane in planes), options.channels)
    sets, incomplete = _complete_sets(_group(planes, options), list(names))
    named = {names[channel]: channel for channel in names}
    columns = _image_columns(sets, named) | _page_columns(sets, named)
    if with_illumination:
        columns |= build_illumination_columns([one.image.plate for one in sets], list(named), options)
    columns |= _metadata_columns(sets, options)
    rows = zip(*columns.values(), strict=True) if columns else ()
    return Sheet(tuple(columns), tuple(rows), frozenset(one.image.image_id for one in sets), incomplete)


def _group(planes: Iterable[Plane], options: SheetOptions) -> list[_ImageSet]:
    grouped: dict[_SetKey, dict[str, Plane]] = {}
    images: dict[_SetKey, SheetImage] = {}
    for plane in planes:
        key = (plane.image.image_id, plane.z, plane.t)
        moved = plane._replace(uri=rewrite_place(plane.uri, options.path_rewrites))
        grouped.setdefault(key, {}).setdefault(plane.channel, moved)
        images[key] = plane.image
    found = [_ImageSet(images[key], key[1], key[2], channels) for key, channels in grouped.items()]
    return sorted(found, key=_place_order)


def _place_order(one: _ImageSet) -> tuple[object, ...]:
    image = one.image
    return (
        natural_order(image.well_id), natural_order(image.site_id or ""), natural_order(image.acquisition_id or ""),
        image.image_id, one.t or 0, one.z or 0,
    )  # fmt: skip


def _complete_sets(
    sets: Sequence[_ImageSet], channels: Sequence[str]
) -> tuple[list[_ImageSet], tuple[Finding, ...]]:
    whole = [one for one in sets if len(one.planes) == len(channels)]
    lacking = [one for one in sets if len(one.planes) < len(channels)]
    if not lacking:
        return whole, ()
    first = lacking[0]
    absent = ", ".join(channel for channel in channels if channel not in first.planes)
    text = (
        f"{len(lacking):,} of {len(sets):,} image sets lack a channel and are left out, where CellProfiler would stop; the first is "
        f"{first.image.image_id!r}, which lacks {absent}."
    )
    return whole, (Finding("image-set-incomplete", "error", first.image.image_id, text),)


def _image_columns(sets: Sequence[_ImageSet], named: Mapping[str, str]) -> dict[str, list[str]]:
    columns: dict[str, list[str]] = {}
    all_on_disk = all(is_on_disk(plane.uri) for one in sets for plane in one.planes.values())
    for name, channel in named.items():
        places = [one.planes[channel].uri for one in sets]
        if all_on_disk:
            split = [split_place(place) for place in places]
            columns[f"FileName_{name}"] = [file for _, file in split]
            columns[f"PathName_{name}"] = [folder for folder, _ in split]
        else:
            columns[f"URL_{name}"] = [as_url(place) for place in places]
    return columns


def _page_columns(sets: Sequence[_ImageSet], named: Mapping[str, str]) -> dict[str, list[str]]:
    """Series and frame, of a plate whose files hold several planes."""
    planes = [plane for one in sets for plane in one.planes.values()]
    uses = {(plane.uri, plane.series, plane.frame) for plane in planes}
    if len({uri for uri, _, _ in uses}) == len(uses) and not any(
        plane.series or plane.frame for plane in planes
    ):
        return {}
    columns: dict[str, list[str]] = {}
    for name, channel in named.items():
        columns[f"Series_{name}"] = [str(one.planes[channel].series) for one in sets]
        columns[f"Frame_{name}"] = [str(one.planes[channel].frame) for one in sets]
    return columns


def _metadata_columns(sets: Sequence[_ImageSet], options: SheetOptions) -> dict[str, list[str]]:
    """Place of each image set; what no image of the plate has is no column."""
    texts: dict[str, list[str | None]] = {
        "Metadata_Plate": [one.image.plate for one in sets],
        "Metadata_Well": [one.image.well_id for one in sets],
        "Metadata_Site": [one.image.site_id for one in sets],
        "Metadata_Acquisition": [one.image.acquisition_id for one in sets],
        "Metadata_T": _numbers([one.t for one in sets]),
        "Metadata_Z": _numbers([one.z for one in sets]),
        "Metadata_Batch": [options.batch or None] * len(sets),
        "Metadata_Source": [options.source or None] * len(sets),
        "Metadata_ImageID": [one.image.image_id for one in sets],
    }
    return {name: [text or "" for text in found] for name, found in texts.items() if any(found)}


def _numbers(values: Sequence[int | None]) -> list[str | None]:
    """Numbers of planes; none where all images have one plane along the axis."""
    return (
        [None if value is None else str(value) for value in values]
        if len(set(values)) > 1
        else [None] * len(values)
    )
