"""Rows of ``image_assets`` in, the group of each image in the virtual plate out: ``A/1/0``, labels ``A/1/0/labels/nuclei``.

OME-Zarr allows letters and digits alone in the names of rows, columns and fields
(https://ngff.openmicroscopy.org/0.5/index.html#plate-md, #well-md). Images without a well are numbered, as bioformats2raw numbers them
(https://ngff.openmicroscopy.org/0.5/index.html#bf2raw); where others have one they are below ``unplaced``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import pyarrow as pa

from bioimage_assets.core.model.identity import normalize_well, row_index, row_letters

UNPLACED = "unplaced"
"""The group of images without a well, in a plate whose other images have one."""

_LABEL_IN_PATH = re.compile(r"(?:^|/)labels/(.+)$")
_COLUMNS = ("image_id", "image_kind", "source_image_id", "well_id", "site_id", "acquisition_id", "array_path")


class WellPlace(NamedTuple):
    """A well by its zero-based row and column."""

    row: int
    column: int

    @property
    def path(self) -> str:
        """Its group in the plate: letters of the row, column from one without padding."""
        return f"{row_letters(self.row)}/{self.column + 1}"


@lru_cache(maxsize=4096)
def place_well(well_id: str | None) -> WellPlace | None:
    """Row and column of a well id, None where there is no well.

    >>> place_well("AF07").path, place_well(None)
    ('AF/7', None)
    """
    well = normalize_well(well_id)
    if well is None:
        return None
    letters = well.rstrip("0123456789")
    row = row_index(letters)
    assert row is not None, f"{well} is a well"
    return WellPlace(row, int(well[len(letters) :]) - 1)


def build_image_paths(image_assets: pa.Table) -> dict[str, str]:
    """Group of each image and label image by ``image_id``; the same rows in any order give the same paths.

    A label image whose image is not among the rows has no path: OME-Zarr keeps labels below their image.
    """
    rows = sorted(image_assets.select(_COLUMNS).to_pylist(), key=lambda row: str(row["image_id"]))
    labels = [row for row in rows if row["image_kind"] == "label"]
    images = [row for row in rows if row["image_kind"] != "label"]
    paths = _place_images(images)
    return paths | _place_labels(labels, paths)


def _place_images(rows: Sequence[Mapping[str, str | None]]) -> dict[str, str]:
    """Fields below their well, the others by number."""
    placed = {str(row["image_id"]): place_well(row["well_id"]) for row in rows}
    has_wells = any(place is not None for place in placed.values())
    prefix = f"{UNPLACED}/" if has_wells else ""
    has_acquisitions = len({row["acquisition_id"] for row in rows}) > 1
    paths: dict[str, str] = {}
    taken: set[str] = set()
    # A site that may be a name as it stands keeps it, whatever others would be called without their signs.
    for row in sorted(rows, key=lambda row: not (row["site_id"] or "").isalnum()):
        image_id = str(row["image_id"])
        place = placed[image_id]
        if place is None:
            continue
        name = _name_field(row, has_acquisitions)
        paths[image_id] = _take(f"{place.path}/", name, taken, "n")
    loose = (str(row["image_id"]) for row in rows if placed[str(row["image_id"])] is None)
    return paths | {image_id: f"{prefix}{number}" for number, image_id in enumerate(loose)}


def _name_field(row: Mapping[str, str | None], has_acquisitions: bool) -> str:
    """The site, and behind it the acquisition where the plate has several: ``3``, ``3a1``."""
    name = _keep_alphanumeric(row["site_id"] or "") or "0"
    acquisition = _keep_alphanumeric(row["acquisition_id"] or "")
    return f"{name}a{acquisition}" if has_acquisitions and acquisition else name


def _place_labels(rows: Iterable[Mapping[str, str | None]], images: Mapping[str, str]) -> dict[str, str]:
    paths: dict[str, str] = {}
    taken: set[str] = set()
    for row in rows:
        owner = images.get(row["source_image_id"] or "")
        if owner is not None:
            paths[str(row["image_id"])] = _take(f"{owner}/labels/", _name_label(row), taken, "_")
    return paths


def _name_label(row: Mapping[str, str | None]) -> str:
    """What the store calls the label image, else what its id ends with, without signs that a node's name may not have."""
    found = _LABEL_IN_PATH.search(row["array_path"] or "")
    text = found[1].split("/")[0] if found else str(row["image_id"]).rsplit(":", 1)[-1].rsplit("/", 1)[-1]
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._") or "label"


def _keep_alphanumeric(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "", text)


def _take(parent: str, name: str, taken: set[str], separator: str) -> str:
    """A path that no other image has, on disks that do not tell capitals from small letters either."""
    path, number = f"{parent}{name}", 1
    while path.casefold() in taken:
        number += 1
        path = f"{parent}{name}{separator}{number}"
    taken.add(path.casefold())
    return path
