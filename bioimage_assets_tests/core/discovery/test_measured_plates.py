"""Where the measurements of a plate lie: beside its images, in ``measurements/``, or without any image."""

from __future__ import annotations

import os
from math import inf
from pathlib import Path

import obstore
import pytest

from bioimage_assets.core.discovery.cursor import Rotation
from bioimage_assets.core.discovery.layout import read_layout
from bioimage_assets.core.discovery.listing import Discovery, discover_plates, discover_tree
from bioimage_assets.core.discovery.roots import discover_roots
from bioimage_assets.core.discovery.survey import Budget, SurveyMemory, judge_readiness, survey_roots
from bioimage_assets.core.model.file_kinds import MEASUREMENT_SUFFIXES
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.stores.tree import LocalTree, ObjectTree

ALL = Budget(layout_s=inf, deep_s=inf, shallow_s=inf, recheck_s=inf, single_s=inf)
TABLES = ("Image.csv", "Cells.csv", "Nuclei.csv", "Experiment.csv")


def _write(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _images(folder: Path) -> Path:
    _write(folder / "P_A01_s1_w1.tif")
    return folder


def _store(path: Path) -> Path:
    _write(path / ".zattrs", '{"plate": {"wells": []}}')
    return path


def _tables(folder: Path, prefix: str = "") -> None:
    for name in TABLES:
        _write(folder / f"{prefix}{name}")


def _by_name(found: Discovery) -> dict[str, PlateSource]:
    return {source.plate_name: source for source in found.sources}


def _names(source: PlateSource, root: Path) -> list[str]:
    return [os.path.relpath(uri, root) for uri in source.measurement_uris]


# Measurements alone


@pytest.mark.parametrize(
    "name",
    [
        "P1.parquet",
        "P1.csv",
        "P1.csv.gz",
        "P1.tsv",
        "P1.csv.zst",
        "P1.sqlite",
        "P1.db",
        "P1.npz",
        "P1/Cells.csv",
        "P1.parquet/part-0.parquet",
    ],
)
def test_measurements_of_every_form_are_a_plate_without_images(tmp_path, name):
    _write(tmp_path / "screen" / "measurements" / name)
    found = discover_plates(str(tmp_path))
    (source,) = found.sources
    assert (source.plate_key, source.store_uris, source.is_imageless) == ("screen/P1", (), True)
    assert _names(source, tmp_path / "screen") == [f"measurements/{name.partition('/')[0]}"]
    assert found.findings == ()


def test_a_folder_of_measurements_is_a_plate_only_once_a_table_lies_in_it(tmp_path):
    (tmp_path / "screen" / "measurements" / "P1").mkdir(parents=True)
    _write(tmp_path / "screen" / "measurements" / "P2" / "mask.tif")
    found = discover_plates(str(tmp_path))
    assert found.sources == ()
    assert [finding.code for finding in found.findings] == ["unclaimed-measurements"] * 2
    _write(tmp_path / "screen" / "measurements" / "P1" / "site-1" / "Cells.csv")
    assert list(_by_name(discover_plates(str(tmp_path)))) == ["P1"]


def test_a_plate_folder_with_tables_in_place_of_images_is_a_plate(tmp_path):
    _tables(tmp_path / "screen" / "P1")
    _write(tmp_path / "screen" / "P2" / "P2.sqlite")
    _write(tmp_path / "screen" / "P3" / "measurements" / "P3.csv")
    _write(tmp_path / "screen" / "notes" / "readme.txt")
    found = _by_name(discover_plates(str(tmp_path)))
    assert {name: source.is_imageless for name, source in found.items()} == {
        "P1": True,
        "P2": True,
        "P3": True,
    }
    assert _names(found["P3"], tmp_path / "screen") == ["P3/measurements"]


def test_a_folder_of_tables_alone_is_a_dataset_of_one_plate(tmp_path):
    _tables(tmp_path / "example")
    (source,) = discover_plates(str(tmp_path)).sources
    assert (source.plate_key, source.is_imageless) == ("example/example", True)


def test_images_that_come_later_keep_the_key_and_change_the_signature(tmp_path):
    _write(tmp_path / "screen" / "measurements" / "P1.parquet")
    (before,) = discover_plates(str(tmp_path)).sources
    _store(tmp_path / "screen" / "P1.ome.zarr")
    (after,) = discover_plates(str(tmp_path)).sources
    assert before.plate_key == after.plate_key
    assert before.signature != after.signature
    assert (before.is_imageless, after.is_imageless) == (True, False)


# Near misses


def test_a_misspelt_name_beside_images_without_measurements_names_both_and_the_right_name(tmp_path):
    for plate in ("SQ00015116", "SQ00015117"):
        _store(tmp_path / "screen" / f"{plate}.ome.zarr")
    _write(tmp_path / "screen" / "measurements" / "SQ00015117.parquet")
    _write(tmp_path / "screen" / "measurements" / "SQ0015116.parquet")
    found = discover_plates(str(tmp_path))
    source = _by_name(found)["SQ0015116"]
    (finding,) = source.findings
    assert found.findings == source.findings
    assert (finding.code, finding.severity) == ("measurements-without-images", "warning")
    assert "screen/measurements/SQ0015116.parquet" in finding.message
    assert "'screen/measurements/SQ00015116.parquet'" in finding.message
    assert not source.is_imageless


def test_the_plate_is_made_again_once_the_name_cannot_be_a_misspelling_any_more(tmp_path):
    _store(tmp_path / "screen" / "P1.zarr")
    _write(tmp_path / "screen" / "measurements" / "P9.csv")
    before = _by_name(discover_plates(str(tmp_path)))["P9"]
    _write(tmp_path / "screen" / "measurements" / "P1.csv")
    after = _by_name(discover_plates(str(tmp_path)))["P9"]
    assert (before.is_imageless, after.is_imageless) == (False, True)
    assert before.signature != after.signature


def test_a_look_at_one_plate_says_of_it_what_a_look_at_all_says(tmp_path):
    for plate in ("P1", "P2"):
        _store(tmp_path / "screen" / f"{plate}.zarr")
    _write(tmp_path / "screen" / "measurements" / "P9.csv")
    _tables(tmp_path / "screen" / "P3")
    _tables(tmp_path / "screen" / "measurements")
    for name, source in _by_name(discover_plates(str(tmp_path))).items():
        (alone,) = discover_plates(str(tmp_path), datasets=["screen"], plate_keys=[f"screen/{name}"]).sources
        assert alone == source


# Beside the images


def test_tables_beside_the_images_are_found_for_each_plate_of_a_dataset(tmp_path):
    root = tmp_path / "screen"
    _tables(_images(root / "P1"))
    _tables(_images(root / "P2" / "Images").parent, prefix="MyExpt_")
    _write(_images(root / "P3") / "backend.sqlite")
    _write(_images(root / "P4") / "P4.parquet")
    _write(_images(root / "P5") / "measurements" / "cells.csv")
    _write(_images(root / "P6") / "Image.csv")  # a pipeline for image quality measures no cell
    _store(root / "P7.ome.zarr")
    _write(root / "P7.csv")
    _write(_images(root / "P9") / "Cells.csv")
    _store(root / "P8.ome.zarr")
    _tables(root, prefix="P8_")
    found = discover_plates(str(tmp_path))
    assert found.findings == ()
    assert {name: _names(source, root) for name, source in _by_name(found).items()} == {
        "P1": [f"P1/{name}" for name in sorted(TABLES)],
        "P2": [f"P2/MyExpt_{name}" for name in sorted(TABLES)],
        "P3": ["P3/backend.sqlite"],
        "P4": ["P4/P4.parquet"],
        "P5": ["P5/measurements"],
        "P6": [],
        "P7": ["P7.csv"],
        "P8": [f"P8_{name}" for name in sorted(TABLES)],
        "P9": ["P9/Cells.csv"],
    }


def test_loose_images_and_a_plate_folder_have_tables_of_their_own(tmp_path):
    root = tmp_path / "screen"
    for folder in (root, root / "P1"):
        _tables(_images(folder))
    found = _by_name(discover_plates(str(tmp_path)))
    assert _names(found["screen"], root) == sorted(TABLES)
    assert _names(found["P1"], root) == [f"P1/{name}" for name in sorted(TABLES)]


def test_a_change_of_a_table_beside_the_images_changes_that_plate_and_no_other(tmp_path):
    for plate in ("P1", "P2"):
        _tables(_images(tmp_path / "screen" / plate))
    before = _by_name(discover_plates(str(tmp_path)))
    _write(tmp_path / "screen" / "P1" / "Cells.csv", "longer than before")
    after = _by_name(discover_plates(str(tmp_path)))
    assert before["P1"].signature != after["P1"].signature
    assert before["P2"].signature == after["P2"].signature


@pytest.mark.parametrize(
    "others",
    [["P1/Cells.csv"], ["P1/measurements/a.csv"], ["P1.csv"], ["measurements/P1.sqlite", "P1/P1.db"]],
)
def test_measurements_at_two_places_are_named_and_only_those_of_the_dataset_are_read(tmp_path, others):
    root = tmp_path / "screen"
    _images(root / "P1")
    _write(root / "measurements" / "P1.parquet")
    for other in others:
        _write(root / other)
        if other == "P1/Cells.csv":
            _write(root / "P1" / "Image.csv")
    found = discover_plates(str(tmp_path))
    (source,) = found.sources
    assert _names(source, root) == ["measurements/P1.parquet"]
    (finding,) = source.findings
    assert (finding.code, finding.severity) == ("several-measurements", "warning")
    assert "'screen/measurements/P1.parquet' is used" in finding.message
    for other in others:
        assert os.path.dirname(f"screen/{other}") in finding.message


def test_tables_that_lie_loose_in_measurements_are_those_of_the_only_plate(tmp_path):
    _store(tmp_path / "screen" / "P1.zarr")
    _tables(tmp_path / "screen" / "measurements")
    (source,) = discover_plates(str(tmp_path)).sources
    assert len(source.measurement_uris) == len(TABLES)


def test_tables_of_which_it_cannot_be_told_of_which_plate_they_are_are_not_read_and_said(tmp_path):
    root = tmp_path / "screen"
    for plate in ("P1", "P2"):
        _store(root / f"{plate}.zarr")
    for folder in (root, root / "measurements"):
        _tables(folder)
    found = discover_plates(str(tmp_path))
    assert {name: source.measurement_uris for name, source in _by_name(found).items()} == {"P1": (), "P2": ()}
    assert [finding.code for finding in found.findings] == ["loose-measurements"] * 2
    assert all("'measurements/P1/'" in finding.message for finding in found.findings)


# Sensors' looks


def _look(root: Path, memory: SurveyMemory):
    return survey_roots(
        [str(root)], done={}, pending={}, rotation=Rotation(), memory=memory, budget=ALL
    )  # fmt: skip


@pytest.mark.parametrize(
    "arrival",
    ["P1/MyExpt_Image.csv", "P1/measurements/cells.csv", "measurements/P2/site/Cells.csv", "P3/Images/a.tif"],
)
def test_a_process_that_looks_again_and_again_sees_what_arrives_later(tmp_path, arrival):
    root = tmp_path / "screen"
    _images(root / "P1")
    for folder in ("P1/measurements", "measurements/P2/site", "P3/Images"):
        (root / folder).mkdir(parents=True)
    _tables(root / "P3")
    _write(root / "P1" / "MyExpt_Cells.csv")
    memory = SurveyMemory()
    before = _look(tmp_path, memory).sources
    assert _look(tmp_path, memory).sources == before
    _write(root / arrival)
    after = _look(tmp_path, memory).sources
    assert after == _look(tmp_path, SurveyMemory()).sources
    assert after != before


def test_a_folder_of_images_without_tables_is_listed_once_as_long_as_it_stays_the_same(tmp_path, monkeypatch):
    for plate in ("P1", "P2"):
        _images(tmp_path / "screen" / plate)
    memory, listed = SurveyMemory(), []
    children = LocalTree.children
    monkeypatch.setattr(LocalTree, "children", lambda tree, path: listed.append(path) or children(tree, path))
    read_layout(LocalTree(tmp_path), kinds=memory.kinds, unchanged=memory.unchanged)
    listed.clear()
    _write(tmp_path / "screen" / "new.txt")  # the dataset is grouped anew
    read_layout(LocalTree(tmp_path), kinds=memory.kinds, unchanged=memory.unchanged)
    assert listed == ["", "screen"]


def test_without_time_to_learn_what_stores_are_measurements_are_not_taken_for_a_plate_of_their_own(tmp_path):
    _store(tmp_path / "screen" / "P1.zarr")
    _write(tmp_path / "screen" / "measurements" / "P1.csv")
    memory = SurveyMemory()
    hurried = survey_roots(
        [str(tmp_path)], done={}, pending={}, rotation=Rotation(), memory=memory, budget=Budget(layout_s=-1.0)
    )
    assert dict(hurried.plates) == {}
    (plate,) = _look(tmp_path, memory).plates.values()
    assert [store.name for store in plate.stores] == ["P1.zarr"]


def test_measurements_that_are_still_being_copied_are_held_and_a_marker_takes_them(tmp_path):
    table = _write(tmp_path / "screen" / "measurements" / "P1" / ".Cells.csv.Ab12Cd")
    _write(table.with_name("Image.csv"))
    memory = SurveyMemory()
    survey = _look(tmp_path, memory)
    judge = judge_readiness(survey, memory, marker="DONE", seconds=inf)
    ready = judge(survey.sources["screen/P1"], True)
    assert ready.gap is not None
    assert "a copy is under way" in ready.gap
    table.rename(table.with_name("Cells.csv"))
    _write(tmp_path / "screen" / "measurements" / "P1" / "DONE")
    survey = _look(tmp_path, memory)
    ready = judge_readiness(survey, memory, marker="DONE", seconds=inf)(survey.sources["screen/P1"], False)
    assert (ready.is_marked, ready.gap) == (True, None)


@pytest.mark.parametrize("first", ["images", "measured"])
def test_images_in_one_root_and_measurements_in_another_keep_the_images_and_say_what_to_do(tmp_path, first):
    _store(tmp_path / "images" / "screen" / "P1.zarr")
    _write(tmp_path / "measured" / "screen" / "measurements" / "P1.csv")
    roots = sorted([str(tmp_path / "images"), str(tmp_path / "measured")], reverse=first == "measured")
    found = discover_roots(roots)
    assert [bool(source.store_uris) for source in found.sources] == [True]
    survey = survey_roots(roots, done={}, pending={}, rotation=Rotation(), memory=SurveyMemory(), budget=ALL)
    assert [bool(plate.stores) for plate in survey.plates.values()] == [True]
    for findings in (found.findings, survey.findings):
        (finding,) = [finding for finding in findings if finding.code == "plate-name-clash"]
        assert "beside the images" in finding.message


def test_plates_without_images_are_found_below_a_prefix_of_a_bucket(tmp_path):
    store = obstore.store.MemoryStore()
    for key in (
        "screen/measurements/P1/Cells.csv", "screen/P2/a.tif", "screen/P2/Image.csv", "screen/P2/Cells.csv",
        "screen/load_data_csv/batch/P3/load_data.csv",
    ):  # fmt: skip
        obstore.put(store, key, b"x")
    tree = ObjectTree.__new__(ObjectTree)
    tree.root_uri, tree._store = "memory://bucket", store
    found = _by_name(discover_tree(tree))
    assert {name: len(source.store_uris) for name, source in found.items()} == {"P1": 0, "P2": 1, "P3": 1}
    assert len(found["P2"].measurement_uris) == 2


# Which of several is taken, and what is said


def test_a_table_that_needs_no_conversion_comes_before_others_of_its_name(tmp_path):
    for name in ("P1.csv", "P1.parquet", "P1.pq.csv", "P2.csv", "P2.pq"):
        _write(tmp_path / "screen" / "measurements" / name)
    found = discover_plates(str(tmp_path))
    used = {name: _names(source, tmp_path / "screen") for name, source in _by_name(found).items()}
    assert used["P1"] == ["measurements/P1.parquet"]
    assert used["P2"] == ["measurements/P2.pq"]
    (first, second) = (f for f in found.findings if f.code == "several-measurements")
    assert first.location == "screen/measurements/P1.parquet"
    assert first.store_uri == str(tmp_path / "screen" / "measurements" / "P1.parquet")
    assert second.location == "screen/measurements/P2.pq"


def test_a_plate_is_measured_when_any_of_its_places_holds_a_table(tmp_path):
    (tmp_path / "screen" / "measurements" / "P1").mkdir(parents=True)
    _write(tmp_path / "screen" / "measurements" / "P1.csv")
    (source,) = discover_plates(str(tmp_path)).sources
    assert source.plate_name == "P1"


def test_prefixed_tables_in_measurements_are_of_the_plates_in_their_names_in_order(tmp_path):
    folder = tmp_path / "screen" / "measurements"
    for prefix in ("P2_", "P10_", "P1_"):
        _tables(folder, prefix)
    _write(folder / "P3_Cells.csv")  # without an image table a table like any other
    found = discover_plates(str(tmp_path))
    assert list(_by_name(found)) == ["P1", "P10", "P2", "P3_Cells"]
    assert _names(_by_name(found)["P2"], tmp_path / "screen") == [
        f"measurements/P2_{name}" for name in sorted(TABLES)
    ]


def test_loose_tables_are_named_by_their_first_file_with_its_place(tmp_path):
    root = tmp_path / "screen"
    for plate in ("P1", "P2"):
        _store(root / f"{plate}.zarr")
    _tables(root / "measurements")
    (finding,) = discover_plates(str(tmp_path)).findings
    assert finding.location == "screen/measurements/Cells.csv"
    assert finding.store_uri == str(root / "measurements" / "Cells.csv")
    assert finding.message.startswith(
        "Cells.csv, Experiment.csv, Image.csv, Nuclei.csv lie in 'measurements/'"
    )


def test_near_misses_name_the_likeliest_plates_first_and_never_more_than_five(tmp_path):
    root = tmp_path / "screen"
    for plate in ("X1", "AB12", "AB1", "QQ", "RR", "SS", "TT"):
        _store(root / f"{plate}.zarr")
    _write(root / "measurements" / "AB13" / "AB13.csv")
    (finding,) = discover_plates(str(tmp_path)).findings
    listed = finding.message.split("are there: ")[1].split(". Where")[0]
    assert listed.startswith(("'AB1', 'AB12', ", "'AB12', 'AB1', "))
    assert listed.endswith(" …")
    assert listed.count("'") == 10


def test_findings_of_plates_without_images_come_in_the_order_of_their_names(tmp_path):
    _store(tmp_path / "screen" / "P1.zarr")
    names = [f"M{n}" for n in range(6)]
    for name in names:
        _write(tmp_path / "screen" / "measurements" / f"{name}.csv")
    found = discover_plates(str(tmp_path))
    assert [f.location for f in found.findings] == [f"screen/measurements/{name}.csv" for name in names]


def test_a_bucket_is_asked_again_for_tables_after_a_while_at_another_moment_for_each_folder(
    tmp_path, monkeypatch
):
    from bioimage_assets.core.discovery import plate_measurements
    from bioimage_assets.core.discovery.entry_kinds import KindMemory
    from bioimage_assets.core.stores.tree import Entry

    folders = [Entry(f"P{n}", f"P{n}", True) for n in range(20)]  # without a change time, as in a bucket
    for folder in folders:
        (tmp_path / folder.path).mkdir()
    tree, kinds, listed = LocalTree(tmp_path), KindMemory(), []
    children, now = LocalTree.children, [0.0]
    monkeypatch.setattr(LocalTree, "children", lambda tree, path: listed.append(path) or children(tree, path))
    monkeypatch.setattr(plate_measurements.time, "monotonic", lambda: now[0])
    counts = []
    for now[0] in range(10_000, 11_201, 5):
        listed.clear()
        for folder in folders:
            plate_measurements.look_into_plate_folder(tree, folder, kinds, has_images=True)
        counts.append(len(listed))
    assert counts[0] == 20
    assert sum(counts[1:]) == 40  # twice in twenty minutes
    assert max(counts[1:]) < 10


def test_a_folder_without_a_table_is_named_with_its_place(tmp_path):
    (tmp_path / "screen" / "measurements" / "P1").mkdir(parents=True)
    (finding,) = discover_plates(str(tmp_path)).findings
    assert (finding.location, finding.store_uri) == (
        "screen/measurements/P1",
        str(tmp_path / "screen" / "measurements" / "P1"),
    )


@pytest.mark.parametrize(
    ("tables", "shown"), [(("Cells", "Image"), " and 1 more is used"), (("Cells",), "' is used")]
)
def test_of_several_tables_the_first_is_named_and_the_others_counted(tmp_path, tables, shown):
    root = tmp_path / "screen"
    _images(root / "P1")
    for name in tables:
        _write(root / "P1" / f"{name}.csv")
    _write(root / "P1.csv")
    (finding,) = discover_plates(str(tmp_path)).findings
    assert shown in finding.message
    assert finding.location == "screen/P1/Cells.csv"


# Files that no reader takes


def test_a_file_in_measurements_that_no_reader_takes_is_named_with_what_is_taken(tmp_path):
    _images(tmp_path / "ds/P1")
    _write(tmp_path / "ds/measurements/P1.xlsx")
    _write(tmp_path / "ds/measurements/b.mat")
    found = discover_plates(str(tmp_path))
    (finding,) = found.findings
    assert (finding.code, finding.severity) == ("measurement-not-read", "warning")
    assert finding.location == "ds/measurements/P1.xlsx"
    assert "'P1.xlsx', 'b.mat'" in finding.message
    assert ".parquet" in finding.message
    assert "Save spreadsheets as .csv" in finding.message
    assert _by_name(found)["P1"].measurement_uris == ()


@pytest.mark.parametrize(
    "name",
    ["README", "readme.txt", "notes.md", ".DS_Store", "P1.csv.md5", "P1.csv.done", "P1.cppipe", "overlay.png", "empty.xlsx"],
)  # fmt: skip
def test_notes_checksums_and_markers_beside_measurements_are_no_finding(tmp_path, name):
    _images(tmp_path / "ds/P1")
    _write(tmp_path / "ds/measurements/P1.csv")
    _write(tmp_path / "ds/measurements" / name, "" if name == "empty.xlsx" else "x")
    assert discover_plates(str(tmp_path)).findings == ()


@pytest.mark.parametrize("suffix", MEASUREMENT_SUFFIXES)
def test_every_file_that_a_reader_takes_is_seen_in_a_watched_root(tmp_path, suffix):
    _images(tmp_path / "ds/P1")
    _write(tmp_path / f"ds/measurements/P1{suffix.upper()}")
    found = discover_plates(str(tmp_path))
    assert found.findings == ()
    assert len(_by_name(found)["P1"].measurement_uris) == 1
