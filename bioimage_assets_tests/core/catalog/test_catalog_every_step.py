"""A change of a catalog table that is stopped, or refused, at any one of its steps leaves the old rows or the new ones.

Steps are files that are created (before one is there, and when it is there but empty), files that are deleted, and
commits of the catalog's database.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO
from sqlalchemy.engine.default import DefaultDialect

from bioimage_assets.core.catalog.deregister import deregister_plates
from bioimage_assets.core.catalog.history import list_snapshots, rollback, tag_release
from bioimage_assets.core.catalog.maintain import maintain_table
from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.core.catalog.replace import (
    remove_partitions,
    replace_partitions,
    replace_table,
)
from bioimage_assets.core.catalog.session import open_catalog
from bioimage_assets.core.catalog.unreferenced_files import list_files, referenced_paths
from bioimage_assets.core.errors import BioimageError
from bioimage_assets_tests.builders.every_step import Before, Killed, Steps, refuse_each, stop_at_each
from bioimage_assets_tests.core.catalog.conftest import sqlite_properties
from bioimage_assets_tests.core.catalog.plates import TABLE, append_rows, build_plate, build_plates
from bioimage_assets_tests.core.catalog.writers import ALL_WORK

KEYS = ["screen/BR1", "screen/BR2", "screen/BR3"]
NAMESPACE = TABLE.rpartition(".")[0]


def three_plates(catalog: Catalog) -> None:
    for number, key in enumerate(KEYS):
        replace_partitions(catalog, TABLE, build_plate(key, number), [key])


def crowded(catalog: Catalog) -> None:
    three_plates(catalog)
    append_rows(catalog, TABLE, build_plates(KEYS, 7))


def wider(generation: int) -> pa.Table:
    return build_plate(KEYS[0], generation).append_column("later", pa.array([1.0] * 10))


def go_back(catalog: Catalog) -> None:
    rollback(catalog, TABLE, list_snapshots(catalog, TABLE)[1].snapshot_id)


@dataclass(frozen=True)
class Change:
    """One way to change a table; ``before`` makes the table it is applied to."""

    name: str
    act: Callable[[Catalog], object]
    before: Callable[[Catalog], object] = three_plates


CHANGES = (
    Change("first table", lambda c: replace_partitions(c, TABLE, build_plates(KEYS[:2], 5), KEYS[:2]), lambda c: None),
    Change("one partition", lambda c: replace_partitions(c, TABLE, build_plate(KEYS[0], 5), KEYS[:1])),
    Change("several partitions", lambda c: replace_partitions(c, TABLE, build_plates(KEYS[:2], 5), KEYS[:2])),
    Change("a new column", lambda c: replace_partitions(c, TABLE, wider(5), KEYS[:1])),
    Change("whole table", lambda c: replace_table(c, TABLE, build_plates(KEYS[1:], 5))),
    Change("removed partition", lambda c: remove_partitions(c, TABLE, KEYS[:1])),
    Change("deregistered plate", lambda c: deregister_plates(c, NAMESPACE, KEYS[:1])),
    Change("maintain", lambda c: maintain_table(c, TABLE, options=ALL_WORK, dry_run=False), crowded),
    Change("tag", lambda c: tag_release(c, NAMESPACE, "release")),
    Change("roll back", go_back),
)  # fmt: skip
# What each kind of change has of its own is in these; the others take minutes.
STOPPED = ("first table", "one partition", "a new column")
REFUSED = ("one partition",)


def cases(chosen: tuple[str, ...]) -> list[object]:
    marks = {
        change.name: pytest.mark.slow if change.name in chosen else pytest.mark.stress for change in CHANGES
    }
    return [pytest.param(change, id=change.name, marks=marks[change.name]) for change in CHANGES]


@contextmanager
def watched(before: Before) -> Iterator[Steps]:
    """Call something before each step; it may raise in its place."""
    steps = Steps(before)
    create, delete, commit = PyArrowFile.create, PyArrowFileIO.delete, DefaultDialect.do_commit

    def created(self: PyArrowFile, overwrite: bool = False) -> object:
        steps.take(f"create {self.location}")
        stream = create(self, overwrite)
        try:
            steps.take(f"created {self.location}")
        except BaseException:
            stream.close()
            raise
        return stream

    def deleted(self: PyArrowFileIO, location: object) -> None:
        steps.take(f"delete {location}")
        delete(self, location)

    def committed(self: DefaultDialect, connection: sqlite3.Connection) -> None:
        try:
            steps.take("commit")
        except Killed:
            # What the end of the process does: SQLite's lock is gone.
            connection.close()
            raise
        commit(self, connection)

    with ExitStack() as patched:
        patched.enter_context(patch.object(PyArrowFile, "create", created))
        patched.enter_context(patch.object(PyArrowFileIO, "delete", deleted))
        patched.enter_context(patch.object(DefaultDialect, "do_commit", committed))
        yield steps


def refuse_at(number: int) -> Before:
    """Fail one step as a full disk does; what follows works."""

    def before(count: int, name: str) -> None:
        if count == number and name == "commit":
            raise sqlite3.OperationalError("database or disk is full")
        if count == number:
            raise OSError(28, "No space left on device", name.partition(" ")[2])

    return before


def rows(catalog: Catalog) -> Counter[tuple[str, int]]:
    """How many rows of which plate and generation there are, for this package and for PyIceberg's own reader."""
    try:
        plain = catalog.load_table(TABLE).scan().to_arrow()
    except NoSuchTableError:
        return Counter()
    table = read_table(catalog, TABLE)
    found = Counter(zip(table["plate_key"].to_pylist(), table["generation"].to_pylist(), strict=True))
    assert found == Counter(zip(plain["plate_key"].to_pylist(), plain["generation"].to_pylist(), strict=True))
    return found


class Place:
    """A catalog that is set back to what it was; its files name each other by their places."""

    def __init__(self, folder: Path, change: Change) -> None:
        self.change, self._folder, self._kept = change, folder / "catalog", folder / "kept"
        self._folder.mkdir(parents=True)
        change.before(self.open())
        shutil.copytree(self._folder, self._kept)
        self.old = rows(self.open())
        change.act(self.open())
        self.new = rows(self.open())

    def open(self) -> Catalog:
        return open_catalog("embedded", sqlite_properties(self._folder))

    def set_back(self) -> Catalog:
        shutil.rmtree(self._folder)
        shutil.copytree(self._kept, self._folder)
        return self.open()

    def check(self) -> None:
        """Complete old or complete new rows; maintenance leaves no file over; the change can be made again."""
        found = rows(self.open())
        assert found in (self.old, self.new)
        catalog = self.open()
        if found:
            assert self._tags(catalog) in ({}, {"release"})
        if self.change.name != "roll back" and found:
            maintain_table(catalog, TABLE, options=ALL_WORK, dry_run=False)
            table = catalog.load_table(TABLE)
            assert {file.path for file in list_files(table)} == referenced_paths(table)
            assert rows(catalog) == found
        if found == self.old:
            self.change.act(self.open())
        assert rows(self.open()) == self.new
        replace_partitions(self.open(), TABLE, build_plate(KEYS[2], 99), KEYS[2:])
        assert rows(self.open())[KEYS[2], 99] == 10

    def _tags(self, catalog: Catalog) -> object:
        return {name for name in catalog.load_table(TABLE).refs() if name != "main"} or {}


@pytest.mark.parametrize("change", cases(STOPPED))
def test_a_change_stopped_before_any_step_is_done_or_not_begun(tmp_path, change):
    place = Place(tmp_path, change)
    for trial in stop_at_each(watched, place.set_back, change.act):
        with trial.told():
            place.check()
    assert trial.number > 3


@pytest.mark.parametrize("is_given", [True, False], ids=["an open catalog", "a name"])
def test_a_commit_that_the_database_refused_once_is_made_again_not_taken_for_landed(
    tmp_path, monkeypatch, is_given
):
    """SQLite is busy at COMMIT while a reader is at work, and the transaction stays open in the connection."""
    folder = tmp_path / "catalog"
    catalog = open_catalog("embedded", sqlite_properties(folder))
    three_plates(catalog)
    if is_given:
        catalog = open_catalog(SqlCatalog("embedded", **sqlite_properties(folder)))
    commit, refused = DefaultDialect.do_commit, []

    def busy_once(self: DefaultDialect, connection: sqlite3.Connection) -> None:
        if not refused:
            refused.append(1)
            raise sqlite3.OperationalError("database is locked")
        commit(self, connection)

    monkeypatch.setattr(DefaultDialect, "do_commit", busy_once)
    replace_partitions(catalog, TABLE, build_plate(KEYS[0], 5), KEYS[:1])
    assert refused
    assert rows(open_catalog("embedded", sqlite_properties(folder)))[KEYS[0], 5] == 10


@pytest.mark.parametrize("change", cases(REFUSED))
def test_a_change_refused_any_step_says_so_and_costs_nothing(tmp_path, change):
    place = Place(tmp_path, change)
    for trial in refuse_each(watched, refuse_at, place.set_back, change.act, BioimageError):
        with trial.told():
            found = rows(place.open())
            assert found == (place.old if trial.said else place.new)
            assert not trial.said or "disk is full" in trial.said
            place.check()
    assert trial.number > 3
