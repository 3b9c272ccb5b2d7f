"""Entries of partitions beside the manifest: what a write costs does not grow with the plates, and all of them are found."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from uuid import uuid4

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bioimage_assets.core.errors import ManifestError
from bioimage_assets.core.warehouse.changes import journal, stage_entries
from bioimage_assets.core.warehouse.files.local_files import LocalRootFiles
from bioimage_assets.core.warehouse.maintain import maintain_warehouse
from bioimage_assets.core.warehouse.maintain_entries import list_entries_files
from bioimage_assets.core.warehouse.manifest import manifest_file, partition_index, stored_partitions
from bioimage_assets.core.warehouse.manifest.changed_partitions import ChangedPartitions
from bioimage_assets.core.warehouse.manifest.layout import MANIFEST_NAME, PARTITIONS_DIR
from bioimage_assets.core.warehouse.manifest.partition_records import PartitionEntry, PartitionMap
from bioimage_assets.core.warehouse.manifest.records import WarehouseTableManifestEntry
from bioimage_assets.core.warehouse.manifest.stored_partitions import StoredPartitions
from bioimage_assets.core.warehouse.root import Warehouse, open_warehouse
from bioimage_assets.core.warehouse.validation.lost_files import read_stored
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest
from bioimage_assets_tests.builders.disk_steps import watched_steps
from bioimage_assets_tests.builders.s3_gate import run_gate
from bioimage_assets_tests.builders.s3_server import create_bucket, run_s3, storage_options
from bioimage_assets_tests.core.warehouse.changes import as_of_earlier_version
from bioimage_assets_tests.core.warehouse.tables import cells, generation

TABLE = "joined_profiles"
CALLS = [{"call": "pycytominer.normalize", "version": "1.0", "arguments": {"method": "standardize"}}]


def key_of(number: int) -> str:
    return f"screen/BR{number:05}"


def fill(warehouse: Warehouse, count: int) -> None:
    """Plates of one row each, in one change."""
    keys = [key_of(number) for number in range(count)]
    warehouse.replace_partitions(
        TABLE, pa.concat_tables([cells(key, 1) for key in keys]), keys, fingerprint="f", steps=CALLS
    )


def replace_one(warehouse: Warehouse, number: int = 7, value: int = 1) -> None:
    warehouse.replace_partitions(
        TABLE, cells(key_of(number), value), [key_of(number)], fingerprint="g", steps=CALLS
    )


@pytest.fixture(scope="module")
def roots(tmp_path_factory) -> dict[int, Path]:
    """Roots of 20 and of 400 plates; 20 and 400 written at once, so that hard links are not the cost of the second write."""
    folder = tmp_path_factory.mktemp("entries")
    for count in (20, 400):
        fill(open_warehouse(folder / str(count)), count)
    return {count: folder / str(count) for count in (20, 400)}


def cost_of_one(root: Path, monkeypatch: pytest.MonkeyPatch, value: int) -> tuple[Counter[str], int, int]:
    """Steps at the disk, names listed and bytes written by the replacement of one plate."""
    listed: list[int] = []
    listdir, scandir = os.listdir, LocalRootFiles._scan

    def counted(folder: object) -> list[str]:
        names = listdir(folder)  # type: ignore[call-overload]
        listed.append(len(names))
        return names

    def counted_scan(self: LocalRootFiles, folder: str):
        for entry in scandir(self, folder):
            listed.append(1)
            yield entry

    warehouse = open_warehouse(root)
    replace_one(warehouse, value=value)  # the folder is counted once by each process
    before = {path: path.stat().st_ino for path in root.rglob("*") if path.is_file()}
    with monkeypatch.context() as patch, watched_steps() as steps:
        patch.setattr(os, "listdir", counted)
        patch.setattr(LocalRootFiles, "_scan", counted_scan)
        replace_one(warehouse, value=value + 1)
    written = [p for p in root.rglob("*") if p.is_file() and before.get(p) != p.stat().st_ino]
    kinds = Counter(name.partition(" ")[0] for name in steps.names)
    return kinds, sum(listed), sum(path.stat().st_size for path in written)


def test_a_replaced_plate_costs_the_same_among_twenty_and_four_hundred(roots, monkeypatch):
    few, many = (cost_of_one(roots[count], monkeypatch, 2) for count in (20, 400))
    assert many[0] == few[0]  # files opened for writing, renames, flushes
    assert many[1] == few[1] < 10  # names in listings
    assert many[2] <= 1.5 * few[2]
    for root in roots.values():
        found = validate_warehouse_manifest(root)
        assert (found.errors, found.warnings) == ([], [])


def test_several_replaced_plates_of_a_large_table_copy_no_folder(roots, monkeypatch):
    """A copy made of links costs as much as the table is large; their files are renamed, with the change on record."""
    monkeypatch.setattr(journal, "MAX_LINKS", 10)
    keys = [key_of(17), key_of(18)]
    found = []
    for count in (20, 400):
        with watched_steps() as steps:
            open_warehouse(roots[count]).replace_partitions(
                TABLE, {key: cells(key, 2) for key in keys}, keys, fingerprint="f", steps=CALLS
            )
        found.append(Counter(name.partition(" ")[0] for name in steps.names))
    assert found[0]["link"] == 20
    assert found[1]["link"] == 0
    assert sum(found[1].values()) < 50
    assert validate_warehouse_manifest(roots[400]).is_valid


def test_the_manifest_of_many_plates_is_as_small_as_that_of_few(roots):
    few, many = (len((roots[count] / MANIFEST_NAME).read_bytes()) for count in (20, 400))
    assert abs(many - few) < 20
    (table,) = json.loads((roots[400] / MANIFEST_NAME).read_text())["tables"]
    assert {
        "table_name",
        "role",
        "format",
        "join_keys",
        "columns",
        "source_type",
        "source_ref",
    } <= table.keys()
    assert (table["partition_count"], table["row_count"]) == (400, 404)
    assert not {"partitions", "steps"} & table.keys()


def test_no_bucket_is_larger_than_it_may_be_and_readers_of_folders_see_none(roots):
    root = roots[400]
    warehouse = open_warehouse(root)
    partitions = warehouse.manifest().tables[0].partitions
    assert isinstance(partitions, StoredPartitions)
    sizes = [ref.partition_count for ref in partitions.index.buckets.values()]
    assert sum(sizes) == 400
    assert max(sizes) <= partition_index.MAX_BUCKET_PARTITIONS
    assert list(partitions) == [key_of(number) for number in range(400)]
    assert len(pd.read_parquet(root / TABLE)) == ds.dataset(root / TABLE).count_rows() == 404
    assert {path.name for path in root.iterdir()} == {
        TABLE,
        "_warehouse",
        MANIFEST_NAME,
        "views.sql",
        "README.md",
    }


def test_one_plate_is_read_from_one_bucket(roots, monkeypatch):
    stored_partitions._PARSED.clear()
    read: list[str] = []
    original = LocalRootFiles.read_documents

    def counted(self: LocalRootFiles, paths, max_bytes):
        read.extend(paths)
        return original(self, paths, max_bytes)

    monkeypatch.setattr(LocalRootFiles, "read_documents", counted)
    warehouse = open_warehouse(roots[400])
    assert warehouse.read(TABLE, plate_keys=[key_of(3)]).num_rows == 1
    assert warehouse.find_partitions(TABLE, [key_of(3), "screen/none"]) == (key_of(3),)
    listed = warehouse.listed(TABLE, [key_of(3)])
    assert listed.partitions[key_of(3)].fingerprint == "f"
    assert list(listed.steps.values()) == [CALLS]
    assert len(read) <= 3  # the index, the bucket of the plate, and that of the plate that is not there
    assert warehouse.row_count(TABLE) == 404


@pytest.mark.parametrize("is_known", [True, False])
def test_a_file_of_another_tool_is_met_by_whoever_reads_or_replaces_one_plate(tmp_path, is_known):
    """The folder has one name more than the entries: only then is it listed."""
    warehouse = open_warehouse(tmp_path)
    fill(warehouse, 5)
    if is_known:
        replace_one(warehouse)
    pd.DataFrame(cells(key_of(2), 4).to_pandas()).to_parquet(tmp_path / TABLE / "other.parquet")
    assert warehouse.read(TABLE, plate_keys=[key_of(2)]).num_rows == 5
    warehouse.replace_partitions(TABLE, cells(key_of(2), 2), [key_of(2)])
    assert warehouse.read(TABLE, plate_keys=[key_of(2)]).num_rows == 2
    assert not (tmp_path / TABLE / "other.parquet").exists()
    assert not validate_warehouse_manifest(tmp_path).errors


def test_a_file_of_another_tool_whose_numbers_are_fractions_is_met_under_the_lock(tmp_path):
    """Parts were staged with the types that the manifest has; they are written again with those of the table as it is."""
    warehouse = open_warehouse(tmp_path)
    for number in (0, 1):
        warehouse.replace_partitions(TABLE, generation(key_of(number), 1, 2), [key_of(number)])
    other = cells(key_of(2), 1, generation=pa.array([0.5])).to_pandas()
    other.to_parquet(tmp_path / TABLE / "other.parquet")
    warehouse.replace_partitions(TABLE, generation(key_of(0), 7, 2), [key_of(0)])
    stored = warehouse.read(TABLE)
    assert stored.schema.field("generation").type == pa.float64()
    assert sorted(stored["generation"].to_pylist()) == [0.5, 1.0, 1.0, 7.0, 7.0]
    assert not validate_warehouse_manifest(tmp_path).errors


def test_a_replaced_plate_is_looked_up_in_one_bucket_by_a_new_process(roots, monkeypatch):
    read: Counter[str] = Counter()
    original = LocalRootFiles.read_documents

    def counted(self: LocalRootFiles, paths, max_bytes):
        read.update(path.rpartition("/")[2].partition("-")[0] for path in paths)
        return original(self, paths, max_bytes)

    monkeypatch.setattr(LocalRootFiles, "read_documents", counted)
    for count in (20, 400):
        read.clear()
        stored_partitions._PARSED.clear()
        manifest_file._PARSED.clear()
        replace_one(open_warehouse(roots[count]), value=5)
        assert read == {"index": 1, "bucket": 1}


def test_a_manifest_that_was_read_before_a_change_knows_its_own_partitions(tmp_path, monkeypatch):
    warehouse = open_warehouse(tmp_path)
    fill(warehouse, 3)
    before = warehouse.manifest().tables[0]
    stored_partitions._PARSED.clear()
    replace_one(warehouse, 1, 9)
    stored_partitions._PARSED.clear()
    assert before.partitions[key_of(1)].row_count == 1
    assert warehouse.manifest().tables[0].partitions[key_of(1)].row_count == 9
    manifest_file._PARSED.clear()
    late = warehouse.manifest().tables[0]
    manifest_file._PARSED.clear()
    monkeypatch.setattr(stage_entries, "KEEP_S", -1.0)
    for value in (2, 3):
        replace_one(warehouse, 1, value)
    stored_partitions._PARSED.clear()
    with pytest.raises(ManifestError, match=r"is missing.*Read again"):
        _ = late.partitions[key_of(1)]


def test_entries_that_nobody_needs_go_with_later_changes_and_with_maintenance(tmp_path, monkeypatch):
    monkeypatch.setattr(stage_entries, "MAX_KEPT", 4)
    warehouse = open_warehouse(tmp_path)
    fill(warehouse, 3)
    for value in range(2, 9):
        replace_one(warehouse, 1, value)
    folder = next((tmp_path / PARTITIONS_DIR).iterdir())
    assert len(list(folder.iterdir())) == 4 + 2
    stray = folder / f"index-{'0' * 20}.json"
    stray.write_text("{}")
    (folder / "notes.txt").write_text("mine")
    maintain_warehouse(tmp_path)
    assert not stray.exists()
    assert (folder / "notes.txt").exists()
    used = list_entries_files(warehouse.manifest())
    assert {str(path.relative_to(tmp_path)) for path in folder.glob("*.json")} <= used


def test_entries_that_were_lost_while_this_process_knew_them_are_written_again(tmp_path):
    warehouse = open_warehouse(tmp_path)
    fill(warehouse, 3)
    assert len(warehouse.listed(TABLE).partitions) == 3
    next((tmp_path / PARTITIONS_DIR).glob("*/bucket-*")).unlink()
    assert maintain_warehouse(tmp_path).entries_rebuilt == (TABLE,)
    stored_partitions.forget_entries(warehouse.root)
    assert len(warehouse.listed(TABLE).partitions) == 3
    assert validate_warehouse_manifest(tmp_path).is_valid


@pytest.mark.parametrize("place", ["local", "memory"])
def test_a_root_of_an_earlier_version_is_read_and_converted_table_by_table(tmp_path, place):
    root = str(tmp_path / "root") if place == "local" else f"memory://{uuid4().hex}/root"
    warehouse = open_warehouse(root)
    as_of_earlier_version(warehouse)
    tables = {entry.table_name: entry for entry in warehouse.manifest().tables}
    assert [entry.partition_index for entry in tables.values()] == [None, None]
    assert len(warehouse.partitions("single_cells")) == 3
    assert validate_warehouse_manifest(root).is_valid
    name = "screen/BR1"
    assert not warehouse.replace_partitions(
        "single_cells", warehouse.read("single_cells", plate_keys=[name]), [name]
    ).changed
    warehouse.replace_partitions("single_cells", generation(name, 9), [name])
    after = {entry.table_name: entry for entry in warehouse.manifest().tables}
    assert after["single_cells"].partition_count == 3
    others = [key for key in tables["single_cells"].partitions if key != name]
    assert all(
        after["single_cells"].partitions[key] == tables["single_cells"].partitions[key] for key in others
    )
    maintain_warehouse(root)
    assert all(entry.partition_index for entry in warehouse.manifest().tables)
    assert validate_warehouse_manifest(root).is_valid


def test_what_an_earlier_version_wrote_into_a_newer_root_counts(tmp_path):
    """It keeps keys that it does not know, and writes its partitions beside them."""
    warehouse = open_warehouse(tmp_path)
    fill(warehouse, 2)
    content = json.loads((tmp_path / MANIFEST_NAME).read_text())
    whole = warehouse.manifest().to_dict()["tables"][0]
    whole["partitions"][key_of(0)]["fingerprint"] = "of the earlier version"
    content["tables"] = [{**content["tables"][0], **whole}]
    (tmp_path / MANIFEST_NAME).write_text(json.dumps(content))
    assert warehouse.listed(TABLE).partitions[key_of(0)].fingerprint == "of the earlier version"
    replace_one(warehouse, 1)
    assert warehouse.listed(TABLE).partitions[key_of(0)].fingerprint == "of the earlier version"
    assert validate_warehouse_manifest(tmp_path).is_valid


@pytest.mark.parametrize("count", [20, pytest.param(1_100, marks=pytest.mark.slow)])
def test_one_plate_in_a_bucket_takes_the_same_requests_among_any_number(count):
    """A listing gives a thousand names by one request."""
    with run_s3() as endpoint, run_gate(endpoint) as gate:
        warehouse = open_warehouse(
            f"s3://{create_bucket(endpoint)}/root", storage_options=dict(storage_options(gate.address))
        )
        fill(warehouse, count)
        replace_one(warehouse, value=2)
        replace_one(warehouse, value=3)
        gate.watch(nobody)
        replace_one(warehouse, value=4)
        # Written are the part, its bucket, the index and the manifest; listed is what stands before and behind our own names.
        assert gate.counts == {"PUT": 4, "LIST": 2, "HEAD": 2, "GET": 10}
        gate.watch(nobody)
        assert warehouse.read(TABLE, plate_keys=[key_of(7)]).num_rows == 4
        assert gate.counts == {"LIST": 2, "HEAD": 5, "GET": 6}
        gate.watch(nobody)
        assert not read_stored(warehouse.files_at).lost
        assert gate.counts["GET"] == 3  # the manifest; entries are known, and files are listed
        assert gate.counts["LIST"] == 1 + count // 1_000


def nobody(number: int, name: str) -> bool:
    """No request is refused."""
    return False


def test_partitions_that_are_asked_for_one_by_one_and_all_at_once_are_the_same():
    raw = {key_of(number): {"files": [f"{number}.parquet"], "rows": number} for number in (3, 1, 2)}
    found = PartitionMap({**raw, "no entry": "words"})
    one = found[key_of(2)]
    assert list(found) == list(raw)
    assert [part.row_count for part in found.values()] == [3, 1, 2]
    assert found[key_of(2)] is one
    assert list(found.items()) == [(key, found[key]) for key in found]
    assert (list(found), len(found)) == (list(raw), 3)
    assert "no entry" not in found
    assert key_of(9) not in found


ENTRIES = st.builds(
    lambda rows, name: PartitionEntry((name,), rows, file_rows=(rows,), steps="s"),
    st.integers(0, 1000),
    st.sampled_from(["a.parquet", "b.parquet"]),
)
KEYS = st.sampled_from([key_of(number) for number in range(12)] + ["*"])


@given(st.lists(st.dictionaries(KEYS, ENTRIES | st.none(), min_size=1, max_size=6), min_size=1, max_size=8))
@settings(max_examples=25, deadline=None)
def test_changes_of_buckets_are_changes_of_one_mapping(tmp_path_factory, changes):
    """Whatever is put, replaced and removed in whatever order, all and only that is found again, from the files alone."""
    folder = tmp_path_factory.mktemp("mapping")
    files = LocalRootFiles(str(folder))
    wanted: dict[str, PartitionEntry] = {}
    known = WarehouseTableManifestEntry("cells", "profiles", partitions={})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partition_index, "MAX_BUCKET_PARTITIONS", 2)
        for number, change in enumerate(changes):
            patch.setattr(stage_entries, "KEEP_S", 300.0 if number % 2 else -1.0)
            partitions = ChangedPartitions(known.partitions)
            for key, part in change.items():
                if part is None:
                    partitions.pop(key, None)
                    wanted.pop(key, None)
                else:
                    partitions[key] = wanted[key] = part
            assert len(partitions) == len(wanted)
            assert partitions.row_count == sum(part.row_count for part in wanted.values())
            staging = folder / f"staging-{number}"
            staging.mkdir()
            entry = WarehouseTableManifestEntry("cells", "profiles", partitions=partitions)
            staged = stage_entries.stage_entries(files, entry, known, {"s": CALLS}, staging)
            for path, written in staged.puts.items():
                files.replace_file(path, written)
            stored_partitions.forget_entries(files.uri)
            known = WarehouseTableManifestEntry.from_dict(
                staged.entry.to_stored_dict(), stored_partitions.open_partitions_of(files)
            )
            assert dict(known.partitions) == wanted
            assert ("*" in known.partitions) == ("*" in wanted)
            assert known.row_count == sum(part.row_count for part in wanted.values())
            assert isinstance(known.partitions, StoredPartitions)
            index = known.partitions.index
            used = {ref.name for ref in index.buckets.values()}
            # Content that comes back has the name that it had: nobody may clear it away.
            assert not used & {*index.retired, *(path.rpartition("/")[2] for path in staged.drops)}
            assert dict(known.steps) == ({"s": CALLS} if wanted else {})
