"""The defaults on generated screens that none of them was chosen on: position goes, actives stay, inactive ones are silent."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from bioimage_assets.core.batch_effects.dataset import correct_wells
from bioimage_assets.core.batch_effects.plan import plan_correction
from bioimage_assets.core.profiling.replicates import measure_profiles
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.builders.batch_screen import ScreenPlan, build_screen

SMALL = ScreenPlan(activity=1.0)
MIDDLE = replace(SMALL, features=200, actives=15, inactives=15)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Share of the planted effect that treated wells lost, and the treatments that are active after, by their names."""

    removed: float
    active: frozenset[str]

    def count(self, kind: str) -> int:
        return sum(name.startswith(kind) for name in self.active)


def correct(plan: ScreenPlan) -> Outcome:
    settings = DatasetSettings()
    screen = build_screen(plan)
    frame = screen.wells.to_pandas()
    is_control = (frame["Metadata_control_type"] == "negcon").to_numpy()
    values = frame[plan.names].to_numpy()
    found = correct_wells(plan_correction(frame, settings, None), frame, values, plan.names, settings)
    of_plate = is_control[: len(frame) // len(screen.plates)]
    planted = np.concatenate([effect - effect[of_plate].mean(axis=0) for effect in screen.position.values()])
    left = (planted - (found.before - found.placed))[~is_control]
    report = measure_profiles(frame.drop(columns=plan.names), found.after, settings, null_size=2_000)
    names = frozenset(row.treatment for row in report.treatments if row.is_active)
    return Outcome(1.0 - (left**2).sum() / (planted[~is_control] ** 2).sum(), names)


def test_a_screen_that_nothing_was_chosen_on_keeps_its_actives_and_loses_its_position_effect() -> None:
    done = correct(replace(SMALL, seed=331))
    assert done.removed > 0.9
    assert (done.count("active"), done.count("inert")) == (6, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plan", "least"),
    [
        (replace(SMALL, position=0.5), 0.5),
        (replace(SMALL, position=2.0), 0.95),
        (replace(SMALL, shape="stripes"), 0.85),
        (replace(SMALL, shape="corner"), 0.75),
        (replace(SMALL, shape="opposite"), 0.8),
        (MIDDLE, 0.9),
    ],
    ids=["half", "double", "stripes", "corner", "opposite", "middle"],
)
def test_other_shapes_and_sizes_of_the_effect_cost_no_active_and_no_silence(
    plan: ScreenPlan, least: float
) -> None:
    done = correct(replace(plan, seed=332))
    assert done.removed > least
    assert (done.count("active"), done.count("inert")) == (plan.actives, 0)
