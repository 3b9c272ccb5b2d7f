"""Many files read at once come out the same whether or not the system can open them without following links."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from bioimage_assets.core.errors import CorruptStoreError, LimitExceededError, StoreAccessError
from bioimage_assets.core.stores import open_without_links
from bioimage_assets.core.stores.base import DocumentResult
from bioimage_assets.core.stores.local import LocalStore

ReadMany = Callable[..., dict[str, DocumentResult]]


@pytest.fixture(params=["openat2", "folder by folder"])
def read_many(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReadMany:
    """Read keys of a store with odd files in both ways."""
    with open_without_links.open_folder(str(tmp_path)) as folder:
        if request.param == "openat2" and folder is None:
            pytest.skip("this system has no openat2")
    if request.param != "openat2":
        monkeypatch.setattr(open_without_links, "open_folder", lambda path: nullcontext())
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    root = tmp_path / "s.zarr"
    (root / "a").mkdir(parents=True)
    (root / "a" / "zarr.json").write_bytes(b"{}")
    (root / "inner").symlink_to("a")
    (root / "outer").symlink_to(tmp_path / "outside")
    (root / "a" / "linked").symlink_to("zarr.json")
    (root / "a" / "leak").symlink_to(tmp_path / "outside" / "secret")
    os.mkfifo(root / "a" / "pipe")
    return LocalStore(root).get_many


def test_files_and_links_that_stay_inside_are_read(read_many: ReadMany) -> None:
    found = read_many(["a/zarr.json", "inner/zarr.json", "a/linked"])
    assert found == dict.fromkeys(found, b"{}")


def test_links_that_lead_out_are_refused(read_many: ReadMany) -> None:
    found = read_many(["outer/secret", "a/leak"])
    assert [type(item) for item in found.values()] == [StoreAccessError, StoreAccessError]


@pytest.mark.parametrize(
    "key",
    ["../outside/secret", "a/../../outside/secret", "a/../a/zarr.json", "a//zarr.json", "/etc/hostname"],
)
def test_paths_with_odd_parts_are_refused(read_many: ReadMany, key: str) -> None:
    assert isinstance(read_many([key])[key], CorruptStoreError)


def test_a_key_with_a_nul_byte_is_refused(read_many: ReadMany) -> None:
    key = "a/zarr.json\0.txt"
    assert isinstance(read_many([key])[key], CorruptStoreError)


def test_a_pipe_does_not_block_and_is_refused(read_many: ReadMany) -> None:
    assert isinstance(read_many(["a/pipe"])["a/pipe"], CorruptStoreError)


def test_absent_files_and_folders_are_none(read_many: ReadMany) -> None:
    found = read_many(["a/nothing", "nowhere/zarr.json", "a/zarr.json/zarr.json", "a"])
    assert found == dict.fromkeys(found)


def test_too_large_files_are_refused_before_they_are_read(read_many: ReadMany) -> None:
    found = read_many(["a/zarr.json"], max_bytes=1)
    assert isinstance(found["a/zarr.json"], LimitExceededError)


def test_a_link_to_a_file_inside_is_listed_with_the_size_of_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects/long").write_bytes(b"0123456789" * 10)
    (tmp_path / "linked").symlink_to("objects/long")
    store = LocalStore(tmp_path)
    listed = {item.key: item for item in store.list()}
    assert listed["linked"].size_bytes == 100 == store.head("linked").size_bytes
    assert listed["linked"].version == store.head("linked").version
    assert {item.key for item in store.list_level()[1] if item.size_bytes == 100} == {"linked"}
    assert store.list_sizes().size_bytes.tolist() == [100, 100]


def test_a_link_to_a_folder_whose_name_begins_its_own_parents_is_no_loop(tmp_path: Path) -> None:
    (tmp_path / "screen").mkdir()
    (tmp_path / "screen/a").write_bytes(b"a")
    (tmp_path / "screen_2").mkdir()
    (tmp_path / "screen_2/link").symlink_to(tmp_path / "screen")
    (tmp_path / "screen_2/up").symlink_to(tmp_path)
    store = LocalStore(tmp_path / "screen_2", follow_symlinks=True)
    assert [item.key for item in store.list()] == ["link/a"]
