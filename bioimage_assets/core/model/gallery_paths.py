"""Paths in the Cell Painting Gallery: of which project, source, batch and plate they are.

Source of truth: https://broadinstitute.github.io/cellpainting-gallery/data_structure.html:
``<project>/<source>/images/<batch>/images/<full plate name>/…`` and ``<project>/<source>/workspace/<kind>/<batch>/<plate>/…``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PROJECT = re.compile(r"cpg\d{4}[A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class GalleryPlace:
    """Where an image lies: ``plate_folder`` is the full name of the plate as the microscope gave it."""

    project: str
    source: str
    batch: str
    plate_folder: str


def is_gallery_project(name: str) -> bool:
    """Tell a project of the gallery by the name of its folder.

    >>> is_gallery_project("cpg0016-jump"), is_gallery_project("cpg16"), is_gallery_project("screen")
    (True, False, False)
    """
    return _PROJECT.fullmatch(name) is not None


def find_gallery_place(uri: str) -> GalleryPlace | None:
    """Project, source, batch and plate of an image's path or URI; None where it lies in no gallery.

    >>> find_gallery_place("s3://cellpainting-gallery/cpg0016-jump/source_4/images/2021_04_26_Batch1/images/BR1__x/Images/a.tiff")
    GalleryPlace(project='cpg0016-jump', source='source_4', batch='2021_04_26_Batch1', plate_folder='BR1__x')
    """
    parts = uri.split("/")
    for number in range(len(parts) - 6, -1, -1):
        project, source, images, batch, inner, plate = parts[number : number + 6]
        if images == "images" and inner.partition("_")[0] == "images" and is_gallery_project(project):
            return GalleryPlace(project, source, batch, plate)
    return None
