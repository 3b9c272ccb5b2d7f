"""A look at the roots stays within its budget, forgets nothing, and finds every change in the end."""

import os
from dataclasses import replace
from math import inf
from pathlib import Path

import obstore

from bioimage_assets.core.discovery import survey as survey_module
from bioimage_assets.core.discovery.plan import Pending, Rotation
from bioimage_assets.core.discovery.survey import Budget, Survey, SurveyMemory, Taken, survey_roots
from bioimage_assets.core.discovery.tree import ObjectTree

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

    monkeypatch.setattr(survey_module, "open_tree", open_bucket)
    done = _done(_look("memory://bucket"))
    assert set(done) == {"screen/P1", "screen/P2"}
    obstore.put(store, "screen/P1.zarr/A/1/0/0", b"other")
    survey = _look("memory://bucket", done)
    changed = {key for key in survey.sources if survey.sources[key].signature != done[key].signature}
    assert changed == {"screen/P1"}
