"""Says where the places and times of a plate's fields cannot all be true. Pure.

What healthy plates do is no finding: stacks (places differ in z), several acquisitions of one place, wells and fields in any
order (snakes), tiles that were not chosen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.image import ImageRecord, axis_names
from bioimage_assets.core.phrases import count_words

_SAME_UM = 1  # decimals: stages repeat a place to less than 0.1 µm where the same number is written
_STEP_TOLERANCE = 0.02  # of a step between tiles
_STEPS_OF_A_GAP = 1.5  # from here on a tile may be left out

Well = tuple[str | None, str, str | None]


def find_acquisition_doubts(images: Iterable[ImageRecord]) -> list[Finding]:
    """Fields of one well at one place, and fields whose time points run backwards; one finding of each kind."""
    known = [image for image in images if image.image_kind == "image" and image.acquisition is not None]
    if not known:
        return []
    return [*_find_shared_places(known), *_find_backward_times(known)]


def _group_by_well(images: Iterable[ImageRecord]) -> dict[Well, list[ImageRecord]]:
    """Fields with a position by plate, well and acquisition."""
    wells: dict[Well, list[ImageRecord]] = defaultdict(list)
    for image in images:
        facts = image.acquisition
        if facts is None or facts.stage_x_um is None or facts.stage_y_um is None or image.well_id is None:
            continue
        if image.site_id is not None and image.image_kind == "image":
            wells[image.plate_id, image.well_id, image.acquisition_id].append(image)
    return wells


def _place(image: ImageRecord) -> tuple[float | None, ...]:
    facts = image.acquisition
    places = (None, None, None) if facts is None else (facts.stage_x_um, facts.stage_y_um, facts.stage_z_um)
    return tuple(None if place is None else round(place, _SAME_UM) for place in places)


def _find_shared_places(images: Sequence[ImageRecord]) -> list[Finding]:
    wells = _group_by_well(images)
    fields = [image for found in wells.values() for image in found]
    if len({_place(image)[:2] for image in fields}) < 2:
        return _describe_one_place(fields, wells)
    shared: list[tuple[Well, ImageRecord, ImageRecord]] = []
    count = 0
    for well, found in wells.items():
        first_at: dict[tuple[float | None, ...], ImageRecord] = {}
        repeated = [
            (other, image)
            for image in found
            if (other := first_at.setdefault(_place(image), image)) is not image
            and other.site_id != image.site_id
        ]
        count += len(repeated)
        shared.extend((well, *pair) for pair in repeated[:1])
    if not shared:
        return []
    (_, well_id, _), first, second = shared[0]
    x, y, _ = _place(first)
    text = (
        f"{count_words(count, 'field')} of {count_words(len(shared), 'well')} {'is' if count == 1 else 'are'} at the stage position of another field of the "
        f"well: in {well_id} sites {first.site_id} and {second.site_id}, at x {x:g} and y {y:g} µm. If they are z steps or "
        "time points of one field, let file_pattern in dataset.toml say so with (?P<z>…) or (?P<t>…); if one was imaged again, give it an acquisition."
    )
    return [Finding("fields-at-one-position", "warning", second.image_id, text, second.uri)]


def _describe_one_place(fields: Sequence[ImageRecord], wells: dict[Well, list[ImageRecord]]) -> list[Finding]:
    """Nothing where wells have one field each, as places from the centre of the well are alike then."""
    if all(len({image.site_id for image in found}) < 2 for found in wells.values()):
        return []
    x, y, _ = _place(fields[0])
    text = (
        f"All {len(fields)} fields are said to be at x {x:g} and y {y:g} µm: whoever wrote the positions did not know them. "
        "Do not use them to lay fields out."
    )
    return [Finding("positions-all-equal", "info", fields[0].image_id, text, fields[0].uri)]


def _find_backward_times(images: Iterable[ImageRecord]) -> list[Finding]:
    backward = [(image, step) for image in images if (step := _find_backward_step(image)) is not None]
    if not backward:
        return []
    image, (t, before, after) = backward[0]
    wells = {(image.plate_id, image.well_id) for image, _ in backward}
    place = f"well {image.well_id} site {image.site_id}" if image.well_id else image.image_id
    text = (
        f"Times run backwards in {count_words(len(backward), 'field')} of {count_words(len(wells), 'well')}: in {place} time point {t + 1} was taken at "
        f"{after:%Y-%m-%d %H:%M:%S}, before time point {t} at {before:%H:%M:%S} (UTC, counted from 0). The time points are numbered "
        "wrong, or a clock was set during the acquisition; check the names of the files and file_pattern in dataset.toml."
    )
    return [Finding("times-run-backwards", "warning", image.image_id, text, image.uri)]


def _find_backward_step(image: ImageRecord) -> tuple[int, datetime, datetime] | None:
    """The first time point that was taken before the one ahead of it, by the earliest plane of each."""
    if not image.planes or "t" not in axis_names(image.axes):
        return None
    began: dict[int, datetime] = {}
    for plane in image.planes:
        if plane.acquired_at is not None:
            began[plane.t] = min(plane.acquired_at, began.get(plane.t, plane.acquired_at))
    for before, after in pairwise(sorted(began)):
        if began[after] < began[before]:
            return before, began[before], began[after]
    return None


def find_fields_apart(images: Iterable[ImageRecord], overlap_pixels: int) -> list[Finding]:
    """Say in which wells neighbouring fields overlap by less than the sidecar states; a tile that was not chosen is none."""
    apart: list[tuple[str, ImageRecord, ImageRecord, float]] = []
    for (_, well_id, _), found in _group_by_well(images).items():
        gaps = [*_find_gaps(found, "x", "y", overlap_pixels), *_find_gaps(found, "y", "x", overlap_pixels)]
        apart.extend((well_id, *gap) for gap in gaps[:1])
    if not apart:
        return []
    well_id, first, second, pixels = apart[0]
    text = (
        f"Fields of {count_words(len(apart), 'well')} overlap by less than the {overlap_pixels} pixels that the sidecar states: in {well_id} sites "
        f"{first.site_id} and {second.site_id} {f'by {pixels:.0f} pixels' if pixels >= 0 else f'lie {-pixels:.0f} pixels apart'}. Stitch by the positions in image_assets.acquisition, "
        "not by the stated overlap, and look whether the stage lost its place."
    )
    return [Finding("fields-apart", "warning", second.image_id, text, second.uri)]


def _find_gaps(
    images: Sequence[ImageRecord], along: str, across: str, overlap: int
) -> list[tuple[ImageRecord, ImageRecord, float]]:
    """Neighbours in a row (or column) that lie more than a step of the tiles apart, and less than with a tile left out."""
    rows: dict[float, list[tuple[float, ImageRecord]]] = defaultdict(list)
    for image in images:
        facts = image.acquisition
        if facts is not None:
            rows[round(getattr(facts, f"stage_{across}_um"))].append(
                (getattr(facts, f"stage_{along}_um"), image)
            )
    found: list[tuple[ImageRecord, ImageRecord, float]] = []
    for row in rows.values():
        ordered = sorted(row, key=lambda item: item[0])
        for (here, first), (there, second) in pairwise(ordered):
            pixel_um = getattr(first, f"pixel_size_{along}_um")
            names = axis_names(first.axes)
            if not pixel_um or along not in names:
                continue
            size = first.shape[names.index(along)]
            step = (size - overlap) * pixel_um
            steps = (there - here) / step if step > 0 else 0.0
            if 1 + _STEP_TOLERANCE < steps < _STEPS_OF_A_GAP:
                found.append((first, second, size - (there - here) / pixel_um))
    return found
