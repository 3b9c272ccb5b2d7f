"""Maintenance removes what nobody can read any more, and nothing else."""

import json
import os
import time
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog

from bioimage_assets.core.catalog import maintain
from bioimage_assets.core.catalog.history import list_snapshots, tag_release
from bioimage_assets.core.catalog.maintain import MaintenanceOptions, maintain_table
from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.errors import CatalogError, MissingTableError
from bioimage_assets_tests.core.catalog.plates import (
    TABLE,
    append_rows,
    build_plate,
    build_plates,
    row_counts,
)

A, B = "screen/P1", "screen/P2"
NOW = MaintenanceOptions(keep_snapshots=2, snapshot_age_s=0, orphan_age_s=0, min_small_files=3)


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and "tables" in path.parts}


def write_generations(catalog: Catalog, count: int) -> None:
    for generation in range(count):
        replace_partitions(catalog, TABLE, build_plates([A, B], generation), [A, B])


def test_a_dry_run_reports_and_changes_nothing(catalog: Catalog, tmp_path: Path) -> None:
    write_generations(catalog, 5)
    before = files(tmp_path)
    time.sleep(0.01)
    report = maintain_table(catalog, TABLE, options=NOW)
    assert report.is_dry_run
    assert len(report.expired_snapshots) == 3
    assert files(tmp_path) == before
    assert len(list_snapshots(catalog, TABLE)) == 5


def test_old_snapshots_and_their_files_go_and_the_rows_stay(catalog: Catalog, tmp_path: Path) -> None:
    write_generations(catalog, 8)
    time.sleep(0.01)
    report = maintain_table(catalog, TABLE, options=NOW, dry_run=False)
    assert len(report.expired_snapshots) == 6
    assert report.orphan_bytes > 0
    assert len(list(tmp_path.rglob("*.parquet"))) == 4
    for record in list_snapshots(catalog, TABLE):
        assert row_counts(read_table(catalog, TABLE, as_of=record.snapshot_id)) == {A: 10, B: 10}
    assert set(read_table(catalog, TABLE)["generation"].to_pylist()) == {7}
    again = maintain_table(catalog, TABLE, options=NOW, dry_run=False)
    assert (again.expired_snapshots, again.orphan_files) == ((), ())


def test_a_tagged_snapshot_survives(catalog: Catalog) -> None:
    write_generations(catalog, 1)
    tag_release(catalog, "bioimage.cytotable", "paper")
    write_generations(catalog, 6)
    time.sleep(0.01)
    maintain_table(catalog, TABLE, options=NOW, dry_run=False)
    assert row_counts(read_table(catalog, TABLE, as_of="paper")) == {A: 10, B: 10}


def test_files_of_a_write_that_has_not_committed_are_left_alone(catalog: Catalog, tmp_path: Path) -> None:
    write_generations(catalog, 1)
    folder = next(tmp_path.rglob("*.parquet")).parent
    young, old = folder / "young.parquet", folder / "old.parquet"
    for path in (young, old):
        path.write_bytes(b"half written")
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    report = maintain_table(catalog, TABLE, options=MaintenanceOptions(orphan_age_s=3600), dry_run=False)
    assert [Path(uri).name for uri in report.orphan_files] == ["old.parquet"]
    assert young.exists()
    assert not old.exists()


def test_files_that_are_not_the_tables_are_never_touched(catalog: Catalog, tmp_path: Path) -> None:
    write_generations(catalog, 1)
    notes = next(tmp_path.rglob("metadata")).parent / "notes.txt"
    notes.write_text("keep me")
    maintain_table(catalog, TABLE, options=NOW, dry_run=False)
    assert notes.read_text() == "keep me"


def old_files(folder: Path) -> dict[Path, bytes]:
    """Somebody's own files, in folders that are named like those of a table."""
    for name in ("data/thesis.parquet", "data/deep/cat.jpg", "metadata/notes.avro"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
        os.utime(path, (time.time() - 7200, time.time() - 7200))
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("spelling", ["file://{precious}", "{precious}", "{precious}/x/.."])
def test_a_table_that_calls_other_folders_its_own_removes_nothing_there(
    catalog: Catalog, tmp_path: Path, spelling: str
) -> None:
    """Metadata that were handed over name the reader's folder as the table's location."""
    write_generations(catalog, 4)
    precious = tmp_path / "precious"
    before = old_files(precious)
    metadata = Path(catalog.load_table(TABLE).metadata_location.removeprefix("file://"))
    content = json.loads(metadata.read_text())
    content["location"] = spelling.format(precious=precious)
    metadata.write_text(json.dumps(content))
    for dry_run in (True, False):
        with pytest.raises(CatalogError, match="cannot be told from other files"):
            maintain_table(catalog, TABLE, options=NOW, dry_run=dry_run)
    assert {path: path.read_bytes() for path in precious.rglob("*") if path.is_file()} == before


def test_files_behind_a_link_in_a_table_are_never_removed(catalog: Catalog, tmp_path: Path) -> None:
    write_generations(catalog, 4)
    before = old_files(tmp_path / "precious")
    location = Path(catalog.load_table(TABLE).location().removeprefix("file://"))
    (location / "data/linked").symlink_to(tmp_path / "precious/data")
    (location / "metadata/linked.avro").symlink_to(tmp_path / "precious/metadata/notes.avro")
    time.sleep(0.01)
    report = maintain_table(catalog, TABLE, options=NOW, dry_run=False)
    assert report.orphan_files
    assert not [uri for uri in report.orphan_files if "linked" in uri]
    assert {path: path.read_bytes() for path in before} == before


def test_many_small_files_of_a_partition_become_one(catalog: Catalog) -> None:
    replace_partitions(catalog, TABLE, build_plates([A, B]), [A, B])
    for generation in range(1, 5):
        append_rows(catalog, TABLE, build_plate(A, generation))
    before = read_table(catalog, TABLE).sort_by([("plate_key", "ascending"), ("value", "ascending")])
    report = maintain_table(catalog, TABLE, options=NOW, dry_run=False)
    assert (report.compacted_partitions, report.compacted_file_count) == ((A,), 5)
    after = read_table(catalog, TABLE).sort_by([("plate_key", "ascending"), ("value", "ascending")])
    assert after.equals(before)
    table = catalog.load_table(TABLE)
    assert len(list(table.scan().plan_files())) == 2


def test_a_table_without_partitions_is_compacted_too(catalog: Catalog) -> None:
    rows = build_plate(A).drop_columns(["plate_key"])
    for _ in range(4):
        append_rows(catalog, TABLE, rows)
    report = maintain_table(catalog, TABLE, options=NOW, dry_run=False)
    assert report.compacted_partitions == ("",)
    assert len(list(catalog.load_table(TABLE).scan().plan_files())) == 1
    assert read_table(catalog, TABLE).num_rows == 40


def test_a_plate_replaced_while_it_is_compacted_keeps_its_new_rows(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for generation in range(4):
        append_rows(catalog, TABLE, build_plate(A, generation))
    original = maintain.replace_files

    def replaced_meanwhile(*args):
        replace_partitions(catalog, TABLE, build_plate(A, 99), [A], lock_path=tmp_path / "other.lock")
        return original(*args)

    monkeypatch.setattr(maintain, "replace_files", replaced_meanwhile)
    report = maintain_table(catalog, TABLE, options=NOW, dry_run=False)
    assert (report.compacted_partitions, report.skipped_partitions) == ((), (A,))
    assert read_table(catalog, TABLE).equals(build_plate(A, 99))


def test_another_plate_replaced_meanwhile_does_not_disturb_compaction(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for generation in range(4):
        append_rows(catalog, TABLE, build_plate(A, generation))
    original = maintain.replace_files

    def replaced_meanwhile(*args):
        replace_partitions(catalog, TABLE, build_plate(B, 99), [B], lock_path=tmp_path / "other.lock")
        return original(*args)

    monkeypatch.setattr(maintain, "replace_files", replaced_meanwhile)
    report = maintain_table(catalog, TABLE, options=NOW, dry_run=False)
    assert (report.compacted_partitions, report.skipped_partitions) == ((A,), ())
    assert row_counts(read_table(catalog, TABLE)) == {A: 40, B: 10}


def test_a_missing_table_is_said(catalog: Catalog) -> None:
    write_generations(catalog, 1)
    with pytest.raises(MissingTableError):
        maintain_table(catalog, "bioimage.cytotable.none")
