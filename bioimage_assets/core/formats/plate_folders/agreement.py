"""Places of files that both a name and a sidecar give: the sidecar is followed, and where the two disagree that is said.

Instruments count from zero in one and from one in the other, and a channel is a word in one and a number in the other. So
the two agree along an axis where each value of the name always stands with the same value of the sidecar, and the other
way round; then the name's own words are kept, which users know.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.plate_folders.patterns import NameParts

Axis = Literal["well_id", "site_id", "channel", "z", "t"]
_WORDS: dict[Axis, str] = {
    "well_id": "well",
    "site_id": "site",
    "channel": "channel",
    "z": "z step",
    "t": "time point",
}


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
    axes: tuple[Axis, ...] = ("well_id", "site_id", "channel", "z", "t")
    for axis in axes:
        pairs = [item for item in both if getattr(item.by_sidecar, axis) is not None]
        wrong = _find_disagreement(pairs, axis)
        if wrong is None:
            continue
        if _says(pairs, axis):
            _note(pairs, wrong, axis, log)
        for item in pairs:
            settled[item.key] = replace(settled[item.key], **{axis: getattr(item.by_sidecar, axis)})
    return settled


def _says(pairs: Iterable[TwoPlaces], axis: Axis) -> bool:
    return any(getattr(item.by_name, axis) is not None for item in pairs)


def _find_disagreement(pairs: Iterable[TwoPlaces], axis: Axis) -> TwoPlaces | None:
    """The first file whose value in the name stands with two of the sidecar's, or the other way round.

    A well is one word for both. Sites are counted in each well. Names that say nothing agree with a sidecar that always says the same.
    """
    of_name: dict[Hashable, object] = {}
    of_sidecar: dict[Hashable, object] = {}
    for item in pairs:
        named, told = getattr(item.by_name, axis), getattr(item.by_sidecar, axis)
        if axis == "well_id":
            if named != told:
                return item
            continue
        scope = item.by_sidecar.well_id if axis == "site_id" else ""
        if (
            of_name.setdefault((scope, named), told) != told
            or of_sidecar.setdefault((scope, told), named) != named
        ):
            return item
    return None


def _note(pairs: Iterable[TwoPlaces], wrong: TwoPlaces, axis: Axis, log: FindingLog) -> None:
    told_of: dict[object, set[object]] = defaultdict(set)
    for item in pairs:
        told_of[getattr(item.by_name, axis)].add(getattr(item.by_sidecar, axis))
    text = (
        f"{_WORDS[axis].capitalize()} of the file name and of the sidecar do not go together: this file's name says "
        f"{getattr(wrong.by_name, axis)!r}, the sidecar {getattr(wrong.by_sidecar, axis)!r}; names have {len(told_of)} "
        f"values, the sidecar {len({value for told in told_of.values() for value in told})}. The sidecar is followed for "
        "all files that it lists. If the names are right, write [images] file_pattern into the dataset's dataset.toml."
    )
    log.note("sidecar-differs", "warning", wrong.key, text)
