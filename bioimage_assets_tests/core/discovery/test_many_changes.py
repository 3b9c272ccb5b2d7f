"""One file that changes thousands of plates at once: what is remembered stays small, and each plate is taken once."""

from math import inf

import pytest

from bioimage_assets.core.discovery.cursor import MAX_BYTES, read_cursor, read_rotation, write_cursor
from bioimage_assets.core.discovery.plates_to_take import plan_tick
from bioimage_assets.core.discovery.survey import Budget, SurveyMemory, Taken, survey_roots

PLATES = 5_000
TAKEN_PER_LOOK = 200
BUDGET = Budget(layout_s=inf, deep_s=inf, shallow_s=inf, recheck_s=inf, single_s=inf)


@pytest.mark.slow
@pytest.mark.parametrize("is_new", [True, False], ids=["new", "changed"])
def test_thousands_of_plates_go_through_a_small_memory(tmp_path, is_new):
    """A warm process with time for everything, as the worst case: each look finds all that there is to find."""
    folder = tmp_path / "screen" / "measurements"
    folder.mkdir(parents=True)
    for number in range(PLATES):
        (folder / f"BR{number:08}.csv").write_text("a\n1\n")
    done: dict[str, Taken] = {}
    memory, text, now_s, longest, looks = SurveyMemory(), None, 1e10, 0, 0
    listed: list[int] = []
    taken: list[str] = []

    def look(limit: int, budget: Budget) -> None:
        nonlocal text, now_s, longest, looks
        survey = survey_roots(
            [str(tmp_path)], done=done, pending=read_cursor(text), rotation=read_rotation(text), memory=memory,
            budget=budget,
        )  # fmt: skip
        listed.append(len(survey.sources))
        now_s += 11.0
        plan = plan_tick(
            survey.sources.values(),
            done={key: version.signature for key, version in done.items()},
            pending=read_cursor(text), now_s=now_s, quiet_s=10.0, limit=limit, present=survey.plates.keys(),
        )  # fmt: skip
        for source in plan.taken:
            done[source.plate_key] = survey.version(source.plate_key)
            taken.append(source.plate_key)
        text = write_cursor(plan.pending, [source.plate_key for source in plan.taken], survey.rotation)
        longest, looks = max(longest, len(text)), looks + 1

    if not is_new:
        whole = survey_roots(
            [str(tmp_path)], done={}, pending={}, rotation=read_rotation(None), memory=SurveyMemory(),
            budget=Budget(**{**_infinite(), "max_pending": PLATES}),
        )  # fmt: skip
        done |= {key: whole.version(key) for key in whole.sources}
        (tmp_path / "screen" / "dataset.toml").write_text("")
    while len(taken) < PLATES and looks < 3 * PLATES / TAKEN_PER_LOOK:
        look(TAKEN_PER_LOOK, BUDGET)
    assert sorted(taken) == [f"screen/BR{number:08}" for number in range(PLATES)]
    assert longest <= MAX_BYTES
    look(TAKEN_PER_LOOK, BUDGET)
    assert len(text or "") < 100


def _infinite() -> dict[str, float]:
    return dict.fromkeys(("layout_s", "deep_s", "shallow_s", "recheck_s", "single_s"), inf)
