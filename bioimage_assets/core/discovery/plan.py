"""Decide which plates to take now: seen plates, what was taken before and what is still settling."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bioimage_assets.core.model.plate_source import PlateSource

ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Pending:
    """A plate whose new signature has to stay the same until ``since_s`` is a quiet period ago."""

    signature: str
    since_s: float


@dataclass(frozen=True, slots=True)
class Held:
    """A plate that is not taken yet, and why."""

    plate_key: str
    reason: str


@dataclass(frozen=True, slots=True)
class TickPlan:
    """What one look at the roots leads to; ``pending`` is all that has to be remembered until the next."""

    taken: tuple[PlateSource, ...]
    held: tuple[Held, ...]
    gone: tuple[str, ...]
    pending: Mapping[str, Pending]


def plan_tick(
    seen: Iterable[PlateSource],
    *,
    done: Mapping[str, str],
    pending: Mapping[str, Pending],
    now_s: float,
    quiet_s: float,
    limit: int,
) -> TickPlan:
    """Compare what is there with what was taken.

    A plate is taken when its signature differs from the one taken last and has been the same for
    ``quiet_s``, counted from when this signature was first seen: copies that keep old change times are
    not trusted either. Nothing but unsettled plates is remembered, so the memory stays small however
    many plates there are. At most ``limit`` plates are taken, those that waited longest first.

    Parameters
    ----------
    done
        Signature taken last per plate; ``absent`` for a plate that was reported gone.
    """
    settled: list[tuple[float, PlateSource]] = []
    waiting: dict[str, Pending] = {}
    held: list[Held] = []
    present: set[str] = set()
    for source in seen:
        key = source.plate_key
        present.add(key)
        if done.get(key) == source.signature:
            continue
        known = pending.get(key)
        entry = known if known and known.signature == source.signature else Pending(source.signature, now_s)
        waiting[key] = entry
        waited = now_s - entry.since_s
        if waited >= quiet_s:
            settled.append((entry.since_s, source))
        else:
            held.append(
                Held(key, f"changed {waited:.0f} s ago, taken after {quiet_s:.0f} s without a change")
            )
    settled.sort(key=lambda item: (item[0], item[1].plate_key))
    taken = tuple(source for _, source in settled[:limit])
    held += [Held(source.plate_key, "waits for its turn") for _, source in settled[limit:]]
    gone = tuple(sorted(key for key, version in done.items() if key not in present and version != ABSENT))
    return TickPlan(taken, tuple(held), gone, waiting)


def read_cursor(text: str | None) -> dict[str, Pending]:
    """Read the remembered plates; an unreadable cursor only means that plates settle once more."""
    try:
        stored = json.loads(text or "{}")
        return {key: Pending(str(value[0]), float(value[1])) for key, value in stored.items()}
    except (ValueError, TypeError, AttributeError, IndexError, KeyError):
        return {}


def write_cursor(pending: Mapping[str, Pending], taken: Iterable[PlateSource]) -> str:
    """Write what has to be remembered: plates that are not taken yet."""
    done = {source.plate_key for source in taken}
    stored = {
        key: [entry.signature, entry.since_s] for key, entry in sorted(pending.items()) if key not in done
    }
    return json.dumps(stored, separators=(",", ":"))
