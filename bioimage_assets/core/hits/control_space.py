"""How far treatments are from control wells: Mahalanobis distances on principal components, with a null of held-out controls.

The distance is that of high-throughput phenotypic profiling (Nyffeler et al. 2021,
https://doi.org/10.1177/2472555220950245): principal components that hold most of the variance, and the covariance of the
control wells on them, here shrunk as Ledoit and Wolf (2004) do, because there are often fewer controls than components.
What chance gives: as many control wells as the treatment has are taken out, and their distance from the others is measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, islice
from math import comb

import numpy as np
from sklearn.covariance import ledoit_wolf

from bioimage_assets.core.profiling.profile_rows import ProfileRows, clip_profiles

MIN_CONTROLS = 4  # fewer have no spread worth a name, and leave nothing when half of them are held out
# The null of more controls is that of so many, drawn: their products among each other are one matrix.
MAX_NULL_CONTROLS = 2_000
_BLOCK_BYTES = 64 << 20  # of the draws that are measured at a time


@dataclass(frozen=True, slots=True)
class ControlSpace:
    """Control wells of one stratum on the components: their mean, and the shrunk covariance as its Cholesky factor.

    ``scores`` are those of the controls, one row per well; ``factor`` is lower triangular, ``shrinkage`` the share of the
    scaled identity in the covariance.
    """

    scores: np.ndarray
    mean: np.ndarray
    factor: np.ndarray
    shrinkage: float

    def whiten(self, scores: np.ndarray) -> np.ndarray:
        """Scores of wells as deviations from the mean control, with the controls' covariance removed."""
        return np.asarray(np.linalg.solve(self.factor, (scores - self.mean).T).T)

    def distance(self, scores: np.ndarray) -> float:
        """Mahalanobis distance of the mean of some wells from the mean control."""
        return float(np.linalg.norm(self.whiten(scores.mean(axis=0, keepdims=True))))

    def null_distances(self, count: int, size: int, random: np.random.Generator) -> np.ndarray:
        """Distances of ``count`` control wells from the others; of half of the controls where there are too few.

        The mean and the covariance that they are compared with are made without them. All sets of controls are taken out
        where there are at most ``size`` of them, else as many are drawn: twelve wells have twelve distances and no more, and
        drawing them a thousand times makes no p value of a thousandth.
        """
        chosen = self.scores
        if len(chosen) > MAX_NULL_CONTROLS:
            chosen = chosen[np.sort(random.choice(len(chosen), MAX_NULL_CONTROLS, replace=False))]
        total = len(chosen)
        held = min(count, total // 2)
        kept = total - held
        centred = chosen - chosen.mean(axis=0)
        scatter = self._scatter(centred, kept)
        width = len(scatter)
        # Few wells, or few components: what is smaller is what has to be solved for each draw.
        if held < width:
            products = np.asarray(centred @ np.linalg.solve(scatter, centred.T))
            sets = _draw_sets(total, held, size, random, 4 * (held + 1) ** 2)
            squares = [_squares_by_wells(products, rows) for rows in sets]
        else:
            sets = _draw_sets(total, held, size, random, width * (held + 2 * width))
            squares = [_squares_by_components(centred, scatter, rows) for rows in sets]
        return np.sqrt(np.maximum(np.concatenate(squares) * kept / (1 - self.shrinkage), 0.0))

    def _scatter(self, centred: np.ndarray, kept: int) -> np.ndarray:
        """Scatter of the controls, with the ridge that the shrunk covariance of ``kept`` of them has."""
        scatter = centred.T @ centred
        ridge = self.shrinkage * np.trace(scatter) / len(centred) / len(scatter)
        scatter[np.diag_indices_from(scatter)] += ridge * kept / (1 - self.shrinkage)
        return np.asarray(scatter)


def _draw_sets(
    total: int, held: int, size: int, random: np.random.Generator, numbers: int
) -> Iterator[np.ndarray]:
    """Sets of ``held`` out of ``total``, one per row: all of them, or ``size`` that are drawn.

    They come some at a time; ``numbers`` are those that measuring one set holds in memory.
    """
    block = max(1, min(size, _BLOCK_BYTES // (8 * numbers)))
    if comb(total, held) <= size:
        every = combinations(range(total), held)
        while sets := list(islice(every, block)):
            yield np.asarray(sets)
        return
    for start in range(0, size, block):
        yield np.stack([random.permutation(total)[:held] for _ in range(min(block, size - start))])


def _squares_by_components(centred: np.ndarray, scatter: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Squared distances, as ``_squares_by_wells`` gives them, by the scatter of the others for each draw."""
    held = rows.shape[1]
    kept = len(centred) - held
    wells = centred[rows]
    sums = wells.sum(axis=1)
    others = scatter - wells.transpose(0, 2, 1) @ wells - sums[:, :, None] * sums[:, None, :] / kept
    apart = sums * (1 / held + 1 / kept)
    return np.asarray((apart * np.linalg.solve(others, apart[:, :, None])[:, :, 0]).sum(axis=1))


def _squares_by_wells(products: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Squared distances of the mean of each draw of controls from the mean of the others, by the scatter of the others.

    Taking wells out of a covariance changes it by as many ranks as there are wells (and one, since the mean moves): its
    inverse follows from products of the wells held out, which is what ``products`` has (Sherman, Morrison and Woodbury).
    """
    held = rows.shape[1]
    kept = len(products) - held
    own = products[rows[:, :, None], rows[:, None, :]]
    # The last column is the shift of the mean, as one more well.
    shift = own.sum(axis=2, keepdims=True) / np.sqrt(kept)
    gram = np.block(
        [[own, shift], [shift.transpose(0, 2, 1), shift.sum(axis=1, keepdims=True) / np.sqrt(kept)]]
    )
    weights = np.zeros(held + 1)
    weights[:held] = 1 / held + 1 / kept
    solved = np.linalg.solve(
        np.eye(held + 1) - gram, np.broadcast_to(weights[:, None], (len(rows), held + 1, 1))
    )
    return np.asarray(np.einsum("i,bij,bj->b", weights, gram, solved[:, :, 0]))


def build_control_space(scores: np.ndarray) -> ControlSpace | None:
    """The space of some control wells; None with fewer than four, or where they do not differ."""
    if len(scores) < MIN_CONTROLS or not np.ptp(scores, axis=0).any():
        return None
    covariance, shrinkage = ledoit_wolf(scores)
    # A share of all, or of nothing, has no inverse here; both happen with controls that hardly differ.
    shrinkage = float(np.clip(shrinkage, 1e-6, 1 - 1e-6))
    centred = scores - scores.mean(axis=0)
    empirical = centred.T @ centred / len(scores)
    covariance = (1 - shrinkage) * empirical
    covariance[np.diag_indices_from(covariance)] += shrinkage * np.trace(empirical) / len(empirical)
    return ControlSpace(scores, scores.mean(axis=0), np.linalg.cholesky(covariance), shrinkage)


def project_profiles(profiles: ProfileRows, explained: float) -> np.ndarray:
    """Wells on the principal components of all wells that together hold a share ``explained`` of the variance.

    Values count for at most ten deviations, as they do for strengths. One row per well, one column per component.
    """
    mean, covariance = _covariance(profiles)
    variances, vectors = np.linalg.eigh(covariance)
    variances, vectors = variances[::-1].clip(min=0.0), vectors[:, ::-1]
    total = variances.sum()
    if total == 0:
        return np.zeros((profiles.count, 1))
    shares = np.cumsum(variances) / total
    # A share of one is reached by rounding somewhere, by the last component at the latest.
    count = min(int(np.searchsorted(shares, explained - 1e-12)) + 1, len(shares))
    scores = np.empty((profiles.count, count))
    for part in profiles.blocks():
        scores[part] = (clip_profiles(profiles.values[part]) - mean) @ vectors[:, :count]
    return scores


def _covariance(profiles: ProfileRows) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the features over all wells, some wells at a time."""
    width = profiles.values.shape[1]
    mean, products = np.zeros(width), np.zeros((width, width))
    for part in profiles.blocks():
        mean += clip_profiles(profiles.values[part]).sum(axis=0) / profiles.count
    for part in profiles.blocks():
        centred = clip_profiles(profiles.values[part]) - mean
        products += centred.T @ centred
    return mean, products / profiles.count
