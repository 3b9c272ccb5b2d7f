"""Documents are taken as similar only where nothing but the image's name differs."""

from __future__ import annotations

import json

import pytest

from bioimage_assets.core.formats.zarr.documents import parse_json_object
from bioimage_assets.core.formats.zarr.repeated_documents import RepeatedDocuments


def document(name: object, *, level: str = "0", other: str = "x") -> bytes:
    entry = {"name": name, "datasets": [{"path": level}], "metadata": {"note": other}}
    return json.dumps({"multiscales": [entry]}).encode()


@pytest.fixture
def similar() -> RepeatedDocuments:
    found = RepeatedDocuments()
    raw = document("A01-0")
    found.keep(raw, parse_json_object(raw, "here"))
    return found


def test_another_name_is_similar(similar: RepeatedDocuments) -> None:
    for name in ("B12-7", "", "a much longer name, with (odd) signs"):
        found = similar.find(document(name))
        assert found is not None
        assert found[0]["multiscales"][0]["datasets"] == [{"path": "0"}]  # type: ignore[index]
        assert found[1] == name


@pytest.mark.parametrize(
    "raw",
    [
        document("A01-0", level="1"),
        document("A01-0", other="y"),
        document('"quoted"'),
        document("back\\slash"),
        document("µ"),
        document("A", level="0").replace(b'"A"', b'"A", "axes": "A"'),
        document(7),
        b"",
        document("A01-0")[:-1],
    ],
)
def test_any_other_difference_is_not(similar: RepeatedDocuments, raw: bytes) -> None:
    assert similar.find(raw) is None


def test_a_name_that_stands_in_two_places_is_not_remembered() -> None:
    found = RepeatedDocuments()
    raw = document("x", other="x")
    found.keep(raw, parse_json_object(raw, "here"))
    assert found.find(document("y", other="x")) is None
    assert found.find(raw) is None
