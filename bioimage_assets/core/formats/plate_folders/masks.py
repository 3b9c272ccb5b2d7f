"""Masks that lie in a folder beside the fields they were made from, under the same names: label images, not a second acquisition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.model.image import ImageRecord
from bioimage_assets.core.model.reserved_folders import MASK_FOLDERS

_Place = tuple[str | None, str | None, str | None]


def mark_masks(images: Sequence[ImageRecord], root_uri: str, log: FindingLog) -> tuple[ImageRecord, ...]:
    """Give fields below a folder ``masks`` or ``segmentation`` the kind ``label`` where the same field lies outside of it, too."""
    folders = [_mask_folder(image, root_uri) if image.well_id is not None else "" for image in images]
    if not any(folders):
        return tuple(images)
    owners: dict[_Place, str] = {}
    for image, folder in zip(images, folders, strict=True):
        if not folder:
            owners.setdefault(_place(image), image.image_id)
    marked = []
    for image, folder in zip(images, folders, strict=True):
        owner = owners.get(_place(image)) if folder else None
        if owner is not None:
            log.note_repeated(
                "masks-beside-images", "info", folder,
                "Images in this folder have the plate, well and site of images outside of it: they are rows of kind label, and no "
                "cell is joined to them. If they are another acquisition, rename the folder.",
            )  # fmt: skip
            image = replace(image, image_kind="label", source_image_id=owner)
        marked.append(image)
    return tuple(marked)


def _place(image: ImageRecord) -> _Place:
    return (image.plate_id, image.well_id, image.site_id)


def _mask_folder(image: ImageRecord, root_uri: str) -> str:
    """The folder of an image, below the scanned one, up to the part that is called masks; empty where none is."""
    path = image.files[0].path if image.files else image.uri.removeprefix(root_uri).lstrip("/")
    folders = path.split("/")[:-1]
    for number, name in enumerate(folders):
        if name.lower() in MASK_FOLDERS:
            return "/".join(folders[: number + 1])
    return ""
