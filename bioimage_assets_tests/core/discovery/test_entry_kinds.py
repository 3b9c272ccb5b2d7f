"""What an entry of a watched root is, told once and remembered as long as it stays the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from bioimage_assets.core.discovery.entry_kinds import (
    KindMemory,
    has_zarr_name,
    holds_images,
    is_plate_store,
    is_store_file,
    is_zarr,
    without_hidden_entries,
)
from bioimage_assets.core.discovery.plate_measurements import holds_measurements, look_into_plate_folder
from bioimage_assets.core.stores.tree import Entry, LocalTree


def _write(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _entry(tree: LocalTree, name: str) -> Entry:
    return next(entry for entry in tree.children("") if entry.name == name)


@pytest.mark.parametrize(
    ("image", "holds"),
    [
        ("P/a.tif", True),
        ("P/Images/a.TIFF", True),
        ("P/x/y/a.ozx", True),
        ("P/x/y/a.zarr/.zattrs", True),
        ("P/x/y/z/a.tif", False),
        ("P/.hidden/a.tif", False),
        ("P/a.png", False),
        ("P/A01_mask.png", False),
        ("P/Plate7_A01_s1_w1_thumb.png", False),
        ("P/Plate7_A01_T0001F001L01A01Z01C01.png", True),
        ("P/x/y/r01c01f01p01-ch1sk1fk1fl1.png", True),
    ],
)
def test_images_are_looked_for_two_levels_below_a_folder(tmp_path: Path, image: str, holds: bool) -> None:
    _write(tmp_path / image)
    tree = LocalTree(tmp_path)
    assert holds_images(tree, _entry(tree, "P"), KindMemory()) is holds


@pytest.mark.parametrize(
    ("table", "holds"),
    [("P/a.csv", True), ("P/1/2/3/4/a.csv", True), ("P/1/2/3/4/5/a.csv", False), ("P/a.tif", False)],
)
def test_measurements_are_looked_for_four_levels_below_a_folder(
    tmp_path: Path, table: str, holds: bool
) -> None:
    _write(tmp_path / table)
    tree = LocalTree(tmp_path)
    assert holds_measurements(tree, _entry(tree, "P"), KindMemory()) is holds


def test_that_a_folder_holds_something_is_remembered_and_that_it_does_not_is_asked_again(
    tmp_path: Path,
) -> None:
    (tmp_path / "P").mkdir()
    tree, kinds = LocalTree(tmp_path), KindMemory()
    folder = _entry(tree, "P")
    assert not holds_images(tree, folder, kinds)
    assert not holds_measurements(tree, folder, kinds)
    _write(tmp_path / "P" / "a.tif")
    _write(tmp_path / "P" / "a.csv")
    assert holds_images(tree, folder, kinds)
    assert holds_measurements(tree, folder, kinds)
    for name in ("a.tif", "a.csv"):
        (tmp_path / "P" / name).unlink()
    assert holds_images(tree, folder, kinds)
    assert holds_measurements(tree, folder, kinds)


@pytest.mark.parametrize("document", ["zarr.json", ".zattrs", ".zgroup", ".zarray"])
def test_a_folder_is_a_store_by_a_root_document_that_is_a_file(tmp_path: Path, document: str) -> None:
    _write(tmp_path / "a" / document)
    (tmp_path / "b" / document).mkdir(parents=True)
    tree = LocalTree(tmp_path)
    assert [is_zarr(tree, _entry(tree, name), KindMemory()) for name in "ab"] == [True, False]


def test_what_a_folder_is_is_asked_again_when_it_changed(tmp_path: Path) -> None:
    folder, tree, kinds = Entry("a", "a", True, version="1"), LocalTree(tmp_path), KindMemory()
    (tmp_path / "a").mkdir()
    assert not is_zarr(tree, folder, kinds)
    _write(tmp_path / "a" / "zarr.json", '{"attributes": {"ome": {"plate": {}}}}')
    assert not is_zarr(tree, folder, kinds)
    changed = Entry("a", "a", True, version="2")
    assert is_zarr(tree, changed, kinds)
    assert is_plate_store(tree, changed, kinds) is True
    _write(tmp_path / "a" / "zarr.json", "{}")
    assert is_plate_store(tree, changed, kinds) is True
    assert is_plate_store(tree, folder, kinds) is False


def test_of_a_folder_without_a_change_time_only_a_yes_is_remembered(tmp_path: Path) -> None:
    folder, tree, kinds = Entry("a", "a", True), LocalTree(tmp_path), KindMemory()
    (tmp_path / "a").mkdir()
    assert not is_zarr(tree, folder, kinds)
    _write(tmp_path / "a" / "zarr.json")
    assert is_zarr(tree, folder, kinds)
    (tmp_path / "a" / "zarr.json").unlink()
    assert is_zarr(tree, folder, kinds)


def test_a_store_without_the_document_that_tells_stands_for_itself_only_while_it_has_none_at_all(
    tmp_path: Path,
) -> None:
    tree = LocalTree(tmp_path)
    (tmp_path / "new.zarr").mkdir()
    assert is_plate_store(tree, _entry(tree, "new.zarr"), KindMemory()) is True
    _write(tmp_path / "new.zarr" / ".zgroup")
    assert is_plate_store(tree, _entry(tree, "new.zarr"), KindMemory()) is False


def test_without_time_no_store_is_opened_and_what_is_known_is_still_told(tmp_path: Path) -> None:
    _write(tmp_path / "a.zarr" / ".zattrs", '{"plate": {}}')
    tree, kinds = LocalTree(tmp_path), KindMemory()
    entry = _entry(tree, "a.zarr")
    kinds.deadline_s = 0.0
    assert is_plate_store(tree, entry, kinds) is None
    kinds.deadline_s = float("inf")
    assert is_plate_store(tree, entry, kinds) is True
    kinds.deadline_s = 0.0
    assert is_plate_store(tree, entry, kinds) is True


def test_names_tell_files_of_images_and_what_nobody_means() -> None:
    names = ["a.TIF", "a.companion.ome", "a.ozx", "a.zarr.zip"]
    assert [is_store_file(Entry(name, name, False)) for name in names] == [True] * 4
    assert not is_store_file(Entry("a.tif", "a.tif", True))
    assert not is_store_file(Entry("a.zarr", "a.zarr", False))
    assert has_zarr_name(Entry("A.OME.Zarr", "", True))
    left_behind = [Entry(name, name, False) for name in ("._a", ".b", "_c", "~d", "Thumbs.db", "lost+found")]
    kept = Entry("a", "a", False)
    assert without_hidden_entries([*left_behind, kept]) == [kept]


def test_a_folder_of_images_in_which_no_table_was_is_listed_again_once_it_changed(tmp_path: Path) -> None:
    tree, kinds = LocalTree(tmp_path), KindMemory()
    (tmp_path / "P").mkdir()
    old, new = (Entry("P", "P", True, version=version) for version in "12")
    assert look_into_plate_folder(tree, old, kinds, has_images=True).places == ()
    _write(tmp_path / "P" / "P.csv")
    assert look_into_plate_folder(tree, old, kinds, has_images=True).places == ()
    assert len(look_into_plate_folder(tree, old, kinds, has_images=False).places) == 1
    assert len(look_into_plate_folder(tree, new, kinds, has_images=True).places) == 1


def test_a_folder_is_open_where_images_or_tables_may_come_without_a_change_of_its_own(tmp_path: Path) -> None:
    tree = LocalTree(tmp_path)

    def look(has_images: bool) -> bool:
        return look_into_plate_folder(
            tree, Entry("P", "P", True, version="1"), KindMemory(), has_images=has_images
        ).is_open

    _write(tmp_path / "P" / "P.csv")
    assert (look(True), look(False)) == (False, False)
    (tmp_path / "P" / "Images").mkdir()
    assert (look(True), look(False)) == (False, True)
    (tmp_path / "P" / "measurements").mkdir()
    assert look(True)
    _write(tmp_path / "P" / "measurements" / "a.csv")
    assert not look(True)
