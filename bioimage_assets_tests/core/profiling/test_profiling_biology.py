"""The biology that the demo generator puts into a plate of the standard size is found, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.biology import INERT, check_biology, measure_biology


@pytest.mark.slow
def test_a_standard_plate_meets_every_criterion_of_the_ground_truth(standard_screens: Path) -> None:
    scores = measure_biology(standard_screens)
    assert check_biology(scores) == []
    assert scores.saturated_recall == 1.0
    assert scores.blurred_recall > 0.8
    assert scores.false_alarms < 0.05
    assert scores.matched_count == scores.cell_count > 4000
    assert not any(name.startswith(INERT) for name in scores.active_treatments)
