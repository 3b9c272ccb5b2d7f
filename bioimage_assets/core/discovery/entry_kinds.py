"""What an entry of a watched root is: a Zarr store, a plate, an image file, or a folder that holds images.

Asked of every entry in every look, so answers are remembered, and a store is opened once at most.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import islice

from bioimage_assets.core.formats.plate_folders.plane_names import is_plane_name
from bioimage_assets.core.model.file_kinds import (
    N5_SUFFIX,
    PNG_SUFFIX,
    TIFF_SUFFIXES,
    ZARR_ARCHIVE_SUFFIXES,
    ZARR_ROOT_DOCUMENTS,
    ZARR_SUFFIXES,
    has_suffix,
    is_left_behind,
)
from bioimage_assets.core.stores.tree import Entry, Tree

# Enough of a root document to see what it is; with consolidated metadata it is longer.
_ROOT_DOCUMENT_HEAD_BYTES = 1 << 20
_PNGS_LOOKED_AT = 64  # of a folder: the files of a plate follow one rule


class KindMemory(dict[tuple[str, str], tuple[str, bool]]):
    """What opening a file or listing a folder said about a folder: (location, question) to (change time, answer).

    After ``deadline_s`` (of ``time.monotonic``) no store is opened to learn what it is; it waits for the next look.
    """

    deadline_s: float = float("inf")


def without_hidden_entries(entries: Iterable[Entry]) -> list[Entry]:
    """Entries without those that file systems and copying tools leave behind."""
    return [e for e in entries if not is_left_behind(e.name)]


def is_store_file(entry: Entry) -> bool:
    """Tell by its name whether an entry is a file of images: a TIFF, or an archive of a store."""
    return not entry.is_folder and has_suffix(entry.name, (*TIFF_SUFFIXES, *ZARR_ARCHIVE_SUFFIXES))


def has_zarr_name(entry: Entry) -> bool:
    """Tell by its name that an entry is a Zarr store."""
    return has_suffix(entry.name, ZARR_SUFFIXES)


def is_zarr(tree: Tree, entry: Entry, kinds: KindMemory, children: Iterable[Entry] | None = None) -> bool:
    """Tell whether a folder is a Zarr store: by its name, or by a root document among its ``children``, once listed."""
    if has_zarr_name(entry):
        return True
    question = (tree.uri(entry.path), "zarr")
    known = kinds.get(question)
    if known is not None and known[0] == entry.version:
        return known[1]
    listed = tree.children(entry.path) if children is None else children
    names = {child.name for child in listed if not child.is_folder}
    answer = not names.isdisjoint(ZARR_ROOT_DOCUMENTS)
    if answer or entry.version:  # folders of object stores have no change time: "not yet" is asked again
        kinds[question] = (entry.version, answer)
    return answer


def is_plate_store(tree: Tree, entry: Entry, kinds: KindMemory) -> bool | None:
    """Tell an HCS store by the ``plate`` key of its root document, without parsing the document.

    A store without any root document is still arriving, or broken: it stands for itself until it says more.
    None where there was no time to look.
    """
    question = (tree.uri(entry.path), "plate")
    known = kinds.get(question)
    if known is not None and known[0] == entry.version:
        return known[1]
    if time.monotonic() > kinds.deadline_s:
        return None
    for name in ("zarr.json", ".zattrs"):
        head = tree.read_head(f"{entry.path}/{name}", _ROOT_DOCUMENT_HEAD_BYTES, below=entry.path)
        if head is not None:
            kinds[question] = (entry.version, b'"plate"' in head)
            return kinds[question][1]
    names = {child.name for child in tree.children(entry.path) if not child.is_folder}
    return names.isdisjoint(ZARR_ROOT_DOCUMENTS)


def holds_images(tree: Tree, folder: Entry, kinds: KindMemory) -> bool:
    """Tell whether a folder, or one of the two levels below it, holds TIFFs, Zarr stores or the PNGs of a plate."""
    question = (tree.uri(folder.path), "images")
    if question in kinds:
        return True
    pending = [(folder, 0)]
    while pending:
        current, depth = pending.pop()
        children = without_hidden_entries(tree.children(current.path))
        pngs = (
            child.path for child in children if not child.is_folder and has_suffix(child.name, PNG_SUFFIX)
        )
        has_planes = any(is_plane_name(path) for path in islice(pngs, _PNGS_LOOKED_AT))
        for child in children:
            if has_planes or is_store_file(child) or (child.is_folder and has_zarr_name(child)):
                kinds[question] = (folder.version, True)
                return True
            if child.is_folder and depth < 2:
                pending.append((child, depth + 1))
    return False


def list_stores(tree: Tree, folder: Entry, *, with_tiffs: bool) -> list[Entry]:
    """Zarr stores and archives in a folder and right below it, and TIFFs where they count; only names are looked at."""
    found, pending = [], [(folder, 0)]
    while pending:
        current, depth = pending.pop()
        for child in without_hidden_entries(tree.children(current.path)):
            is_archive = not child.is_folder and has_suffix(child.name, ZARR_ARCHIVE_SUFFIXES)
            if (
                has_zarr_name(child)
                if child.is_folder
                else is_archive or (with_tiffs and is_store_file(child))
            ):
                found.append(child)
            elif child.is_folder and depth == 0:
                pending.append((child, 1))
    return sorted(found, key=lambda entry: entry.path)


def list_files(tree: Tree, entries: Iterable[Entry]) -> list[Entry]:
    """Files among some entries, and those in the folders among them and one level below; stores are not entered.

    A folder that is a store of a kind that is not read (N5) counts as a file.
    """
    files, pending = [], [(entry, 0) for entry in entries]
    while pending:
        entry, depth = pending.pop()
        if not entry.is_folder or has_suffix(entry.name, N5_SUFFIX):
            files.append(entry)
        elif depth < 2 and not has_zarr_name(entry):
            pending += [(child, depth + 1) for child in without_hidden_entries(tree.children(entry.path))]
    return sorted(files, key=lambda entry: entry.path)
