"""The finding for one plate in two watched roots: which is taken, and what to do."""

from __future__ import annotations

from bioimage_assets.core.findings import Finding


def build_root_clash(plate_key: str, kept_uri: str, refused_uri: str, *, is_split: bool) -> Finding:
    """Name both; ``is_split``: the images lie in one root and the measurements in the other."""
    if is_split:
        text = (
            f"Plate {plate_key!r} has its images in one root ({kept_uri}) and measurements in another ({refused_uri}). "
            "The images are taken, the measurements are not read; put them into 'measurements/' beside the images."
        )
    else:
        text = (
            f"{refused_uri} and {kept_uri} would both be plate {plate_key!r}; the first root keeps it. Rename the dataset "
            "folder in one of the roots."
        )
    return Finding("plate-name-clash", "error", plate_key, text, refused_uri)
