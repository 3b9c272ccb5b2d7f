"""Which PNGs are planes of a plate, by their names: previews, masks and drawings are PNGs, too."""

from __future__ import annotations

from bioimage_assets.core.formats.plate_folders.patterns import is_derived, is_thumbnail, parse_name
from bioimage_assets.core.model.file_kinds import PNG_SUFFIX, has_suffix

# What people write says too little to tell a plane from a picture.
_LOOSE_LAYOUTS = ("well-site", "well-channel", "well-number", "well-row-column")


def is_plane_name(key: str) -> bool:
    """Tell the PNG of one channel by the name that an instrument gave it."""
    if not has_suffix(key, PNG_SUFFIX) or is_thumbnail(key) or is_derived(key):
        return False
    parts = parse_name(key)
    return parts is not None and parts.channel is not None and parts.layout not in _LOOSE_LAYOUTS
