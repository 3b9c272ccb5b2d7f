"""A writer killed at any moment leaves complete old or complete new tables, and the next one carries on."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.warehouse.changes.journal import ChangeJournal
from bioimage_assets.core.warehouse.maintain import maintain_warehouse
from bioimage_assets.core.warehouse.manifest.layout import JOURNAL_NAME
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest
from bioimage_assets_tests.core.warehouse.tables import generation
from bioimage_assets_tests.core.warehouse.writer_process import PLATES

MODULE = "bioimage_assets_tests.core.warehouse.writer_process"


def kill_a_writer(root: Path, start: int, delay_s: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", MODULE, "write_generations", str(root), str(start)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(delay_s)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors.decode()[-2000:]


def counts_by_plate(table) -> dict[str, Counter]:
    found: dict[str, Counter] = {}
    for plate, number in zip(
        table.column("plate_key").to_pylist(), table.column("generation").to_pylist(), strict=True
    ):
        found.setdefault(plate, Counter())[number] += 1
    return found


def assert_whole(table_name: str, table) -> None:
    """Rows of whole writes only: 50 rows of one generation per plate, more of them where parts were appended."""
    counts = counts_by_plate(table)
    if table_name == "whole":
        assert len(counts) <= 1
        for plate, numbers in counts.items():
            ((number, rows),) = numbers.items()
            assert (plate, rows) == (PLATES[number % 3], 40 + number % 7)
        return
    for plate, numbers in counts.items():
        assert set(numbers.values()) == {50}, (table_name, plate, numbers)
        if table_name in ("replaced", "together"):
            assert len(numbers) == 1, (table_name, plate, numbers)
    if table_name == "together":
        assert len({number for numbers in counts.values() for number in numbers}) <= 1


def check_root(root: Path) -> None:
    # First as a reader that knows nothing of manifests sees it, before anything is repaired.
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("_")):
        assert_whole(folder.name, pq.read_table(folder))
        listed = duckdb.sql(
            f"select count(*) from read_parquet('{folder}/*.parquet', union_by_name=true)"
        ).fetchall()
        assert listed == [(pq.read_table(folder).num_rows,)]
    warehouse = open_warehouse(root)
    for name in warehouse.tables():
        assert_whole(name, warehouse.read(name))
    maintain_warehouse(root)
    if warehouse.tables():
        result = validate_warehouse_manifest(root)
        assert (result.errors, result.warnings) == ([], [])
    staging = root / "_warehouse" / "staging"
    assert not staging.exists() or list(staging.iterdir()) == []


def kill_often(root: Path, times: int, seed: int) -> None:
    random_moment = random.Random(seed)
    for attempt in range(times):
        kill_a_writer(root, attempt * 100, random_moment.uniform(0.0, 1.2))
        check_root(root)
    warehouse = open_warehouse(root)
    warehouse.replace_partitions("replaced", generation(PLATES[0], -1), [PLATES[0]], role="profiles")
    assert set(warehouse.read("replaced", plate_keys=[PLATES[0]]).column("generation").to_pylist()) == {-1}


@pytest.mark.parametrize("plates", [1, 3])
def test_a_new_table_appears_with_its_files_in_one_step(tmp_path, monkeypatch, plates):
    """Nobody who globs the root meets a table's folder without files, and a cut-off change is finished."""
    folder = tmp_path / "new"
    seen = []

    def killed(self: ChangeJournal, content: object) -> None:
        seen.append(folder.exists())
        raise KeyboardInterrupt

    warehouse = open_warehouse(tmp_path)
    rows = pa.concat_tables([generation(plate, 1) for plate in PLATES[:plates]])
    with monkeypatch.context() as patch:
        patch.setattr(ChangeJournal, "_apply", killed)
        with pytest.raises(KeyboardInterrupt):
            warehouse.replace_partitions("new", rows, PLATES[:plates], role="profiles")
    assert seen == [False]
    content = (tmp_path / JOURNAL_NAME).read_bytes()
    table = open_warehouse(tmp_path).read("new")
    assert (table.num_rows, len(list(folder.glob("*.parquet")))) == (50 * plates, plates)
    # The same journal once more, as after a kill between the rename and the journal's removal.
    (tmp_path / JOURNAL_NAME).write_bytes(content)
    assert open_warehouse(tmp_path).read("new").num_rows == 50 * plates
    check_root(tmp_path)


@pytest.mark.slow
def test_a_killed_writer_leaves_whole_tables(tmp_path):
    kill_often(tmp_path / "root", 2, seed=1)


@pytest.mark.slow
def test_six_killed_writers_leave_whole_tables(tmp_path):
    """Every single step is stopped in ``test_warehouse_every_step``; here the kills are real."""
    kill_often(tmp_path / "root", 6, seed=10)


@pytest.mark.stress
def test_two_hundred_killed_writers_leave_whole_tables(tmp_path):
    for block in range(20):
        kill_often(tmp_path / f"root{block}", 10, seed=100 + block)
