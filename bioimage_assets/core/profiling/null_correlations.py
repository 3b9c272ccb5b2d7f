"""What chance gives: correlations of wells that share no treatment, drawn with a generator of the caller's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bioimage_assets.core.profiling.profile_rows import ProfileRows
from bioimage_assets.core.profiling.treatments import Treatments

# Percent replicating counts treatments above the 95th percentile of the null (Way et al. 2022).
NULL_PERCENTILE = 95.0
NULL_DRAWS = 2_000  # enough for a stable 95th percentile
# The null of larger treatments is that of as many wells: a little wider, and no square of a campaign.
MAX_NULL_WELLS = 500


class NullCorrelations:
    """Correlations of wells that share no treatment, drawn once per group size."""

    def __init__(
        self, profiles: ProfileRows, treatments: Treatments, random: np.random.Generator, size: int
    ) -> None:
        self._profiles = profiles
        self._by_treatment = list(treatments.groups().values())
        self._by_compound = _group_rows(treatments.compounds, np.flatnonzero(treatments.is_treated))
        self._random = random
        self.draw_count = min(size, NULL_DRAWS)
        self._limits: dict[int, float] = {}

    def limit(self, members: int) -> float | None:
        """95th percentile of the median pair correlation of ``members`` wells of different treatments.

        Where there are fewer treatments than members, as many wells as treatments are drawn, and never more than the
        limit: a wider null.
        """
        count = min(members, len(self._by_treatment), MAX_NULL_WELLS)
        if count < 2:
            return None
        if count not in self._limits:
            pairs = np.triu_indices(count, k=1)
            medians = []
            for _ in range(self.draw_count):
                rows = self._profiles.standard(self._draw(self._by_treatment, count))
                medians.append(np.median((rows @ rows.T)[pairs]))
            self._limits[count] = float(np.percentile(medians, NULL_PERCENTILE))
        return self._limits[count]

    def sample_pairs(self) -> tuple[float, ...]:
        """Pair correlations of wells of different compounds, for the picture."""
        if len(self._by_compound) < 2:
            return ()
        drawn = np.asarray([self._draw(self._by_compound, 2) for _ in range(self.draw_count)], dtype=np.int64)
        first, second = self._profiles.standard(drawn[:, 0]), self._profiles.standard(drawn[:, 1])
        return tuple(float(value) for value in np.einsum("ij,ij->i", first, second))

    def _draw(self, groups: Sequence[np.ndarray], members: int) -> np.ndarray:
        # One well of each of several treatments, so that a treatment with many wells counts once.
        chosen = self._random.choice(len(groups), size=members, replace=False)
        return np.asarray([self._random.choice(groups[index]) for index in chosen])


def _group_rows(labels: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    """Rows by label, in order of first appearance."""
    found: dict[object, list[int]] = {}
    for row in rows:
        found.setdefault(labels[row], []).append(int(row))
    return [np.asarray(members) for members in found.values()]
