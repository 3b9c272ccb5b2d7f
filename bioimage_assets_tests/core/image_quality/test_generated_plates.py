"""Faults that were planted in generated plates are found, each by its kind, and honest differences are not."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pytest

from bioimage_assets.core.image_quality.flags import KINDS, judge_fields
from bioimage_assets.core.image_quality.limits import QualityLimits
from bioimage_assets.core.image_quality.measured import MEASURED_NAMES
from bioimage_assets.core.image_quality.measures import PlaneMeasures, measure_plane
from bioimage_assets_tests.builders.quality_plates import PlateDesign, design_plate, make_planes

# The limits were chosen on plates of seeds 0 to 19 and 100 to 119.
SEEDS = range(200, 220)


# Fault and measures of the fields of each channel of a plate.
Measured = Mapping[str, Sequence[tuple[str | None, PlaneMeasures]]]


def _measure(design: PlateDesign) -> Measured:
    measured: dict[str, list[tuple[str | None, PlaneMeasures]]] = defaultdict(list)
    for plane in make_planes(design):
        measured[plane.channel].append((plane.fault, measure_plane(plane.pixels)))
    return measured


def _score(plates: Iterable[Measured], *, as_measured: bool = False) -> dict[str, tuple[float, float, int]]:
    """Precision, recall and number planted of each kind over the fields and channels of plates."""
    found: dict[str, Counter[tuple[bool, bool]]] = defaultdict(Counter)
    for plate in plates:
        for own in plate.values():
            measures = [_keep_measured(one) if as_measured else one for _, one in own]
            for (fault, _), flags in zip(own, judge_fields(measures, QualityLimits()), strict=True):
                for kind in KINDS:
                    found[kind][fault == kind, bool(getattr(flags, kind))] += 1
    return {kind: _rate(counts) for kind, counts in found.items()}


def _rate(counts: Counter[tuple[bool, bool]]) -> tuple[float, float, int]:
    hit, wrong, missed = counts[True, True], counts[False, True], counts[True, False]
    return hit / max(hit + wrong, 1), hit / max(hit + missed, 1), hit + missed


def _keep_measured(measures: PlaneMeasures) -> PlaneMeasures:
    return replace(PlaneMeasures(), **{name: getattr(measures, name) for name in MEASURED_NAMES.values()})


@pytest.fixture(scope="module")
def two_plates() -> list[Measured]:
    """A bright one with a camera of 16 bits, and one of 12 bits, of 12 wells."""
    return [_measure(design_plate(seed, wells=12, faults_per_kind=2)) for seed in (200, 203)]


def test_two_plates_have_their_faults_found_and_nothing_else(two_plates):
    scores = _score(two_plates)
    assert {kind: score[0] for kind, score in scores.items() if score[0] < 1} == {}
    planted = sum(score[2] for score in scores.values())
    assert planted == 36
    assert sum(score[1] * score[2] for score in scores.values()) >= 0.95 * planted


def test_of_what_cellprofiler_measured_saturation_and_blur_are_found_and_the_rest_is_not_judged(two_plates):
    scores = _score(two_plates, as_measured=True)
    assert scores["saturated"] == (1.0, 1.0, 4)
    assert scores["blurred"][1] >= 0.85
    assert scores["debris"][1] == scores["uneven"][1] == 0


@pytest.mark.slow
def test_of_twenty_plates_every_kind_of_fault_is_found_with_precision_and_recall_of_95_percent():
    scores = _score(_measure(design_plate(seed)) for seed in SEEDS)
    assert {kind: score[2] for kind, score in scores.items()} == {
        "blurred": 160, "saturated": 80, "blank": 160, "debris": 160, "uneven": 160
    }  # fmt: skip
    assert {kind: score for kind, score in scores.items() if min(score[:2]) < 0.95} == {}
