"""Findings about what lies in a watched root and is taken for nothing: files at its top, folders without plates, links."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from bioimage_assets.core.discovery.entry_kinds import is_store_file, list_files
from bioimage_assets.core.findings import Finding, Severity
from bioimage_assets.core.model.file_kinds import (
    MEASUREMENT_SUFFIXES,
    PLATEMAP_SUFFIXES,
    STORE_SUFFIXES,
    TIFF_SUFFIXES,
    find_not_read,
    has_suffix,
    is_by_product,
)
from bioimage_assets.core.model.foreign_kinds import (
    count_foreign,
    describe_foreign,
    find_foreign,
    find_images_not_read,
)
from bioimage_assets.core.model.reserved_folders import PICTURE_FOLDERS
from bioimage_assets.core.settings.campaign import CAMPAIGN_FILE
from bioimage_assets.core.settings.dataset import DATASET_FILE
from bioimage_assets.core.stores.links import HOW_TO_FOLLOW
from bioimage_assets.core.stores.tree import Entry, Tree

_MAX_NAMES = 5
# What people call the settings by mistake; editors on Windows add an ending that they do not show.
_LIKE_SETTINGS = re.compile(r"(campaign|dataset)s?\.toml(\.txt)?", re.IGNORECASE)
_LIKE_TOML = (".toml", ".toml.txt")


def note_root_files(tree: Tree, entries: Sequence[Entry]) -> tuple[Finding, ...]:
    """Files at the top of a watched root: tables belong to no plate there, and every TIFF is taken for a plate."""
    files = [entry for entry in entries if not entry.is_folder]
    tiffs = [entry for entry in files if has_suffix(entry.name, TIFF_SUFFIXES)]
    strange = [entry for entry in files if not (is_store_file(entry) or is_by_product(entry.name))]
    strange = [entry for entry in strange if not entry.name.lower().endswith(_LIKE_TOML)]
    others = [entry for entry in strange if find_foreign(entry.name) is None]
    found = [*_note_foreign(tree, [entry for entry in strange if find_foreign(entry.name) is not None])]
    if others:
        text = (
            f"{_name(others)} at the top of the watched root belong to no dataset and are not read. A plate lies in a folder "
            f"of its dataset: move them to {tree.root_uri}/<dataset>/, or to <dataset>/measurements/<plate>/."
        )
        found.append(_finding(tree, "file-outside-dataset", others[0], text))
    found += _note_settings(tree, [entry for entry in files if entry.name != CAMPAIGN_FILE])
    if len(tiffs) > 1:
        text = (
            f"{_name(tiffs)} lie at the top of the watched root, where each TIFF is taken for a plate of its own. If they are "
            f"images of one plate, move them to {tree.root_uri}/<dataset>/<plate>/."
        )
        found.append(_finding(tree, "images-outside-dataset", tiffs[0], text))
    return tuple(found)


def note_no_plate(tree: Tree, dataset: Entry, children: Sequence[Entry]) -> tuple[Finding, ...]:
    """A folder at the top of a watched root in which nothing is a plate: what is there instead."""
    there = f"found: {_name(children)}" if children else "it is empty"
    foreign = count_foreign(entry.path for entry in list_files(tree, children))
    if foreign:
        there += f". {describe_foreign(foreign)[:-1]}"
    text = (
        f"No plate is found in the folder {dataset.name!r}: expected a store (.ome.zarr, .ozx), a folder of TIFFs, or "
        f"measurements/<plate>, in the folder itself or one below; {there}."
    )
    return (_finding(tree, "dataset-without-plates", dataset, text),)


def note_unclaimed(tree: Tree, dataset: Entry, unclaimed: Sequence[Entry]) -> tuple[Finding, ...]:
    """What of a dataset with plates is no part of any of them: folders without images and tables, files of unknown kinds."""
    settings = [entry for entry in unclaimed if not entry.is_folder and is_misplaced_settings(entry.name)]
    folders = [entry for entry in unclaimed if entry.is_folder]
    sizes = {entry.name: entry for entry in unclaimed if not entry.is_folder and entry not in settings}
    known = (*STORE_SUFFIXES, *MEASUREMENT_SUFFIXES, *PLATEMAP_SUFFIXES)
    files = [sizes[name] for name in find_not_read(((n, e.size_bytes) for n, e in sizes.items()), known)]
    below = list_files(tree, folders)
    images = [entry for entry in (*files, *below) if _is_foreign(entry.name)]
    # A folder of images that are not read is told as that.
    told = {entry.path.split("/")[len(dataset.path.split("/"))] for entry in images if dataset.path}
    odd = [entry for entry in (*folders, *files) if entry.name not in told]
    findings = [*_note_foreign(tree, images), *_note_settings(tree, settings)]
    if not odd:
        return tuple(findings)
    text = (
        f"{_name(odd)} in dataset {dataset.name!r} are no part of any plate: no image store, TIFF or measurement table is "
        "found there. Rename them to a plate's name, or move them out of the watched root."
    )
    return (*findings, _finding(tree, "not-part-of-a-plate", odd[0], text))


def is_misplaced_settings(name: str) -> bool:
    """Whether a file in a dataset looks like settings and is none: campaigns, or a name that only resembles ``dataset.toml``.

    >>> [is_misplaced_settings(name) for name in ("dataset.toml", "Dataset.toml", "dataset.toml.txt", "campaign.toml")]
    [False, True, True, True]
    """
    return name != DATASET_FILE and _LIKE_SETTINGS.fullmatch(name) is not None


def _note_settings(tree: Tree, files: Sequence[Entry]) -> tuple[Finding, ...]:
    """Files that look like settings and are read nowhere: campaigns beside the datasets, settings of a dataset in its folder."""
    odd = [entry for entry in files if entry.name.lower().endswith(_LIKE_TOML)]
    if not odd:
        return ()
    text = (
        f"Not read here: {_name(odd)}. Campaigns are defined in {tree.root_uri}/{CAMPAIGN_FILE}, the settings of a dataset in "
        f"<dataset>/{DATASET_FILE}: rename the file, or move it there."
    )
    return (_finding(tree, "settings-file-not-read", odd[0], text),)


def _is_foreign(name: str) -> bool:
    """Whether a file is an image of a kind that is not read, and no picture for people."""
    kind = find_foreign(name)
    return kind is not None and not kind.is_picture


def _note_foreign(tree: Tree, entries: Sequence[Entry]) -> tuple[Finding, ...]:
    """Image files of kinds that are not read, counted."""
    found = find_images_not_read((entry.path for entry in entries), tree.root_uri)
    return tuple(
        replace(finding, store_uri=tree.uri(finding.location), location=ascii(finding.location)[1:-1])
        for finding in found
    )


def note_reserved_folder(tree: Tree, folder: Entry, stores: Sequence[Entry]) -> Finding:
    """Stores in a folder of a dataset that is no plate because of its name."""
    text = (
        f"{len(stores)} image store(s) lie in the folder {folder.name!r}, the first is {stores[0].path!a}: a folder of this "
        "name right below a dataset is no plate, and nothing in it is scanned. If it is a plate, rename it; masks and other "
        "results may stay."
    )
    # TIFFs there may be those that a LoadData table names, or notes in pictures.
    is_expected = folder.name.lower() in PICTURE_FOLDERS or all(
        has_suffix(e.name, TIFF_SUFFIXES) for e in stores
    )
    severity: Severity = "info" if is_expected else "warning"
    return replace(_finding(tree, "reserved-folder-holds-stores", folder, text), severity=severity)


def note_links(tree: Tree) -> tuple[Finding, ...]:
    """Links to folders, which are not followed, and links to nothing."""
    paths = sorted(tree.links_not_followed)
    if not paths:
        return ()
    shown = ", ".join(paths[:_MAX_NAMES]) + (
        f" and {len(paths) - _MAX_NAMES} more" if len(paths) > _MAX_NAMES else ""
    )
    text = (
        f"{len(paths)} link(s) to folders, or to what is not there, are not followed: {shown}. {HOW_TO_FOLLOW}; else name the "
        "folder itself in BIOIMAGE_INCOMING, or mount it there."
    )
    return (Finding("link-not-followed", "warning", paths[0], text, tree.root_uri),)


def _name(entries: Sequence[Entry]) -> str:
    """The first names, and how many more there are."""
    names = ", ".join(ascii(entry.name) for entry in entries[:_MAX_NAMES])
    return names if len(entries) <= _MAX_NAMES else f"{names} and {len(entries) - _MAX_NAMES} more"


def _finding(tree: Tree, code: str, entry: Entry, text: str) -> Finding:
    return Finding(code, "warning", ascii(entry.path)[1:-1], text, tree.uri(entry.path))
