"""The same behaviours hold for every kind of store."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import fsspec
import pytest

from bioimage_assets.core.errors import (
    CorruptStoreError,
    KeyMissingError,
    LimitExceededError,
    StoreAccessError,
    StoreNotFoundError,
    UnsupportedStoreError,
    UsageError,
)
from bioimage_assets.core.model.store_paths import is_safe_path
from bioimage_assets.core.stores import local
from bioimage_assets.core.stores.base import Store
from bioimage_assets.core.stores.open import absolute_uri, local_path, open_store, split_file_uri
from bioimage_assets_tests.builders.zarr_server import StandInS3

FILES = {
    "zarr.json": b"{}",
    "A/1/c/0": b"0123456789",
    "A/1/zarr.json": b"{ }",
    "odd name/µ #%.bin": b"x",
    "odd name/empty": b"",
}
KINDS = ("local", "zip", "memory", "s3", "http")


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with _serve(request.param, tmp_path) as opened, closing(opened):
        yield opened


@contextmanager
def _serve(kind: str, tmp_path: Path) -> Iterator[Store]:
    for key, raw in FILES.items():
        path = tmp_path / "bucket/root" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
    root = tmp_path / "bucket/root"
    if kind == "local":
        yield open_store(str(root))
    elif kind == "zip":
        yield open_store(shutil.make_archive(str(tmp_path / "a"), "zip", root))
    elif kind == "memory":
        memory = fsspec.filesystem("memory")
        for key, raw in FILES.items():
            memory.pipe_file(f"/store-test/{key}", raw)
        yield open_store("memory://store-test")
        memory.rm("/store-test", recursive=True)
    else:
        with StandInS3(tmp_path / "bucket").running() as server:
            if kind == "s3":
                yield open_store("s3://bucket/root", storage_options=server.options())
            else:
                yield open_store(f"{server.endpoint}/bucket/root")


def test_many_objects_are_read_whole_and_absent_ones_are_none(store: Store) -> None:
    assert store.get_many([*FILES, "A/1/c/1"]) == {**FILES, "A/1/c/1": None}


def test_objects_over_the_limit_are_errors_among_many(store: Store) -> None:
    found = store.get_many(["zarr.json", "A/1/c/0"], max_bytes=9)
    assert found["zarr.json"] == b"{}"
    assert isinstance(found["A/1/c/0"], LimitExceededError)


def test_get_reads_whole_objects_and_missing_keys_say_so(store: Store) -> None:
    assert store.get("A/1/c/0") == b"0123456789"
    assert store.get("odd name/µ #%.bin") == b"x"
    with pytest.raises(KeyMissingError):
        store.get("A/1/c/1")
    with pytest.raises(KeyMissingError):
        store.get("A/1/c")
    with pytest.raises(LimitExceededError):
        store.get("A/1/c/0", max_bytes=9)


def test_get_many_gives_bytes_none_and_errors_side_by_side(store: Store) -> None:
    found = store.get_many(["zarr.json", "none", "A/1/c/0"], max_bytes=5)
    assert (found["zarr.json"], found["none"]) == (b"{}", None)
    assert isinstance(found["A/1/c/0"], LimitExceededError)


def test_ranges_tail_and_open_file_read_the_same_bytes(store: Store) -> None:
    assert store.tail("A/1/c/0", 3) == b"789"
    assert store.get_ranges("A/1/c/0", [(0, 2), (4, 3)]) == [b"01", b"456"]
    with store.open_file("A/1/c/0") as file:
        assert file.seek(-4, 2) == 6
        assert file.read(2) == b"67"
        file.seek(1)
        assert file.read() == b"123456789"
    with pytest.raises(KeyMissingError):
        store.open_file("none")


def test_listings_are_complete_and_keep_names(store: Store) -> None:
    if not store.can_list:
        with pytest.raises(UnsupportedStoreError, match="does not list"):
            list(store.list())
        return
    assert {item.key for item in store.list()} == set(FILES)
    assert {item.key for item in store.list("A/1")} == {"A/1/c/0", "A/1/zarr.json"}
    assert list(store.list("none")) == []
    listed = store.list_sizes("A")
    assert set(listed.keys.to_pylist()) == {"A/1/c/0", "A/1/zarr.json"}
    assert store.list_folders() == (["A", "odd name"], ["zarr.json"])
    assert store.list_folders("A/1") == (["c"], ["zarr.json"])


def test_sizes_are_those_of_the_objects(store: Store) -> None:
    if store.can_list and not type(store).__name__.startswith("Zip"):
        assert {item.key: item.size_bytes for item in store.list()} == {
            key: len(raw) for key, raw in FILES.items()
        }


@pytest.mark.parametrize("key", ["../root/zarr.json", "/etc/passwd", "A//1/zarr.json", "A/./1/zarr.json", ""])
def test_unsafe_keys_are_refused(store: Store, key: str) -> None:
    with pytest.raises((CorruptStoreError, KeyMissingError)):
        store.get(key)


def test_uncompressed_members_of_an_archive_say_where_their_bytes_lie(tmp_path: Path) -> None:
    path = tmp_path / "a.ozx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("stored", b"abcdef" * 10)
        archive.writestr("packed", b"abcdef" * 10, zipfile.ZIP_DEFLATED)
    with closing(open_store(str(path))) as store:
        items = {item.key: item for item in store.list()}
    offset = items["stored"].offset
    assert offset is not None
    assert path.read_bytes()[offset : offset + 60] == b"abcdef" * 10
    assert items["packed"].offset is None


def test_uris_are_made_absolute_and_split() -> None:
    assert local_path("file:///a%20b/c") == "/a b/c"
    assert local_path("s3://b/k") is None
    assert absolute_uri("s3://b/k/") == "s3://b/k"
    assert split_file_uri("s3://b/k/x.tif") == ("s3://b/k", "x.tif")
    with pytest.raises(UnsupportedStoreError):
        local_path("file://server/share")


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError):
        open_store(str(tmp_path / "none"))
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(UnsupportedStoreError):
        open_store(str(tmp_path / "x.txt"))
    with pytest.raises(UnsupportedStoreError):
        open_store("nonsense://x")
    with pytest.raises(UsageError, match="colour"):
        open_store("s3://bucket/x", storage_options={"skip_signature": "true", "colour": "red"})


def test_missing_credentials_are_said_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SKIP_SIGNATURE", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(StoreAccessError, match="BIOIMAGE_STORAGE_SKIP_SIGNATURE"):
        open_store("s3://bucket/x")


def test_safe_paths_have_no_empty_or_dotted_parts() -> None:
    assert all(map(is_safe_path, ["a", "a/b", "...", "..a", ".zattrs", "µ %#/é"]))
    assert not any(map(is_safe_path, ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "a\\b", "a\0"]))


def test_a_cold_disk_is_read_by_threads_with_the_same_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"{number % 7}/{number}" for number in range(300)]
    for key in keys[:250]:
        (tmp_path / key).parent.mkdir(exist_ok=True)
        (tmp_path / key).write_text(key)
    expected = {key: key.encode() for key in keys[:250]} | dict.fromkeys(keys[250:])
    assert open_store(str(tmp_path)).get_many(keys) == expected
    monkeypatch.setattr(local, "_COLD_READ_S", -1.0)
    assert open_store(str(tmp_path)).get_many(keys) == expected
