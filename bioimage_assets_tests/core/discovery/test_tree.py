"""A watched folder and a bucket show the same names, sizes and versions, and read no more than is asked for."""

from __future__ import annotations

import os
from pathlib import Path

import obstore
import pytest

from bioimage_assets.core.errors import StoreAccessError, StoreNotFoundError
from bioimage_assets.core.stores.key_tree import list_key_tree
from bioimage_assets.core.stores.tree import LocalTree, ObjectTree, Tree, open_tree

FILES = {"a.txt": b"0123456789", "d/b.txt": b"", "d/e/c.txt": b"xyz"}


def _bucket() -> ObjectTree:
    tree = ObjectTree.__new__(ObjectTree)
    tree.root_uri, tree._store = "memory://bucket", obstore.store.MemoryStore()
    for path, content in FILES.items():
        obstore.put(tree._store, path, content)
    return tree


def _folder(root: Path) -> LocalTree:
    for path, content in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return LocalTree(root)


@pytest.fixture(params=["folder", "bucket", "keys"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    if request.param == "keys":
        return list_key_tree(_folder(tmp_path).root_uri)
    return _folder(tmp_path) if request.param == "folder" else _bucket()


def test_children_are_files_and_folders_sorted_by_name(tree: Tree) -> None:
    listed = tree.children("")
    assert [(entry.name, entry.path, entry.is_folder, entry.size_bytes) for entry in listed] == [
        ("a.txt", "a.txt", False, 10), ("d", "d", True, 0),
    ]  # fmt: skip
    assert [(e.name, e.path, e.is_folder) for e in tree.children("d")] == [
        ("b.txt", "d/b.txt", False), ("e", "d/e", True),
    ]  # fmt: skip
    assert listed[0].version
    assert listed[0].mtime_s > 1e9


def test_a_walk_gives_every_file_below_a_folder(tree: Tree) -> None:
    assert sorted(entry.path for entry in tree.walk("")) == sorted(FILES)
    assert sorted((e.path, e.size_bytes) for e in tree.walk("d")) == [("d/b.txt", 0), ("d/e/c.txt", 3)]


@pytest.mark.parametrize(
    ("count", "head", "tail"), [(1, b"0", b"9"), (4, b"0123", b"6789"), (10, None, None), (99, None, None)]
)
def test_head_and_tail_are_as_long_as_asked_for(tree: Tree, count: int, head: bytes, tail: bytes) -> None:
    whole = FILES["a.txt"]
    assert tree.read_head("a.txt", count) == (head or whole)
    assert tree.read_tail("a.txt", count) == (tail or whole)
    assert tree.read_head("nowhere", count) is None
    assert tree.read_tail("nowhere", count) is None


def test_a_path_has_a_location(tree: Tree) -> None:
    assert tree.uri("") == tree.root_uri
    assert tree.uri("d/e") == f"{tree.root_uri}/d/e"


def test_an_outline_goes_one_level_below_and_no_deeper(tree: Tree, tmp_path: Path) -> None:
    lines = [line.partition("\0")[0] for line in tree.outline("d")]
    assert sorted(line.rstrip("/") for line in lines) == ["d/b.txt", "d/e", "d/e/c.txt"]
    assert not any(line.startswith("d/e/c") for line in (x.partition("\0")[0] for x in tree.outline("")))


@pytest.mark.parametrize("change", ["size", "time", "new", "new folder"])
def test_the_outline_of_a_folder_changes_with_what_it_lists(tmp_path: Path, change: str) -> None:
    tree = _folder(tmp_path)
    before = sorted(tree.outline("d"))
    if change == "size":
        stamp = (tmp_path / "d/e/c.txt").stat().st_mtime_ns
        (tmp_path / "d/e/c.txt").write_bytes(b"longer")
        os.utime(tmp_path / "d/e/c.txt", ns=(stamp, stamp))
    elif change == "time":
        os.utime(tmp_path / "d/b.txt", ns=(1, 1))
    else:
        (tmp_path / "d/e/new").write_text("") if change == "new" else (tmp_path / "d/e/new").mkdir()
    assert sorted(tree.outline("d")) != before


def test_what_is_no_file_and_no_folder_is_not_there(tmp_path: Path) -> None:
    tree = _folder(tmp_path)
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "elsewhere").symlink_to(tmp_path / "d", target_is_directory=True)
    os.mkfifo(tmp_path / "pipe")
    assert [entry.name for entry in tree.children("")] == ["a.txt", "d"]
    assert sorted(entry.path for entry in tree.walk("")) == sorted(FILES)
    assert tree.read_head("pipe", 10) in (b"", None)


def test_a_folder_that_is_gone_or_is_none_is_an_error_and_a_walk_goes_on(tmp_path: Path) -> None:
    tree = _folder(tmp_path)
    with pytest.raises(StoreNotFoundError, match="BIOIMAGE_INCOMING"):
        tree.children("nowhere")
    with pytest.raises(StoreAccessError, match="could not be read"):
        tree.children("a.txt")
    assert list(tree.walk("nowhere")) == []
    assert tree.outline("nowhere") == []


def test_names_that_are_no_text_are_remembered_and_left_out(tmp_path: Path) -> None:
    tree = _folder(tmp_path)
    (tmp_path / os.fsdecode(b"\xe4.txt")).write_text("")
    assert [entry.name for entry in tree.children("")] == ["a.txt", "d"]
    assert tree.names_not_utf8 == {"�.txt"}


def test_a_root_is_a_folder_unless_it_has_the_scheme_of_a_bucket(tmp_path: Path) -> None:
    assert isinstance(open_tree(str(tmp_path)), LocalTree)
    assert isinstance(open_tree(tmp_path.as_uri()), LocalTree)
    bucket = open_tree("s3://bucket/folder/", {"skip_signature": "true", "region": "us-east-1"})
    assert isinstance(bucket, ObjectTree)
    assert (bucket.root_uri, bucket.uri("a/b")) == ("s3://bucket/folder", "s3://bucket/folder/a/b")


def test_a_bucket_that_does_not_answer_is_an_error_with_its_address() -> None:
    tree = ObjectTree.__new__(ObjectTree)
    tree.root_uri = "s3://bucket"
    tree._store = obstore.store.S3Store(
        "bucket", endpoint="http://127.0.0.1:9", region="us-east-1", skip_signature=True,
        client_options={"allow_http": True}, retry_config={"max_retries": 0},
    )  # fmt: skip
    for ask in (
        lambda: tree.children("a"), lambda: list(tree.walk("a")), lambda: tree.read_head("a", 1), lambda: tree.read_tail("a", 1),
    ):  # fmt: skip
        with pytest.raises(StoreAccessError, match=r"s3://bucket/a could not be (listed|read)"):
            ask()


def test_an_outline_does_not_go_through_links(tmp_path: Path) -> None:
    tree = _folder(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").write_text("x")
    (tmp_path / "d" / "link").symlink_to(tmp_path / "other", target_is_directory=True)
    assert not [line for line in tree.outline("d") if line.startswith("d/link/")]
