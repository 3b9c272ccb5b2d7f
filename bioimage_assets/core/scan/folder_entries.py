"""What lies below a folder by names and root documents: Zarr stores, TIFFs, and image files that are not read."""

from __future__ import annotations

from collections.abc import Iterator

from bioimage_assets.core.model.file_kinds import (
    ARCHIVE_SUFFIXES,
    N5_SUFFIX,
    TIFF_SUFFIXES,
    ZARR_ROOT_DOCUMENTS,
    has_suffix,
)
from bioimage_assets.core.model.foreign_kinds import find_foreign
from bioimage_assets.core.model.store_paths import join_path
from bioimage_assets.core.stores.base import MAX_CONSOLIDATED_BYTES, Store

MAX_FOLDER_DEPTH = 16  # a folder that nests deeper is a loop of links or half a disk


def has_zarr_root(store: Store, path: str = "") -> bool:
    found = store.get_many(
        [join_path(path, name) for name in ZARR_ROOT_DOCUMENTS], max_bytes=MAX_CONSOLIDATED_BYTES
    )
    return any(document is not None for document in found.values())


def find_stores(store: Store, path: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield (path, ``zarr``, ``tiff`` or ``foreign``) of what is below a folder, but not in a store or a hidden folder."""
    folders, objects = store.list_folders(path)
    for name in objects:
        if has_suffix(name, ARCHIVE_SUFFIXES):
            yield join_path(path, name), "zarr"
        elif has_suffix(name, TIFF_SUFFIXES):
            yield join_path(path, name), "tiff"
        elif find_foreign(name) is not None:
            yield join_path(path, name), "foreign"
    for name in folders:
        child = join_path(path, name)
        if name.startswith("."):
            continue
        if has_zarr_root(store, child):
            yield child, "zarr"
        elif has_suffix(name, N5_SUFFIX):
            yield child, "foreign"
        elif depth < MAX_FOLDER_DEPTH:
            yield from find_stores(store, child, depth + 1)
