"""Sorts the listing of a plate folder into images, sidecars and the rest. Nothing is opened.

Zarr stores and hidden folders (``.snapshots``) are not entered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice

from bioimage_assets.core.errors import LimitExceededError
from bioimage_assets.core.formats.ome_tiff.filesets import is_tiff_name
from bioimage_assets.core.formats.plate_folders.patterns import is_derived, is_thumbnail
from bioimage_assets.core.model.file_kinds import (
    COMPANION_SUFFIX,
    OME_DOCUMENT_SUFFIXES,
    PNG_SUFFIX,
    ZARR_ROOT_DOCUMENTS,
    has_suffix,
    is_load_data_name,
)
from bioimage_assets.core.model.store_paths import join_path
from bioimage_assets.core.stores.base import LevelListing, Store, StoredObject

MAX_LISTED_FILES = 2_000_000  # 1536 wells, 9 fields, 5 channels, 25 planes are 1.7 million
MAX_FOLDER_DEPTH = 16  # instruments write plate, acquisition, well, time point, z step: five
LISTINGS_AT_ONCE = 32  # folders that are listed side by side
_JUNK = ("._", ".DS_Store", "Thumbs.db", "desktop.ini")
_IMAGE_TABLE = re.compile(r"image_metadata(?:_\d+)?\.csv")  # MetaXpress Acquire's


@dataclass(slots=True)
class FolderListing:
    """Files of a plate folder by what they are good for, each list sorted by key."""

    images: list[StoredObject] = field(default_factory=list)
    companions: list[StoredObject] = field(default_factory=list)
    htd: list[StoredObject] = field(default_factory=list)
    phenix_index: list[StoredObject] = field(default_factory=list)
    cellvoyager: list[StoredObject] = field(default_factory=list)
    xdce: list[StoredObject] = field(default_factory=list)
    jdce: list[StoredObject] = field(default_factory=list)
    image_tables: list[StoredObject] = field(default_factory=list)
    bd_steps: list[StoredObject] = field(default_factory=list)
    scanr: list[StoredObject] = field(default_factory=list)
    ome_documents: list[StoredObject] = field(default_factory=list)
    load_data: list[StoredObject] = field(default_factory=list)
    pngs: list[StoredObject] = field(default_factory=list)
    derived: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def sizes(self) -> dict[str, int]:
        """Sizes of the files that may belong to images."""
        return {item.key: item.size_bytes for item in (*self.images, *self.companions)}


def read_listing(store: Store, *, recursive: bool = True) -> FolderListing:
    """List a plate folder once; LimitExceededError where it is not a plate but half a disk."""
    listing = FolderListing()
    items = list(islice(walk_files(store, recursive=recursive), MAX_LISTED_FILES + 1))
    if len(items) > MAX_LISTED_FILES:
        raise LimitExceededError(
            f"{store.uri}: more than {MAX_LISTED_FILES} files; give the folder of one plate."
        )
    for item in sorted(items):
        _sort_in(listing, item)
    return listing


def walk_files(store: Store, *, recursive: bool = True) -> Iterator[StoredObject]:
    """List files level by level, one request per folder; those of Zarr stores and hidden folders are left out."""
    level = [""]
    for _ in range(MAX_FOLDER_DEPTH):
        below: list[str] = []
        for folder, (folders, objects) in zip(level, _list_levels(store, level), strict=True):
            if _is_zarr(objects):
                continue
            yield from objects
            below.extend(
                join_path(folder, name)
                for name in folders
                if not name.startswith(".") and not name.lower().endswith(".zarr")
            )
        if not below or not recursive:
            return
        level = below


def _list_levels(store: Store, folders: Sequence[str]) -> Iterable[LevelListing]:
    if not store.is_remote or len(folders) < 2:
        return map(store.list_level, folders)
    with ThreadPoolExecutor(min(LISTINGS_AT_ONCE, len(folders))) as pool:
        return list(pool.map(store.list_level, folders))


def _is_zarr(objects: Iterable[StoredObject]) -> bool:
    return any(item.key.rpartition("/")[2] in ZARR_ROOT_DOCUMENTS for item in objects)


def _sort_in(listing: FolderListing, item: StoredObject) -> None:
    name = item.key.rpartition("/")[2]
    lowered = name.lower()
    if name.startswith(_JUNK):
        return
    if is_tiff_name(lowered):
        if is_thumbnail(item.key):
            return
        if is_derived(item.key):
            listing.derived.append(item.key)
        else:
            listing.images.append(item)
    elif has_suffix(name, COMPANION_SUFFIX):
        listing.companions.append(item)
    elif lowered.endswith(".htd"):
        listing.htd.append(item)
    elif lowered in ("index.idx.xml", "index.xml", "index.ref.xml", "imageindex.columbusidx.xml"):
        listing.phenix_index.append(item)
    elif lowered.endswith((".mlf", ".mrf", ".mes")):
        listing.cellvoyager.append(item)
    elif lowered.endswith(".xdce"):
        listing.xdce.append(item)
    elif lowered.endswith(".jdce"):
        listing.jdce.append(item)
    elif _IMAGE_TABLE.fullmatch(lowered):
        listing.image_tables.append(item)
    elif lowered == "experiment_descriptor.xml":
        listing.scanr.append(item)
    elif has_suffix(name, OME_DOCUMENT_SUFFIXES):
        listing.ome_documents.append(item)
    elif lowered.endswith(".xyz"):
        listing.bd_steps.append(item)
    elif has_suffix(name, PNG_SUFFIX):
        listing.pngs.append(item)
        listing.others.append(item.key)
    elif is_load_data_name(name):
        listing.load_data.append(item)
    else:
        listing.others.append(item.key)


def digest_listing(listing: FolderListing) -> str:
    """Digest names, sizes and versions of every file that the scan depends on."""
    digest = blake2b(digest_size=16)
    groups = (
        listing.images, listing.companions, listing.htd, listing.phenix_index, listing.cellvoyager, listing.xdce,
        listing.jdce, listing.image_tables, listing.bd_steps, listing.scanr,
        listing.ome_documents, listing.load_data,
    )  # fmt: skip
    for items in groups:
        for item in items:
            digest.update(f"{item.key}\0{item.size_bytes}\0{item.version}\n".encode())
    return digest.hexdigest()
