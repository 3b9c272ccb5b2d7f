"""The wells of each treatment and its controls, and which of them are compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from bioimage_assets.core.profiling.profile_rows import ProfileRows, cut_rows
from bioimage_assets.core.profiling.treatments import Treatments

SEED = 20240401  # the same draws in every run: a rebuilt table has the same numbers
# Of a treatment, or of all controls, with more wells as many are drawn: the pairs of ten thousand are fifty million.
MAX_WELLS = 10_000
# A campaign has tens of thousands of control wells; treatments are ranked among so many of their stratum, drawn.
MAX_CONTROLS = 10_000
MAX_PAIRS_DRAWN = 200_000  # of the picture: more show no finer distribution


@dataclass(frozen=True)
class Replicates:
    """Rows of one treatment; ``positions`` are numbers that stand for the well of every row of the whole table.

    ``well_count`` is the number of the treatment's wells, of which ``rows`` are those that are compared.
    """

    rows: np.ndarray
    positions: np.ndarray
    well_count: int

    @cached_property
    def places(self) -> np.ndarray:
        """Position of each row."""
        return np.asarray(self.positions[self.rows])

    @cached_property
    def is_spread(self) -> bool:
        """Whether they lie at more than one position, so that pairs at one position can be left out."""
        return bool(self.places.size and (self.places != self.places[0]).any())

    @property
    def is_sampled(self) -> bool:
        """Whether there are more wells than are compared."""
        return self.rows.size < self.well_count

    @property
    def pair_count(self) -> int:
        """Number of pairs that are compared."""
        pairs = _pairs_of(np.asarray([self.rows.size]))
        return pairs - _pairs_of(np.unique(self.places, return_counts=True)[1]) if self.is_spread else pairs

    def partners(self, members: slice) -> np.ndarray:
        """Which members each of some is compared with: those at other positions, or all others where there is one position."""
        if self.is_spread:
            return np.asarray(self.places[members, None] != self.places[None, :])
        chosen = np.ones((members.stop - members.start, self.rows.size), bool)
        chosen[np.arange(chosen.shape[0]), np.arange(members.start, members.stop)] = False
        return chosen

    def pair_blocks(self, profiles: ProfileRows) -> Iterator[np.ndarray]:
        """Pearson correlation of every pair that is compared, in the order of rows, some rows at a time."""
        rows = profiles.standard(self.rows)
        for part in cut_rows(self.rows.size, self.rows.size):
            later = np.arange(self.rows.size)[None, :] > np.arange(part.start, part.stop)[:, None]
            yield (rows[part] @ rows.T)[self.partners(part) & later]

    def pair_values(self, profiles: ProfileRows) -> np.ndarray:
        """All of them at once."""
        values = np.empty(self.pair_count)
        start = 0
        for block in self.pair_blocks(profiles):
            values[start : start + block.size] = block
            start += block.size
        return values


@dataclass(frozen=True, slots=True)
class ControlWells:
    """Control wells: ``rows`` of each stratum, and of them those that treatments are ``ranked`` among.

    Strata are numbers: of every row of the table, and of each treatment.
    """

    stratum_of_rows: np.ndarray
    stratum: dict[str, int]
    rows: dict[int, np.ndarray]
    ranked: dict[int, np.ndarray]

    def count(self, label: str) -> int:
        """Control wells of a treatment's stratum."""
        return int(self.rows[self.stratum[label]].size)

    def count_ranked(self, label: str) -> int:
        """Those that it is ranked among."""
        return int(self.ranked[self.stratum[label]].size)


class PairSample:
    """Pairs of replicates for the picture: all of them, or as many as the limit, drawn evenly from all treatments' pairs."""

    def __init__(self, groups: Mapping[str, Replicates]) -> None:
        total = sum(group.pair_count for group in groups.values())
        self._chosen: np.ndarray | None = None
        if total > MAX_PAIRS_DRAWN:
            drawn = np.random.default_rng(SEED).integers(total, size=MAX_PAIRS_DRAWN)
            self._chosen = np.sort(drawn)
        self._kept: list[np.ndarray] = []
        self._seen = 0

    def take(self, pairs: np.ndarray) -> np.ndarray:
        """Keep what is drawn of the next treatment's pairs; gives them back as they are."""
        first, self._seen = self._seen, self._seen + pairs.size
        if self._chosen is None:
            self._kept.append(pairs.copy())
        else:
            low, high = np.searchsorted(self._chosen, (first, self._seen))
            self._kept.append(pairs[self._chosen[low:high] - first])
        return pairs

    def drawn(self) -> tuple[float, ...]:
        return tuple(map(float, np.concatenate(self._kept))) if self._kept else ()


def find_control_wells(treatments: Treatments, rows_of: Mapping[str, np.ndarray]) -> ControlWells:
    """Control wells by stratum; ``rows_of`` are those of each treatment."""
    codes, _ = pd.factorize(treatments.strata)
    controls = np.flatnonzero(treatments.is_control)
    rows = {int(code): controls[codes[controls] == code] for code in np.unique(codes)}
    ranked = {code: draw_rows(found, MAX_CONTROLS) for code, found in rows.items()}
    return ControlWells(codes, {label: int(codes[own[0]]) for label, own in rows_of.items()}, rows, ranked)


def choose_wells(rows: np.ndarray, positions: np.ndarray) -> Replicates:
    """The wells of a treatment that are compared: all, or as many as the limit, drawn."""
    return Replicates(draw_rows(rows, MAX_WELLS), positions, int(rows.size))


def draw_rows(rows: np.ndarray, limit: int) -> np.ndarray:
    """All of some rows, or as many as the limit, drawn by the seed, in their order."""
    if rows.size <= limit:
        return rows
    # A generator of its own: the draws of the null stay what they are.
    return np.sort(np.random.default_rng(SEED).choice(rows, size=limit, replace=False))


def _pairs_of(counts: np.ndarray) -> int:
    return int((counts * (counts - 1) // 2).sum())
