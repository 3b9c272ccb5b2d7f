"""Stage positions of the catalogue in, the place of each field within its well out: µm from the corner of the well's own fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

_NGFF = "ngff-translation"  # the ``acquisition.source`` of positions whose y counts downwards, as pixels do


class _StagePlace(NamedTuple):
    """Where a field lies, y downwards."""

    image_id: str
    x: float
    y: float
    z: float | None


def find_field_offsets(rows: Iterable[Mapping[str, object]]) -> dict[str, dict[str, float]]:
    """Offset by axis (x, y, z) of each image whose well has at least two images with a known position.

    ``rows`` are rows of ``image_assets`` without label images. Acquisitions of a well share one origin: a field that was taken twice
    lies at one place.
    """
    wells: dict[object, list[_StagePlace]] = {}
    for row in rows:
        place = _read_place(row)
        if place is not None and row.get("well_id") is not None:
            wells.setdefault(row["well_id"], []).append(place)
    return {
        image_id: offset
        for places in wells.values()
        if len(places) > 1
        for image_id, offset in _count_from_corner(places)
    }


def _read_place(row: Mapping[str, object]) -> _StagePlace | None:
    facts = row.get("acquisition")
    if not isinstance(facts, Mapping) or facts.get("stage_x_um") is None or facts.get("stage_y_um") is None:
        return None
    down = 1.0 if str(facts.get("source") or "").endswith(_NGFF) else -1.0
    return _StagePlace(
        str(row["image_id"]), facts["stage_x_um"], down * facts["stage_y_um"], facts.get("stage_z_um")
    )


def _count_from_corner(places: list[_StagePlace]) -> Iterable[tuple[str, dict[str, float]]]:
    left, top = min(place.x for place in places), min(place.y for place in places)
    heights = [place.z for place in places if place.z is not None]
    for place in places:
        offset = {"x": _round_um(place.x - left), "y": _round_um(place.y - top)}
        if place.z is not None:
            offset["z"] = _round_um(place.z - min(heights))
        yield place.image_id, offset


def _round_um(value: float) -> float:
    """Without the noise of a subtraction: a picometre is less than any stage knows."""
    return round(value, 6) + 0.0
