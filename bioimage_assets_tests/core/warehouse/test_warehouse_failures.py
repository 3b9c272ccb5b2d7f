"""Disk full, read-only roots, broken manifests, missing and truncated files: a clear error, and nothing is lost."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.errors import ManifestError, UsageError, WarehouseError
from bioimage_assets.core.warehouse.changes import journal
from bioimage_assets.core.warehouse.convert import convert_layout
from bioimage_assets.core.warehouse.maintain import maintain_warehouse
from bioimage_assets.core.warehouse.manifest.layout import build_part_name
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest
from bioimage_assets_tests.builders.small_disk import PAGE_BYTES, filled, mount_small_disk
from bioimage_assets_tests.core.warehouse.tables import cells
from bioimage_assets_tests.core.warehouse.whole_manifest import read_whole

A, B = "screen/BR1", "screen/BR2"


@pytest.fixture
def warehouse(tmp_path):
    made = open_warehouse(tmp_path / "root")
    for key in (A, B):
        made.replace_partitions("single_cells", cells(key), [key])
    return made


def part(warehouse, key=A) -> Path:
    return Path(warehouse.root) / "single_cells" / build_part_name(key)


def tree(warehouse) -> dict[str, bytes]:
    root = Path(warehouse.root)
    return {
        str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file() and p.name != "lock"
    }


def errors(warehouse) -> list[str]:
    return validate_warehouse_manifest(warehouse.root).errors


def test_a_full_disk_while_staging_changes_nothing(warehouse):
    before = tree(warehouse)
    random = pa.array(os.urandom(16).hex() for _ in range(20_000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(WarehouseError, match="size limit was reached"):
            warehouse.replace_partitions("single_cells", cells(A, 20_000, noise=random), [A])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert tree(warehouse) == before


@pytest.mark.parametrize("file_name", ["warehouse_manifest.json", "journal"])
def test_a_full_disk_while_committing_changes_nothing(warehouse, monkeypatch, file_name):
    before = warehouse.read("single_cells")
    real = journal._write_flushed

    def fail(path, payload):
        if path.name == file_name:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, payload)

    with monkeypatch.context() as patch:
        patch.setattr(journal, "_write_flushed", fail)
        with pytest.raises(WarehouseError, match="no space is left"):
            warehouse.replace_partitions("single_cells", cells(A, 9), [A])
    assert warehouse.read("single_cells").equals(before)
    assert errors(warehouse) == []
    warehouse.replace_partitions("single_cells", cells(A, 9), [A])
    assert warehouse.row_count("single_cells") == 12
    assert os.listdir(Path(warehouse.root) / "_warehouse" / "staging") == []


def test_a_change_cut_off_before_the_manifest_is_finished_by_the_next_open(warehouse, monkeypatch):
    real = os.replace

    def fail(source, target):
        if str(target).endswith("warehouse_manifest.json"):
            raise OSError(errno.EIO, "Input/output error")
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(WarehouseError, match="Input/output error"):
            warehouse.replace_partitions("single_cells", cells(A, 9), [A])
    assert (Path(warehouse.root) / "_warehouse/journal.json").exists()
    again = open_warehouse(warehouse.root)
    assert again.manifest().entry("single_cells").row_count == 12
    assert errors(again) == []


def test_a_read_only_root_can_be_read_and_says_why_it_cannot_be_written(request):
    if os.getuid() != 0:
        pytest.skip("needs root to become a user without rights")
    # Not below pytest's own folder, which nobody but its owner may enter.
    root = Path(tempfile.mkdtemp())
    request.addfinalizer(lambda: shutil.rmtree(root))
    root.chmod(0o755)
    warehouse = open_warehouse(root)
    warehouse.replace_partitions("single_cells", cells(A), [A])
    code = f"""
import os
import pyarrow.dataset
from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets_tests.builders.small_disk import PAGE_BYTES, filled, mount_small_disk
from bioimage_assets_tests.core.warehouse.tables import cells
os.setuid(65534)
warehouse = open_warehouse({str(root)!r})
assert warehouse.read("single_cells").num_rows == 3
try:
    warehouse.replace_partitions("single_cells", cells("{A}", 9), ["{A}"])
except WarehouseError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "permission is denied or the file system is read-only" in done.stdout, done.stderr[-500:]
    assert errors(warehouse) == []


@pytest.mark.parametrize("content", [b"{not json", b"[]", b'{"tables": [{"role": "profiles"}]}', b""])
def test_a_broken_manifest_stops_writes_and_is_kept_aside_by_a_rebuild(warehouse, content):
    manifest = Path(warehouse.root) / "warehouse_manifest.json"
    manifest.write_bytes(content)
    before = {name: data for name, data in tree(warehouse).items() if name.startswith("single_cells")}
    with pytest.raises(ManifestError):
        warehouse.replace_partitions("single_cells", cells(A, 9), [A])
    assert {n: d for n, d in tree(warehouse).items() if n.startswith("single_cells")} == before
    assert errors(warehouse)[0].startswith("Invalid warehouse_manifest.json: ")
    maintain_warehouse(warehouse.root)
    rebuilt = warehouse.manifest()
    assert rebuilt.entry("single_cells").row_count == 6
    assert set(rebuilt.entry("single_cells").partitions) == {A, B}
    assert errors(warehouse) == []
    (kept,) = (Path(warehouse.root) / "_warehouse").glob("broken-manifest-*.json")
    assert kept.read_bytes() == content


def test_a_missing_file_is_named_and_other_partitions_stay_readable(warehouse):
    part(warehouse).unlink()
    assert any("is missing: single_cells/" + part(warehouse).name in error for error in errors(warehouse))
    with pytest.raises(WarehouseError, match="missing from"):
        warehouse.read("single_cells")
    assert part(warehouse).name in "".join(maintain_warehouse(warehouse.root).problems)
    assert errors(warehouse) != []
    warehouse.replace_partitions("single_cells", cells(A), [A])
    assert warehouse.read("single_cells").num_rows == 6
    assert errors(warehouse) == []


@pytest.mark.parametrize("kept_bytes", [0, 10, 500])
def test_a_truncated_file_is_named_and_can_be_replaced(warehouse, kept_bytes):
    path = part(warehouse)
    path.write_bytes(path.read_bytes()[:kept_bytes])
    assert any("no readable Parquet" in error and path.name in error for error in errors(warehouse))
    with pytest.raises(WarehouseError, match="cannot be read"):
        warehouse.read("single_cells")
    assert warehouse.read("single_cells", plate_keys=[B]).num_rows == 3
    assert any(path.name in problem for problem in maintain_warehouse(warehouse.root).problems)
    warehouse.replace_partitions("single_cells", cells(A), [A])
    assert errors(warehouse) == []


def test_wrong_claims_of_the_manifest_are_found_and_put_right(warehouse):
    path = Path(warehouse.root) / "warehouse_manifest.json"
    content = read_whole(warehouse.root)
    entry = content["tables"][0]
    entry["row_count"] = 1
    entry["partitions"][A]["rows"] = 1
    entry["columns"] = ["plate_key", "invented"]
    path.write_text(json.dumps(content))
    found = "\n".join(errors(warehouse))
    assert "records row_count 1; its files hold 6 rows" in found
    assert f"records 1 row for {A}; its files hold 3" in found
    assert "names column(s) that no file has: invented" in found
    assert "does not name column(s) of its files" in found
    assert maintain_warehouse(warehouse.root).tables_corrected == ("single_cells",)
    assert errors(warehouse) == []
    assert maintain_warehouse(warehouse.root).tables_corrected == ()


def test_files_and_tables_that_another_tool_added_are_named_and_taken_in(warehouse):
    pq_bytes = part(warehouse).read_bytes()
    (Path(warehouse.root) / "single_cells" / "extra.parquet").write_bytes(pq_bytes)
    (Path(warehouse.root) / "stray").mkdir()
    (Path(warehouse.root) / "stray" / "part.parquet").write_bytes(pq_bytes)
    result = validate_warehouse_manifest(warehouse.root)
    assert any("does not name the file single_cells/extra.parquet" in error for error in result.errors)
    assert any("Folder 'stray'" in warning for warning in result.warnings)
    maintain_warehouse(warehouse.root)
    assert warehouse.row_count("single_cells") == 9
    assert warehouse.row_count("stray") == 3
    assert errors(warehouse) == []


def test_a_file_that_is_no_parquet_in_a_table_folder_is_a_warning(warehouse):
    (Path(warehouse.root) / "single_cells" / "notes.txt").write_text("hello")
    assert any(
        "notes.txt" in w and "pycytominer" in w for w in validate_warehouse_manifest(warehouse.root).warnings
    )


def test_a_file_under_the_wrong_partition_is_found(warehouse):
    part(warehouse).write_bytes(part(warehouse, B).read_bytes())
    assert any(f"holds rows of {B}, not only of {A}" in error for error in errors(warehouse))


def test_a_name_that_another_tool_gave_is_read_and_kept(warehouse):
    manifest = Path(warehouse.root) / "warehouse_manifest.json"
    content = json.loads(manifest.read_text())
    folder = Path(warehouse.root) / "cells of 2024"
    folder.mkdir()
    pq.write_table(cells(A, 4), folder / "data.parquet")
    outside = Path(warehouse.root).parent / "outside"
    outside.mkdir()
    pq.write_table(cells(A, 4), outside / "data.parquet")
    foreign = [
        {
            "table_name": name,
            "role": "profiles",
            "format": "parquet",
            "join_keys": ["image_id"],
            "columns": ["image_id"],
        }
        for name in ("cells of 2024", "../outside", "empty..name", "")
    ]
    content["tables"] += foreign
    manifest.write_text(json.dumps(content))
    again = open_warehouse(warehouse.root)
    assert again.read("cells of 2024").num_rows == 4
    with pytest.raises(WarehouseError, match="no columns in any file"):
        again.read("../outside")
    again.replace_partitions("embeddings", cells(B), [B], role="embeddings")
    with pytest.raises(UsageError, match="illegal segment 'more cells'"):
        again.append("more cells", cells(B), role="profiles")
    kept = json.loads(manifest.read_text())["tables"]
    assert all(entry in kept for entry in foreign)
    maintain_warehouse(warehouse.root)
    assert {entry["table_name"] for entry in foreign} <= set(open_warehouse(warehouse.root).tables())
    assert sum("Invalid manifest table_name" in error for error in errors(warehouse)) == 4
    seen = duckdb.connect()
    seen.execute(f"SET VARIABLE warehouse = '{warehouse.root}'")
    seen.execute((Path(warehouse.root) / "views.sql").read_text())
    assert seen.sql('SELECT count(*) FROM "cells of 2024"').fetchall() == [(4,)]
    convert_layout(warehouse.root, "namespaced")
    converted = open_warehouse(warehouse.root)
    assert converted.read("cells of 2024").num_rows == 4
    assert converted.read("single_cells").num_rows == 6


FREE_PAGES = (0, 1, 2, 3, 4, 6, 8, 10, 12, 16, 24, 48, 96, 200)


def test_a_disk_that_is_really_full_costs_no_row(tmp_path):
    with mount_small_disk(tmp_path / "disk") as disk:
        warehouse = open_warehouse(disk / "root")
        noise = np.random.default_rng(0)

        def rows(number: int) -> pa.Table:
            features = {"noise": pa.array(noise.random(9_000)), "number": pa.repeat(number, 9_000)}
            return pa.concat_tables([cells(key, 9_000, **features) for key in (A, B)])

        warehouse.overwrite("single_cells", rows(0))
        present, texts = 0, []
        for number, pages in enumerate(FREE_PAGES, start=1):
            with filled(disk, pages * PAGE_BYTES):
                try:
                    warehouse.replace_partitions("single_cells", rows(number), [A, B])
                    present = number
                except WarehouseError as error:
                    texts.append(str(error))
                # Also the plain reader, while the disk still is full and nothing was put in order.
                for table in (warehouse.read("single_cells"), pq.read_table(disk / "root" / "single_cells")):
                    assert table.num_rows == 18_000
                    assert set(table.column("number").to_pylist()) == {present}
            assert errors(warehouse) == []
        assert len(texts) > 5
        assert all("no space is left" in text for text in texts), texts
        assert present > 0
        assert warehouse.replace_partitions("single_cells", rows(99), [A, B]).changed
        assert set(warehouse.read("single_cells").column("number").to_pylist()) == {99}
        assert errors(warehouse) == []
        assert not list((disk / "root" / "_warehouse" / "staging").iterdir())
