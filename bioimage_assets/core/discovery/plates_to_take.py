"""Decide which plates to take now: seen plates, what was taken before and what is still settling."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import zip_longest
from typing import TypeVar

from bioimage_assets.core.model.plate_source import PlateSource

ABSENT = "absent"
# Digits of a signature that are remembered: 48 bits tell the states of a plate apart that one quiet period sees.
SHORT_SIGNATURE = 12
Item = TypeVar("Item")
# Gap of a plate that could not be looked at in this look.
POSTPONED = "waits for its turn"
# Reasons of a hold, in the order in which a plate meets them.
SETTLING, INCOMPLETE, UNREADABLE, QUARANTINED, QUEUED, REFUSED = (
    "settling", "incomplete", "unreadable", "quarantined", "queued", "refused",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pending:
    """A plate whose new signature has to stay the same until ``since_s`` is a quiet period ago.

    ``signature`` is the beginning of it, which tells two states of a plate apart. ``held_since_s`` is when it was first held
    for what it lacks (0 where it was not), ``announced`` the mark of the reason that was reported last.
    """

    signature: str
    since_s: float
    held_since_s: float = 0.0
    announced: str = ""


@dataclass(frozen=True, slots=True)
class HeldPlate:
    """A plate that is not taken yet, and why: ``code`` is one of the reasons above."""

    plate_key: str
    reason: str
    code: str = SETTLING

    @property
    def mark(self) -> str:
        """What has to change for the hold to be reported again; waiting times do not. Short: it is stored in every tick."""
        if self.code in (SETTLING, QUEUED):
            return self.code
        return f"{self.code}:{blake2b(self.reason[:200].encode(errors='replace'), digest_size=4).hexdigest()}"


@dataclass(frozen=True, slots=True)
class TickPlan:
    """What one look at the roots leads to; ``pending`` is all that has to be remembered until the next."""

    taken: tuple[PlateSource, ...]
    held: tuple[HeldPlate, ...]
    gone: tuple[str, ...]
    pending: Mapping[str, Pending]


@dataclass(frozen=True, slots=True)
class Readiness:
    """What a plate itself says about being whole: a completion marker that is there, and the first gap.

    ``is_refused``: the gap is that the settings of its dataset cannot be used, which no waiting mends.
    """

    is_marked: bool = False
    gap: str | None = None
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class HoldRules:
    """How long plates wait. ``max_hold_s``: an incomplete plate is quarantined after so long."""

    quiet_s: float
    limit: int
    max_hold_s: float = float("inf")


def plan_tick(
    seen: Iterable[PlateSource],
    *,
    done: Mapping[str, str],
    pending: Mapping[str, Pending],
    now_s: float,
    quiet_s: float,
    limit: int,
    max_hold_s: float = float("inf"),
    present: Collection[str] | None = None,
    readiness: Callable[[PlateSource, bool], Readiness] = lambda source, is_quiet: Readiness(),
) -> TickPlan:
    """Compare what is there with what was taken.

    A plate is taken when its signature differs from the one taken last and has been the same for
    ``quiet_s``, counted from when this signature was first seen (copies that keep old change times are
    not trusted) or from its newest change if that is later, and when it lacks nothing that it promises.
    A completion marker replaces the quiet period. Nothing but unsettled plates is remembered, so the
    memory stays small however many plates there are. At most ``limit`` plates are taken, dataset by
    dataset in turn, in each those that waited longest first. A plate that is gone is announced after the
    quiet period too, at most ``limit`` at once.

    Parameters
    ----------
    seen
        Plates whose files were listed now.
    done
        Signature taken last per plate; ``absent`` for a plate that was reported gone.
    present
        Plates that are there, listed or not; those of ``seen`` where None.
    readiness
        Asked with whether the plate is quiet; only a quiet plate needs to be searched for gaps.
    """
    rules = HoldRules(quiet_s, limit, max_hold_s)
    waiting: dict[str, Pending] = {}
    held: list[HeldPlate] = []
    settled: list[tuple[float, PlateSource]] = []
    here = set() if present is None else present
    listed: set[str] = set()
    for source in seen:
        key = source.plate_key
        listed.add(key)
        if done.get(key) == source.signature:
            continue
        known = pending.get(key)
        signature = source.signature[:SHORT_SIGNATURE]
        if known is None:
            known = Pending(signature, now_s)
        elif known.signature[:SHORT_SIGNATURE] != signature:
            known = replace(known, signature=signature, since_s=now_s)
        waiting[key], hold = _judge(source, known, now_s, rules, readiness)
        if hold is None:
            settled.append((waiting[key].since_s, source))
        else:
            held.append(hold)
    there = listed | set(here) if present is not None else listed
    waiting |= {key: entry for key, entry in pending.items() if key not in listed and key in there}
    settled.sort(key=lambda item: (item[0], item[1].plate_key))
    turns = take_turns([source for _, source in settled], lambda source: source.plate_key)
    held += [HeldPlate(source.plate_key, POSTPONED, QUEUED) for source in turns[limit:]]
    missing = [key for key, version in done.items() if key not in there and version != ABSENT]
    gone = _plan_gone(sorted(missing)[: max(limit, 1)], pending, waiting, now_s, quiet_s, present is not None)
    return TickPlan(tuple(turns[:limit]), tuple(held), gone, waiting)


def take_turns(items: Iterable[Item], key_of: Callable[[Item], str]) -> list[Item]:
    """Order things dataset by dataset in turn, keeping the order inside each dataset."""
    queues: dict[str, list[Item]] = {}
    for item in items:
        queues.setdefault(key_of(item).partition("/")[0], []).append(item)
    return [item for row in zip_longest(*queues.values()) for item in row if item is not None]


def _judge(
    source: PlateSource,
    entry: Pending,
    now_s: float,
    rules: HoldRules,
    readiness: Callable[[PlateSource, bool], Readiness],
) -> tuple[Pending, HeldPlate | None]:
    # A change time in the future (a clock that is ahead) says nothing.
    newest = source.newest_mtime_s if source.newest_mtime_s <= now_s else 0.0
    waited = now_s - max(entry.since_s, newest)
    is_quiet = waited >= rules.quiet_s
    ready = readiness(source, is_quiet)
    if not is_quiet and not ready.is_marked:
        text = f"changed {waited:.0f} s ago, taken after {rules.quiet_s:.0f} s without a change"
        return entry, HeldPlate(source.plate_key, text)
    if ready.gap is None:
        return replace(entry, held_since_s=0.0), None
    if ready.gap == POSTPONED:
        return entry, HeldPlate(source.plate_key, POSTPONED, QUEUED)
    entry = entry if entry.held_since_s else replace(entry, held_since_s=now_s)
    if ready.is_refused:
        return entry, HeldPlate(source.plate_key, ready.gap, REFUSED)
    if now_s - entry.held_since_s < rules.max_hold_s:
        return entry, HeldPlate(source.plate_key, ready.gap, INCOMPLETE)
    hours = rules.max_hold_s / 3600
    text = f"{ready.gap}, for more than {hours:.3g} h; 'bioimage-assets materialize --plates {source.plate_key}' takes it as it is"
    return entry, HeldPlate(source.plate_key, text, QUARANTINED)


def _plan_gone(
    missing: list[str],
    pending: Mapping[str, Pending],
    waiting: dict[str, Pending],
    now_s: float,
    quiet_s: float,
    waits: bool,
) -> tuple[str, ...]:
    """Plates that are gone for the quiet period; a store that is replaced is away for a moment."""
    if not waits:
        return tuple(missing)
    gone = []
    for key in missing:
        entry = pending.get(key)
        entry = entry if entry and entry.signature == ABSENT else Pending(ABSENT, now_s)
        if now_s - entry.since_s >= quiet_s:
            gone.append(key)
        else:
            waiting[key] = entry
    return tuple(gone)
