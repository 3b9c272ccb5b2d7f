"""The renames of a change: each happens once, and none takes the place of files that came in between."""

from __future__ import annotations

from pathlib import Path

from bioimage_assets.core.warehouse.changes.journal import _exchange_once, _first_missing, _move_new


def _folder(path: Path, *names: str) -> Path:
    path.mkdir(parents=True)
    for name in names:
        (path / name).write_text(path.name)
    return path


def test_a_new_tables_folder_goes_into_place_once_and_never_over_files(tmp_path: Path) -> None:
    following = _folder(tmp_path / "next", "a.parquet")
    assert _move_new(following, tmp_path / "table")
    assert (tmp_path / "table" / "a.parquet").read_text() == "next"
    assert _move_new(following, tmp_path / "table")  # it happened already
    again = _folder(tmp_path / "again", "b.parquet")
    assert not _move_new(again, tmp_path / "table")
    assert (again / "b.parquet").exists()
    assert [item.name for item in (tmp_path / "table").iterdir()] == ["a.parquet"]
    assert not _move_new(tmp_path / "nowhere", tmp_path / "neither")


def test_the_folder_that_appears_is_the_first_that_is_missing_or_an_empty_one(tmp_path: Path) -> None:
    empty, full = _folder(tmp_path / "empty"), _folder(tmp_path / "full", "a.parquet")
    assert _first_missing(empty, tmp_path) == empty
    assert _first_missing(full, tmp_path) is None
    assert _first_missing(tmp_path / "profiles" / "cells", tmp_path) == tmp_path / "profiles"
    assert _first_missing(full / "cells", tmp_path) == full / "cells"


def test_folders_that_were_exchanged_are_not_exchanged_back(tmp_path: Path) -> None:
    following, table = _folder(tmp_path / "next", "new"), _folder(tmp_path / "table", "old")
    inode = following.stat().st_ino
    if not _exchange_once(following, table, inode):  # this file system cannot exchange
        return
    assert [item.name for item in table.iterdir()] == ["new"]
    assert _exchange_once(following, table, inode)
    assert [item.name for item in table.iterdir()] == ["new"]
    assert not _exchange_once(following, tmp_path / "gone", inode + 1)
