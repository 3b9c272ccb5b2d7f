"""Entries of partitions that somebody hands over, or that were damaged: named errors, nothing outside touched, mended from the files."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import fsspec
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.errors import BioimageError, ManifestError, WarehouseError
from bioimage_assets.core.warehouse.maintain import maintain_warehouse
from bioimage_assets.core.warehouse.manifest import manifest_file, partition_index, stored_partitions
from bioimage_assets.core.warehouse.manifest.layout import MANIFEST_NAME, PARTITIONS_DIR
from bioimage_assets.core.warehouse.manifest.partition_index import digest_entries
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest
from bioimage_assets_tests.core.warehouse.changes import maintain_completely
from bioimage_assets_tests.core.warehouse.tables import cells, generation

TABLE = "joined_profiles"
PLATES = tuple(f"s/{letter}" for letter in "ABCDEF")
Edit = Callable[[dict, dict], object]
"""Changes the index and one bucket of a table, both as their files have them."""


@pytest.fixture(scope="module")
def good_root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("given") / "root"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partition_index, "MAX_BUCKET_PARTITIONS", 4)
        for name in (TABLE, "single_cells"):
            open_warehouse(root).replace_partitions(name, {key: cells(key) for key in PLATES}, PLATES)
    return root


@pytest.fixture
def given_root(good_root, tmp_path) -> Path:
    shutil.copytree(good_root, tmp_path / "root")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/thesis.txt").write_text("mine")
    return tmp_path / "root"


def entry_of(root: Path, name: str = TABLE) -> dict:
    content = json.loads((root / MANIFEST_NAME).read_text())
    return next(table for table in content["tables"] if table["table_name"] == name)


def say_index(root: Path, path: object) -> None:
    content = json.loads((root / MANIFEST_NAME).read_text())
    next(t for t in content["tables"] if t["table_name"] == TABLE)["partition_index"] = path
    (root / MANIFEST_NAME).write_text(json.dumps(content))


def forge(root: Path, edit: Edit) -> None:
    """Change entries as somebody would who also gives the files the names that fit."""
    path = root / entry_of(root)["partition_index"]
    index = json.loads(path.read_bytes())
    bits, ref = next(iter(index["buckets"].items()))
    bucket = json.loads((path.parent / f"bucket-{bits}-{ref[0]}.json").read_bytes())
    edit(index, bucket)
    raw = bucket.get("raw")
    payload = raw if isinstance(raw, bytes) else json.dumps(bucket).encode()
    if index["buckets"].get(bits) is ref:
        ref[0] = digest_entries(payload)
        (path.parent / f"bucket-{bits}-{ref[0]}.json").write_bytes(payload)
    payload = json.dumps(index).encode()
    (path.parent / f"index-{digest_entries(payload)}.json").write_bytes(payload)
    say_index(root, f"{PARTITIONS_DIR}/{path.parent.name}/index-{digest_entries(payload)}.json")
    forget()


def forget() -> None:
    manifest_file._PARSED.clear()
    stored_partitions._PARSED.clear()


def steal_bucket(index: dict, bucket: dict) -> None:
    bucket["folder"] = "single_cells-00000000"


def exchange_buckets(index: dict, bucket: dict) -> None:
    first, second = list(index["buckets"])[:2]
    index["buckets"][first], index["buckets"][second] = index["buckets"][second], index["buckets"][first]


def put_strange_key(index: dict, bucket: dict) -> None:
    keys = (f"s/{number}" for number in range(1000))
    other = next(key for key in keys if not partition_index.key_bits(key).startswith(bucket["bits"]))
    bucket["partitions"][other] = next(iter(bucket["partitions"].values()))


def nest_deeply(index: dict, bucket: dict) -> None:
    bucket["raw"] = b"[" * 100_000


def overlap(index: dict, bucket: dict) -> None:
    index["buckets"][""] = next(iter(index["buckets"].values()))


def lie_in_counts(index: dict, bucket: dict) -> None:
    next(iter(index["buckets"].values()))[3] += 1


FORGED: dict[str, tuple[Edit, str]] = {
    "a bucket of another table": (steal_bucket, "expected the bucket"),
    "buckets exchanged": (exchange_buckets, "is missing"),
    "a key of another bucket": (put_strange_key, "belongs to another bucket"),
    "brackets without end": (nest_deeply, "expected JSON"),
    "two buckets for a key": (overlap, "one bucket for each key"),
    "other counts": (lie_in_counts, "holds other numbers"),
    "a count that is none": (lambda i, b: next(iter(i["buckets"].values())).__setitem__(1, -1), "digest and counts"),
    "a huge count": (lambda i, b: next(iter(i["buckets"].values())).__setitem__(1, 2**60), "digest and counts"),
    "a path for a digest": (lambda i, b: i["buckets"].update({"11111111": ["../../precious/thesis", 1, 1, 1]}), "digest and counts"),
    "bits that are none": (lambda i, b: i["buckets"].update({"../x": ["0" * 20, 1, 1, 1]}), "digest and counts"),
    "a newer version": (lambda i, b: i.update(version=99), "version 99; up to 1 is understood"),
    "no version": (lambda i, b: i.pop("version"), "expected an index"),
    "partitions that are a list": (lambda i, b: b.update(partitions=[]), "expected the bucket"),
    "an index of another table": (lambda i, b: i.update(folder="x"), "expected an index"),
}  # fmt: skip


def use(root: Path | str) -> str:
    """Look at everything and change something; what is refused is said in the project's words."""
    said = []
    for act in (
        lambda: open_warehouse(root).read(TABLE),
        lambda: open_warehouse(root).read(TABLE, plate_keys=PLATES),
        lambda: open_warehouse(root).listed(TABLE),
        lambda: open_warehouse(root).replace_partitions(
            TABLE, {k: generation(k, 1, 3) for k in PLATES}, PLATES
        ),
        lambda: open_warehouse(root).remove_partitions(TABLE, PLATES[:2]),
    ):
        try:
            act()
        except BioimageError as error:
            said.append(str(error))
    return "\n".join(said)


@pytest.mark.parametrize("name", FORGED)
def test_forged_entries_are_named_and_made_anew_from_the_files(given_root, name):
    edit, expected = FORGED[name]
    forge(given_root, edit)
    found = validate_warehouse_manifest(given_root)
    assert any(expected in error for error in found.errors), found.errors
    said = use(given_root)
    # What is missing is as in a root of another tool; all else stops who would rely on it.
    assert expected in said or expected == "is missing"
    assert open_warehouse(given_root).read("single_cells").num_rows == 18
    assert not maintain_warehouse(given_root).problems
    assert validate_warehouse_manifest(given_root).is_valid
    assert open_warehouse(given_root).read(TABLE).num_rows in (18, 12)
    assert (given_root.parent / "precious/thesis.txt").read_text() == "mine"
    assert os.listdir(given_root.parent / "precious") == ["thesis.txt"]


@pytest.mark.parametrize("payload", [b"", b"{}", b"cut"], ids=["empty", "another", "cut"])
@pytest.mark.parametrize("kind", ["index", "bucket"])
def test_damaged_entries_are_an_error_that_names_the_file_and_the_remedy(given_root, kind, payload):
    folder = given_root / PARTITIONS_DIR / entry_of(given_root)["partition_index"].split("/")[2]
    path = next(p for p in sorted(folder.iterdir()) if p.name.startswith(kind))
    if kind == "index":
        path = given_root / entry_of(given_root)["partition_index"]
    path.write_bytes(path.read_bytes()[:-9] if payload == b"cut" else payload)
    forget()
    with pytest.raises(ManifestError, match=rf"{path.name} is damaged.*maintain"):
        open_warehouse(given_root).read(TABLE)
    assert any(path.name in error for error in validate_warehouse_manifest(given_root, deep=True).errors)
    report = maintain_warehouse(given_root)
    assert (report.entries_rebuilt, report.problems) == ((TABLE,), ())
    assert validate_warehouse_manifest(given_root, deep=True).is_valid
    assert open_warehouse(given_root).partitions(TABLE) == PLATES
    assert maintain_warehouse(given_root).tables_corrected == ()


@pytest.mark.parametrize("what", ["all entries", "one bucket"])
def test_a_local_root_whose_entries_were_left_behind_is_read_from_its_files(given_root, what):
    """Somebody copied tables and manifest alone: all files of a local table are rows."""
    folder = given_root / PARTITIONS_DIR
    if what == "all entries":
        shutil.rmtree(folder)
    else:
        next(folder.glob("joined_profiles-*/bucket-*")).unlink()
    forget()
    warehouse = open_warehouse(given_root)
    assert warehouse.read(TABLE, plate_keys=PLATES[:1]).num_rows == 3
    assert warehouse.read(TABLE).num_rows == 18
    assert any("is missing" in error for error in validate_warehouse_manifest(given_root).errors)
    warehouse.replace_partitions(TABLE, cells(PLATES[0], 5), PLATES[:1])
    maintain_warehouse(given_root)
    assert warehouse.row_count(TABLE) == 20
    assert validate_warehouse_manifest(given_root).is_valid


def test_in_a_bucket_entries_that_are_lost_stop_every_change_until_maintenance(given_root):
    """An object there may be what a killed writer left; only a person can say that all of them are rows."""
    root = f"memory://{uuid4().hex}/root"
    memory = fsspec.filesystem("memory")
    memory.put(f"{given_root}/", f"{root}/", recursive=True)
    memory.rm(f"{root}/{entry_of(given_root)['partition_index']}")
    for act in (
        lambda: open_warehouse(root).read(TABLE, plate_keys=PLATES[:1]),
        lambda: open_warehouse(root).replace_partitions(TABLE, cells(PLATES[0], 5), PLATES[:1]),
    ):
        with pytest.raises(ManifestError, match=r"is missing.*maintain"):
            act()
    assert maintain_warehouse(root).entries_rebuilt == (TABLE,)
    assert open_warehouse(root).read(TABLE).num_rows == 18
    assert validate_warehouse_manifest(root).is_valid


@pytest.mark.parametrize(
    "path",
    ["../precious/thesis.txt", "/etc/passwd", f"{PARTITIONS_DIR}/../../precious/index-{'0' * 20}.json", 7, None, [], "x" * 5000],
    ids=range(7),
)  # fmt: skip
def test_an_index_elsewhere_is_not_opened(given_root, path):
    say_index(given_root, path)
    assert open_warehouse(given_root).read(TABLE).num_rows == 18
    found = validate_warehouse_manifest(given_root)
    assert path is None or any("is no file that this package writes" in error for error in found.errors)
    open_warehouse(given_root).replace_partitions(TABLE, cells(PLATES[0], 5), PLATES[:1])
    assert validate_warehouse_manifest(given_root).is_valid
    assert open_warehouse(given_root).row_count(TABLE) == 20


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_entries_are_written_through_no_link_and_cleared_behind_none(given_root, depth):
    index = Path(entry_of(given_root)["partition_index"])
    linked = given_root / [index.parent.parent, index.parent, index][depth]
    precious = given_root.parent / "precious/moved"
    shutil.move(linked, precious)
    linked.symlink_to(precious)
    (given_root.parent / "precious" / f"index-{'0' * 20}.json").write_text("mine, too")
    before = sorted(str(path) for path in (given_root.parent / "precious").rglob("*"))
    assert open_warehouse(given_root).read(TABLE).num_rows == 18  # a root may lie in DataLad
    pq.write_table(cells("s/Z"), given_root / TABLE / "other.parquet")  # maintenance has an entry to write
    for act in (
        lambda: open_warehouse(given_root).replace_partitions(TABLE, cells(PLATES[0], 5), PLATES[:1]),
        lambda: maintain_completely(open_warehouse(given_root)),
    ):
        # A link to one file is replaced, not followed.
        refused = contextlib.nullcontext() if depth == 2 else pytest.raises(WarehouseError, match="is a link")
        with refused:
            act()
    assert sorted(str(path) for path in (given_root.parent / "precious").rglob("*")) == before


@pytest.mark.parametrize("kind", ["pipe", "folder", "too large"])
def test_entries_of_any_other_kind_block_nobody(given_root, monkeypatch, kind):
    path = given_root / entry_of(given_root)["partition_index"]
    if kind == "too large":
        monkeypatch.setattr(stored_partitions, "MAX_INDEX_BYTES", 10)
    else:
        path.unlink()
        path.mkdir() if kind == "folder" else os.mkfifo(path)
    forget()
    with pytest.raises(WarehouseError, match=r"no regular file|are read up to 10 bytes"):
        open_warehouse(given_root).read(TABLE)
    assert not validate_warehouse_manifest(given_root).is_valid
    assert open_warehouse(given_root).tables() == (TABLE, "single_cells")


def test_what_an_index_says_was_let_go_removes_nothing_that_is_used(given_root):
    """All files of both tables are said to be long out of use, by somebody who gave them these names."""
    names = [path.name for path in (given_root / PARTITIONS_DIR).rglob("*.json")]

    def retire_all(index: dict, bucket: dict) -> None:
        index["retired"] = dict.fromkeys([*names, "../../precious/thesis.txt"], "2001-01-01T00:00:00+00:00")

    forge(given_root, retire_all)
    open_warehouse(given_root).replace_partitions(TABLE, cells(PLATES[0], 5), PLATES[:1])
    forget()
    assert open_warehouse(given_root).read(TABLE).num_rows == 20
    assert validate_warehouse_manifest(given_root).is_valid
    assert (given_root.parent / "precious/thesis.txt").exists()
