"""Full disks, damaged and missing files: a clear error, and nothing that was there is lost."""

import resource
import signal
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog

from bioimage_assets.core.catalog.read import read_batches, read_table
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.catalog.session import open_catalog
from bioimage_assets.core.errors import CatalogError
from bioimage_assets_tests.builders.small_disk import PAGE_BYTES, filled, mount_small_disk
from bioimage_assets_tests.core.catalog.conftest import sqlite_properties
from bioimage_assets_tests.core.catalog.plates import TABLE, build_plate, build_plates

A, B = "screen/P1", "screen/P2"


def data_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.parquet"))


def test_a_disk_that_takes_no_more_bytes_keeps_the_old_plate(catalog: Catalog, tmp_path: Path) -> None:
    replace_partitions(catalog, TABLE, build_plate(A), [A])
    before = data_files(tmp_path)
    large = build_plate(A, 1, rows=200_000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(CatalogError, match="nothing was committed"):
            replace_partitions(catalog, TABLE, large, [A])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert read_table(catalog, TABLE).equals(build_plate(A))
    assert data_files(tmp_path) == before
    replace_partitions(catalog, TABLE, large, [A])
    assert read_table(catalog, TABLE).num_rows == 200_000


FREE_PAGES = (0, 1, 2, 3, 4, 6, 8, 10, 12, 16, 24, 48, 96, 200, 300)


@pytest.mark.slow
def test_a_disk_that_is_really_full_costs_no_row(tmp_path: Path) -> None:
    with mount_small_disk(tmp_path / "disk") as disk:
        catalog = open_catalog("embedded", sqlite_properties(disk / "catalog"))
        replace_partitions(catalog, TABLE, build_plates([A, B], 0, 20_000), [A, B])
        present, texts = 0, []
        for number, pages in enumerate(FREE_PAGES, start=1):
            with filled(disk, pages * PAGE_BYTES):
                try:
                    replace_partitions(catalog, TABLE, build_plates([A, B], number, 20_000), [A, B])
                    present = number
                except CatalogError as error:
                    texts.append(str(error))
                table = read_table(open_catalog("embedded", sqlite_properties(disk / "catalog")), TABLE)
                assert table.num_rows == 40_000
                assert set(table.column("generation").to_pylist()) == {present}
        assert len(texts) > 3
        assert all("disk is full" in text for text in texts), texts
        assert present > 0
        replace_partitions(catalog, TABLE, build_plates([A, B], 99, 20_000), [A, B])
        assert set(read_table(catalog, TABLE).column("generation").to_pylist()) == {99}


def test_a_truncated_data_file_is_named_and_can_be_written_again(catalog: Catalog, tmp_path: Path) -> None:
    replace_partitions(catalog, TABLE, build_plates([A, B]), [A, B])
    broken = data_files(tmp_path)[0]
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(CatalogError, match=broken.name):
        read_table(catalog, TABLE)
    with pytest.raises(CatalogError, match=broken.name):
        read_batches(catalog, TABLE).read_all()
    replace_partitions(catalog, TABLE, build_plates([A, B], 1), [A, B])
    assert read_table(catalog, TABLE).num_rows == 20


def test_a_missing_data_file_is_named_and_can_be_written_again(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bioimage_assets.core.catalog.read._READ_DEADLINE_S", 0.3)
    replace_partitions(catalog, TABLE, build_plate(A), [A])
    gone = data_files(tmp_path)[0]
    gone.unlink()
    with pytest.raises(CatalogError, match=f"{gone.name}.*write its plate again"):
        read_table(catalog, TABLE)
    replace_partitions(catalog, TABLE, build_plate(A, 1), [A])
    assert read_table(catalog, TABLE).num_rows == 10


def test_a_reader_meets_a_file_that_maintenance_removed_and_reads_the_newest_state(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_partitions(catalog, TABLE, build_plate(A), [A])
    from bioimage_assets.core.catalog import read

    original = read.read_scan_at_once

    def replaced_after_planning(scan):
        monkeypatch.setattr(read, "read_scan_at_once", original)
        planned = data_files(tmp_path)
        replace_partitions(catalog, TABLE, build_plate(A, 1), [A])
        for path in planned:
            path.unlink()
        return original(scan)

    monkeypatch.setattr(read, "read_scan_at_once", replaced_after_planning)
    assert read_table(catalog, TABLE).equals(build_plate(A, 1))


def test_a_damaged_catalog_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(CatalogError, match="Opening the catalog"):
        open_catalog("embedded", sqlite_properties(tmp_path))


def test_a_busy_catalog_is_waited_for(catalog: Catalog, tmp_path: Path) -> None:
    replace_partitions(catalog, TABLE, build_plate(A), [A])
    holder = sqlite3.connect(tmp_path / "catalog" / "catalog.db", timeout=0, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    holder.execute("UPDATE iceberg_tables SET table_name = table_name")
    release = threading.Timer(0.5, holder.rollback)
    started = time.monotonic()
    release.start()
    replace_partitions(catalog, TABLE, build_plate(A, 1), [A])
    assert time.monotonic() - started > 0.4
    release.join()
    holder.close()
    assert read_table(catalog, TABLE).equals(build_plate(A, 1))
