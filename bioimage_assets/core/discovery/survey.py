"""One look at all watched roots within a time budget: which plates are there, and which of them may have changed.

Every look lists the roots and their datasets. Plates that are new or unsettled are listed in full. Of
the settled ones, as many as the budget allows are compared by their shallow signature, and a few by their
deep one, going on where the last look ended; so a change inside a chunk is found too, later.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field

from bioimage_assets.core.discovery.cursor import Rotation
from bioimage_assets.core.discovery.entry_kinds import KindMemory
from bioimage_assets.core.discovery.followed_links import open_watched_root
from bioimage_assets.core.discovery.found_plate import FoundPlate
from bioimage_assets.core.discovery.layout import DatasetMemory, read_layout
from bioimage_assets.core.discovery.missing_parts import find_gap, has_marker
from bioimage_assets.core.discovery.not_understood import note_links
from bioimage_assets.core.discovery.plate_in_two_roots import build_root_clash
from bioimage_assets.core.discovery.plates_to_take import (
    ABSENT,
    POSTPONED,
    UNREADABLE,
    HeldPlate,
    Pending,
    Readiness,
    take_turns,
)
from bioimage_assets.core.discovery.signatures import SharedMemory, list_files, read_deep, read_shallow
from bioimage_assets.core.errors import BioimageError, LimitExceededError, StoreError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.gallery import project_of_dataset
from bioimage_assets.core.model.identity import dataset_of
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.stores.tree import find_refused_links

_RETRY_AFTER_S = 600.0  # a folder that cannot be read costs a timeout of the share in each look


@dataclass(frozen=True, slots=True)
class Taken:
    """Version under which a plate was taken: deep and shallow signature; written as one text."""

    signature: str
    shallow: str = ""

    def __str__(self) -> str:
        return f"{self.signature}.{self.shallow}" if self.shallow else self.signature

    @classmethod
    def parse(cls, text: str) -> Taken:
        """Read a version back; any text is a version."""
        signature, _, shallow = text.partition(".")
        return cls(signature, shallow)


@dataclass(frozen=True, slots=True)
class Budget:
    """How long one look may take, and how many plates it may keep waiting.

    ``layout_s``: opening new stores to learn what they are; ``deep_s``: listing of unsettled plates; ``shallow_s`` and ``recheck_s``: comparing settled ones;
    ``single_s``: no plate's listing may take longer. ``max_pending`` bounds the plates that begin to settle at a
    time (new ones, and changed ones that either comparison found), ``max_held`` those that are held for what they lack.
    """

    layout_s: float = 10.0
    deep_s: float = 10.0
    shallow_s: float = 1.5
    recheck_s: float = 0.5
    single_s: float = 30.0
    max_pending: int = 400
    max_held: int = 1_000


@dataclass(slots=True)
class SurveyMemory:
    """What one process remembers between looks. Nothing depends on it but speed: it may be lost at any time."""

    kinds: KindMemory = field(default_factory=KindMemory)
    unchanged: DatasetMemory = field(default_factory=dict)
    # Plates as the last look listed them; a plate whose listing stayed the same is the same object.
    listed: Mapping[str, FoundPlate] = field(default_factory=dict)
    # Shallow signatures that turned out to belong to the deep signature that was taken.
    accepted: MutableMapping[str, str] = field(default_factory=dict)
    retry_after: MutableMapping[str, float] = field(default_factory=dict)
    # What unsettled plates lacked, by plate: (signature, gap).
    gaps: MutableMapping[str, tuple[str, str | None]] = field(default_factory=dict)


@dataclass(slots=True)
class Survey:
    """What a look found. ``sources`` and ``shallow`` are the signatures of the plates that were listed in full."""

    plates: Mapping[str, FoundPlate]
    sources: dict[str, PlateSource] = field(default_factory=dict)
    shallow: dict[str, str] = field(default_factory=dict)
    held: list[HeldPlate] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    rotation: Rotation = field(default_factory=Rotation)
    # Plates that may not count as gone, because what should hold them could not be listed.
    unseen_roots: bool = False
    unseen_datasets: set[str] = field(default_factory=set)
    shared: SharedMemory = field(default_factory=dict)
    # Shallow signatures that this look has read already.
    compared: dict[str, str] = field(default_factory=dict)

    def is_gone(self, plate_key: str) -> bool:
        """Tell whether a plate that was taken before is missing from roots that could be listed."""
        dataset = dataset_of(plate_key)
        return not (
            plate_key in self.plates
            or self.unseen_roots
            or not self.unseen_datasets.isdisjoint((dataset, project_of_dataset(dataset)))
        )

    def version(self, plate_key: str) -> Taken:
        """Version under which a listed plate is taken now."""
        return Taken(self.sources[plate_key].signature, self.shallow[plate_key])


def judge_readiness(
    survey: Survey, memory: SurveyMemory, *, marker: str, seconds: float
) -> Callable[[PlateSource, bool], Readiness]:
    """Judge of whether a listed plate is whole; once the time is over, plates wait for the next look."""
    end_s = time.monotonic() + seconds

    def judge(source: PlateSource, is_quiet: bool) -> Readiness:
        plate = survey.plates[source.plate_key]
        try:
            is_marked = has_marker(plate, marker)
            if not (is_quiet or is_marked):
                return Readiness()
            known = memory.gaps.get(source.plate_key)
            if known is None or known[0] != source.signature:
                if time.monotonic() >= end_s:
                    return Readiness(is_marked, POSTPONED)
                known = (source.signature, find_gap(plate, list_files(plate)))
                memory.gaps[source.plate_key] = known
        except StoreError as error:
            return Readiness(False, str(error))
        return Readiness(is_marked, known[1])

    return judge


def survey_roots(
    root_uris: Sequence[str],
    *,
    done: Mapping[str, Taken],
    pending: Mapping[str, Pending],
    rotation: Rotation,
    memory: SurveyMemory,
    budget: Budget,
    storage_options: Mapping[str, object] | None = None,
) -> Survey:
    """Look at all roots once. A root, dataset or plate that cannot be listed is a finding and stops nothing."""
    memory.kinds.deadline_s = time.monotonic() + budget.layout_s
    survey = _read_roots(root_uris, bool(done), memory, storage_options)
    plates = survey.plates
    known = [key for key in pending if key in plates]
    new = [
        key
        for key in sorted(plates)
        if key not in pending and done.get(key, _NEVER).signature in ("", ABSENT)
    ]
    # Plates that lack something wait behind the others, or many of them would keep new ones out.
    lacking = sorted(key for key in known if pending[key].held_since_s)
    moving = [key for key in known if not pending[key].held_since_s]
    room = max(0, min(budget.max_pending - len(moving), budget.max_pending + budget.max_held - len(known)))
    turns = [*moving, *take_turns(new, str)[:room], *_behind(lacking, rotation.deep_key)]
    _list_plates(survey, turns, memory, budget, budget.deep_s)
    settled = sorted(plates.keys() & done.keys() - pending.keys() - survey.sources.keys() - set(new))
    moved, shallow_key = _compare_shallow(
        survey, settled, done, memory, budget.shallow_s, rotation.shallow_key
    )
    _list_plates(survey, moved[:room], memory, budget, budget.deep_s)
    for key in moved:
        source = survey.sources.get(key)
        if source is not None and source.signature == done[key].signature:
            memory.accepted[key] = survey.shallow[key]
    rest = _behind([key for key in settled if key not in survey.sources], rotation.deep_key)
    looked = _list_plates(survey, rest, memory, budget, budget.recheck_s)
    _forget_beyond(survey, done, rest, room)
    for key in memory.gaps.keys() - survey.sources.keys():
        del memory.gaps[key]
    survey.rotation = Rotation(shallow_key, looked or rotation.deep_key)
    return survey


_NEVER = Taken("")


def _forget_beyond(survey: Survey, done: Mapping[str, Taken], keys: Iterable[str], room: int) -> None:
    """Leave changed plates for which there is no room to a later look, which finds them again: a file of a dataset changes
    all plates of it at once.
    """
    changed = [key for key in keys if key in survey.sources]
    changed = [key for key in changed if survey.sources[key].signature != done[key].signature]
    for key in changed[room:]:
        del survey.sources[key], survey.shallow[key]


def _read_roots(
    root_uris: Sequence[str],
    had_plates: bool,
    memory: SurveyMemory,
    storage_options: Mapping[str, object] | None,
) -> Survey:
    plates: dict[str, FoundPlate] = {}
    survey = Survey(plates)
    for root_uri in root_uris:
        try:
            tree = open_watched_root(root_uri, storage_options)
            layout = read_layout(tree, kinds=memory.kinds, unchanged=memory.unchanged)
        except BioimageError as error:
            survey.unseen_roots = True
            survey.findings.append(Finding("unreadable-root", "error", "", str(error), root_uri))
            continue
        if layout.is_empty and had_plates:
            survey.unseen_roots = True
            text = f"{root_uri} is empty: is it mounted? No plate is told gone while it is."
            survey.findings.append(Finding("empty-root", "warning", "", text, root_uri))
        survey.findings += [*layout.findings, *find_refused_links(tree), *note_links(tree)]
        survey.unseen_datasets |= layout.unreadable_datasets
        for finding in layout.findings:
            if finding.code == "plate-name-clash":  # both stores are there, none is taken
                survey.unseen_datasets.add(finding.location.partition("/")[0])
        for plate in layout.plates:
            other = plates.setdefault(plate.plate_key, plate)
            if other is not plate:
                if plate.stores and not other.stores:  # images say more than measurements alone
                    plates[plate.plate_key], other, plate = plate, plate, other
                is_split = bool(other.stores) > bool(plate.stores)
                survey.findings.append(
                    build_root_clash(plate.plate_key, other.uri, plate.uri, is_split=is_split)
                )
    return survey


def _list_plates(
    survey: Survey, keys: Iterable[str], memory: SurveyMemory, budget: Budget, seconds: float
) -> str | None:
    """List plates in full until the time is over, at least one; give the last one's key."""
    last, end_s = None, time.monotonic() + seconds
    for key in keys:
        if last is not None and time.monotonic() >= end_s:
            break
        last = key
        if memory.retry_after.get(key, 0.0) > time.monotonic():
            continue
        try:
            plate, limit_s = survey.plates[key], time.monotonic() + budget.single_s
            # First the shallow one: a change between the two is found by the next look.
            survey.shallow[key] = survey.compared.get(key) or read_shallow(plate, survey.shared)
            survey.sources[key] = read_deep(plate, survey.shared, deadline_s=limit_s)
        except LimitExceededError as error:
            memory.retry_after[key] = time.monotonic() + _RETRY_AFTER_S
            survey.held.append(HeldPlate(key, str(error), UNREADABLE))
        except StoreError as error:
            survey.held.append(HeldPlate(key, str(error), UNREADABLE))
    return last


def _compare_shallow(
    survey: Survey,
    settled: Sequence[str],
    done: Mapping[str, Taken],
    memory: SurveyMemory,
    seconds: float,
    start_key: str,
) -> tuple[list[str], str]:
    """Settled plates whose shallow signature moved, and where the comparison ended.

    Plates whose entry in their dataset's listing moved since the last look come first.
    """
    end_s = time.monotonic() + seconds
    before = memory.listed
    urgent = [
        key
        for key in settled
        if (was := before.get(key)) is not None
        and was is not survey.plates[key]
        and was.inputs != survey.plates[key].inputs
    ]
    memory.listed = survey.plates
    moved: list[str] = []
    last = start_key
    for key in _chain(urgent, _behind(settled, start_key)):
        try:
            shallow = read_shallow(survey.plates[key], survey.shared)
        except StoreError:  # said when the plate is listed in full
            shallow = ""
        survey.compared[key] = shallow
        if shallow not in (done[key].shallow, memory.accepted.get(key)) and key not in moved:
            moved.append(key)
        last = key
        if time.monotonic() >= end_s:
            break
    return moved, last


def _chain(first: Sequence[str], then: Iterable[str]) -> Iterator[str]:
    yield from first
    skipped = set(first)
    yield from (key for key in then if key not in skipped)


def _behind(keys: Sequence[str], start_key: str) -> list[str]:
    """Sorted keys, beginning behind one of them and ending with it."""
    at = bisect_right(keys, start_key)
    return [*keys[at:], *keys[:at]]
