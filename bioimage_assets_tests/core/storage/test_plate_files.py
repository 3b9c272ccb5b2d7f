"""Files of plates beside the warehouse: whole or not there, told apart by their markers, on a disk and in a bucket alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bioimage_assets.core.errors import BioimageError, MissingTableError
from bioimage_assets.core.storage.plate_files import (
    find_files,
    list_made,
    remove_plate_files,
    write_plate_files,
)
from bioimage_assets.core.storage.plate_table import PlateFiles
from bioimage_assets.core.storage.replace_whole import replace_file
from bioimage_assets_tests.builders.s3_server import create_bucket, run_s3, storage_options

Place = tuple[str, Mapping[str, object]]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with run_s3() as address:
        yield address


@pytest.fixture(params=["local", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A root for files of plates, and the options that reach it."""
    if request.param == "local":
        return str(tmp_path / "virtual_plates"), {}
    endpoint = request.getfixturevalue("endpoint")
    return f"s3://{create_bucket(endpoint)}/virtual_plates", storage_options(endpoint)


def write(place: Place, key: str, text: str, fingerprint: str, suffix: str = ".json") -> str:
    root, options = place

    def put(uri: str) -> dict[str, object]:
        name = f"{uri}/refs/main" if suffix == ".icechunk" else uri
        replace_file(name, text.encode(), options)
        return {"images": 1}

    uri, metadata = write_plate_files(root, key, PlateFiles(suffix, put), fingerprint, options)
    assert metadata == {"images": 1}
    return uri


def made(place: Place, *datasets: str) -> dict[str, tuple[str, str]]:
    return list_made(place[0], datasets, place[1])


def test_nothing_is_made_where_there_is_no_folder(place):
    assert made(place, "screen") == {}
    remove_plate_files(place[0], "screen/P1", place[1])


def test_a_plate_is_found_under_the_fingerprint_that_it_was_made_of(place):
    uri = write(place, "screen/P1", "one", "f1")
    write(place, "screen/P1.json", "a plate whose name looks like a file", "f2")
    write(place, "other/P1", "three", "f3")
    assert made(place, "screen") == {"screen/P1": (".json", "f1"), "screen/P1.json": (".json", "f2")}
    assert made(place, "screen", "other")["other/P1"] == (".json", "f3")
    assert find_files(place[0], "screen/P1", place[1]) == uri


def test_a_newer_fingerprint_takes_the_place_of_the_older_one(place):
    write(place, "screen/P1", "one", "f1")
    write(place, "screen/P1", "two", "e2")
    assert made(place, "screen") == {"screen/P1": (".json", "e2")}


def test_another_form_removes_the_one_before_and_no_other_plate(place):
    write(place, "screen/P1", "one", "f1", ".icechunk")
    write(place, "screen/P10", "ten", "f1", ".icechunk")
    write(place, "screen/P1", "one", "f2")
    assert made(place, "screen") == {"screen/P1": (".json", "f2"), "screen/P10": (".icechunk", "f1")}


def test_a_plate_is_removed_in_all_its_forms(place):
    write(place, "screen/P1", "one", "f1", ".icechunk")
    write(place, "screen/P2", "two", "f1")
    write(place, "screen/P3", "three", "f1")
    for key in ("screen/P1", "screen/P3"):
        remove_plate_files(place[0], key, place[1])
    assert made(place, "screen") == {"screen/P2": (".json", "f1")}
    with pytest.raises(MissingTableError, match="screen/P1 has no virtual plate"):
        find_files(place[0], "screen/P1", place[1])


def test_a_writer_that_fails_leaves_the_plate_to_be_made_again(place):
    root, options = place
    write(place, "screen/P1", "one", "f1")

    def refuse(uri: str) -> dict[str, object]:
        raise BioimageError("the disk is full")

    with pytest.raises(BioimageError, match="full"):
        write_plate_files(root, "screen/P1", PlateFiles(".json", refuse), "f2", options)
    assert made(place, "screen") == {}
    write(place, "screen/P1", "two", "f2")
    assert made(place, "screen") == {"screen/P1": (".json", "f2")}
