"""Many processes, one catalog: every write lands, every plate is whole, and no reader sees less."""

import threading
import time
from pathlib import Path

import pytest

from bioimage_assets.core.catalog.history import list_snapshots
from bioimage_assets.core.catalog.locks import commit_lock
from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.catalog.session import open_catalog
from bioimage_assets.core.errors import CommitError, MissingTableError
from bioimage_assets_tests.builders.at_once import run_at_once
from bioimage_assets_tests.core.catalog.conftest import sqlite_properties
from bioimage_assets_tests.core.catalog.plates import TABLE, build_plate
from bioimage_assets_tests.core.catalog.writers import (
    ROWS_PER_PLATE,
    acknowledged,
    check_whole,
    plate_generations,
    start_writer,
)

# Real plate keys share longer prefixes than the 16 characters that file metrics are cut to by default.
PREFIX = "cpg0016-jump-source_4-2021_04_26_Batch1/BR0011"


class Reader(threading.Thread):
    """Reads the whole table over and over until it is stopped; remembers what went wrong."""

    def __init__(self, properties: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self.properties, self.reads, self.failure, self.is_stopped = properties, 0, None, threading.Event()

    def run(self) -> None:
        catalog = open_catalog("embedded", self.properties)
        while not self.is_stopped.is_set():
            try:
                check_whole(read_table(catalog, TABLE))
                self.reads += 1
            except MissingTableError:
                time.sleep(0.01)
            except Exception as error:  # noqa: BLE001 - the test reports whatever it was
                self.failure = error
                return


def run_writers(properties: dict[str, str], folder: Path, plates: int, generations: int) -> Reader:
    """Let one process per plate write its generations, a reader beside them; all must land."""
    keys = [f"{PREFIX}{number:03d}" for number in range(plates)]
    journals = {key: folder / f"{number}.journal" for number, key in enumerate(keys)}
    reader = Reader(properties)
    reader.start()
    writers = [start_writer(properties, key, range(generations), journals[key]) for key in keys]
    for writer in writers:
        writer.join(600)
    # A machine that stood still may have let the writers finish first: the reader comes to its reads all the same.
    while reader.reads < 6 and reader.is_alive():
        time.sleep(0.01)
    reader.is_stopped.set()
    reader.join(60)
    landed = sum(len(acknowledged(journal)) for journal in journals.values())
    assert landed == plates * generations
    assert plate_generations(properties) == dict.fromkeys(keys, generations - 1)
    assert reader.failure is None, reader.failure
    return reader


@pytest.mark.slow
def test_processes_that_start_on_an_empty_sqlite_catalog_all_land(tmp_path: Path) -> None:
    properties = sqlite_properties(tmp_path / "catalog")
    reader = run_writers(properties, tmp_path, plates=4, generations=3)
    assert reader.reads > 0
    assert len(list_snapshots(open_catalog("embedded", properties), TABLE)) == 12


@pytest.mark.slow
def test_eight_processes_times_four_generations_on_sqlite(tmp_path: Path) -> None:
    reader = run_writers(sqlite_properties(tmp_path / "catalog"), tmp_path, plates=8, generations=4)
    assert reader.reads > 2


@pytest.mark.stress
def test_sixteen_processes_times_ten_generations_on_sqlite(tmp_path: Path) -> None:
    reader = run_writers(sqlite_properties(tmp_path / "catalog"), tmp_path, plates=16, generations=10)
    assert reader.reads > 5


@pytest.mark.slow
@pytest.mark.postgres
def test_processes_that_start_on_an_empty_postgres_catalog_all_land(
    postgres: dict[str, str], tmp_path: Path
) -> None:
    reader = run_writers(postgres, tmp_path, plates=3, generations=3)
    assert reader.reads > 0


@pytest.mark.slow
@pytest.mark.postgres
def test_eight_processes_times_four_generations_on_postgres(postgres: dict[str, str], tmp_path: Path) -> None:
    reader = run_writers(postgres, tmp_path, plates=8, generations=4)
    assert reader.reads > 2


@pytest.mark.stress
@pytest.mark.postgres
def test_sixteen_processes_times_ten_generations_on_postgres(
    postgres: dict[str, str], tmp_path: Path
) -> None:
    reader = run_writers(postgres, tmp_path, plates=16, generations=10)
    assert reader.reads > 5


@pytest.mark.postgres
def test_a_postgres_lock_that_is_held_too_long_is_a_clear_error(
    postgres: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = open_catalog("embedded", postgres)
    monkeypatch.setattr("bioimage_assets.core.catalog.locks.COMMIT_DEADLINE_S", 1.0)
    with (
        commit_lock(catalog, ("n", "t")),
        commit_lock(catalog, ("n", "other")),
        pytest.raises(CommitError, match="held the lock"),
        commit_lock(catalog, ("n", "t")),
    ):
        pass


def test_a_file_lock_that_is_held_too_long_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = open_catalog("embedded", sqlite_properties(tmp_path / "catalog"))
    monkeypatch.setattr("bioimage_assets.core.catalog.locks.COMMIT_DEADLINE_S", 0.2)
    with (
        commit_lock(catalog, ("n", "t")),
        pytest.raises(CommitError, match="held the lock"),
        commit_lock(catalog, ("n", "t")),
    ):
        pass


@pytest.mark.slow
def test_processes_that_write_the_same_plate_leave_one_whole_generation(tmp_path: Path) -> None:
    properties = sqlite_properties(tmp_path / "catalog")
    key = f"{PREFIX}000"
    ranges = [range(start, start + 3) for start in (0, 100, 200)]
    writers = [start_writer(properties, key, one, tmp_path / f"{one.start}.journal") for one in ranges]
    for writer in writers:
        writer.join(300)
    assert sum(len(acknowledged(tmp_path / f"{one.start}.journal")) for one in ranges) == 9
    assert plate_generations(properties)[key] in (2, 102, 202)


@pytest.mark.slow
def test_writers_without_a_lock_retry_until_they_land(tmp_path: Path) -> None:
    properties = sqlite_properties(tmp_path / "catalog")
    catalogs = [open_catalog("embedded", properties) for _ in range(3)]

    def write(number: int) -> None:
        key = f"{PREFIX}{number}"
        for generation in range(4):
            plate = build_plate(key, generation, ROWS_PER_PLATE)
            # A lock of its own for every writer is no lock at all.
            replace_partitions(catalogs[number], TABLE, plate, [key], lock_path=tmp_path / f"{number}.lock")

    run_at_once(write, 3)
    assert plate_generations(properties) == {f"{PREFIX}{number}": 3 for number in range(3)}
