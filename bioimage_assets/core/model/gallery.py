"""Plates in the layout of the Cell Painting Gallery: of which project, source and batch they are, and what belongs to them.

Source of truth: https://broadinstitute.github.io/cellpainting-gallery/data_structure.html:
``<project>/<source>/images/<batch>/images/<full plate name>/…`` and ``<project>/<source>/workspace/<kind>/<batch>/<plate>/…``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PROJECT = re.compile(r"cpg\d{4}[A-Za-z0-9_.-]*")
# Between project and source in the name of a dataset. Two, since both may hold one.
_JOINT = "__"


@dataclass(frozen=True, slots=True)
class GalleryPlace:
    """Where an image lies: ``plate_folder`` is the full name of the plate as the microscope gave it."""

    project: str
    source: str
    batch: str
    plate_folder: str


@dataclass(frozen=True, slots=True)
class GalleryPlate:
    """What the gallery's layout says of a plate.

    Parameters
    ----------
    plate
        Name of the plate in ``workspace``, which is also the one in ``barcode_platemap.csv``.
    batch, source
        Folders that it lies in.
    platemap_dir, external_metadata_dir
        Folders of the platemaps of its batch, and of what is known of compounds, below the source; empty where there is none.
    image_list_uris
        LoadData tables that name its images.
    """

    plate: str
    batch: str
    source: str
    platemap_dir: str = ""
    external_metadata_dir: str = ""
    image_list_uris: tuple[str, ...] = ()


def is_gallery_project(name: str) -> bool:
    """Tell a project of the gallery by the name of its folder.

    >>> is_gallery_project("cpg0016-jump"), is_gallery_project("cpg16"), is_gallery_project("screen")
    (True, False, False)
    """
    return _PROJECT.fullmatch(name) is not None


def name_gallery_dataset(project: str, source: str) -> str:
    """Name of the dataset that a source of a project is.

    >>> name_gallery_dataset("cpg0016-jump", "source_4")
    'cpg0016-jump__source_4'
    """
    return f"{project}{_JOINT}{source}"


def project_of_dataset(dataset_id: str) -> str:
    """Project of such a dataset; the dataset itself where it is of no gallery.

    >>> project_of_dataset("cpg0016-jump__source_4"), project_of_dataset("screen__2")
    ('cpg0016-jump', 'screen__2')
    """
    project = dataset_id.partition(_JOINT)[0]
    return project if is_gallery_project(project) else dataset_id


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
