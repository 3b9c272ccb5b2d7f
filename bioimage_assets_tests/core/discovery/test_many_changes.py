"""One file that changes thousands of plates at once: what is remembered stays small, and each plate is taken once."""

from dataclasses import replace
from math import inf

import pytest

from bioimage_assets.core.discovery.cursor import MAX_BYTES, read_cursor, read_rotation, write_cursor
from bioimage_assets.core.discovery.plates_to_take import plan_tick
from bioimage_assets.core.discovery.survey import Budget, SurveyMemory, survey_roots

PLATES = 5_000
TAKEN_PER_LOOK = 200
BUDGET = Budget(layout_s=inf, deep_s=inf, shallow_s=inf, recheck_s=inf, single_s=inf)


@pytest.mark.slow
def test_thousands_of_plates_that_change_at_once_go_through_a_small_memory(tmp_path):
    """A process with time for everything, as the worst case: each look finds all that there is to find."""
    folder = tmp_path / "screen" / "measurements"
    folder.mkdir(parents=True)
    for number in range(PLATES):
        (folder / f"BR{number:08}.csv").write_text("a\n1\n")
    whole = survey_roots(
        [str(tmp_path)], done={}, pending={}, rotation=read_rotation(None), memory=SurveyMemory(),
        budget=replace(BUDGET, max_pending=PLATES),
    )  # fmt: skip
    done = {key: whole.version(key) for key in whole.sources}
    (tmp_path / "screen" / "dataset.toml").write_text("")
    memory, text, now_s, taken = SurveyMemory(), None, 1e10, []
    for _ in range(2 + 2 * PLATES // TAKEN_PER_LOOK):
        pending, now_s = read_cursor(text), now_s + 11.0
        assert len(pending) <= 3 * BUDGET.max_pending
        survey = survey_roots(
            [str(tmp_path)], done=done, pending=pending, rotation=read_rotation(text), memory=memory, budget=BUDGET
        )  # fmt: skip
        plan = plan_tick(
            survey.sources.values(), done={key: version.signature for key, version in done.items()},
            pending=pending, now_s=now_s, quiet_s=10.0, limit=TAKEN_PER_LOOK, present=survey.plates.keys(),
        )  # fmt: skip
        new = [source.plate_key for source in plan.taken]
        done |= {key: survey.version(key) for key in new}
        taken += new
        text = write_cursor(plan.pending, new, survey.rotation)
        assert len(text) <= MAX_BYTES
    assert sorted(taken) == [f"screen/BR{number:08}" for number in range(PLATES)]
    assert len(text or "") < 100  # nothing is left to remember
