"""A look at the roots stays within its budget, forgets nothing, and finds every change in the end."""

import os
from dataclasses import replace
from math import inf
from pathlib import Path

import obstore
import pytest

from bioimage_assets.core.discovery import survey as survey_module
from bioimage_assets.core.discovery.cursor import Rotation
from bioimage_assets.core.discovery.plates_to_take import Pending, Readiness
from bioimage_assets.core.discovery.survey import Budget, Survey, SurveyMemory, Taken, survey_roots
from bioimage_assets.core.errors import LimitExceededError
from bioimage_assets.core.stores.tree import LocalTree, ObjectTree

ALL = Budget(layout_s=inf, deep_s=inf, shallow_s=inf, recheck_s=inf, single_s=inf)
# One plate per look and kind of comparison.
LEAST = replace(ALL, deep_s=0, shallow_s=0, recheck_s=0)


def _plate(root: Path, name: str) -> Path:
    chunk = root / "screen" / f"{name}.zarr" / "A" / "1" / "0" / "0.0"
    chunk.parent.mkdir(parents=True)
    chunk.write_bytes(b"1")
    (root / "screen" / f"{name}.zarr" / ".zattrs").write_text('{"plate": {}}')
    return chunk


def _look(root, done=None, *, budget=ALL, rotation=None, memory=None) -> Survey:
    return survey_roots(
        [str(root)],
        done=done or {},
        pending={},
        rotation=rotation or Rotation(),
        memory=memory or SurveyMemory(),
        budget=budget,
    )


def _touch(path: Path) -> None:
    """Move a change time by what the coarsest file systems tell apart."""
    stamp = path.stat().st_mtime_ns + 2_000_000_000
    os.utime(path, ns=(stamp, stamp))


def _done(survey: Survey) -> dict[str, Taken]:
    return {key: survey.version(key) for key in survey.sources}


def test_settled_plates_are_compared_and_not_listed_in_full(tmp_path):
    for number in range(5):
        _plate(tmp_path, f"P{number}")
    done = _done(_look(tmp_path))
    again = _look(tmp_path, done, budget=replace(ALL, recheck_s=0))
    assert len(again.plates) == 5
    assert len(again.sources) == 1


def test_a_change_in_a_chunk_is_found_within_as_many_looks_as_there_are_plates(tmp_path):
    chunks = [_plate(tmp_path, f"P{number}") for number in range(6)]
    done, rotation, memory = _done(_look(tmp_path)), Rotation(), SurveyMemory()
    _touch(chunks[4])
    for _ in chunks:
        survey = _look(tmp_path, done, budget=LEAST, rotation=rotation, memory=memory)
        rotation = survey.rotation
        if any(survey.sources[key].signature != done[key].signature for key in survey.sources):
            break
    assert survey.sources["screen/P4"].signature != done["screen/P4"].signature


def test_a_plate_whose_entry_in_the_listing_moved_is_compared_first(tmp_path):
    for number in range(6):
        _plate(tmp_path, f"P{number}")
    memory, done = SurveyMemory(), _done(_look(tmp_path))
    _look(tmp_path, done, budget=LEAST, memory=memory)
    _touch(tmp_path / "screen" / "P5.zarr")
    survey = _look(tmp_path, done, budget=LEAST, memory=memory)
    assert "screen/P5" in survey.sources


def test_a_plate_folder_that_gets_its_first_image_below_is_found(tmp_path):
    folder = tmp_path / "screen" / "P1" / "Images"
    folder.mkdir(parents=True)
    _plate(tmp_path, "P0")
    memory = SurveyMemory()
    assert set(_look(tmp_path, memory=memory).plates) == {"screen/P0"}
    stamp = (tmp_path / "screen" / "P1").stat().st_mtime_ns
    (folder / "a.tif").write_text("x")
    assert (tmp_path / "screen" / "P1").stat().st_mtime_ns == stamp
    assert set(_look(tmp_path, memory=memory).plates) == {"screen/P0", "screen/P1"}


def test_new_plates_are_listed_a_few_at_a_time_dataset_by_dataset(tmp_path):
    for dataset, count in (("big", 8), ("small", 2)):
        for number in range(count):
            (tmp_path / dataset / f"P{number}.zarr").mkdir(parents=True)
            (tmp_path / dataset / f"P{number}.zarr" / ".zattrs").write_text('{"plate": {}}')
    survey = _look(tmp_path, budget=replace(ALL, max_pending=4))
    assert sorted(survey.sources) == ["big/P0", "big/P1", "small/P0", "small/P1"]


def test_without_time_to_learn_what_stores_are_no_plate_is_taken_or_told_gone(tmp_path):
    for number in range(3):
        _plate(tmp_path, f"P{number}")
    done, memory = _done(_look(tmp_path)), SurveyMemory()
    hurried = _look(tmp_path, done, budget=Budget(layout_s=-1.0), memory=memory)
    assert dict(hurried.plates) == {}
    assert not any(hurried.is_gone(key) for key in done)
    assert set(_look(tmp_path, done, memory=memory).plates) == set(done)


def test_plates_that_are_held_for_long_keep_no_new_plate_out(tmp_path):
    for number in range(6):
        _plate(tmp_path, f"P{number}")
    held = {f"screen/P{number}": Pending("s", 1.0, held_since_s=1.0) for number in range(5)}
    survey = survey_roots(
        [str(tmp_path)],
        done={},
        pending=held,
        rotation=Rotation(),
        memory=SurveyMemory(),
        budget=replace(LEAST, max_pending=3),
    )
    assert set(survey.sources) == {"screen/P5"}


def test_one_folder_that_cannot_be_listed_hides_no_other_plate(tmp_path, monkeypatch):
    for name in ("P1", "P2"):
        _plate(tmp_path, name)
    deep = survey_module.read_deep

    def fail_one(plate, *args, **options):
        if plate.plate_name == "P1":
            raise survey_module.StoreError("Input/output error")
        return deep(plate, *args, **options)

    monkeypatch.setattr(survey_module, "read_deep", fail_one)
    survey = _look(tmp_path)
    assert set(survey.sources) == {"screen/P2"}
    assert [(held.plate_key, held.code) for held in survey.held] == [("screen/P1", "unreadable")]


def test_a_bucket_is_surveyed_like_a_folder(monkeypatch):
    store = obstore.store.MemoryStore()
    for key in ("screen/P1.zarr/.zattrs", "screen/P1.zarr/A/1/0/0", "screen/P2.zarr/zarr.json"):
        obstore.put(store, key, b'{"plate": {}}')

    def open_bucket(uri, options=None):
        tree = ObjectTree.__new__(ObjectTree)
        tree.root_uri, tree._store = uri, store
        return tree

    monkeypatch.setattr(survey_module, "open_watched_root", open_bucket)
    done = _done(_look("memory://bucket"))
    assert set(done) == {"screen/P1", "screen/P2"}
    obstore.put(store, "screen/P1.zarr/A/1/0/0", b"other")
    survey = _look("memory://bucket", done)
    changed = {key for key in survey.sources if survey.sources[key].signature != done[key].signature}
    assert changed == {"screen/P1"}


def _survey(root, *, done=None, pending=None, rotation=None, memory=None, budget=ALL, more=()) -> Survey:
    return survey_roots(
        [str(root), *map(str, more)],
        done=done or {},
        pending=pending or {},
        rotation=rotation or Rotation(),
        memory=memory or SurveyMemory(),
        budget=budget,
    )


def test_a_version_is_written_as_one_text_and_read_back():
    for taken in (Taken("deep", "shallow"), Taken("deep"), Taken("")):
        assert Taken.parse(str(taken)) == taken
    assert str(Taken("deep", "shallow")) == "deep.shallow"
    assert str(Taken("deep")) == "deep"


def test_keys_go_on_behind_the_last_one_and_end_with_it():
    assert survey_module._behind(["a", "b", "c"], "b") == ["c", "a", "b"]
    assert survey_module._behind(["a", "b", "c"], "bb") == ["c", "a", "b"]
    assert survey_module._behind(["a", "b", "c"], "") == ["a", "b", "c"]


def test_no_plate_is_told_gone_while_its_root_is_missing_or_empty(tmp_path):
    _plate(tmp_path / "a", "P1")
    (tmp_path / "b").mkdir()
    done = _done(_look(tmp_path / "a")) | {"other/P9": Taken("s")}
    whole = _survey(tmp_path / "a", done=done)
    assert (whole.is_gone("other/P9"), whole.is_gone("screen/P1")) == (True, False)
    empty = _survey(tmp_path / "b", done=done, more=[tmp_path / "a"])
    assert [(f.code, f.store_uri) for f in empty.findings] == [("empty-root", str(tmp_path / "b"))]
    missing = _survey(tmp_path / "c", done=done, more=[tmp_path / "a"])
    assert [(f.code, f.store_uri) for f in missing.findings] == [("unreadable-root", str(tmp_path / "c"))]
    for survey in (empty, missing):
        assert set(survey.plates) == {"screen/P1"}
        assert not survey.is_gone("other/P9")
    assert _survey(tmp_path / "b").findings == []  # nothing was taken yet: a new root


def test_plates_of_a_dataset_with_a_clash_are_not_told_gone(tmp_path):
    _plate(tmp_path, "P1")
    (tmp_path / "screen" / "P1").mkdir()
    (tmp_path / "screen" / "P1" / "a.tif").write_text("x")
    survey = _survey(tmp_path, done={"screen/P1": Taken("s"), "other/P1": Taken("s")})
    assert dict(survey.plates) == {}
    assert (survey.is_gone("screen/P1"), survey.is_gone("other/P1")) == (False, True)


def test_the_same_images_in_two_roots_are_a_clash_of_names_and_the_first_root_keeps_them(tmp_path):
    for root in "ab":
        _plate(tmp_path / root, "P1")
    survey = _survey(tmp_path / "a", more=[tmp_path / "b"])
    assert survey.plates["screen/P1"].uri == str(tmp_path / "a" / "screen" / "P1.zarr")
    (finding,) = survey.findings
    assert (finding.code, finding.store_uri) == (
        "plate-name-clash",
        str(tmp_path / "b" / "screen" / "P1.zarr"),
    )
    assert "the first root keeps it" in finding.message


def test_plates_that_wait_are_listed_in_every_look_and_gone_ones_are_not(tmp_path):
    for number in range(3):
        _plate(tmp_path, f"P{number}")
    pending = {"screen/P1": Pending("s", 1.0), "screen/P9": Pending("s", 1.0)}
    survey = _survey(tmp_path, pending=pending, budget=replace(ALL, max_pending=1))
    assert set(survey.sources) == {"screen/P1"}
    assert set(_survey(tmp_path, pending=pending, budget=replace(ALL, max_pending=2)).sources) == {
        "screen/P0",
        "screen/P1",
    }


def test_plates_that_were_told_gone_or_never_taken_are_new(tmp_path):
    for number in range(3):
        _plate(tmp_path, f"P{number}")
    done = _done(_look(tmp_path)) | {"screen/P0": Taken("absent"), "screen/P1": Taken("")}
    survey = _survey(tmp_path, done=done, budget=replace(ALL, recheck_s=0, shallow_s=inf))
    assert {"screen/P0", "screen/P1"} <= set(survey.sources)


def test_held_plates_take_turns_and_their_number_is_bounded(tmp_path):
    for number in range(4):
        _plate(tmp_path, f"P{number}")
    held = {f"screen/P{number}": Pending("s", 1.0, held_since_s=1.0) for number in range(3)}
    seen, rotation = [], Rotation()
    for _ in range(3):
        survey = _survey(tmp_path, pending=held, rotation=rotation, budget=replace(LEAST, max_pending=0))
        rotation = Rotation("", *survey.sources)
        seen += survey.sources
    assert seen == ["screen/P0", "screen/P1", "screen/P2"]
    full = _survey(tmp_path, pending=held, budget=replace(ALL, max_pending=1, max_held=2))
    assert set(full.sources) == set(held)
    roomy = _survey(tmp_path, pending=held, budget=replace(ALL, max_pending=1, max_held=3))
    assert set(roomy.sources) == {*held, "screen/P3"}


def test_a_folder_that_was_touched_without_any_change_is_listed_in_full_once(tmp_path):
    for number in range(2):
        _plate(tmp_path, f"P{number}")
    memory, budget, behind = SurveyMemory(), replace(ALL, recheck_s=-1), Rotation("", "screen/P0")
    done = _done(_look(tmp_path, memory=memory))
    done["screen/P0"] = replace(done["screen/P0"], shallow="another")
    first = _look(tmp_path, done, memory=memory, budget=budget, rotation=behind)
    assert first.sources["screen/P0"].signature == done["screen/P0"].signature
    again = _look(tmp_path, done, memory=memory, budget=budget, rotation=behind)
    assert set(again.sources) == {"screen/P1"}  # whose turn it is in any case
    forgotten = _look(tmp_path, done, budget=budget, rotation=behind)
    assert set(forgotten.sources) == {"screen/P0", "screen/P1"}


def test_a_plate_whose_listing_takes_too_long_is_held_and_left_alone_for_a_while(tmp_path, monkeypatch):
    from bioimage_assets.core.discovery import signatures

    monkeypatch.setattr(signatures, "_FILES_BETWEEN_LOOKS_AT_THE_CLOCK", 1)
    _plate(tmp_path, "P1")
    memory = SurveyMemory()
    slow = _look(tmp_path, memory=memory, budget=replace(ALL, single_s=-1))
    assert [(held.plate_key, held.code) for held in slow.held] == [("screen/P1", "unreadable")]
    assert "took too long" in slow.held[0].reason
    later = _look(tmp_path, memory=memory)
    assert (later.held, dict(later.sources)) == ([], {})
    memory.retry_after.clear()
    assert set(_look(tmp_path, memory=memory).sources) == {"screen/P1"}


def test_the_clock_is_looked_at_only_every_so_many_files_and_not_without_a_limit(tmp_path, monkeypatch):
    from bioimage_assets.core.discovery import signatures

    _plate(tmp_path, "P1")
    (plate,) = _look(tmp_path).plates.values()
    assert signatures.read_deep(plate, deadline_s=0.0).plate_key == "screen/P1"
    monkeypatch.setattr(signatures, "_FILES_BETWEEN_LOOKS_AT_THE_CLOCK", 1)
    assert signatures.read_deep(plate) == signatures.read_deep(plate, deadline_s=inf)
    with pytest.raises(LimitExceededError, match="1 file was listed"):
        signatures.read_deep(plate, deadline_s=0.0)


def test_signatures_are_as_long_as_they_are_stored(tmp_path):
    _plate(tmp_path, "P1")
    taken = _look(tmp_path).version("screen/P1")
    assert (len(taken.signature), len(taken.shallow)) == (32, 16)


def test_what_the_plates_of_a_dataset_share_is_listed_once_for_all(tmp_path, monkeypatch):
    for number in range(4):
        _plate(tmp_path, f"P{number}")
    (tmp_path / "screen" / "platemaps").mkdir()
    walked = []
    walk = LocalTree.walk
    monkeypatch.setattr(LocalTree, "walk", lambda tree, path: walked.append(path) or walk(tree, path))
    survey = _look(tmp_path)
    assert len(survey.sources) == 4
    assert walked.count("screen/platemaps") == 1


def test_a_store_that_was_just_made_has_no_newest_change(tmp_path):
    (tmp_path / "screen" / "P1.zarr").mkdir(parents=True)
    assert _look(tmp_path).sources["screen/P1"].newest_mtime_s == 0.0


def test_a_plate_is_judged_by_its_gaps_once_per_signature_and_only_when_there_is_time(tmp_path, monkeypatch):
    _plate(tmp_path, "P1")
    (tmp_path / "screen" / "P1.zarr" / ".zattrs").write_text('{"plate": {"wells": [{"path": "A/2"}]}}')
    memory, asked = SurveyMemory(), []
    find_gap = survey_module.find_gap
    monkeypatch.setattr(survey_module, "find_gap", lambda *args: asked.append(1) or find_gap(*args))
    survey = _look(tmp_path, memory=memory)
    source = survey.sources["screen/P1"]
    no_time = survey_module.judge_readiness(survey, memory, marker="", seconds=0)
    assert no_time(source, False) == Readiness(False, None)
    assert no_time(source, True) == Readiness(False, "waits for its turn")
    judge = survey_module.judge_readiness(survey, memory, marker="", seconds=inf)
    for _ in range(2):
        assert "well screen/P1.zarr/A/2" in (judge(source, True).gap or "")
    assert len(asked) == 1
    assert "well screen/P1.zarr/A/2" in (no_time(source, True).gap or "")  # known already
    judge(replace(source, signature="another"), True)
    assert len(asked) == 2
    _survey(
        tmp_path,
        done={"screen/P1": survey.version("screen/P1")},
        memory=memory,
        budget=replace(ALL, recheck_s=-1),
    )
    assert set(memory.gaps) == {"screen/P1"}  # it was listed
    _survey(tmp_path / "nowhere", memory=memory)
    assert memory.gaps == {}


def test_a_marked_plate_without_time_is_marked_and_waits(tmp_path):
    _plate(tmp_path, "P1")
    (tmp_path / "screen" / "P1.zarr.DONE").write_text("")
    memory = SurveyMemory()
    survey = _look(tmp_path, memory=memory)
    judge = survey_module.judge_readiness(survey, memory, marker="DONE", seconds=0)
    assert judge(survey.sources["screen/P1"], False) == Readiness(True, "waits for its turn")


def test_a_plate_whose_documents_cannot_be_read_says_so(tmp_path, monkeypatch):
    _plate(tmp_path, "P1")
    memory = SurveyMemory()
    survey = _look(tmp_path, memory=memory)

    def fail(*args):
        raise survey_module.StoreError("Input/output error")

    monkeypatch.setattr(survey_module, "find_gap", fail)
    judge = survey_module.judge_readiness(survey, memory, marker="", seconds=inf)
    assert judge(survey.sources["screen/P1"], True) == Readiness(False, "Input/output error")


def test_plates_of_a_dataset_that_cannot_be_listed_are_not_told_gone(tmp_path, monkeypatch):
    _plate(tmp_path, "P1")
    children = LocalTree.children

    def fail_one(tree, path):
        if path == "screen":
            raise survey_module.StoreError("Input/output error")
        return children(tree, path)

    monkeypatch.setattr(LocalTree, "children", fail_one)
    survey = _survey(tmp_path, done={"screen/P1": Taken("s"), "other/P1": Taken("s")})
    assert (survey.is_gone("screen/P1"), survey.is_gone("other/P1")) == (False, True)
    assert [(finding.code, finding.location) for finding in survey.findings] == [
        ("unreadable-dataset", "screen")
    ]
