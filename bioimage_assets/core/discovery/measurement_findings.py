"""Findings about measurements in odd places, each with what to write or move."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from heapq import nlargest
from itertools import takewhile

from bioimage_assets.core.discovery.image_lists import lists_images
from bioimage_assets.core.discovery.plate_measurements import Place
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.file_kinds import MEASUREMENT_SUFFIXES, describe_not_read, find_not_read
from bioimage_assets.core.model.plate_source import MEASUREMENTS_WITHOUT_IMAGES
from bioimage_assets.core.model.reserved_folders import MEASUREMENTS_FOLDER
from bioimage_assets.core.stores.tree import Entry, Tree

_MAX_NAMES = 5  # a message names so many, and counts the others


def choose_place(
    tree: Tree, plate_key: str, places: Sequence[Place]
) -> tuple[tuple[Entry, ...], tuple[Finding, ...]]:
    """The measurements of a plate: those of the first place. Others are named, and never read as well."""
    if not places:
        return (), ()
    used, *others = places
    if not others:
        return used.entries, ()
    named = ", ".join(_show(place) for place in others)
    text = (
        f"Measurements of plate {plate_key!r} lie at {len(places)} places. {_show(used)} is used; not read: {named}. "
        "Every cell would count twice otherwise; keep one of them."
    )
    return used.entries, (
        Finding("several-measurements", "warning", _place(used), text, tree.uri(used.path.rstrip("/"))),
    )


def note_images_elsewhere(tree: Tree, name: str, place: Place, idle: Sequence[str]) -> tuple[Finding, ...]:
    """A plate of measurements beside plates of images that nothing was measured on: is its name misspelt?

    ``idle`` are the plates of images without measurements. Where there is none, images are elsewhere by design.
    """
    if not idle:
        return ()
    # A dataset may have thousands of plates on both sides: only the few that share most of their ends are compared.
    near = nlargest(_MAX_NAMES, idle, key=lambda other: _count_shared(name.lower(), other.lower()))
    alike = sorted(near, key=lambda other: -SequenceMatcher(None, name.lower(), other.lower()).ratio())
    listed = ", ".join(map(repr, alike)) + (" …" if len(idle) > len(alike) else "")
    entry = place.entries[0]
    text = (
        f"Measurements '{entry.path}' have no images of their name, and images without measurements are there: {listed}. "
        f"Where they are of the same plate, rename them to '{_rename(entry.path, name, alike[0])}'. Until then {name!r} is "
        "taken as a plate of measurements alone, and its cells are linked to no image."
    )
    return (Finding(MEASUREMENTS_WITHOUT_IMAGES, "warning", _place(place), text, tree.uri(entry.path)),)


def note_not_measured(tree: Tree, entry: Entry) -> Finding:
    """A folder of no plate in which there is no table (yet)."""
    text = (
        f"No plate is named {entry.name!r}, and no measurement table lies in this folder; rename it, or add the tables "
        "or the images."
    )
    return Finding("unclaimed-measurements", "warning", ascii(entry.path)[1:-1], text, tree.uri(entry.path))


def note_not_read(tree: Tree, entries: Sequence[Entry]) -> tuple[Finding, ...]:
    """Files right in ``measurements/`` that no reader takes."""
    files = {entry.name: entry for entry in entries if not entry.is_folder}
    names = find_not_read(((e.name, e.size_bytes) for e in files.values()), MEASUREMENT_SUFFIXES)
    if not names:
        return ()
    first = files[names[0]]
    text = describe_not_read(names, MEASUREMENT_SUFFIXES)
    return (Finding("measurement-not-read", "warning", ascii(first.path)[1:-1], text, tree.uri(first.path)),)


def build_loose_finding(tree: Tree, place: Place, where: str, plates: Sequence[str]) -> Finding:
    """CellProfiler's tables in a folder of several plates: it is not known of which they are."""
    names = ", ".join(entry.name for entry in place.entries[:_MAX_NAMES])
    listed = ", ".join(map(repr, plates[:_MAX_NAMES])) + (" …" if len(plates) > _MAX_NAMES else "")
    text = (
        f"{names} lie in {where}, which does not say of which plate they are (plates: {listed}); they are not read. Move "
        f"them to '{MEASUREMENTS_FOLDER}/{plates[0]}/', or to the folder of the plate's images."
    )
    return Finding("loose-measurements", "warning", _place(place), text, tree.uri(place.path))


def note_unused_lists(
    tree: Tree, plate_key: str, stores: Sequence[Entry], lists: Sequence[Entry]
) -> tuple[Finding, ...]:
    """The images of a plate are here, so the LoadData table that names them is not needed."""
    if not lists or any(lists_images(store) for store in stores):
        return ()
    text = (
        f"The images of plate {plate_key!r} are here ({stores[0].path}), so {lists[0].path} is not read. To have it name "
        "the files, put it into the folder of the images as 'load_data.csv'."
    )
    return (Finding("load-data-not-used", "info", ascii(lists[0].path)[1:-1], text, tree.uri(lists[0].path)),)


def _count_shared(first: str, second: str) -> int:
    """Letters that two names share at their beginning and at their end."""
    shared = 0
    for one, other in ((first, second), (first[::-1], second[::-1])):
        shared += sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
    return shared


def _rename(path: str, name: str, other: str) -> str:
    """The path with the name of another plate in place of this one's, where it stands last."""
    parts = path.split("/")
    for number in reversed(range(len(parts))):
        if parts[number].startswith(name):
            parts[number] = other + parts[number][len(name) :]
            break
    return "/".join(parts)


def _show(place: Place) -> str:
    more = f" and {len(place.entries) - 1} more" if len(place.entries) > 1 else ""
    return f"'{place.path}'{more}"


def _place(place: Place) -> str:
    return ascii(place.path)[1:-1]
