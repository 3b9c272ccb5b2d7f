"""A dose-response curve of points: the Hill equation by scipy's ``curve_fit``, with the interval of its EC50.

The equation has four parameters (bottom, rise, EC50, slope) and rises with the dose; their bounds are those of tcplfit2
(https://github.com/USEPA/CompTox-ToxCast-tcplFit2, ``fithill``): a slope of 0.3 to 8, an EC50 from a tenth of the lowest dose to
half a decade above the highest, a rise of at most 1.2 times the range of the points. A curve whose plateau was not reached rises
by more. The interval allows for that, up to five times the range, and so does the curve where the points reject the bound: else
every EC50 above the doses would be reported as one within them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import curve_fit
from scipy.stats import f as f_distribution

SLOPES = (0.3, 8.0)
DECADES_BELOW, DECADES_ABOVE = 1.0, 0.5
MAX_RISE = 1.2  # of the range of the points
UNSEEN_RISE = 5.0  # the same of a curve whose plateau was not reached: with slope 1 and the highest EC50, a quarter is seen
PARAMETER_COUNT = 4
_GRID_DOSES, _GRID_SLOPES = 121, 25
_MAX_CALLS = 5_000


@dataclass(frozen=True, slots=True)
class HillFit:
    """One fitted curve; doses are in the unit that they were given in.

    ``ec50_low`` and ``ec50_high`` are the ends of the interval of its EC50 by profile likelihood, None where the points do not
    bound it on that side. ``p_value`` is that of the F test against a flat line. ``r_squared`` is the share of the variance of
    all points that the curve explains.
    """

    bottom: float
    top: float
    ec50: float
    slope: float
    ec50_low: float | None
    ec50_high: float | None
    r_squared: float
    p_value: float

    def response(self, doses: np.ndarray) -> np.ndarray:
        """The curve at some doses; 0 gives its bottom."""
        return hill_curve(doses, self.bottom, self.top - self.bottom, np.log10(self.ec50), self.slope)


def hill_curve(
    doses: np.ndarray,
    bottom: float,
    rise: float,
    log_ec50: float | np.ndarray,
    slope: float | np.ndarray,
) -> np.ndarray:
    """``bottom + rise / (1 + (EC50 / dose) ** slope)``; the bottom at dose 0."""
    logs = np.log10(np.where(doses > 0, doses, 1.0))
    rising = rise / (1 + 10.0 ** (slope * (log_ec50 - logs)))
    return np.asarray(bottom + np.where(doses > 0, rising, 0.0))


def hill_bounds(
    doses: np.ndarray, responses: np.ndarray, max_rise: float = MAX_RISE
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Lowest and highest bottom, rise, log10 of the EC50, and slope."""
    logs = np.log10(doses[doses > 0])
    spread = float(np.ptp(responses))
    low, high = float(responses.min()), float(responses.max())
    return (
        (low - spread, 0.0, float(logs.min()) - DECADES_BELOW, SLOPES[0]),
        (high + spread, max_rise * spread, float(logs.max()) + DECADES_ABOVE, SLOPES[1]),
    )


def fit_hill(doses: np.ndarray, responses: np.ndarray, confidence: float) -> HillFit | None:
    """Fit the curve to points, of which those at dose 0 are controls.

    None where there are not more points than parameters, all points are equal, or the fit does not converge.
    """
    if doses.size <= PARAMETER_COUNT or np.ptp(responses) == 0:
        return None
    shapes = _Shapes(doses)
    wide = _Grid(shapes, doses, responses, UNSEEN_RISE)
    freedom = doses.size - PARAMETER_COUNT
    found = _fit(_Grid(shapes, doses, responses, MAX_RISE), doses, responses)
    if found is not None and _squares(found, doses, responses) > wide.limit(freedom, confidence):
        found = _fit(wide, doses, responses)
    if found is None:
        return None
    left = _squares(found, doses, responses)
    total = float(((responses - responses.mean()) ** 2).sum())
    bottom, rise, log_ec50, slope = map(float, found)
    low, high = wide.interval(left, log_ec50, freedom, confidence)
    return HillFit(
        bottom=bottom,
        top=bottom + rise,
        ec50=10.0**log_ec50,
        slope=slope,
        ec50_low=low,
        ec50_high=high,
        r_squared=1 - left / total,
        p_value=_flat_p_value(total, left, freedom),
    )


def _fit(grid: _Grid, doses: np.ndarray, responses: np.ndarray) -> np.ndarray | None:
    """The curve by least squares, from the best point of the grid on; None where it does not converge."""
    scales = np.asarray(grid.bounds[1]) - np.asarray(grid.bounds[0])
    try:
        found, _ = curve_fit(
            hill_curve, doses, responses, grid.best(), bounds=grid.bounds, max_nfev=_MAX_CALLS, x_scale=scales
        )
    except RuntimeError:  # scipy's word for a fit that did not converge
        return None
    return np.asarray(found)


def _squares(found: np.ndarray, doses: np.ndarray, responses: np.ndarray) -> float:
    return float(((responses - hill_curve(doses, *found)) ** 2).sum())


def _flat_p_value(total: float, left: float, freedom: int) -> float:
    """F test of the curve against a flat line: three parameters more."""
    if left == 0:
        return 0.0
    more = PARAMETER_COUNT - 1
    ratio = max(total - left, 0.0) / more / (left / freedom)
    return float(f_distribution.sf(ratio, more, freedom))


class _Shapes:
    """Curves from 0 to 1 over a grid of EC50 and slope, for some doses."""

    def __init__(self, doses: np.ndarray) -> None:
        logs = np.log10(doses[doses > 0])
        self.logs = np.linspace(logs.min() - DECADES_BELOW, logs.max() + DECADES_ABOVE, _GRID_DOSES)
        self.slopes = np.geomspace(*SLOPES, _GRID_SLOPES)
        curves = hill_curve(
            doses[None, None, :], 0.0, 1.0, self.logs[:, None, None], self.slopes[None, :, None]
        )
        self.means = curves.mean(axis=2)
        self.centred = curves - self.means[:, :, None]
        self.spread = (self.centred**2).sum(axis=2)


class _Grid:
    """Squares that are left over the grid, bottom and rise being the best ones for each EC50 and slope."""

    def __init__(self, shapes: _Shapes, doses: np.ndarray, responses: np.ndarray, max_rise: float) -> None:
        self.logs, self.slopes = shapes.logs, shapes.slopes
        self.bounds = hill_bounds(doses, responses, max_rise)
        products = shapes.centred @ (responses - responses.mean())
        best = products / np.where(shapes.spread > 0, shapes.spread, np.inf)
        self.rises = np.clip(best, self.bounds[0][1], self.bounds[1][1])
        self.bottoms = responses.mean() - self.rises * shapes.means
        total = float(((responses - responses.mean()) ** 2).sum())
        self.squares = total - 2 * self.rises * products + self.rises**2 * shapes.spread
        self.smallest = float(self.squares.min())

    def limit(self, freedom: int, confidence: float, left: float = np.inf) -> float:
        """Squares above which a curve is significantly worse than the best one (F test of one parameter)."""
        return min(self.smallest, left) * (1 + float(f_distribution.ppf(confidence, 1, freedom)) / freedom)

    def best(self) -> tuple[float, float, float, float]:
        """Where to start: of all points of the grid, the one with the least left."""
        place, slope = np.unravel_index(int(self.squares.argmin()), self.squares.shape)
        return (
            float(self.bottoms[place, slope]),
            float(self.rises[place, slope]),
            float(self.logs[place]),
            float(self.slopes[slope]),
        )

    def interval(
        self, left: float, log_ec50: float, freedom: int, confidence: float
    ) -> tuple[float | None, float | None]:
        """Doses between which the best curve with that EC50 is not significantly worse (profile likelihood)."""
        worse = self.squares.min(axis=1) - self.limit(freedom, confidence, left)
        below, above = self.logs <= log_ec50, self.logs >= log_ec50
        low = self._crossing(np.flatnonzero(below & (worse > 0))[::-1], worse, 1)
        high = self._crossing(np.flatnonzero(above & (worse > 0)), worse, -1)
        return (
            None if low is None else 10.0 ** min(low, log_ec50),
            None if high is None else 10.0 ** max(high, log_ec50),
        )

    def _crossing(self, places: np.ndarray, worse: np.ndarray, inwards: int) -> float | None:
        """Where the squares cross the limit next to the first of some places, by a straight line to its inner neighbour."""
        if not places.size:
            return None
        outer = int(places[0])
        inner = outer + inwards
        if not 0 <= inner < len(worse) or worse[inner] > 0:
            return float(self.logs[outer])
        share = worse[outer] / (worse[outer] - worse[inner])
        return float(self.logs[outer] + share * (self.logs[inner] - self.logs[outer]))
