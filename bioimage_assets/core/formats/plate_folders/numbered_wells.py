"""Wells that file names only number: ``--W00014--P00001--Z00000--T00000--dapi.tif`` of scanR, where no label was given.

Source of truth: ``experiment_descriptor.xml`` as Bio-Formats' ScanrReader reads it: its table of selected wells gives a label
to a number; else the numbers run along the rows of the plate, whose columns it states.
"""

from __future__ import annotations

import re

from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.plate_folders.listing import FolderListing
from bioimage_assets.core.formats.plate_folders.name_pattern import SUFFIX, NameParts
from bioimage_assets.core.formats.plate_folders.sidecar_facts import SidecarFacts, well_at
from bioimage_assets.core.model.identity import MAX_WELL_COLUMN, normalize_site, normalize_well

_NUMBERED = re.compile(
    rf"--W(?P<well>\d{{1,6}})--P(?P<site>\d{{1,6}})--Z(?P<z>\d{{1,6}})--T(?P<t>\d{{1,6}})--(?P<channel>.+){SUFFIX}",
    re.IGNORECASE,
)


def place_numbered_wells(listing: FolderListing, facts: SidecarFacts, log: FindingLog) -> None:
    """Give the files with numbered wells their places, or say what is missing for that."""
    lost: list[str] = []
    for item in listing.images:
        match = _NUMBERED.fullmatch(item.key.rpartition("/")[2])
        if match is None:
            continue
        well_id = _find_well(int(match["well"]), facts)
        if well_id is None:
            lost.append(item.key)
            continue
        site = normalize_site(match["site"])
        parts = NameParts("scanr", well_id, site, None, match["channel"], int(match["z"]), int(match["t"]))
        facts.add_name(item.key, parts)
    if lost:
        text = (
            f"{len(lost)} file names give their well as a number only; which one it is says scanR's experiment_descriptor.xml, "
            "which lies beside the folder 'data'. Copy it there and scan again."
        )
        log.note("well-number-without-plate", "warning", lost[0], text)


def _find_well(number: int, facts: SidecarFacts) -> str | None:
    label = facts.well_labels.get(number)
    if label is not None:
        return normalize_well(label)
    columns = facts.plate_columns
    if columns is None or not 1 <= columns <= MAX_WELL_COLUMN:
        return None
    return well_at((number - 1) // columns + 1, (number - 1) % columns + 1) if number else None
