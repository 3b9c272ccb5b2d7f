"""Scores how well the cells of each field fit each field, by several witnesses, and weighs assignments against chance.

A witness is one channel by place (are the centres brighter than their surroundings?) or by intensity (do measured and
re-measured values rank alike within a field?). Intensities of different fields are never mixed here: wells differ in
brightness, and would correlate under a wrong field of the same well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bioimage_assets.core.pixels.witness_fields import CellSet, FieldMaps, MapGrid
from bioimage_assets.core.pixels.witness_verdict import Evidence

Scores = npt.NDArray[np.float64]
Points = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]

# Ranks of fewer cells say nothing.
MIN_RANKED = 4
# With fewer other fields the same cells, shifted cyclically in their own field, make up the null.
MIN_OTHER_FIELDS = 8
SHIFT_COUNT = 32
MIN_PAIRS = 10
# Images against centres: as they are, and the seven ways to turn or mirror them. (exchange y and x, mirror y, mirror x)
TRANSFORMS = (
    (False, False, False),
    (True, False, False),
    (False, True, False),
    (False, False, True),
    (False, True, True),
    (True, True, False),
    (True, False, True),
    (True, True, True),
)
# A witness that speaks for no hypothesis by this many deviations is left out. With some thirty hypotheses luck reaches three.
MIN_SIGNAL = 4.0


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """``scores[witness, source, target, transform]`` and ``shifted[witness, source, shift]``; NaN where cells are too few.

    A score has mean 0 and deviation 1, roughly, for cells that do not belong to the target. ``sources`` are numbers of
    fields with cells.
    """

    witnesses: tuple[str, ...]
    sources: tuple[int, ...]
    scores: Scores
    shifted: Scores


@dataclass(frozen=True, slots=True)
class CellCloud:
    """The cells of all sources one after another; ``owner`` is the position of a cell's source."""

    y: Scores
    x: Scores
    values: Scores
    owner: npt.NDArray[np.intp]
    source_count: int


def gather_cells(cells: Sequence[CellSet], sources: Sequence[int]) -> CellCloud:
    """Cells of the sources, in their order."""
    own = [cells[source] for source in sources]
    owner = np.repeat(np.arange(len(own)), [one.count for one in own])
    values = np.concatenate([one.values for one in own], 1)
    return CellCloud(
        np.concatenate([o.y for o in own]), np.concatenate([o.x for o in own]), values, owner, len(own)
    )


def build_scores(
    cells: Sequence[CellSet],
    maps: Sequence[FieldMaps],
    grid: MapGrid,
    channel_names: Sequence[str],
    channel_of_value: Sequence[int | None],
    seed: int,
) -> ScoreTable:
    """Every field's cells against every field; ``channel_of_value`` says which map channel a measured channel is."""
    sources = [number for number, own in enumerate(cells) if own.count]
    valued = [(row, channel) for row, channel in enumerate(channel_of_value) if channel is not None]
    witnesses = [f"place {name}" for name in channel_names]
    witnesses += [f"intensity {channel_names[channel]}" for _, channel in valued]
    scores = np.full((len(witnesses), len(sources), len(maps), len(TRANSFORMS)), np.nan)
    shifted = np.full((len(witnesses), len(sources), 0), np.nan)
    if sources:
        cloud = gather_cells(cells, sources)
        for number, transform in enumerate(TRANSFORMS):
            points = transform_points((cloud.y, cloud.x), transform, grid.image_shape)
            for target, own in enumerate(maps):
                scores[:, :, target, number] = score_points(points, cloud, own, grid, valued)
        if len(maps) <= MIN_OTHER_FIELDS:
            shifted = _score_shifted(cells, maps, grid, sources, valued, seed)
    return ScoreTable(tuple(witnesses), tuple(sources), scores, shifted)


def transform_points(points: Points, transform: tuple[bool, bool, bool], shape: tuple[int, int]) -> Points:
    """Centres in an image that is turned or mirrored against them."""
    exchange, mirror_y, mirror_x = transform
    y, x = points[::-1] if exchange else points
    return (shape[0] - 1 - y if mirror_y else y), (shape[1] - 1 - x if mirror_x else x)


def _score_shifted(
    cells: Sequence[CellSet], maps: Sequence[FieldMaps], grid: MapGrid, sources: Sequence[int],
    valued: Sequence[tuple[int, int]], seed: int,
) -> Scores:  # fmt: skip
    rng = np.random.default_rng(seed)
    box = grid.box
    height, width = box.y_stop - box.y_start, box.x_stop - box.x_start
    parts = []
    for number in range(SHIFT_COUNT):
        # Far from no shift at all, in at least one direction.
        far = 0.2 + 0.6 * rng.random(), rng.random()
        dy, dx = far if number % 2 else far[::-1]
        found = []
        for source in sources:
            one = gather_cells(cells, [source])
            y = (one.y - box.y_start + dy * height) % height + box.y_start
            x = (one.x - box.x_start + dx * width) % width + box.x_start
            found.append(score_points((y, x), one, maps[source], grid, valued)[:, 0])
        parts.append(np.stack(found, 1))
    return np.stack(parts, 2)


def score_points(
    points: Points, cloud: CellCloud, maps: FieldMaps, grid: MapGrid, valued: Sequence[tuple[int, int]]
) -> Scores:
    """Scores (witness, source) of all cells at some places of one field."""
    row, column, inside = grid.look_up(*points)
    row, column, owner = row[inside], column[inside], cloud.owner[inside]
    counts = np.bincount(owner, minlength=cloud.source_count)
    root = np.where(counts > 0, np.sqrt(np.maximum(counts, 1)), np.nan)
    found = [np.bincount(owner, plane[row, column], cloud.source_count) / root for plane in maps.contrast]
    for value, channel in valued:
        again = maps.mean[channel, row, column].astype(np.float64)
        found.append(rank_scores(cloud.values[value][inside], again, owner, cloud.source_count))
    return np.array(found)


def rank_scores(measured: Scores, again: Scores, owner: npt.NDArray[np.intp], source_count: int) -> Scores:
    """Spearman's rank correlation of each source's cells, over its deviation by chance; NaN where values are too few."""
    known = np.isfinite(measured)
    measured, again, owner = measured[known], again[known], owner[known]
    counts = np.bincount(owner, minlength=source_count)
    one, two = (_centred_ranks(values, owner, counts) for values in (measured, again))
    product, one_square, two_square = (
        np.bincount(owner, values, source_count) for values in (one * two, one * one, two * two)
    )
    norm = np.sqrt(one_square * two_square)
    is_enough = (counts >= MIN_RANKED) & (norm > 0)
    scores: Scores = np.where(
        is_enough, product / np.where(norm > 0, norm, 1) * np.sqrt(np.maximum(counts - 1.0, 0)), np.nan
    )
    return scores


def _centred_ranks(values: Scores, owner: npt.NDArray[np.intp], counts: npt.NDArray[np.intp]) -> Scores:
    """Ranks within each source, mean zero; equal values share theirs."""
    order = np.lexsort((values, owner))
    starts = np.cumsum(counts) - counts
    is_new = np.ones(len(order), bool)
    is_new[1:] = (np.diff(values[order]) != 0) | (np.diff(owner[order]) != 0)
    group = np.cumsum(is_new) - 1
    within = np.arange(len(order)) - starts[owner[order]]
    shared = np.bincount(group, within) / np.bincount(group) if len(order) else within
    ranks = np.empty(len(values))
    ranks[order] = shared[group] if len(order) else within
    return ranks - (counts[owner] - 1) / 2


@dataclass(frozen=True, slots=True)
class Fit:
    """All witnesses together: ``scores[source, target, transform]`` and the null of the same cells, deviation 1."""

    sources: tuple[int, ...]
    scores: Scores
    shifted: Scores
    cell_counts: tuple[int, ...]

    @property
    def likeness(self) -> float:
        """Correlation of how a field's cells fit another field with how that one's cells fit the first."""
        sources = list(self.sources)
        square = self.scores[:, sources, 0]
        upper = np.triu_indices(len(sources), 1)
        one, other = square[upper], square.T[upper]
        if len(one) < MIN_PAIRS or not (one.std() and other.std()):
            return 1.0
        return max(0.0, float(np.corrcoef(one, other)[0, 1]))

    def find_mutual_share(self, positions: npt.NDArray[np.intp], aims: npt.NDArray[np.intp]) -> float:
        """Share of an assignment's pairs that stand in it the other way round, too."""
        pairs = {(self.sources[p], int(aim)) for p, aim in zip(positions, aims, strict=True)}
        return sum(one != two and (two, one) in pairs for one, two in pairs) / max(1, len(pairs))

    def draw_null(
        self, sources: Scores, excluded: Sequence[int], transform: int, draws: int, seed: int
    ) -> Scores:
        """Mean scores of random assignments of some sources (positions) to other fields than the excluded ones."""
        rng = np.random.default_rng(seed)
        total = np.zeros(draws)
        for position, target in zip(sources.astype(int), excluded, strict=True):
            own = [f for f in range(self.scores.shape[1]) if f not in (self.sources[position], target)]
            pool = np.concatenate([self.scores[position, own, transform], self.shifted[position]])
            pool = pool[np.isfinite(pool)]
            if len(pool):
                total += rng.choice(pool, draws)
        return total / max(1, len(sources))


def combine(table: ScoreTable, weights: Scores, cell_counts: Sequence[int]) -> Fit:
    """Weigh the witnesses, and bring each field's cells to mean 0 and deviation 1 on other fields."""
    kept = np.nan_to_num(table.scores), np.nan_to_num(table.shifted)
    scores = np.tensordot(weights, kept[0], 1)
    shifted = np.tensordot(weights, kept[1], 1)
    centred, spread = _standardise(scores, shifted, table.sources)
    return Fit(
        table.sources,
        centred,
        (shifted - _centres(scores, shifted, table.sources)[:, :1]) / spread,
        tuple(cell_counts),
    )


def _others(scores: Scores, sources: Sequence[int]) -> Scores:
    """Scores with each source's own field left out (NaN)."""
    others = scores.copy()
    others[np.arange(len(sources)), list(sources)] = np.nan
    return others


def _centres(scores: Scores, shifted: Scores, sources: Sequence[int]) -> Scores:
    """Median score of each source on other fields (shifted cells count as such), per transform."""
    others = _others(scores, sources)
    extra = np.repeat(shifted[:, :, None], scores.shape[2], 2)
    centres: Scores = np.nanmedian(np.concatenate([others, extra], 1), 1)
    return centres


def _standardise(scores: Scores, shifted: Scores, sources: Sequence[int]) -> tuple[Scores, float]:
    centres = _centres(scores, shifted, sources)
    centred = scores - centres[:, None]
    null = np.concatenate([_others(centred, sources)[:, :, 0], shifted - centres[:, :1]], 1)
    # Half the distance of the inner two thirds: a few fields that do fit must not hide themselves.
    low, high = np.nanpercentile(null, [15.87, 84.13])
    spread = max(float(high - low) / 2, 1e-9)
    return centred / spread, spread


def weigh_assignment(
    fit: Fit,
    name: str,
    targets: Sequence[int | None],
    transform: int,
    draws: int,
    seed: int,
    witness: str = "all",
) -> Evidence | None:
    """How well an assignment of sources to targets fits, against random ones; None where it says nothing of any source."""
    pairs = [(p, targets[source]) for p, source in enumerate(fit.sources) if targets[source] is not None]
    if not pairs:
        return None
    positions, aims = (np.array(values, int) for values in zip(*pairs, strict=True))
    observed = float(fit.scores[positions, aims, transform].mean())
    null = fit.draw_null(positions, aims.tolist(), transform, draws, seed)
    # Cells of one field on another's pixels, and the other way round, fit by the same luck, and random draws are not mutual.
    null = null.mean() + (null - null.mean()) * np.sqrt(
        1 + fit.find_mutual_share(positions, aims) * fit.likeness
    )
    deviation = max(float(null.std()), 0.5 / np.sqrt(len(pairs)))
    return Evidence(
        hypothesis=name,
        witness=witness,
        statistic=observed,
        null_mean=float(null.mean()),
        null_95=float(np.quantile(null, 0.95)),
        deviations=(observed - float(null.mean())) / deviation,
        p_value=float((1 + (null >= observed).sum()) / (1 + draws)),
        cell_count=sum(fit.cell_counts[p] for p in positions),
        field_count=len(pairs),
    )
