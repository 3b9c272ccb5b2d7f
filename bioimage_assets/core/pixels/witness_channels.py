"""Tells whether measured intensities fit other channels of the image than those whose names they have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from bioimage_assets.core.pixels.witness_judge import CLEAR, CLEARLY_BETTER, Sample
from bioimage_assets.core.pixels.witness_scores import Scores, gather_cells, rank_scores
from bioimage_assets.core.pixels.witness_verdict import Evidence, Hypothesis

MIN_FIELDS = 4
# Of each channel alone, and in rank correlation: channels of one cell are alike, so a little better is not enough.
EACH_CHANNEL = 2.5
MIN_BETTER_CORRELATION = 0.1


def find_swapped_channels(sample: Sample, sources: Sequence[int]) -> tuple[Hypothesis, Evidence] | None:
    """The exchange of channels under which measured intensities fit clearly better in every channel it touches."""
    named = [row for row, channel in enumerate(sample.channel_of_value) if channel is not None]
    channels = [int(sample.channel_of_value[row] or 0) for row in named]
    if len(set(channels)) < 2 or len(set(channels)) != len(channels) or len(sources) < MIN_FIELDS:
        return None
    scores = _score_channels(sample, sources, named, channels)
    order = linear_sum_assignment(-scores.mean(2))[1]
    changed = [row for row in range(len(named)) if order[row] != row]
    if not changed:
        return None
    better = np.array([scores[row, order[row]] for row in changed])
    gains = better - np.array([scores[row, row] for row in changed])
    roots = np.sqrt([max(sample.cells[source].count - 1, 1) for source in sources])
    total = gains.sum(0) / np.sqrt(2 * len(changed))
    is_clear = (
        _deviations(total) >= CLEARLY_BETTER
        and all(_deviations(gain) >= EACH_CHANNEL for gain in gains)
        and all(np.mean(gain / roots) >= MIN_BETTER_CORRELATION for gain in gains)
        and np.sum(better) / np.sqrt(better.size) >= CLEAR
    )
    if not is_clear:
        return None
    names = tuple(
        (sample.value_names[named[row]], sample.channel_names[channels[order[row]]]) for row in changed
    )
    cells = sum(sample.cells[source].count for source in sources)
    evidence = Evidence(
        "swapped-channels", "intensity", float(np.mean(better)), float(np.mean(better - gains)), float("nan"),
        _deviations(total), float("nan"), cells, len(sources),
    )  # fmt: skip
    return Hypothesis("swapped-channels", channels=names), evidence


def _score_channels(
    sample: Sample, sources: Sequence[int], named: Sequence[int], channels: Sequence[int]
) -> Scores:
    """Rank scores (measured, image channel, source) of the cells on their stated fields; 0 where they say nothing."""
    found = np.zeros((len(named), len(channels), len(sources)))
    for position, source in enumerate(sources):
        cloud = gather_cells(sample.cells, [source])
        row, column, inside = sample.grid.look_up(cloud.y, cloud.x)
        for one, value in enumerate(named):
            for two, channel in enumerate(channels):
                again = sample.maps[source].mean[channel, row, column].astype(np.float64)
                found[one, two, position] = rank_scores(
                    cloud.values[value][inside], again[inside], cloud.owner[inside], 1
                )[0]
    return np.nan_to_num(found)


def _deviations(gains: Scores) -> float:
    """Mean over fields, over its standard error."""
    return float(gains.mean() / max(gains.std(ddof=1), 0.3) * np.sqrt(len(gains)))
