"""Places of files that both a name and a sidecar give: the sidecar is followed, and where the two disagree that is said.

Instruments count from zero in one and from one in the other, and a channel is a word in one and a number in the other. So
the two agree along an axis where each value of the name always stands with the same value of the sidecar, and the other
way round; then the name's own words are kept, which users know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.plate_folders.patterns import NameParts

_WORDS = {"well_id": "well", "site_id": "site", "channel": "channel", "z": "z step", "t": "time point"}
_VALUES: dict[str, Callable[[NameParts], str | int | None]] = {axis: attrgetter(axis) for axis in _WORDS}


@dataclass(frozen=True, slots=True)
class TwoPlaces:
    """What the name and the sidecar say of one file."""

    key: str
    by_name: NameParts
    by_sidecar: NameParts


def follow_sidecar(
    names: Mapping[str, NameParts], by_sidecar: Mapping[str, NameParts], log: FindingLog
) -> dict[str, NameParts]:
    """Parts of files by key, with what the sidecar says along every axis in which it does not agree with the names.

    ``by_sidecar`` are the parts by file name, without folder.
    """
    if not by_sidecar:
        return dict(names)
    settled = dict(names)
    both = [
        TwoPlaces(key, parts, told)
        for key, parts in names.items()
        if (told := by_sidecar.get(key.rpartition("/")[2])) is not None
    ]
    for axis, value in _VALUES.items():
        pairs = [item for item in both if value(item.by_sidecar) is not None]
        if _agree(pairs, axis):
            continue
        if any(value(item.by_name) is not None for item in pairs):
            _note(pairs, axis, log)
        for item in pairs:
            settled[item.key] = _follow(settled[item.key], item.by_sidecar, axis)
    return settled


def _follow(parts: NameParts, told: NameParts, axis: str) -> NameParts:
    match axis:
        case "well_id":
            return replace(parts, well_id=told.well_id)
        case "site_id":
            return replace(parts, site_id=told.site_id)
        case "channel":
            return replace(parts, channel=told.channel)
        case "z":
            return replace(parts, z=told.z)
        case _:
            return replace(parts, t=told.t)


def _agree(pairs: Sequence[TwoPlaces], axis: str) -> bool:
    """Whether each value of the names stands with one of the sidecar, and the other way round.

    A well is one word for both. Sites are counted in each well. Names that say nothing agree with a sidecar that always says the same.
    """
    if axis == "well_id":
        return all(item.by_name.well_id == item.by_sidecar.well_id for item in pairs)
    together = {_together(item, axis) for item in pairs}
    of_name, of_sidecar = ({(scope, pair[side]) for scope, *pair in together} for side in (0, 1))
    return len(together) == len(of_name) == len(of_sidecar)


def _together(item: TwoPlaces, axis: str) -> tuple[str, object, object]:
    value = _VALUES[axis]
    scope = item.by_sidecar.well_id if axis == "site_id" else ""
    return scope, value(item.by_name), value(item.by_sidecar)


def _note(pairs: Sequence[TwoPlaces], axis: str, log: FindingLog) -> None:
    value = _VALUES[axis]
    wrong = _find_first(pairs, axis)
    text = (
        f"{_WORDS[axis].capitalize()} of the file name and of the sidecar do not go together: this file's name says "
        f"{value(wrong.by_name)!r}, the sidecar {value(wrong.by_sidecar)!r}; names have "
        f"{len({value(item.by_name) for item in pairs})} values, the sidecar {len({value(item.by_sidecar) for item in pairs})}. "
        "The sidecar is followed for all files that it lists. If the names are right, write [images] file_pattern into the "
        "dataset's dataset.toml."
    )
    log.note("sidecar-differs", "warning", wrong.key, text)


def _find_first(pairs: Sequence[TwoPlaces], axis: str) -> TwoPlaces:
    """The first file that contradicts those before it; of wells the first whose two differ."""
    if axis == "well_id":
        return next(item for item in pairs if item.by_name.well_id != item.by_sidecar.well_id)
    of_name: dict[tuple[str, object], object] = {}
    of_sidecar: dict[tuple[str, object], object] = {}
    for item in pairs:
        scope, named, told = _together(item, axis)
        known = of_name.setdefault((scope, named), told), of_sidecar.setdefault((scope, told), named)
        if known != (told, named):
            return item
    return pairs[0]
