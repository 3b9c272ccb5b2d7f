"""Processes that are killed at any moment: the old plate or the new one is there, and nothing that was acknowledged is lost."""

import random
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from bioimage_assets.core.catalog.history import list_snapshots
from bioimage_assets.core.catalog.maintain import maintain_table
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.catalog.session import open_catalog
from bioimage_assets.core.catalog.unreferenced_files import list_files, referenced_paths
from bioimage_assets_tests.core.catalog.conftest import sqlite_properties
from bioimage_assets_tests.core.catalog.plates import TABLE, append_rows, build_plate
from bioimage_assets_tests.core.catalog.writers import (
    ALL_WORK,
    ROWS_PER_PLATE,
    acknowledged,
    plate_generations,
    start_maintenance,
    start_writer,
)

KEY, OTHER = (
    "cpg0016-jump-source_4-2021_04_26_Batch1/BR0011000",
    "cpg0016-jump-source_4-2021_04_26_Batch1/BR0011001",
)


def kill_after(process: BaseProcess, journal: Path, delay_s: float) -> None:
    """Kill a process some time after it noted that it begins."""
    while not journal.stat().st_size:
        assert process.is_alive(), "the process ended before it began"
        time.sleep(0.002)
    time.sleep(delay_s)
    process.kill()
    process.join()


def assert_clean_and_writable(properties: dict[str, str]) -> None:
    """Maintenance leaves exactly the files that snapshots refer to, and the next write lands."""
    catalog = open_catalog("embedded", properties)
    maintain_table(catalog, TABLE, options=ALL_WORK, dry_run=False)
    table = catalog.load_table(TABLE)
    assert {file.path for file in list_files(table)} == referenced_paths(table)
    replace_partitions(catalog, TABLE, build_plate(KEY, 10**6, ROWS_PER_PLATE), [KEY])
    assert plate_generations(properties)[KEY] == 10**6


def kill_writers(properties: dict[str, str], folder: Path, times: int, seed: int) -> None:
    moments, journal = random.Random(seed), folder / "crash.journal"
    catalog = open_catalog("embedded", properties)
    replace_partitions(catalog, TABLE, build_plate(KEY, 0, ROWS_PER_PLATE), [KEY])
    written = 0
    for _ in range(times):
        journal.write_bytes(b"")
        writer = start_writer(properties, KEY, range(written + 1, written + 1001), journal)
        kill_after(writer, journal, moments.uniform(0, 0.12))
        found = plate_generations(properties)[KEY]
        assert found >= max(acknowledged(journal), default=written)
        written = found
    assert_clean_and_writable(properties)


def kill_maintenance(properties: dict[str, str], folder: Path, times: int, seed: int) -> int:
    """Kill maintenance in the middle of its work; say how often it had not come to its end."""
    moments, journal, stopped, longest_s = random.Random(seed), folder / "crash.journal", 0, 0.3
    catalog = open_catalog("embedded", properties)
    for generation in range(times):
        for key in (KEY, OTHER):
            rows = build_plate(key, generation, ROWS_PER_PLATE)
            replace_partitions(catalog, TABLE, rows.slice(0, 7), [key])
            append_rows(catalog, TABLE, rows.slice(7))
        journal.write_bytes(b"")
        kill_after(start_maintenance(properties, journal), journal, moments.uniform(0, longest_s))
        is_done = journal.read_text() == "done\n"
        stopped += not is_done
        # Aim at the work itself, whatever the speed of the machine.
        longest_s *= 0.8 if is_done else 1.2
        assert plate_generations(properties) == {KEY: generation, OTHER: generation}
    assert_clean_and_writable(properties)
    assert len(list_snapshots(catalog, TABLE)) < 4 * times
    return stopped


@pytest.mark.slow
def test_a_killed_writer_leaves_the_old_plate_or_the_new_one(tmp_path: Path) -> None:
    kill_writers(sqlite_properties(tmp_path / "catalog"), tmp_path, times=6, seed=1)


@pytest.mark.slow
def test_a_writer_killed_twelve_times_loses_nothing(tmp_path: Path) -> None:
    """Every single step is stopped in ``test_catalog_every_step``; here the kills are real."""
    kill_writers(sqlite_properties(tmp_path / "catalog"), tmp_path, times=12, seed=2)


@pytest.mark.stress
def test_a_writer_killed_two_hundred_times_loses_nothing(tmp_path: Path) -> None:
    kill_writers(sqlite_properties(tmp_path / "catalog"), tmp_path, times=200, seed=3)


@pytest.mark.slow
@pytest.mark.postgres
def test_a_writer_on_postgres_killed_ten_times_loses_nothing_and_blocks_nobody(
    postgres: dict[str, str], tmp_path: Path
) -> None:
    kill_writers(postgres, tmp_path, times=10, seed=4)


@pytest.mark.stress
@pytest.mark.postgres
def test_a_writer_on_postgres_killed_hundred_times_loses_nothing(
    postgres: dict[str, str], tmp_path: Path
) -> None:
    kill_writers(postgres, tmp_path, times=100, seed=5)


@pytest.mark.slow
def test_killed_maintenance_loses_no_row_and_the_next_one_finishes_its_work(tmp_path: Path) -> None:
    assert kill_maintenance(sqlite_properties(tmp_path / "catalog"), tmp_path, times=15, seed=6) > 3


@pytest.mark.stress
def test_maintenance_killed_hundred_times_loses_no_row(tmp_path: Path) -> None:
    assert kill_maintenance(sqlite_properties(tmp_path / "catalog"), tmp_path, times=100, seed=7) > 20


@pytest.mark.stress
@pytest.mark.postgres
def test_maintenance_on_postgres_killed_thirty_times_loses_no_row(
    postgres: dict[str, str], tmp_path: Path
) -> None:
    assert kill_maintenance(postgres, tmp_path, times=30, seed=8) > 5
