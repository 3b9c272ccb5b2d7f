"""Wells and sites of images whose positions on the stage were named by a plate generator, as Micro-Manager names them.

Sources of truth: Micro-Manager's HCS site generator (``A1-Site_0``), its files (``<prefix>_MMStack_<position>.ome.tif``),
useq-schema's well plate plans (``A1_0000``). Grids of positions without a plate (``Pos0``, ``1-Pos_000_000``) name no well.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.image_ids import PlatePosition
from bioimage_assets.core.formats.ome_tiff.image_draft import ImageDraft
from bioimage_assets.core.model.identity import normalize_site, normalize_well

_MAX_NAME = 1_024
_POSITION = r"(?P<well>[A-Z]{1,2}\d{1,2})(?:-Site_(?P<site>\d{1,6})|_(?P<place>\d{4}))"
_LABEL = re.compile(rf"(?:(?P<plate>.+)_MMStack_)?{_POSITION}(?:\.ome\.tiff?)?")
# Files above 4 GB are continued in ``_1``, ``_2``.
_FILE = re.compile(rf"(?:.*/)?(?P<plate>[^/]+)_MMStack_{_POSITION}(?:_\d{{1,4}})?\.ome\.tiff?")


class StagePlace(NamedTuple):
    """A well and a site, and the plate where the name has one."""

    plate: str | None
    well_id: str
    site_id: str


def parse_position_name(text: str | None) -> StagePlace | None:
    """Well and site of the name of a position or of an OME Image.

    >>> parse_position_name("A1-Site_0")
    StagePlace(plate=None, well_id='A01', site_id='0')
    >>> parse_position_name("Pos0") is None
    True
    """
    return None if text is None or len(text) > _MAX_NAME else _take(_LABEL.fullmatch(text.strip()))


def _take(match: re.Match[str] | None) -> StagePlace | None:
    if match is None:
        return None
    well = normalize_well(match["well"])
    site = normalize_site(match["site"] or match["place"])
    return None if well is None or site is None else StagePlace(match["plate"], well, site)


def place_by_labels(drafts: Sequence[ImageDraft], plate_name: str, log: FindingLog) -> None:
    """Give images without a position that of their names, if they are the only images at these places.

    The file that holds an image's planes comes first, since Micro-Manager 2 has written the label of the first position to all
    (micro-manager/micro-manager#556); then the name of the image, then that of its position.
    """
    drafts = [draft for draft in drafts if draft.position is None]
    places: list[tuple[ImageDraft, StagePlace]] = []
    labels = Counter(draft.stage_name for draft in drafts)
    for draft in drafts:
        by_file = _take(_FILE.fullmatch(draft.key)) if draft.series is None else None
        by_name = parse_position_name(draft.name)
        by_label = parse_position_name(draft.stage_name) if labels[draft.stage_name] == 1 else None
        place = by_file or by_name or by_label
        if place is not None:
            places.append((draft, place))
    counts = Counter(place for _, place in places)
    repeated = [place for place, count in counts.items() if count > 1]
    if repeated:
        text = (
            f"{counts[repeated[0]]} images are named well {repeated[0].well_id} site {repeated[0].site_id}; no position is "
            "taken from these names. Give file_pattern in dataset.toml, if the names of the files tell them apart."
        )
        log.note("position-names-repeat", "warning", places[0][0].key, text)
        return
    for draft, place in places:
        draft.position = PlatePosition(place.plate or plate_name, place.well_id, place.site_id)
