"""What the sensor remembers is a short text whatever happens, and any text can be read."""

from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioimage_assets.core.discovery.cursor import (
    MAX_BYTES,
    Rotation,
    read_cursor,
    read_rotation,
    write_cursor,
)
from bioimage_assets.core.discovery.plates_to_take import Pending, plan_tick
from bioimage_assets.core.model.plate_source import PlateSource

ODD = [None, "", "{", "[]", "3", '{"at": 3}', '{"at": ["a"]}', '{"plates": {"a": [1]}}', '{"plates": 3}', "2:", "2:AAAA", "2:é"]  # fmt: skip


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=6).hexdigest()


def _pending(count: int, *, held: int = 0) -> dict[str, Pending]:
    """Plates with signatures that do not compress, as digests do."""
    names = [f"source_4-batch-2021-04-26/BR00{number:06}" for number in range(count)]
    return {
        name: Pending(_digest(name), 1.8e9 + number, 1.7e9 if number < held else 0.0, "incomplete:ab12")
        for number, name in enumerate(names)
    }


@pytest.mark.slow
@given(st.text())
def test_any_cursor_text_can_be_read(text):
    assert isinstance(read_cursor(text), dict)
    assert isinstance(read_cursor(f"2:{text}"), dict)


@given(st.dictionaries(st.text(min_size=1), st.tuples(st.text(), st.integers(0, 10**12)), max_size=20))
def test_a_cursor_is_read_as_it_was_written(entries):
    pending = {key: Pending(signature, since / 1000) for key, (signature, since) in entries.items()}
    assert read_cursor(write_cursor(pending, ())) == pending


def test_where_the_look_ended_is_remembered_beside_the_plates():
    pending = {"d/a": Pending("s", 1.0, 2.0, "t")}
    text = write_cursor(pending | {"d/b": Pending("s", 1.0)}, ["d/b"], Rotation("d/x", "d/y"))
    assert read_rotation(text) == Rotation("d/x", "d/y")
    assert read_cursor(text) == pending
    for odd in ODD:
        assert (read_rotation(odd), read_cursor(odd)) == (Rotation(), {})


def test_a_cursor_of_an_older_version_is_read():
    text = '{"plates":{"d/a":["s",1.0,2.0,"t"]},"at":["d/x","d/y"]}'
    assert read_cursor(text) == {"d/a": Pending("s", 1.0, 2.0, "t")}
    assert read_rotation(text) == Rotation("d/x", "d/y")


def test_two_thousand_waiting_plates_fit_into_the_bound():
    pending = _pending(2_000, held=1_000)
    text = write_cursor(pending, ())
    assert len(text) <= MAX_BYTES
    assert read_cursor(text) == pending


def test_of_more_than_fit_those_stay_that_lack_something_and_that_have_waited_longest():
    pending = _pending(20_000, held=500)
    text = write_cursor(pending, (), Rotation("d/x", "d/y"))
    assert 0.8 * MAX_BYTES < len(text) <= MAX_BYTES
    kept = read_cursor(text)
    assert kept == dict(list(pending.items())[: len(kept)])
    assert len(kept) > 2_000
    assert read_rotation(text) == Rotation("d/x", "d/y")


def test_plates_for_which_there_was_no_room_are_taken_after_the_others(monkeypatch):
    """However small the memory is, every plate is taken once."""
    from bioimage_assets.core.discovery import cursor

    monkeypatch.setattr(cursor, "MAX_BYTES", 400)
    sources = [
        PlateSource(f"d/{i:03}", "d", f"{i}", "/d", ("/s",), (), _digest(f"{i}"), 0.0) for i in range(40)
    ]
    done: dict[str, str] = {}
    text, taken = None, []
    for look in range(100):
        plan = plan_tick(
            sources, done=done, pending=read_cursor(text), now_s=1e9 + 11 * look, quiet_s=10.0, limit=100
        )
        taken += [source.plate_key for source in plan.taken]
        done |= {source.plate_key: source.signature for source in plan.taken}
        text = write_cursor(plan.pending, done)
        assert len(text) <= 400
    assert sorted(taken) == [source.plate_key for source in sources]
