"""Whether the PNGs of a folder are a plate: CellVoyager and others export all images as PNG under their usual names.

PNG is also what previews, masks, outlines and drawings are. So only a folder without any TIFF is a PNG plate, and in it
only the files whose names an instrument gives to one channel of a field.
"""

from __future__ import annotations

from bioimage_assets.core.formats.plate_folders.listing import FolderListing, read_listing
from bioimage_assets.core.formats.plate_folders.patterns import is_derived, is_thumbnail, parse_by_user
from bioimage_assets.core.formats.plate_folders.plane_names import is_plane_name
from bioimage_assets.core.stores.base import Store, StoredObject


def list_plate(store: Store, *, recursive: bool, file_pattern: str | None) -> FolderListing:
    """List a plate folder once; its PNGs are images where they are a plate."""
    listing = read_listing(store, recursive=recursive)
    if not listing.images and not listing.companions:
        listing.images = choose_planes(listing.pngs, file_pattern)
        chosen = {item.key for item in listing.images}
        listing.others = [key for key in listing.others if key not in chosen]
    return listing


def choose_planes(pngs: list[StoredObject], file_pattern: str | None) -> list[StoredObject]:
    """Those PNGs whose names are an instrument's, or fit the pattern that the dataset gives."""
    if file_pattern is None:
        return [item for item in pngs if is_plane_name(item.key)]
    kept = [item for item in pngs if not is_thumbnail(item.key) and not is_derived(item.key)]
    parsed = parse_by_user(file_pattern, [item.key for item in kept])
    return [item for item in kept if parsed[item.key] is not None]
