"""Whatever a writer does between two steps of a reader, the reader gets rows of one committed state."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import orjson
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.warehouse.changes import journal
from bioimage_assets.core.warehouse.changes.journal import ChangeJournal
from bioimage_assets.core.warehouse.convert import convert_layout
from bioimage_assets.core.warehouse.files import local_files
from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest.layout import JOURNAL_NAME
from bioimage_assets.core.warehouse.reading import consistent_read, read
from bioimage_assets.core.warehouse.root import Warehouse, open_warehouse
from bioimage_assets_tests.core.warehouse.tables import generation

PLATES = [f"screen/BR{i}" for i in range(3)]


def rows(number: int) -> pa.Table:
    return pa.concat_tables([generation(plate, number, 5) for plate in PLATES])


class Writer:
    """Changes a table of a root by one generation at a time, in a thread, as another process would."""

    def __init__(self, root: Path, change: str = "overwrite") -> None:
        self.number = 0
        self.reader = open_warehouse(root)
        self._root = root
        self._change = change
        self._threads: list[threading.Thread] = []
        self._write(0)

    def write(self) -> None:
        self.number += 1
        thread = threading.Thread(target=self._write, args=(self.number,))
        thread.start()
        self._threads.append(thread)
        # A reader that holds the lock is not overtaken; the writer comes after it.
        thread.join(0.01 if self.reader.files_at._lock.is_locked else 30)

    def finish(self) -> None:
        """Wait for writers that came after a reader."""
        for thread in self._threads:
            thread.join(30)

    def _write(self, number: int) -> None:
        warehouse = open_warehouse(self._root)
        if self._change == "overwrite" or number == 0:
            warehouse.overwrite("whole", rows(number), role="profiles")
        elif self._change == "replace":
            warehouse.replace_partitions("whole", rows(number), PLATES, role="profiles")
        else:
            # One plate after the other: a reader must never see a later plate newer than an earlier one.
            for plate in PLATES:
                warehouse.replace_partitions("whole", generation(plate, number, 5), [plate], role="profiles")


READS: dict[str, Callable[[Warehouse], pa.Table]] = {
    "read": lambda warehouse: warehouse.read("whole"),
    "batches": lambda warehouse: warehouse.batches("whole").read_all(),
    "scanner": lambda warehouse: warehouse.scanner("whole").to_table(),
    "dataset": lambda warehouse: duckdb.from_arrow(warehouse.dataset("whole")).to_arrow_table(),
}


@contextmanager
def disturbed(monkeypatch: pytest.MonkeyPatch, writer: Writer) -> Iterator[None]:
    """A writer changes the table before every single file that a reader opens."""
    open_part = local_files.open_part

    def disturb(path: Path) -> pa.NativeFile:
        writer.write()
        return open_part(path)

    with monkeypatch.context() as patch:
        patch.setattr(local_files, "open_part", disturb)
        yield
    writer.finish()


def numbers_by_plate(table: pa.Table) -> list[int]:
    found = dict.fromkeys(PLATES, -1)
    for plate, number in zip(
        table.column("plate_key").to_pylist(), table.column("generation").to_pylist(), strict=True
    ):
        assert found[plate] in (-1, number)
        found[plate] = number
    assert table.num_rows == 15
    return list(found.values())


@pytest.mark.parametrize(
    ("way", "change"),
    [*((way, "overwrite") for way in READS), ("read", "replace"), ("read", "one by one")],
)
def test_a_writer_between_any_two_files_is_never_seen_half(tmp_path, monkeypatch, way, change):
    writer = Writer(tmp_path, change)
    monkeypatch.setattr(consistent_read, "LOOKS", 2)
    with disturbed(monkeypatch, writer):
        numbers = numbers_by_plate(READS[way](writer.reader))
    # Both looks without the lock were disturbed at every file, and the one with the lock could not be.
    assert writer.number == 9
    assert sorted(numbers, reverse=True) == numbers
    assert numbers[0] - numbers[-1] <= (1 if change == "one by one" else 0)


def test_a_stream_that_began_ends_with_the_state_it_began_with(tmp_path):
    writer = Writer(tmp_path)
    reader, dataset = writer.reader.batches("whole"), writer.reader.dataset("whole")
    first = next(iter(reader))
    for _ in range(3):
        writer.write()
    writer.reader.remove_partitions("whole", PLATES[1:])
    assert set(first.column("generation").to_pylist()) == {0}
    assert set(reader.read_all().column("generation").to_pylist()) == {0}
    assert numbers_by_plate(dataset.to_table()) == [0, 0, 0]


def test_more_files_than_may_be_held_open_are_compared_afterwards(tmp_path, monkeypatch):
    writer = Writer(tmp_path)
    monkeypatch.setattr(local_files, "_open_files_limit", lambda: 2)
    reader = writer.reader.batches("whole")
    next(iter(reader))
    writer.write()
    with pytest.raises(WarehouseError, match="changed while it was read"):
        reader.read_all()
    assert numbers_by_plate(writer.reader.read("whole")) == [1, 1, 1]


def test_a_read_that_is_overtaken_begins_again_and_at_last_takes_the_lock(tmp_path, monkeypatch):
    writer = Writer(tmp_path)
    monkeypatch.setattr(local_files, "_open_files_limit", lambda: 2)
    monkeypatch.setattr(read, "READ_ATTEMPTS", 3)
    dataset = consistent_read.ConsistentParts.dataset

    def overtaken(self: consistent_read.ConsistentParts, files: RootFiles) -> ds.Dataset:
        writer.write()
        return dataset(self, files)

    monkeypatch.setattr(consistent_read.ConsistentParts, "dataset", overtaken)
    assert numbers_by_plate(writer.reader.read("whole")) == [3, 3, 3]
    assert writer.number == 4
    writer.finish()


def test_a_table_is_read_while_its_layout_is_converted(tmp_path, monkeypatch):
    warehouse = Writer(tmp_path).reader
    open_part = local_files.open_part
    opened: list[Path] = []

    def convert(path: Path) -> pa.NativeFile:
        opened.append(path)
        if len(opened) == 2:
            convert_layout(tmp_path, "namespaced")
        return open_part(path)

    monkeypatch.setattr(local_files, "open_part", convert)
    assert numbers_by_plate(warehouse.read("whole")) == [0, 0, 0]
    assert open_warehouse(tmp_path).tables() == ("profiles.whole",)
    assert len(opened) > 3


@pytest.mark.parametrize("step", ["before the files", "before the manifest"])
def test_a_reader_without_the_right_to_write_reads_beside_a_cut_off_change(tmp_path, monkeypatch, step):
    Writer(tmp_path)
    apply = ChangeJournal._apply

    def killed(self: ChangeJournal, content: object) -> None:
        if step == "before the manifest":
            apply(self, content)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ChangeJournal, "_apply", killed)
        with pytest.raises(KeyboardInterrupt):
            open_warehouse(tmp_path).overwrite("whole", rows(2), role="profiles")
    assert (tmp_path / JOURNAL_NAME).exists()
    content = orjson.loads((tmp_path / JOURNAL_NAME).read_bytes())
    assert content["exchange"]

    @contextmanager
    def forbidden(self: object) -> Iterator[None]:
        raise WarehouseError("permission is denied")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(local_files.LocalRootFiles, "exclusive", forbidden)
        patch.setattr(local_files.LocalRootFiles, "recover", lambda self: False)
        numbers = numbers_by_plate(open_warehouse(tmp_path).read("whole"))
        assert numbers == ([0, 0, 0] if step == "before the files" else [2, 2, 2])
        del content["exchange"]
        (tmp_path / JOURNAL_NAME).write_bytes(orjson.dumps(content))
        with pytest.raises(WarehouseError, match="cut off half-way"):
            open_warehouse(tmp_path).read("whole")


def test_where_folders_cannot_be_exchanged_a_reader_waits_or_finishes_the_change(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "exchange_paths", lambda first, second: False)
    writer = Writer(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(local_files, "LOCK_TIMEOUT_S", 0.0)
        hurried = open_warehouse(tmp_path)
    replace_file = journal.os.replace
    seen: list[list[int]] = []

    def halfway(source: object, target: object) -> None:
        replace_file(source, target)
        if Path(str(target)).parent.name == "whole":
            # One of three files is the new one: as a reader of the folder would see it, and as ours does.
            thread = threading.Thread(target=lambda: seen.append(read_in_vain(hurried)))
            thread.start()
            thread.join(30)
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(journal.os, "replace", halfway)
        patch.setattr(consistent_read, "LOOKS", 1)
        with pytest.raises(KeyboardInterrupt):
            open_warehouse(tmp_path).overwrite("whole", rows(1), role="profiles")
    assert seen == [[-1]]
    assert len(set(pq.read_table(tmp_path / "whole").column("generation").to_pylist())) == 2
    assert numbers_by_plate(writer.reader.read("whole")) == [1, 1, 1]


def read_in_vain(reader: Warehouse) -> list[int]:
    """A reader beside a change of several files that has no end: it says so rather than giving a mixture."""
    with pytest.raises(WarehouseError, match="cut off half-way"):
        reader.read("whole")
    return [-1]
