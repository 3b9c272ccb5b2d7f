"""A LoadData CSV given as a store of its own: the files it names, wherever they are.

Source of truth: as ``load_data``. The images are those the table names by URL or path, below one common folder;
where none of the paths exists on this machine they are looked for below the folder of the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from posixpath import normpath

from bioimage_assets.core.errors import KeyMissingError, StoreError, StoreNotFoundError, UnsupportedStoreError
from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.ome_tiff.head_store import HeadStore
from bioimage_assets.core.formats.ome_tiff.locations import split_location
from bioimage_assets.core.formats.plate_folders.listing import FolderListing, read_listing
from bioimage_assets.core.formats.plate_folders.load_data import (
    LAYOUT,
    LoadDataImage,
    match_images,
    path_of_location,
    read_load_data,
)
from bioimage_assets.core.formats.plate_folders.names import NamedFiles
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.model.store_paths import is_safe_path
from bioimage_assets.core.stores.base import MAX_XML_BYTES, StoredObject
from bioimage_assets.core.stores.open import open_store

_ABSOLUTE = re.compile(r"/|[A-Za-z]:/")


@dataclass(frozen=True, slots=True)
class LoadDataSource:
    """The folder above all images of a table, opened, with the files the table names in it."""

    root_uri: str
    store: HeadStore
    listing: FolderListing
    named: NamedFiles


@dataclass(frozen=True, slots=True)
class LoadDataTable:
    """A table that was read: where it is, and the images it names."""

    folder_uri: str
    name: str
    payload: bytes
    images: list[LoadDataImage]

    def full_uri(self, image: LoadDataImage) -> str:
        """Where an image is: URLs and absolute paths as given, others below the folder of the table."""
        return _full_uri(image.location, self.folder_uri)


def read_table(location: str, options: ScanOptions, log: FindingLog) -> LoadDataTable:
    """Read a table with one request.

    Raises
    ------
    StoreNotFoundError, CorruptStoreError
        There is no table, or it is not a LoadData table.
    """
    folder_uri, name = split_location(location)
    table = _open(folder_uri, options)
    try:
        payload = table.get(name, max_bytes=MAX_XML_BYTES)
    except KeyMissingError as error:
        raise StoreNotFoundError(str(error)) from error
    finally:
        table.close()
    return LoadDataTable(folder_uri, name, payload, list(read_load_data(payload, name, log)))


def open_load_data(table: LoadDataTable, options: ScanOptions, log: FindingLog) -> LoadDataSource:
    """List the files that a table names; one listing per folder of images.

    Raises
    ------
    UnsupportedStoreError
        None of its images was found, or they have no folder in common.
    """
    folder_uri, name, images = table.folder_uri, table.name, table.images
    named = NamedFiles(layout=LAYOUT, documents=[(name, table.payload)])
    places = dict.fromkeys(table.full_uri(image) for image in images)
    root_uri = common_folder(places)
    store = None if root_uri is None else _open_root(root_uri, options)
    if root_uri is not None and store is not None:
        listing = _list_keys(store, [uri[len(root_uri) + 1 :] for uri in places])
        if listing.images:
            found = {item.key for item in listing.images}
            for image in images:
                key = _full_uri(image.location, folder_uri)[len(root_uri) + 1 :]
                if key in found:
                    named.parts[key] = image.parts
                else:
                    text = f"LoadData names {image.location!r} for {image.channel}, which is not there."
                    log.note("file-missing", "error", key, text)
            return LoadDataSource(root_uri, store, listing, named)
        store.close()
    return _find_below(folder_uri, images, name, options, named, log)


def list_again(source: LoadDataSource) -> FolderListing:
    """List the files of a table once more, to see whether they changed."""
    return _list_keys(source.store, [item.key for item in source.listing.images])


def _find_below(
    folder_uri: str,
    images: Sequence[LoadDataImage],
    name: str,
    options: ScanOptions,
    named: NamedFiles,
    log: FindingLog,
) -> LoadDataSource:
    """Look for the files below the folder of the table: its paths are those of another machine."""
    store = _open(folder_uri, options)
    listing = read_listing(store)
    named.parts.update(match_images(images, [item.key for item in listing.images], log))
    if not named.parts:
        store.close()
        raise UnsupportedStoreError(
            f"{folder_uri}/{name}: none of the images it names was found, neither there nor below its folder."
        )
    found = [item for item in listing.images if item.key in named.parts]
    return LoadDataSource(folder_uri, store, FolderListing(images=found), named)


def _open(uri: str, options: ScanOptions) -> HeadStore:
    return HeadStore(
        open_store(uri, storage_options=options.storage_options, follow_symlinks=options.follow_symlinks)
    )


def _full_uri(location: str, folder_uri: str) -> str:
    """Where an image is: URLs and absolute paths as given, others below the folder of the table."""
    scheme, found, _ = location.partition("://")
    if found:
        path = path_of_location(location)
        return normpath(path) if scheme == "file" else f"{scheme}://{path}"
    if _ABSOLUTE.match(location):
        return normpath(location)
    if "://" in folder_uri:
        return f"{folder_uri}/{normpath(location)}"
    return normpath(f"{folder_uri}/{location}")


def common_folder(uris: Iterable[str]) -> str | None:
    """Longest folder above all of them; None where they lie on different servers, buckets or disks."""
    common: list[str] | None = None
    for uri in uris:
        parts = uri.split("/")[:-1]
        if common is None:
            common = parts
        else:
            same = [one == other for one, other in zip(common, parts, strict=False)]
            common = common[: same.index(False) if False in same else len(same)]
    if not common:
        return None
    least = (
        3 if common[0].endswith(":") and common[1:2] == [""] else 2
    )  # a bucket or server, a folder of the disk
    return "/".join(common) if len(common) >= least else None


def _open_root(root_uri: str, options: ScanOptions) -> HeadStore | None:
    """Open the folder above the images; None where it is a folder of another machine."""
    try:
        return _open(root_uri, options)
    except StoreNotFoundError:
        return None


def _list_keys(store: HeadStore, keys: Iterable[str]) -> FolderListing:
    wanted = dict.fromkeys(keys)
    found: list[StoredObject] = []
    if store.can_list:
        for folder in dict.fromkeys(key.rpartition("/")[0] for key in wanted):
            if folder == "" or is_safe_path(folder):
                found.extend(item for item in store.list_level(folder)[1] if item.key in wanted)
    else:
        for key in wanted:
            try:
                found.append(store.head(key))
            except StoreError:
                continue
    return FolderListing(images=sorted(found))
