"""Planes of plates in, the rows of a samplesheet for nf-core/cellpainting out: one per image file.

Source of truth: ``assets/schema_input.json`` of https://github.com/nf-core/cellpainting at b214a5a (2025): channel, path (``.tif``,
``.tiff``), source, batch, plate, well, site, row and col are required; site, row, col, field_id and plane_id are numbers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.plate_folders.fields import natural_order
from bioimage_assets.core.model.identity import row_index
from bioimage_assets.core.samplesheets.image_names import name_images
from bioimage_assets.core.samplesheets.options import SheetOptions
from bioimage_assets.core.samplesheets.places import rewrite_place
from bioimage_assets.core.samplesheets.planes import Plane
from bioimage_assets.core.samplesheets.sheet import Sheet

COLUMNS = (
    "channel",
    "path",
    "source",
    "batch",
    "plate",
    "well",
    "site",
    "row",
    "col",
    "field_id",
    "plane_id",
)
_PATH = re.compile(r".*\.tiff?")
_WELL = re.compile(r"([A-Z]+)(\d+)")
_REASONS = {
    "several-planes-per-file": "the sheet has no column for the page of a file. Use --format loaddata.",
    "several-time-points": "the sheet has no column for time. Use --format loaddata.",
    "site-not-a-number": "'site' has to be a number there.",
    "not-a-tiff": "'path' has to end with .tif or .tiff, in small letters.",
}


def build_nf_core(planes: Sequence[Plane], options: SheetOptions) -> Sheet:
    """Rows of one plate, sorted by well, site, plane and channel.

    What the sheet cannot say is left out, each kind with a finding that counts it. ``plane_id`` counts the planes of z from one.
    """
    names = name_images((plane.channel for plane in planes), options.channels)
    uses = Counter(plane.uri for plane in planes)
    left_out: Counter[str] = Counter()
    first: dict[str, str] = {}
    rows: list[tuple[str, ...]] = []
    kept: set[str] = set()
    for plane in sorted(planes, key=_place_order):
        reason = _refuse(plane, uses[plane.uri])
        if reason is not None:
            left_out[reason] += 1
            first.setdefault(reason, plane.uri)
            continue
        rows.append(_build_row(plane, names[plane.channel], options))
        kept.add(plane.image.image_id)
    return Sheet(COLUMNS, tuple(rows), frozenset(kept), tuple(_say(left_out, first)))


def _place_order(plane: Plane) -> tuple[object, ...]:
    image = plane.image
    return (
        natural_order(image.well_id),
        natural_order(image.site_id or ""),
        image.image_id,
        plane.z or 0,
        plane.channel,
    )


def _refuse(plane: Plane, uses: int) -> str | None:
    if uses > 1 or plane.series or plane.frame:
        return "several-planes-per-file"
    if plane.t:
        return "several-time-points"
    if not (plane.image.site_id or "").isdecimal():
        return "site-not-a-number"
    return None if _PATH.fullmatch(plane.uri) else "not-a-tiff"


def _build_row(plane: Plane, channel: str, options: SheetOptions) -> tuple[str, ...]:
    image = plane.image
    found = _WELL.fullmatch(image.well_id)
    assert found is not None, f"{image.well_id} is a well"
    row = row_index(found[1])
    assert row is not None, f"{image.well_id} is a well"
    return (
        channel, rewrite_place(plane.uri, options.path_rewrites), options.source or image.dataset_id,
        options.batch or image.dataset_id, image.plate, image.well_id, str(image.site_id), str(row + 1),
        str(int(found[2])), str(image.site_id), str((plane.z or 0) + 1),
    )  # fmt: skip


def _say(left_out: Counter[str], first: dict[str, str]) -> Iterable[Finding]:
    for reason, count in left_out.items():
        text = f"{count:,} planes are left out, the first is of {first[reason]}: {_REASONS[reason]}"
        yield Finding(reason, "error", first[reason], text)
