"""Findings for folders of a plate that its metadata do not list; they are never rows.

Costs one listing per row and per well, so it runs only where chunks are listed anyway. Source of truth for
what counts: https://ngff.openmicroscopy.org/0.5/index.html#plate-md (``wells``) and #well-md (``images``).
"""

from __future__ import annotations

from collections.abc import Collection

from bioimage_assets.core.errors import StoreError
from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.model.store_paths import join_path
from bioimage_assets.core.stores.base import Store

# The group of OME-XML that bioformats2raw puts beside the rows, and what other tools put into wells.
_NO_FIELDS = frozenset({"OME", "labels", "tables"})


def note_unlisted_folders(
    store: Store, wells: Collection[str], fields: Collection[str], log: FindingLog
) -> None:
    """Compare folders with listed well and field paths (``[<plate>/]<row>/<column>[/<field>]``)."""
    rows = dict.fromkeys(well.rpartition("/")[0] for well in wells if "/" in well)
    roots = dict.fromkeys(row.rpartition("/")[0] for row in rows)
    listed_wells, listed_fields = set(wells), set(fields)
    try:
        for root in roots:
            for row in store.list_folders(root)[0]:
                if row not in _NO_FIELDS:
                    _note(store, join_path(root, row), listed_wells, "well", log)
        for well in wells:
            _note(store, well, listed_fields, "field", log)
    except StoreError as error:
        log.note("unreadable-folder", "warning", "", f"Not looked for unlisted wells and fields: {error}")


def _note(store: Store, folder: str, listed: set[str], what: str, log: FindingLog) -> None:
    for name in store.list_folders(folder)[0]:
        path = join_path(folder, name)
        if name not in _NO_FIELDS and path not in listed:
            log.note(
                f"unlisted-{what}",
                "warning",
                path,
                f"A folder where a {what} lies is not in the plate's metadata; ignored.",
            )
