"""Ridge regression of many features on the same terms: what all features say together decides how far each kind of term is shrunk.

The effects of the terms of one kind are random numbers of one variance, in deviations of what is left of a feature; the variances
are those of the greatest marginal likelihood (MacKay 1992, https://doi.org/10.1162/neco.1992.4.3.415). A kind whose variance does not
pay by Schwarz's criterion, with what it costs to have chosen among several kinds (Chen and Chen 2008,
https://doi.org/10.1093/biomet/asn034), is not there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_TURNS = 20  # of the fixed point; variances that matter stand still after about ten
_FIRST_VARIANCE = 0.1


@dataclass(frozen=True, slots=True)
class Regression:
    """Sums of a regression of ``free`` degrees of freedom, in blocks of wells that share no effect.

    ``square`` (blocks x terms x terms) and ``product`` (blocks x terms x features) are of the terms with themselves and with the
    features; ``total`` is the sum of squares of each feature, ``kinds`` the number of the kind of each term.
    ``independent`` is how many features that do not go with each other would say as much.
    """

    square: np.ndarray
    product: np.ndarray
    total: np.ndarray
    kinds: np.ndarray
    free: int
    independent: float


@dataclass(frozen=True, slots=True)
class _Fit:
    """Effects (blocks x terms x features), the variance of each kind and minus twice the log likelihood; less is better."""

    effects: np.ndarray
    variances: np.ndarray
    misfit: float


def build_regression(design: np.ndarray, wanted: np.ndarray, kinds: np.ndarray, free: int) -> Regression:
    """Sums for a design (blocks x wells x terms) and features (blocks x wells x features); absent wells are rows of zeros."""
    turned = design.transpose(0, 2, 1)
    total = np.einsum("bwf,bwf->f", wanted, wanted)
    return Regression(turned @ design, turned @ wanted, total, kinds, free, _count_independent(wanted, total))


def fit_effects(sums: Regression) -> np.ndarray:
    """Effects of all terms (blocks x terms x features); zero for kinds that do not pay, and for features that do not vary."""
    effects = np.zeros_like(sums.product)
    varied = sums.total > 0
    kinds = [int(kind) for kind in np.unique(sums.kinds)]
    if not kinds or not varied.any() or sums.free < 2:
        return effects
    own = Regression(
        sums.square, sums.product[:, :, varied], sums.total[varied], sums.kinds, sums.free, sums.independent
    )
    best = _fit(own, kinds)
    price = float(np.log(own.free) + 2 * np.log(max(len(kinds), 1)))
    while kinds:
        without = {kind: _fit(own, [other for other in kinds if other != kind]) for kind in kinds}
        worst = min(kinds, key=lambda kind: without[kind].misfit)
        if without[worst].misfit > best.misfit + price:
            break
        best = without[worst]
        kinds.remove(worst)
    effects[:, :, varied] = best.effects
    return effects


def _fit(sums: Regression, kinds: list[int]) -> _Fit:
    """The fit with the terms of some kinds."""
    variances = np.where(np.isin(np.arange(sums.kinds.max() + 1), kinds), _FIRST_VARIANCE, 0.0)
    effects, inverse, noise = _solve(sums, variances)
    for _ in range(_TURNS if kinds else 0):
        variances = _turn(sums, variances, effects, inverse, noise)
        effects, inverse, noise = _solve(sums, variances)
    roots = np.sqrt(variances[sums.kinds])
    scaled = np.eye(roots.size) + roots[:, None] * sums.square * roots
    misfit = sums.free * np.log(noise).mean() + np.linalg.slogdet(scaled)[1].sum()
    return _Fit(effects, variances, float(misfit * sums.independent))


def _turn(
    sums: Regression, variances: np.ndarray, effects: np.ndarray, inverse: np.ndarray, noise: np.ndarray
) -> np.ndarray:
    """Variances by what the effects are, and by how many of them the wells determine."""
    sizes = (effects**2 / noise).mean(axis=2).sum(axis=0)
    of_terms = variances[sums.kinds]
    left = np.einsum("btt->t", inverse)
    # The inverse is of the scaled terms: its diagonal is 1 for an effect that the wells say nothing of.
    known = np.where(of_terms > 0, inverse.shape[0] - left, 0.0)
    count = variances.size
    found = np.bincount(sums.kinds, sizes, count) / np.maximum(np.bincount(sums.kinds, known, count), 1e-12)
    return np.where(variances > 1e-9, found, 0.0)


def _solve(sums: Regression, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Effects, the inverse of the scaled system, and the variance of what is left of each feature."""
    roots = np.sqrt(variances[sums.kinds])
    inverse = np.linalg.inv(np.eye(roots.size) + roots[:, None] * sums.square * roots)
    effects = roots[:, None] * (inverse @ (roots[:, None] * sums.product))
    rest = sums.total - np.einsum("btf,btf->f", sums.product, effects)
    return effects, inverse, np.maximum(rest, 1e-12 * sums.total) / sums.free


def _count_independent(wanted: np.ndarray, total: np.ndarray) -> float:
    """Features by the spread of the eigenvalues of their correlations (participation ratio)."""
    scaled = wanted.reshape(-1, total.size)[:, total > 0] / np.sqrt(total[total > 0])
    smaller = scaled.T @ scaled if scaled.shape[1] <= scaled.shape[0] else scaled @ scaled.T
    return float(scaled.shape[1] ** 2 / max((smaller**2).sum(), 1e-12))
