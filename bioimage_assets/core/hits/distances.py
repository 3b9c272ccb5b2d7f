"""The distance of each treatment from the control wells of its stratum, with what chance gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bioimage_assets.core.hits.control_space import ControlSpace, build_control_space
from bioimage_assets.core.profiling.activity import adjust_p_values
from bioimage_assets.core.profiling.null_correlations import NULL_PERCENTILE
from bioimage_assets.core.profiling.replicate_wells import ControlWells


@dataclass(frozen=True, slots=True)
class Distance:
    """Mahalanobis distance of a treatment's mean profile from the mean control.

    ``null_limit`` is the distance that 95 % of as many held-out control wells stay below. ``p_value`` is the share of them
    that are as far, plus one of both counts (Phipson and Smyth 2010, https://doi.org/10.2202/1544-6115.1585); ``q_value``
    the same after Benjamini-Hochberg over all treatments.
    """

    distance: float
    null_limit: float
    p_value: float
    q_value: float


def measure_distances(
    scores: np.ndarray,
    rows_of: Mapping[str, np.ndarray],
    controls: ControlWells,
    null_size: int,
    random: np.random.Generator,
) -> dict[str, Distance]:
    """Measure every treatment that has at least four control wells in its stratum; ``scores`` are wells on the components."""
    spaces: dict[int, ControlSpace | None] = {}
    nulls: dict[tuple[int, int], np.ndarray] = {}
    found: dict[str, tuple[float, float, float]] = {}
    for label, rows in rows_of.items():
        stratum = controls.stratum[label]
        if stratum not in spaces:
            spaces[stratum] = build_control_space(scores[controls.rows[stratum]])
        space = spaces[stratum]
        if space is None:
            continue
        size = (stratum, min(int(rows.size), controls.count(label) // 2))
        if size not in nulls:
            nulls[size] = space.null_distances(size[1], null_size, random)
        distance, null = space.distance(scores[rows]), nulls[size]
        p_value = (int((null >= distance).sum()) + 1) / (null.size + 1)
        found[label] = (distance, float(np.percentile(null, NULL_PERCENTILE)), p_value)
    adjusted = adjust_p_values([p_value for _, _, p_value in found.values()])
    return {
        label: Distance(*measured, q_value)
        for (label, measured), q_value in zip(found.items(), adjusted, strict=True)
    }
