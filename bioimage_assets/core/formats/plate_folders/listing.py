"""The listing of a plate folder becomes images, sidecars and files that are neither. Nothing is opened."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice

from bioimage_assets.core.errors import LimitExceededError
from bioimage_assets.core.formats.ome_tiff.file_scan import COMPANION_SUFFIX
from bioimage_assets.core.formats.ome_tiff.filesets import is_tiff_name
from bioimage_assets.core.formats.plate_folders.patterns import is_derived, is_thumbnail
from bioimage_assets.core.stores.base import Store, StoredObject

MAX_LISTED_FILES = 2_000_000
_JUNK = ("._", ".DS_Store", "Thumbs.db", "desktop.ini")


@dataclass(slots=True)
class FolderListing:
    """Files of a plate folder by what they are good for, each list sorted by key."""

    images: list[StoredObject] = field(default_factory=list)
    companions: list[StoredObject] = field(default_factory=list)
    htd: list[StoredObject] = field(default_factory=list)
    phenix_index: list[StoredObject] = field(default_factory=list)
    cellvoyager: list[StoredObject] = field(default_factory=list)
    load_data: list[StoredObject] = field(default_factory=list)
    thumbnail_count: int = 0
    derived: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def sizes(self) -> dict[str, int]:
        """Sizes of the files that may belong to images."""
        return {item.key: item.size_bytes for item in (*self.images, *self.companions)}


def read_listing(store: Store) -> FolderListing:
    """List a plate folder once; LimitExceededError where it is no plate but half a disk."""
    listing = FolderListing()
    items = list(islice(store.list(""), MAX_LISTED_FILES + 1))
    if len(items) > MAX_LISTED_FILES:
        raise LimitExceededError(
            f"{store.uri}: more than {MAX_LISTED_FILES} files; give the folder of one plate."
        )
    for item in sorted(items):
        _sort_in(listing, item)
    return listing


def _sort_in(listing: FolderListing, item: StoredObject) -> None:
    name = item.key.rpartition("/")[2]
    lowered = name.lower()
    if name.startswith(_JUNK) or ".zarr/" in item.key:
        return
    if is_tiff_name(lowered):
        if is_thumbnail(item.key):
            listing.thumbnail_count += 1
        elif is_derived(item.key):
            listing.derived.append(item.key)
        elif not lowered.startswith(("dc_scmos", "sc_bp")):  # CellVoyager's dark and shading corrections
            listing.images.append(item)
    elif lowered.endswith(COMPANION_SUFFIX):
        listing.companions.append(item)
    elif lowered.endswith(".htd"):
        listing.htd.append(item)
    elif lowered in ("index.idx.xml", "index.xml", "index.ref.xml"):
        listing.phenix_index.append(item)
    elif lowered.endswith((".mlf", ".mrf")):
        listing.cellvoyager.append(item)
    elif lowered.endswith(".csv") and lowered.replace("-", "_").startswith(("load_data", "loaddata")):
        listing.load_data.append(item)
    else:
        listing.others.append(item.key)


def digest_listing(listing: FolderListing) -> str:
    """Digest names, sizes and versions of every file that the scan depends on."""
    digest = blake2b(digest_size=16)
    groups = (
        listing.images, listing.companions, listing.htd, listing.phenix_index, listing.cellvoyager, listing.load_data,
    )  # fmt: skip
    for items in groups:
        for item in items:
            digest.update(f"{item.key}\0{item.size_bytes}\0{item.version}\n".encode())
    return digest.hexdigest()
