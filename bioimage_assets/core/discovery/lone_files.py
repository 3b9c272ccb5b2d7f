"""Plates of TIFFs at the top of a watched root whose names differ in their suffix only."""

from __future__ import annotations

from collections.abc import Sequence

from bioimage_assets.core.discovery.entry_kinds import is_store_file
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.file_kinds import TIFF_SUFFIXES, has_suffix
from bioimage_assets.core.model.identity import store_stem
from bioimage_assets.core.model.suffix_ids import CODE
from bioimage_assets.core.stores.tree import Entry, Tree


def name_lone_files(entries: Sequence[Entry]) -> dict[str, str]:
    """Plates of TIFFs by file name where a file before them has their stem: ``img.tif`` is plate ``img``, ``img.tiff`` beside it ``img.tiff``.

    Told from all entries of the root, so that a look at some of them names them alike.
    """
    first: set[str] = set()
    names: dict[str, str] = {}
    for entry in sorted(entries, key=lambda entry: entry.name):
        if not (is_store_file(entry) and has_suffix(entry.name, TIFF_SUFFIXES)):
            continue
        stem = store_stem(entry.name)
        if stem in first:
            names[entry.name] = entry.name
        first.add(stem)
    return names


def note_lone_files(tree: Tree, entries: Sequence[Entry]) -> tuple[Finding, ...]:
    """One finding for all of them."""
    names = name_lone_files(entries)
    if not names:
        return ()
    name = next(iter(names))
    more = f" So it is for {len(names):,} files." if len(names) > 1 else ""
    text = (
        f"{name!r} and another file at the top of the watched root differ in their suffix only: they are the plates "
        f"{store_stem(name)!r} and {name!r}.{more} Remove one if it is a copy, or rename it."
    )
    return (Finding(CODE, "warning", ascii(name)[1:-1], text, tree.uri(name)),)
