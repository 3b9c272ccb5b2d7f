"""The fitted curve is that of scipy called by hand, its interval that of refitted curves, its F test that of least squares."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq, curve_fit, least_squares
from scipy.stats import f as f_distribution

from bioimage_assets.core.hits.hill import SLOPES, fit_hill, hill_bounds, hill_curve

DOSES = np.repeat([0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0], [12, 3, 3, 3, 3, 3, 3])


def draw(ec50: float, seed: int, *, rise: float = 10.0, noise: float = 1.0) -> np.ndarray:
    curve = hill_curve(DOSES, 0.5, rise, np.log10(ec50), 1.3)
    return curve + noise * np.random.default_rng(seed).normal(size=DOSES.size)


def four_parameters(dose, bottom, top, ec50, slope):
    """The equation as textbooks write it."""
    with np.errstate(divide="ignore"):
        return bottom + (top - bottom) / (1 + (ec50 / dose) ** slope)


@pytest.mark.parametrize(("ec50", "seed"), [(0.1, 0), (0.3, 1), (1.0, 2), (2.5, 3)])
def test_the_curve_is_that_of_scipy_called_by_hand(ec50, seed):
    responses = draw(ec50, seed)
    fit = fit_hill(DOSES, responses, 0.95)
    spread = np.ptp(responses)
    lowest = [responses.min() - spread, responses.min() - spread, 0.003, SLOPES[0]]
    highest = [responses.max() + spread, responses.max() + 3 * spread, 10 * 10**0.5, SLOPES[1]]
    found, _ = curve_fit(
        four_parameters, DOSES, responses, p0=[0, 10, ec50, 1], bounds=(lowest, highest), max_nfev=10_000,
        ftol=1e-12, xtol=1e-12, gtol=1e-12,
    )  # fmt: skip
    assert [fit.bottom, fit.top, fit.ec50, fit.slope] == pytest.approx(found, rel=1e-3)
    left = ((responses - fit.response(DOSES)) ** 2).sum()
    by_hand = ((responses - four_parameters(DOSES, *found)) ** 2).sum()
    assert left == pytest.approx(by_hand, rel=1e-8)
    assert fit.r_squared == pytest.approx(1 - by_hand / ((responses - responses.mean()) ** 2).sum(), rel=1e-8)


@pytest.mark.parametrize("seed", range(6))
def test_no_other_start_leaves_less(seed):
    responses = draw(0.4, seed, rise=3.0)
    left = ((responses - fit_hill(DOSES, responses, 0.95).response(DOSES)) ** 2).sum()
    bounds = hill_bounds(DOSES, responses)
    random = np.random.default_rng(seed)
    for _ in range(20):
        start = random.uniform(*bounds)
        other = least_squares(lambda given: hill_curve(DOSES, *given) - responses, start, bounds=bounds)
        assert left <= 2 * other.cost * (1 + 1e-6)


def test_the_interval_is_where_a_refitted_curve_is_significantly_worse():
    responses = draw(0.5, 4)
    fit = fit_hill(DOSES, responses, 0.95)
    bounds = hill_bounds(DOSES, responses)
    freedom = DOSES.size - 4

    def left(log_ec50: float) -> float:
        rows = [[bounds[side][place] for place in (0, 1, 3)] for side in (0, 1)]
        given = least_squares(
            lambda p: hill_curve(DOSES, p[0], p[1], log_ec50, p[2]) - responses, [0.5, 10.0, 1.3], bounds=rows
        )
        return 2 * given.cost

    limit = left(np.log10(fit.ec50)) * (1 + f_distribution.ppf(0.95, 1, freedom) / freedom)
    low = brentq(lambda place: left(place) - limit, -2.5, np.log10(fit.ec50))
    high = brentq(lambda place: left(place) - limit, np.log10(fit.ec50), 1.4)
    assert fit.ec50_low == pytest.approx(10**low, rel=0.03)
    assert fit.ec50_high == pytest.approx(10**high, rel=0.03)


def test_a_flat_line_is_told_from_a_curve_by_the_f_test():
    curve, flat = draw(0.5, 5), draw(0.5, 5, rise=0.0)
    assert fit_hill(DOSES, curve, 0.95).p_value < 1e-6
    fit = fit_hill(DOSES, flat, 0.95)
    left = ((flat - fit.response(DOSES)) ** 2).sum()
    total = ((flat - flat.mean()) ** 2).sum()
    ratio = (total - left) / 3 / (left / (DOSES.size - 4))
    assert fit.p_value == pytest.approx(f_distribution.sf(ratio, 3, DOSES.size - 4), rel=1e-9)
    assert fit.p_value > 0.05


def test_an_end_that_the_doses_do_not_bound_is_open():
    fit = fit_hill(DOSES, draw(12.0, 6, noise=0.5), 0.95)
    assert fit.ec50_low is not None
    assert fit.ec50_high is None


@pytest.mark.parametrize(
    ("doses", "responses"),
    [(np.array([0.0, 1, 2, 3]), np.array([0.0, 1, 2, 3])), (np.arange(9.0), np.full(9, 2.0))],
    ids=["as many points as parameters", "equal points"],
)
def test_points_that_determine_no_curve_have_none(doses, responses):
    assert fit_hill(doses, responses, 0.95) is None


def test_a_curve_without_noise_is_found_exactly():
    fit = fit_hill(DOSES, hill_curve(DOSES, 1.0, 5.0, np.log10(0.7), 2.0), 0.95)
    assert [fit.bottom, fit.top, fit.ec50, fit.slope] == pytest.approx([1.0, 6.0, 0.7, 2.0], rel=1e-3)
    assert fit.p_value < 1e-12
