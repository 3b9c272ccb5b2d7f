"""Where measurements name no place of a cell: the mean intensities of whole images bear witness between fields.

Logarithms of means are compared on the scale of their spread over the plate, which knows no unit: how far measured and
re-measured ones are apart, against random assignments of the same means. Illumination correction widens that a little.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bioimage_assets.core.pixels.witness_judge import Sample
from bioimage_assets.core.pixels.witness_scores import Scores
from bioimage_assets.core.pixels.witness_verdict import Evidence, Hypothesis, LinkVerdict, WitnessOptions
from bioimage_assets.core.pixels.witness_well_maps import FieldMap, build_field_maps, list_well_pairs

MIN_FIELDS = 10
# Median distance over that of random assignments: of links that are right, and of a hypothesis against them.
CLOSE = 0.5
MUCH_CLOSER = 0.5
MAX_P = 0.002
CLOSER_THAN_NEIGHBOUR = 0.7
# Of a pair of wells, in distances that are usual on the plate.
FAR_OFF, NEAR = 8.0, 3.0


@dataclass(frozen=True, slots=True)
class Means:
    """Logarithms of measured and re-measured means, (field, channel); NaN where unknown."""

    measured: Scores
    pixels: Scores


def judge_means(sample: Sample, options: WitnessOptions) -> LinkVerdict:
    """Confirmed, contradicted by a hypothesis about wells or sites, or undecided."""
    means = _gather(sample)
    known = int(np.isfinite(means.measured).all(1).sum()) if means.measured.size else 0
    if known < MIN_FIELDS:
        reason = f"No place of a cell is measured, and mean intensities of {known} whole images are too few to compare."
        return LinkVerdict("undecided", reason, cause="image-means-only", field_count=known)
    same = tuple(range(len(sample.fields)))
    stated = _weigh(means, "stated", same, options)
    rivals = [
        (one.hypothesis, _weigh(means, one.hypothesis.kind, one.targets, options))
        for one in _list_rivals(sample, options)
    ]
    evidence = (stated, *sorted((found for _, found in rivals), key=lambda one: one.statistic))
    better = _find_better(means, stated, rivals, list_well_pairs(sample.fields))
    if better is not None:
        reason = "The pixels contradict the links: mean intensities of whole images fit other images than those they are linked to."
        return LinkVerdict("contradicted", reason, better, evidence=evidence, field_count=known)
    # Fields of one well are alike, so that being close to them is no proof of the field.
    fields = [evidence.statistic for hypothesis, evidence in rivals if hypothesis.kind == "site-offset"]
    if _is_close(stated) and all(stated.statistic <= CLOSER_THAN_NEIGHBOUR * other for other in fields):
        reason = (
            f"The pixels confirm the links: mean intensities of {known} whole images are {1 / max(stated.statistic, 1e-3):.0f} times "
            "closer to those of their own image than to those of others."
        )
        return LinkVerdict("confirmed", reason, evidence=evidence, field_count=known)
    reason = (
        "No place of a cell is measured, and mean intensities of whole images fit their images hardly better than others, such as "
        "fields of the same well: they may be of corrected images."
    )
    return LinkVerdict("undecided", reason, cause="image-means-only", evidence=evidence, field_count=known)


def _gather(sample: Sample) -> Means:
    named = [(row, channel) for row, channel in enumerate(sample.channel_of_mean) if channel is not None]
    measured = np.array([[own.image_means[row] for row, _ in named] for own in sample.cells], float)
    pixels = np.array([[maps.field_means[channel] for _, channel in named] for maps in sample.maps], float)
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithms = (
            np.log(measured.reshape(len(sample.cells), -1)),
            np.log(pixels.reshape(len(sample.maps), -1)),
        )
    one, two = (np.where(np.isfinite(values), values, np.nan) for values in logarithms)
    return Means(one, two)


def _list_rivals(sample: Sample, options: WitnessOptions) -> Iterator[FieldMap]:
    for one in build_field_maps(sample.fields, sample.wells, options.profile_site_offset):
        # Fields that stay where they are say nothing about the difference.
        targets = tuple(None if target == number else target for number, target in enumerate(one.targets))
        if sum(target is not None for target in targets) >= MIN_FIELDS - 2:
            yield FieldMap(one.hypothesis, targets)


def _standardise(values: Scores) -> Scores:
    """Each channel's values on the scale of their own spread."""
    centred = values - np.nanmedian(values, 0)
    return centred / np.maximum(np.nanmedian(np.abs(centred), 0), 1e-9)


def _distances(means: Means, sources: Sequence[int], targets: Sequence[int]) -> Scores:
    """Distance of each source's means from those of its target, both on the scale of the plate, the mean over channels."""
    one, two = _standardise(means.measured[list(sources)]), _standardise(means.pixels[list(targets)])
    distances: Scores = np.abs(one - two).mean(1)
    return distances


def _weigh(means: Means, name: str, targets: Sequence[int | None], options: WitnessOptions) -> Evidence:
    """``statistic`` is the median distance over that of random assignments, so that one is chance and small is good."""
    pairs = [
        (number, target)
        for number, target in enumerate(targets)
        if target is not None and np.isfinite(means.measured[number]).all()
    ]
    sources, aims = [one for one, _ in pairs], [int(two) for _, two in pairs]
    if len(pairs) < 2:
        return Evidence(name, "image means", 1.0, 1.0, 1.0, 0.0, 1.0, 0, len(pairs))
    distance = float(np.median(_distances(means, sources, aims)))
    one, two = _standardise(means.measured[sources]), _standardise(means.pixels[aims])
    rng = np.random.default_rng(options.seed)
    null = np.array([
        np.median(np.abs(one - two[rng.permutation(len(two))]).mean(1)) for _ in range(options.null_draws)
    ])  # fmt: skip
    usual = max(float(np.median(null)), 1e-9)
    return Evidence(
        name, "image means", distance / usual, 1.0, float(np.quantile(null, 0.05)) / usual,
        (usual - distance) / max(float(null.std()), 1e-9), float((1 + (null <= distance).sum()) / (1 + len(null))),
        0, len(pairs),
    )  # fmt: skip


def _is_close(evidence: Evidence) -> bool:
    return evidence.statistic <= CLOSE and evidence.p_value <= MAX_P


def _find_better(
    means: Means, stated: Evidence, rivals: Sequence[tuple[Hypothesis, Evidence]], pairs: Iterator[FieldMap]
) -> Hypothesis | None:
    found = [
        (evidence.statistic, hypothesis)
        for hypothesis, evidence in rivals
        if _is_close(evidence) and evidence.statistic <= MUCH_CLOSER * stated.statistic
    ]
    if found:
        return min(found, key=lambda one: one[0])[1]
    return _find_swapped_wells(means, pairs) if _is_close(stated) else None


def _find_swapped_wells(means: Means, pairs: Iterator[FieldMap]) -> Hypothesis | None:
    """The pair of wells that are far off as stated, and near when exchanged."""
    fields = [number for number in range(len(means.measured)) if np.isfinite(means.measured[number]).all()]
    own = dict(zip(fields, _distances(means, fields, fields), strict=True))
    usual = max(float(np.nanmedian(list(own.values()))), 1e-6)
    best: tuple[float, Hypothesis] | None = None
    for pair in pairs:
        swap = {source: target for source, target in enumerate(pair.targets) if target is not None}
        moved = [source for source in swap if source in own]
        if len(moved) < 2:
            continue
        again = _distances(means, fields, [swap.get(field, field) for field in fields])
        exchanged = dict(zip(fields, again, strict=True))
        off, near = (float(np.median([values[source] for source in moved])) for values in (own, exchanged))
        is_better = min(own[source] for source in moved) >= FAR_OFF / 2 * usual and off >= FAR_OFF * usual
        if is_better and near <= NEAR * usual and (best is None or near < best[0]):
            best = (near, pair.hypothesis)
    return best[1] if best else None
