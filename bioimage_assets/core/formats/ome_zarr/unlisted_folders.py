"""Findings for folders of a plate that its metadata do not list; they are never rows.

Costs one listing per row, and one per well where fields are looked for, which is done only where chunks are listed anyway. Source of
truth for what counts: https://ngff.openmicroscopy.org/0.5/index.html#plate-md (``wells``) and #well-md (``images``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from bioimage_assets.core.errors import StoreError
from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.model.identity import normalize_well
from bioimage_assets.core.model.store_paths import join_path
from bioimage_assets.core.stores.base import Store

# The group of OME-XML that bioformats2raw puts beside the rows, and what other tools put into wells.
_NO_FIELDS = frozenset({"OME", "labels", "tables"})

_UNLISTED = "A folder where a {} lies is not in the plate's metadata; ignored."


def note_unlisted_folders(
    store: Store, wells: Collection[str], fields: Collection[str] | None, log: FindingLog
) -> None:
    """Compare folders with listed well and field paths (``[<plate>/]<row>/<column>[/<field>]``); wells alone without ``fields``."""
    rows = dict.fromkeys(well.rpartition("/")[0] for well in wells if "/" in well)
    roots = dict.fromkeys(row.rpartition("/")[0] for row in rows)
    listed_fields = set(fields or ())
    try:
        found = [path for root in roots for path in _list_wells(store, root)]
        _note_wells(wells, found, log)
        for well in wells if fields is not None else ():
            for path in _list_below(store, well):
                if path not in listed_fields:
                    log.note("unlisted-field", "warning", path, _UNLISTED.format("field"))
    except StoreError as error:
        log.note("unreadable-folder", "warning", "", f"Not looked for unlisted wells and fields: {error}")


def _note_wells(listed: Collection[str], found: Sequence[str], log: FindingLog) -> None:
    """Folders of wells that are not listed; one that is listed in another spelling, and so is not read, is an error."""
    absent = {_name(well): well for well in set(listed).difference(found)}
    for path in found:
        if path in listed:
            continue
        other = absent.get(_name(path))
        if other is None:
            log.note("unlisted-well", "warning", path, _UNLISTED.format("well"))
            continue
        message = (
            f"The plate's metadata list this well as {other!r}, its folder is {path!r}: its fields are not read. Rename "
            f"the folder to {other!r}, or write {path!r} in the plate's metadata."
        )
        log.note("well-respelt", "error", path, message)


def _name(path: str) -> str:
    """What a well is called, whatever the spelling of its path."""
    return normalize_well("/".join(path.split("/")[-2:])) or path


def _list_wells(store: Store, root: str) -> Iterator[str]:
    for row in store.list_folders(root)[0]:
        if row not in _NO_FIELDS:
            yield from _list_below(store, join_path(root, row))


def _list_below(store: Store, folder: str) -> Iterator[str]:
    return (join_path(folder, name) for name in store.list_folders(folder)[0] if name not in _NO_FIELDS)
