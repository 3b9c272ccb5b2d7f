"""LoadData tables below a dataset: which of them count, and of which plate they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from bioimage_assets.core.discovery.image_lists import (
    choose_lists,
    is_image_list,
    list_image_lists,
    lists_images,
    sort_image_lists,
)
from bioimage_assets.core.discovery.listing import discover_plates
from bioimage_assets.core.stores.tree import Entry, LocalTree


def _file(path: str) -> Entry:
    return Entry(path.rsplit("/", 1)[-1], path, False)


def _folder(path: str) -> Entry:
    return Entry(path.rsplit("/", 1)[-1], path, True)


def _write(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["load_data.csv"], ["load_data.csv"]),
        (["load_data.csv", "load_data_with_illum.csv"], ["load_data.csv"]),
        (["load_data.csv", "load_data_unprojected.csv"], ["load_data.csv"]),
        (["load_data.csv", "loaddata.csv"], ["loaddata.csv"]),
        (
            ["load_data_a.csv", "load_data_b.csv", "load_data_with_illum.csv"],
            ["load_data_a.csv", "load_data_b.csv"],
        ),
        (["a_with_illum.csv", "b_with_illum.csv"], ["b_with_illum.csv"]),
        (["load_data.csv", "load_data.csv.gz"], ["load_data.csv"]),
        (["Load-Data.CSV"], ["Load-Data.CSV"]),
        ([], []),
    ],
)
def test_images_are_named_once_whatever_tables_name_them_again(names: list[str], chosen: list[str]) -> None:
    assert [entry.name for entry in choose_lists([_file(name) for name in names])] == chosen


@pytest.mark.parametrize(
    ("path", "plate"),
    [
        ("s/load_data/P1.csv", "P1"),
        ("s/load_data/P1.csv.gz", "P1"),
        ("s/load_data/load_data_P1.csv", "P1"),
        ("s/load_data/LoadData_p-1.csv", "p-1"),
        ("s/load_data_csv/batch/P1/load_data.csv", "P1"),
        ("s/load_data_csv/batch/P1/load_data_with_illum.csv", "P1"),
        ("s/load_data/load_data.csv", None),
        ("s/load_data/load_data_with_illum.csv", None),
        ("s/load_data/load_data_unprojected.csv", None),
    ],
)
def test_a_table_is_of_the_plate_in_its_name_or_of_its_folder_or_of_all(path: str, plate: str | None) -> None:
    found = sort_image_lists([_file(path)], [])
    of_plates = {name: [entry.path for entry in tables] for name, tables in found.by_plate.items()}
    assert of_plates == ({} if plate is None else {plate: [path]})
    assert [entry.path for entry in found.common] == ([path] if plate is None else [])


def test_a_table_is_told_by_its_name_and_a_folder_never_is_one() -> None:
    names = ["load_data.csv", "LoadData_P1.csv.gz", "load-data.csv"]
    assert [is_image_list(_file(name)) for name in names] == [True] * 3
    assert [is_image_list(_file(name)) for name in ("load_data.txt", "my_load_data.csv")] == [False] * 2
    assert not is_image_list(_folder("load_data.csv"))
    assert [lists_images(_file(name)) for name in ("a.csv", "a.csv.gz", "a.tif")] == [True, True, False]
    assert not lists_images(_folder("a.csv"))


def test_only_folders_of_the_known_names_are_searched_in_the_dataset_and_its_workspace(
    tmp_path: Path,
) -> None:
    for path in (
        "load_data/b.csv", "load_data/a.csv", "load_data/.hidden.csv", "load_data/readme.txt", "other/c.csv",
        "workspace/load_data_csv/batch/P3/load_data.csv", "workspace/notes.txt", "workspace/other/d.csv",
    ):  # fmt: skip
        _write(tmp_path / path)
    (tmp_path / "x").mkdir()
    _write(tmp_path / "x" / "load_data_csv", "a file")
    tree = LocalTree(tmp_path)
    listed = list_image_lists(tree, tree.children(""))
    assert [entry.path for entry in listed] == [
        "load_data/a.csv", "load_data/b.csv", "workspace/load_data_csv/batch/P3/load_data.csv",
    ]  # fmt: skip
    below = LocalTree(tmp_path / "x")
    assert list_image_lists(below, below.children("")) == []


def test_a_table_of_the_whole_dataset_is_shared_only_by_several_plates(tmp_path: Path) -> None:
    root = tmp_path / "screen"
    _write(root / "load_data.csv")
    _write(root / "load_data" / "P1.csv")
    _write(root / "measurements" / "P1.csv")
    _write(root / "measurements" / "P2.csv")
    alone = {s.plate_name: s for s in discover_plates(str(tmp_path)).sources}
    assert {name: s.shares_image_list for name, s in alone.items()} == {"P1": False, "P2": False}
    assert alone["P2"].store_uris == (str(root / "load_data.csv"),)
    _write(root / "measurements" / "P3.csv")
    several = {s.plate_name: s for s in discover_plates(str(tmp_path)).sources}
    assert {name: s.shares_image_list for name, s in several.items()} == {"P1": False, "P2": True, "P3": True}
    assert several["P2"].signature != alone["P2"].signature  # its images have to be told from P3's now
    assert several["P1"].signature == alone["P1"].signature


def test_a_table_among_the_images_of_a_plate_is_read_with_them_and_not_said_to_be_unused(
    tmp_path: Path,
) -> None:
    _write(tmp_path / "screen" / "P1" / "a.tif")
    _write(tmp_path / "screen" / "P1" / "load_data.csv")
    found = discover_plates(str(tmp_path))
    assert found.findings == ()
    assert [source.store_uris for source in found.sources] == [(str(tmp_path / "screen" / "P1"),)]


def test_a_table_elsewhere_for_a_plate_whose_images_are_here_is_said_to_be_unused(tmp_path: Path) -> None:
    _write(tmp_path / "screen" / "P1" / "a.tif")
    table = _write(tmp_path / "screen" / "load_data" / "P1.csv")
    (finding,) = discover_plates(str(tmp_path)).findings
    assert (finding.code, finding.location, finding.store_uri) == (
        "load-data-not-used",
        "screen/load_data/P1.csv",
        str(table),
    )


def test_the_table_of_a_plate_folder_names_the_images_of_a_plate_that_has_none(tmp_path: Path) -> None:
    table = _write(tmp_path / "screen" / "P1" / "load_data.csv")
    (source,) = discover_plates(str(tmp_path)).sources
    assert (source.plate_key, source.store_uris, source.measurement_uris) == ("screen/P1", (str(table),), ())


def test_a_table_of_a_dataset_without_any_plate_makes_the_dataset_one(tmp_path: Path) -> None:
    table = _write(tmp_path / "screen" / "load_data.csv")
    (source,) = discover_plates(str(tmp_path)).sources
    assert (source.plate_key, source.store_uris) == ("screen/screen", (str(table),))
    _write(tmp_path / "screen" / "P1" / "a.tif")
    assert [s.plate_key for s in discover_plates(str(tmp_path)).sources] == ["screen/P1"]
