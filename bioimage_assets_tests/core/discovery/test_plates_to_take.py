"""Plates are taken once, when they have settled, however often and in whatever order one looks."""

import pytest

from bioimage_assets.core.discovery.cursor import read_cursor, write_cursor
from bioimage_assets.core.discovery.plates_to_take import (
    ABSENT,
    INCOMPLETE,
    POSTPONED,
    QUARANTINED,
    QUEUED,
    SETTLING,
    HeldPlate,
    Pending,
    Readiness,
    plan_tick,
    take_turns,
)
from bioimage_assets.core.model.plate_source import PlateSource


def _source(key: str, signature: str = "s1", newest: float = 0.0) -> PlateSource:
    return PlateSource(key, "d", key, "/d", ("/d/s",), (), signature, newest)


def _tick(sources, *, done=None, pending=None, now=0.0, quiet=10.0, limit=100, **more):
    return plan_tick(
        sources, done=done or {}, pending=pending or {}, now_s=now, quiet_s=quiet, limit=limit, **more
    )


def test_a_new_plate_waits_for_the_quiet_period_and_is_then_taken_once():
    first = _tick([_source("d/a")], now=100)
    assert first.taken == ()
    assert first.held[0].plate_key == "d/a"
    second = _tick([_source("d/a")], pending=first.pending, now=111)
    assert [source.plate_key for source in second.taken] == ["d/a"]
    third = _tick(
        [_source("d/a")],
        done={"d/a": "s1"},
        pending=read_cursor(write_cursor(second.pending, [source.plate_key for source in second.taken])),
    )
    assert third.taken == third.held == ()


def test_a_plate_that_keeps_changing_is_held_back():
    plan = _tick([_source("d/a", "s1")], now=0)
    for now in range(5, 60, 5):
        plan = _tick([_source("d/a", f"s{now}")], pending=plan.pending, now=now)
        assert plan.taken == ()
    plan = _tick([_source("d/a", "s55")], pending=plan.pending, now=66)
    assert [source.signature for source in plan.taken] == ["s55"]


def test_a_removed_plate_is_reported_once_and_a_restored_one_is_taken_again():
    gone = _tick([], done={"d/a": "s1"})
    assert gone.gone == ("d/a",)
    assert _tick([], done={"d/a": ABSENT}).gone == ()
    settled = {"d/a": Pending("s1", 0.0)}
    assert len(_tick([_source("d/a")], done={"d/a": ABSENT}, pending=settled, now=20).taken) == 1


def test_more_plates_than_the_limit_wait_their_turn_and_lose_nothing():
    sources = [_source(f"d/{i:03}") for i in range(25)]
    plan = _tick(sources, now=0)
    taken: list[str] = []
    done: dict[str, str] = {}
    for now in (20, 30, 40):
        plan = _tick(sources, done=done, pending=plan.pending, now=now, limit=10)
        taken += [source.plate_key for source in plan.taken]
        done |= {source.plate_key: source.signature for source in plan.taken}
    assert taken == [source.plate_key for source in sources]


def test_the_cursor_holds_unsettled_plates_only():
    sources = [_source(f"d/{i}") for i in range(1000)]
    done = {source.plate_key: "s1" for source in sources}
    plan = _tick([*sources, _source("d/new")], done=done)
    assert len(write_cursor(plan.pending, ())) < 120


def _lacks(gap, *, marked=False):
    return lambda source, is_quiet: Readiness(marked, gap)


@pytest.mark.parametrize(("waited", "is_taken"), [(9.9, False), (10.0, True)])
def test_the_quiet_period_ends_on_the_second(waited, is_taken):
    plan = _tick([_source("d/a")], pending={"d/a": Pending("s1", 100.0)}, now=100.0 + waited)
    assert bool(plan.taken) == is_taken


def test_the_quiet_period_counts_from_the_newest_change_unless_that_lies_in_the_future():
    pending = {"d/a": Pending("s1", 0.0)}
    fresh = _tick([_source("d/a", newest=95.0)], pending=pending, now=100.0)
    assert fresh.held == (HeldPlate("d/a", "changed 5 s ago, taken after 10 s without a change", SETTLING),)
    assert _tick([_source("d/a", newest=90.0)], pending=pending, now=100.0).taken
    assert _tick([_source("d/a", newest=100.0)], pending=pending, now=100.0).held
    assert _tick([_source("d/a", newest=1e9)], pending=pending, now=100.0).taken


def test_a_marker_replaces_the_quiet_period_and_not_what_is_missing():
    assert _tick([_source("d/a")], readiness=_lacks(None, marked=True)).taken
    held = _tick([_source("d/a")], readiness=_lacks("no wells", marked=True)).held
    assert held == (HeldPlate("d/a", "no wells", INCOMPLETE),)


def test_a_plate_is_searched_for_gaps_only_when_it_is_quiet():
    asked = []

    def readiness(source, is_quiet):
        asked.append((source.plate_key, is_quiet))
        return Readiness()

    sources, pending = [_source("d/a"), _source("d/b")], {"d/a": Pending("s1", 0.0)}
    _tick(sources, pending=pending, now=50.0, readiness=readiness)
    assert asked == [("d/a", True), ("d/b", False)]


def test_an_incomplete_plate_is_quarantined_after_its_time_counted_from_when_it_was_first_held():
    pending = {"d/a": Pending("s1", 0.0)}
    first = _tick([_source("d/a")], pending=pending, now=100.0, max_hold_s=7200, readiness=_lacks("no wells"))
    assert first.pending["d/a"].held_since_s == 100.0
    later = _tick(
        [_source("d/a")], pending=first.pending, now=7299.0, max_hold_s=7200, readiness=_lacks("no wells")
    )
    assert [held.code for held in later.held] == [INCOMPLETE]
    assert later.pending["d/a"].held_since_s == 100.0
    end = _tick(
        [_source("d/a")], pending=later.pending, now=7300.0, max_hold_s=7200, readiness=_lacks("no wells")
    )
    assert [held.code for held in end.held] == [QUARANTINED]
    assert end.held[0].reason.startswith("no wells, for more than 2 h; ")
    assert end.taken == ()


def test_the_time_of_holding_starts_again_once_a_plate_was_whole():
    held = {"d/a": Pending("s1", 0.0, held_since_s=20.0, announced="incomplete: x")}
    plan = _tick([_source("d/a")], pending=held, now=100.0, limit=0)
    assert plan.pending["d/a"] == Pending("s1", 0.0, 0.0, "incomplete: x")


def test_a_changed_plate_that_was_held_goes_on_being_held_since_then():
    held = {"d/a": Pending("s1", 0.0, held_since_s=20.0, announced="x")}
    plan = _tick([_source("d/a", "s2")], pending=held, now=100.0)
    assert plan.pending["d/a"] == Pending("s2", 100.0, 20.0, "x")


def test_a_plate_that_could_not_be_looked_at_waits_without_being_held_for_it():
    plan = _tick(
        [_source("d/a")], pending={"d/a": Pending("s1", 0.0)}, now=100.0, readiness=_lacks(POSTPONED)
    )
    assert plan.held == (HeldPlate("d/a", POSTPONED, QUEUED),)
    assert plan.pending["d/a"].held_since_s == 0.0


def test_those_that_waited_longest_come_first_and_datasets_take_turns():
    pending = {f"big/{n}": Pending("s1", 50.0 - n) for n in range(4)} | {"small/0": Pending("s1", 60.0)}
    plan = _tick([_source(key) for key in pending], pending=pending, now=100.0, limit=3)
    assert [source.plate_key for source in plan.taken] == ["big/3", "small/0", "big/2"]
    assert plan.held == (HeldPlate("big/1", POSTPONED, QUEUED), HeldPlate("big/0", POSTPONED, QUEUED))
    assert take_turns(["a/1", "b/1", "a/2", "a/3", "c"], str) == ["a/1", "b/1", "c", "a/2", "a/3"]


def test_plates_that_are_there_without_being_listed_are_neither_gone_nor_forgotten():
    pending = {"d/b": Pending("s0", 1.0), "d/c": Pending("s0", 1.0)}
    plan = _tick([], done={"d/a": "s1"}, pending=pending, present={"d/a", "d/b"}, now=100.0)
    assert (plan.gone, dict(plan.pending)) == ((), {"d/b": Pending("s0", 1.0)})
    listed = _tick([_source("d/a", "s2")], done={"d/a": "s1"}, pending=pending, present=set(), now=100.0)
    assert set(listed.pending) == {"d/a"}


def test_a_plate_is_told_gone_after_the_quiet_period_where_that_is_waited_for():
    first = _tick([], done={"d/a": "s1"}, pending={"d/a": Pending("s1", 1.0)}, present=set(), now=100.0)
    assert (first.gone, dict(first.pending)) == ((), {"d/a": Pending(ABSENT, 100.0)})
    assert _tick([], done={"d/a": "s1"}, pending=first.pending, present=set(), now=109.0).gone == ()
    last = _tick([], done={"d/a": "s1"}, pending=first.pending, present=set(), now=110.0)
    assert (last.gone, dict(last.pending)) == (("d/a",), {})


def test_no_more_plates_than_the_limit_are_told_gone_at_once_and_at_least_one():
    done = {f"d/{n}": "s1" for n in (3, 1, 2)}
    assert _tick([], done=done, limit=2).gone == ("d/1", "d/2")
    assert _tick([], done=done, limit=0).gone == ("d/1",)


def test_a_hold_is_reported_again_only_when_its_reason_changes():
    assert HeldPlate("d/a", "changed 3 s ago").mark == HeldPlate("d/a", "changed 9 s ago").mark == SETTLING
    assert HeldPlate("d/a", POSTPONED, QUEUED).mark == QUEUED
    first, second = (HeldPlate("d/a", reason, INCOMPLETE).mark for reason in ("x" * 300, "y"))
    assert first != second
    assert max(map(len, (first, second))) <= 20
