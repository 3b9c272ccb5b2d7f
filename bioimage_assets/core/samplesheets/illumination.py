"""Plates and image names in, the columns of LoadData that name their illumination functions out.

The Cell Painting Gallery keeps them as ``illum/<plate>/<plate>_Illum<Channel>.npy``, and calls the images of channel DNA ``OrigDNA``:
https://broadinstitute.github.io/cellpainting-gallery/data_structure.html
"""

from __future__ import annotations

from collections.abc import Sequence

from bioimage_assets.core.samplesheets.options import SheetOptions
from bioimage_assets.core.samplesheets.places import is_on_disk, rewrite_place

_ORIGINAL = "Orig"


def build_illumination_columns(
    plates: Sequence[str], names: Sequence[str], options: SheetOptions
) -> dict[str, list[str]]:
    """Columns ``FileName_Illum…`` and ``PathName_Illum…``, or ``URL_Illum…``; one value per row of ``plates``.

    The functions need not be there yet: the pipeline that makes them runs before the one that reads this table.
    """
    place = options.illumination.rstrip("/").replace("{batch}", options.batch)
    root = rewrite_place(place, options.path_rewrites)
    columns: dict[str, list[str]] = {}
    for name in names:
        image = illumination_name(name)
        files = [f"{plate}_{image}.npy" for plate in plates]
        folders = [f"{root}/{plate}" for plate in plates]
        if is_on_disk(root):
            columns[f"FileName_{image}"], columns[f"PathName_{image}"] = files, folders
        else:
            columns[f"URL_{image}"] = [
                f"{folder}/{file}" for folder, file in zip(folders, files, strict=True)
            ]
    return columns


def illumination_name(name: str) -> str:
    """What the illumination function of an image is called.

    >>> illumination_name("OrigDNA"), illumination_name("ER")
    ('IllumDNA', 'IllumER')
    """
    return f"Illum{name.removeprefix(_ORIGINAL) or name}"
