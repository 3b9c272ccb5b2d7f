"""How active treatments are: how well their replicates are set apart from control wells.

Mean average precision with a permutation null (https://doi.org/10.1101/2024.04.01.587631, as copairs computes it); the
random numbers come from the caller. Similarities are computed for some wells at a time against the controls they are ranked
among, so that memory is bounded by those controls and a block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bioimage_assets.core.profiling.profile_rows import ProfileRows, cut_rows
from bioimage_assets.core.profiling.replicate_wells import Replicates

NULL_SIZE = 10_000  # p-values go down to 1e-4
SIGNIFICANCE = 0.05  # of q-values (Benjamini and Hochberg 1995), the field's convention
# Cosines that differ by less are equal: which of them a product of matrices makes the larger is rounding.
_SAME = 1e-12


@dataclass(frozen=True, slots=True)
class Activity:
    """Mean average precision of one treatment, its permutation p value and that after Benjamini-Hochberg."""

    mean_average_precision: float
    p_value: float
    q_value: float


class Ranking(Protocol):
    """Gives the average precision of each well of each treatment, among the controls of its stratum."""

    def __call__(
        self,
        profiles: ProfileRows,
        groups: Mapping[str, Replicates],
        controls: Mapping[int, np.ndarray],
        strata: Mapping[str, int],
        /,
    ) -> dict[str, np.ndarray]:
        """One array per treatment, in the order of its rows."""
        ...


def measure_activity(
    profiles: ProfileRows,
    groups: Mapping[str, Replicates],
    controls: Mapping[int, np.ndarray],
    strata: Mapping[str, int],
    random: np.random.Generator,
    null_size: int = NULL_SIZE,
    *,
    rank: Ranking | None = None,
) -> dict[str, Activity]:
    """Measure the treatments with at least two wells and at least two control wells.

    ``strata`` names the stratum of each treatment, ``controls`` the control rows of each stratum. ``rank`` gives the
    average precisions, by default :func:`rank_strata`.
    """
    judged = {
        label: group
        for label, group in groups.items()
        if group.rows.size > 1 and controls[strata[label]].size > 1
    }
    precisions = (rank or rank_strata)(profiles, judged, controls, strata)
    nulls: dict[tuple[int, int], np.ndarray] = {}
    found: dict[str, tuple[float, float]] = {}
    for label, group in judged.items():
        expected = np.zeros(null_size)
        for partner_count in _count_partners(group):
            size = (int(partner_count), int(controls[strata[label]].size))
            # The null depends on how many replicates and controls there are, not on which.
            if size not in nulls:
                nulls[size] = _null_precision(*size, random, null_size)
            # The mean of as many random rankings as there are replicates: what chance would give this treatment.
            expected += random.choice(nulls[size], size=null_size)
        precision = float(np.mean(precisions[label]))
        beyond = int((expected / group.rows.size >= precision).sum())
        # Plus one: a permutation p-value is never zero (Phipson and Smyth 2010,
        # https://doi.org/10.2202/1544-6115.1585).
        found[label] = (precision, (beyond + 1) / (null_size + 1))
    adjusted = adjust_p_values([p_value for _, p_value in found.values()])
    return {
        label: Activity(precision, p_value, q_value)
        for (label, (precision, p_value)), q_value in zip(found.items(), adjusted, strict=True)
    }


def _count_partners(group: Replicates) -> np.ndarray:
    """How many wells each well of a treatment is compared with."""
    if not group.is_spread:
        return np.full(group.rows.size, group.rows.size - 1)
    _, place, counts = np.unique(group.places, return_inverse=True, return_counts=True)
    return np.asarray(group.rows.size - counts[place])


def rank_strata(
    profiles: ProfileRows,
    groups: Mapping[str, Replicates],
    controls: Mapping[int, np.ndarray],
    strata: Mapping[str, int],
) -> dict[str, np.ndarray]:
    """Average precision of each well of each treatment, one stratum and its controls after the other."""
    members: dict[int, list[str]] = {}
    for label in groups:
        members.setdefault(strata[label], []).append(label)
    found: dict[str, np.ndarray] = {}
    for stratum, labels in members.items():
        negatives = np.ascontiguousarray(profiles.unit(controls[stratum]).T)
        for block in _block_groups({label: groups[label] for label in labels}, negatives.shape[1]):
            found |= _rank_groups(profiles, block, negatives)
    return found


def _block_groups(groups: Mapping[str, Replicates], width: int) -> Iterator[dict[str, Replicates]]:
    """Treatments together whose similarities to the controls fit into one block, or one that does not."""
    limit = next(cut_rows(2**31, width)).stop
    block: dict[str, Replicates] = {}
    count = 0
    for label, group in groups.items():
        if block and count + group.rows.size > limit:
            yield block
            block, count = {}, 0
        block[label] = group
        count += group.rows.size
    if block:
        yield block


def _rank_groups(
    profiles: ProfileRows, groups: Mapping[str, Replicates], negatives: np.ndarray
) -> dict[str, np.ndarray]:
    rows = np.concatenate([group.rows for group in groups.values()])
    if len(groups) == 1:
        ((label, group),) = groups.items()
        return {label: _rank_large(profiles.unit(rows), group, negatives)}
    units = profiles.unit(rows)
    ranked = units @ negatives
    ranked.sort(axis=1)
    found, start = {}, 0
    for label, group in groups.items():
        part = slice(start, start + group.rows.size)
        own = units[part] @ units[part].T
        found[label] = _average_precisions(own, group.partners(slice(0, group.rows.size)), ranked[part])
        start = part.stop
    return found


def _rank_large(units: np.ndarray, group: Replicates, negatives: np.ndarray) -> np.ndarray:
    """One treatment, some of its wells at a time."""
    found = np.empty(group.rows.size)
    for part in cut_rows(group.rows.size, max(negatives.shape[1], group.rows.size)):
        ranked = units[part] @ negatives
        ranked.sort(axis=1)
        found[part] = _average_precisions(units[part] @ units.T, group.partners(part), ranked)
    return found


def _average_precisions(similarity: np.ndarray, partners: np.ndarray, ranked: np.ndarray) -> np.ndarray:
    """Average precision of finding each row's partners when all are ranked by similarity; ties count against it.

    ``ranked`` are the similarities of each row to the controls, the smallest first.
    """
    found = np.empty(similarity.shape[0])
    for row, (own, chosen, others) in enumerate(zip(similarity, partners, ranked, strict=True)):
        positives = np.sort(own[chosen])[::-1]
        hits = np.arange(1, positives.size + 1)
        ranks = hits + (others.size - np.searchsorted(others, positives - _SAME, side="left"))
        # Summed in the places of the ranks, as the null's are: equal rankings give equal numbers to the last bit.
        precision = np.zeros(positives.size + others.size)
        precision[ranks - 1] = hits / ranks
        found[row] = precision.sum() / positives.size
    return found


def _null_precision(positives: int, negatives: int, random: np.random.Generator, size: int) -> np.ndarray:
    """Average precision of random rankings."""
    found = np.empty(size)
    for part in cut_rows(size, positives + negatives):
        flags = np.zeros((part.stop - part.start, positives + negatives), bool)
        flags[:, :positives] = True
        found[part] = _precision_of_order(random.permuted(flags, axis=1))
    return found


def _precision_of_order(relevant: np.ndarray) -> np.ndarray:
    """Average precision of each row of ranked relevance flags."""
    hits = np.cumsum(relevant, axis=1)
    precision = hits / np.arange(1, relevant.shape[1] + 1)
    return np.asarray((precision * relevant).sum(axis=1) / relevant.sum(axis=1))


def adjust_p_values(p_values: Sequence[float]) -> list[float]:
    """Benjamini-Hochberg: the false discovery rate of calling everything with this p value or a smaller one."""
    if not len(p_values):
        return []
    values = np.asarray(p_values)
    order = np.argsort(values)
    scaled = values[order] * values.size / np.arange(1, values.size + 1)
    adjusted = np.empty_like(values)
    # From the largest p downwards, so that q never falls while p rises.
    adjusted[order] = np.minimum.accumulate(scaled[::-1])[::-1].clip(max=1.0)
    return [float(value) for value in adjusted]
