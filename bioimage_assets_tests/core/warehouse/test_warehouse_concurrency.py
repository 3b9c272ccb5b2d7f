"""Processes that write into one root at the same time all land, and a reader beside them never sees half a plate."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.errors import MissingTableError
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest

MODULE = "bioimage_assets_tests.core.warehouse.writer_process"


@pytest.fixture
def enough(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """File that a reader makes once it has seen what it needs; writers go on until then, however slow it is."""
    path = tmp_path_factory.mktemp("reader") / "enough"
    yield path
    path.touch()  # where the reader failed


def start(job: str, root: Path, count: int, *arguments: str) -> list[subprocess.Popen]:
    command = [sys.executable, "-m", MODULE, job, str(root)]
    return [subprocess.Popen([*command, str(i), *arguments], stderr=subprocess.PIPE) for i in range(count)]


def finish(processes: list[subprocess.Popen]) -> None:
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors.decode()[-2000:]


def assert_valid(root: Path) -> None:
    result = validate_warehouse_manifest(root)
    assert (result.errors, result.warnings) == ([], [])


def write_many_tables(root: Path, processes: int, tables: int) -> None:
    finish(start("write_tables", root, processes, str(tables)))
    manifest = open_warehouse(root).manifest()
    assert len(manifest.tables) == processes * tables
    assert {entry.row_count for entry in manifest.tables} == {5}
    assert_valid(root)


@pytest.mark.slow
def test_four_processes_with_ten_tables_each_make_forty_entries(tmp_path):
    write_many_tables(tmp_path, 4, 10)


@pytest.mark.stress
def test_eight_processes_with_fifty_tables_each_make_four_hundred_entries(tmp_path):
    write_many_tables(tmp_path, 8, 50)


@pytest.mark.slow
def test_plates_of_one_table_written_together_all_land_while_a_reader_watches(tmp_path, enough):
    processes = start("write_one_plate", tmp_path, 4, str(enough))
    warehouse = open_warehouse(tmp_path)
    while any(process.poll() is None for process in processes):
        try:
            table = warehouse.read("shared", columns=["plate_key", "generation"])
        except MissingTableError:
            continue
        pairs = zip(
            table.column("plate_key").to_pylist(), table.column("generation").to_pylist(), strict=True
        )
        plates = Counter(plate for plate, _ in set(pairs))
        assert set(plates.values()) == {1}
        assert table.num_rows == 50 * len(plates)
        enough.touch()
    finish(processes)
    assert enough.exists()
    assert warehouse.row_count("shared") == 200
    assert set(warehouse.read("shared").column("generation").to_pylist()) == {10}
    assert {f"of_{i}" for i in range(4)} <= set(warehouse.schema("shared").names)
    assert set(pq.read_table(tmp_path / "shared").column_names) == set(warehouse.schema("shared").names)
    assert_valid(tmp_path)


@pytest.mark.slow
def test_appends_of_several_processes_are_all_there(tmp_path):
    finish(start("append_parts", tmp_path, 4))
    warehouse = open_warehouse(tmp_path)
    assert warehouse.row_count("appended") == 160
    assert warehouse.read("appended").num_rows == 160
    assert_valid(tmp_path)


def read_beside_overwrites(root: Path, times: int, enough: Path, least: int) -> None:
    """Read through every door while another process overwrites, until that many generations were seen."""
    warehouse = open_warehouse(root)
    doors = (
        lambda: warehouse.read("whole"),
        lambda: warehouse.batches("whole").read_all(),
        lambda: warehouse.scanner("whole").to_table(),
        lambda: warehouse.dataset("whole").to_table(),
    )
    words = [sys.executable, "-m", MODULE, "overwrite_often", str(root), str(times), str(enough)]
    process = subprocess.Popen(words)
    seen: set[int] = set()
    for door in cycle(doors):
        if process.poll() is not None:
            break
        try:
            table, rows = door(), warehouse.row_count("whole")
        except MissingTableError:
            continue
        numbers = set(table.column("generation").to_pylist())
        assert len(numbers) == 1
        (number,) = numbers
        assert table.num_rows == (2 + number % 3) * 50
        assert rows in (100, 150, 200)
        seen |= numbers
        if len(seen) >= least:
            enough.touch()
    assert process.returncode == 0
    assert len(seen) >= least
    assert_valid(root)


@pytest.mark.slow
def test_a_reader_beside_whole_table_overwrites_never_sees_two_generations(tmp_path, enough):
    read_beside_overwrites(tmp_path, 25, enough, 4)


@pytest.mark.stress
def test_a_reader_beside_a_thousand_overwrites_never_sees_two_generations(tmp_path, enough):
    read_beside_overwrites(tmp_path, 1000, enough, 150)
