"""Ids of images whose files differ in nothing but the suffix: ``img.tif`` stays ``img``, ``img.tiff`` beside it is ``img.tiff``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.file_kinds import STORE_SUFFIXES, TIFF_SUFFIXES, find_suffix, has_suffix
from bioimage_assets.core.model.identity import without_query
from bioimage_assets.core.model.image import ImageRecord
from bioimage_assets.core.model.store_paths import join_path

CODE = "names-differ-in-suffix"


def tell_suffixes_apart(
    images: Iterable[ImageRecord], owners: Mapping[tuple[str, str], ImageRecord]
) -> tuple[tuple[ImageRecord, ...], tuple[Finding, ...]]:
    """Images of TIFFs with ids that differ from those of files of the same name and another suffix, and one finding.

    Only ids that come from names: two files for one place on a plate stay two files for one place. ``owners`` are the
    images of other stores by dataset and id.
    """
    taken: dict[tuple[str, str], ImageRecord] = dict(owners)
    told: list[ImageRecord] = []
    pairs: list[tuple[ImageRecord, ImageRecord]] = []
    for image in images:
        owner = taken.get((image.dataset_id, image.image_id))
        if owner is not None and (image_id := _id_with_suffix(owner, image)) is not None:
            renamed = replace(image, image_id=image_id)
            if (image.dataset_id, image_id) not in taken:
                pairs.append((owner, renamed))
                image = renamed
        taken.setdefault((image.dataset_id, image.image_id), image)
        told.append(image)
    return tuple(told), () if not pairs else (_build_finding(pairs),)


def _build_finding(pairs: list[tuple[ImageRecord, ImageRecord]]) -> Finding:
    first, second = pairs[0]
    more = f" So it is for {len(pairs):,} images." if len(pairs) > 1 else ""
    text = (
        f"{_location(first)} and {_location(second)} differ in their suffix only: both are kept, with the ids "
        f"{first.image_id!r} and {second.image_id!r}.{more} Remove one if it is a copy, or rename it."
    )
    return Finding(CODE, "warning", second.image_id, text, second.uri)


def _id_with_suffix(owner: ImageRecord, image: ImageRecord) -> str | None:
    """The id of an image with the suffix of its file behind the name; None where more than the suffix is the same."""
    if owner.well_id is not None or image.well_id is not None or image.format_family == "zarr":
        return None
    (stem, suffix), (other, other_suffix) = _split(image), _split(owner)
    if stem != other or suffix == other_suffix or not has_suffix(suffix, TIFF_SUFFIXES):
        return None
    name = re.escape(stem.rpartition("/")[2])
    match = re.search(rf"(?:^|/){name}(?=$|:)", image.image_id)
    return (
        None if match is None else f"{image.image_id[: match.end()]}{suffix}{image.image_id[match.end() :]}"
    )


def _split(image: ImageRecord) -> tuple[str, str]:
    location = _location(image)
    suffix = find_suffix(location, STORE_SUFFIXES)
    end = len(location) - len(suffix)
    return location[:end], location[end:]


def _location(image: ImageRecord) -> str:
    """The file of an image, the first where it has several."""
    return join_path(image.uri, image.files[0].path) if image.files else without_query(image.uri)
