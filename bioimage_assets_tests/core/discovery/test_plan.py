"""Plates are taken once, when they have settled, however often and in whatever order one looks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioimage_assets.core.discovery.plan import ABSENT, Pending, plan_tick, read_cursor, write_cursor
from bioimage_assets.core.model.plate_source import PlateSource


def _source(key: str, signature: str = "s1") -> PlateSource:
    return PlateSource(key, "d", key, "/d", ("/d/s",), (), signature, 0.0)


def _tick(sources, *, done=None, pending=None, now=0.0, quiet=10.0, limit=100):
    return plan_tick(sources, done=done or {}, pending=pending or {}, now_s=now, quiet_s=quiet, limit=limit)


def test_a_new_plate_waits_for_the_quiet_period_and_is_then_taken_once():
    first = _tick([_source("d/a")], now=100)
    assert first.taken == ()
    assert first.held[0].plate_key == "d/a"
    second = _tick([_source("d/a")], pending=first.pending, now=111)
    assert [source.plate_key for source in second.taken] == ["d/a"]
    third = _tick(
        [_source("d/a")], done={"d/a": "s1"}, pending=read_cursor(write_cursor(second.pending, second.taken))
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
    assert len(write_cursor(plan.pending, plan.taken)) < 100


@pytest.mark.slow
@given(st.text())
def test_any_cursor_text_can_be_read(text):
    assert isinstance(read_cursor(text), dict)


@given(st.dictionaries(st.text(min_size=1), st.tuples(st.text(), st.floats(0, 1e9)), max_size=20))
def test_a_cursor_is_read_as_it_was_written(entries):
    pending = {key: Pending(signature, since) for key, (signature, since) in entries.items()}
    assert read_cursor(write_cursor(pending, ())) == pending
