"""Mutated metadata always give a result or one of our errors, in bounded time."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_store_records
from bioimage_assets.core.tables.image_assets import build_image_assets
from bioimage_assets_tests.builders.spatial_stores import write_spatial_data
from bioimage_assets_tests.builders.zarr_documents import (
    array_document_v3,
    write_array,
    write_group,
    write_image,
    write_placed_image,
    write_plate,
)
from bioimage_assets_tests.builders.zarr_plates import write_pixel_array

NAMES = ("plate2", "plate3", "labels", "series", "sharded", "group", "spatial", "placed", "turned")
# Pieces that turn one JSON value into a nastier one.
PIECES = (
    b"null",
    b"-1",
    b"0",
    b"1e400",
    b"NaN",
    b"[]",
    b"{}",
    b'""',
    b'".."',
    b"9" * 30,
    b"true",
    b"[[[[[[",
    b'"\\ud800"',
)


@pytest.fixture(scope="module")
def stores() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="zarr-fuzz-"))
    write_plate(root / "plate2.zarr")
    write_plate(root / "plate3.zarr", zarr_format=3, acquisitions=(0, 1))
    image = write_image(root / "labels.zarr", zarr_format=3)
    write_group(image, "labels", {"ome": {"labels": ["n"]}}, zarr_format=3)
    write_image(image, "labels/n", zarr_format=3, levels=("0",))
    write_group(root / "series.zarr", "", {"bioformats2raw.layout": 3})
    write_group(root / "series.zarr", "OME", {"series": ["0"]})
    (root / "series.zarr/OME/METADATA.ome.xml").write_text(
        '<OME><Image ID="a"><Channel Name="x"/></Image></OME>'
    )
    write_image(root / "series.zarr", "0")
    write_pixel_array(root / "sharded.zarr", shape=(16, 16), chunks=(4, 4), shards=(8, 8))
    write_group(root / "group.zarr", "", {"a": 1})
    write_array(root / "group.zarr", "x/y", (4, 4), (2, 2))
    write_spatial_data(root / "spatial.zarr", images={"he_image": ["a", "b"]}, labels={"he_labels": ["b"]})
    write_placed_image(root / "placed.zarr")
    write_array(
        root / "turned.zarr", "", (8, 6), (4, 6), zarr_format=3,
        codecs=[{"name": "transpose", "configuration": {"order": [1, 0]}}, *array_document_v3((6, 8), (6, 4), inner=(3, 2))["codecs"]],
    )  # fmt: skip
    yield root
    shutil.rmtree(root)


@st.composite
def mutations(draw: st.DrawFn) -> tuple[str, int, list[tuple[float, int, bytes]]]:
    name = draw(st.sampled_from(NAMES))
    edits = st.tuples(
        st.floats(0, 1), st.integers(0, 12), st.one_of(st.sampled_from(PIECES), st.binary(max_size=6))
    )
    return name, draw(st.integers(0, 50)), draw(st.lists(edits, min_size=1, max_size=4))


VALUES: tuple[object, ...] = (
    None, True, 0, -1, 2**31, 2**63, 2**70, 1.5, "", "0", "..", "A/1", "x" * 3000, "\ud800", "uint16", ">f8", "r24",
    [], [0], ["a", "a"], [[]], {}, {"name": "x"}, {"path": "0"}, [{"type": "scale", "scale": [0, 1, 1]}],
)  # fmt: skip


def _places(value: object) -> Iterator[tuple[dict[str, object] | list[object], str | int]]:
    """Every place of a JSON document where a value stands."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield value, key  # type: ignore[misc]
        yield from _places(inner)


def mutate_bytes(original: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    """Replace stretches of a file."""
    raw = bytearray(original)
    for place, removed, inserted in edits:
        start = int(place * len(raw))
        raw[start : start + removed] = inserted
    return bytes(raw)


def mutate_values(original: bytes, edits: list[tuple[float, object]]) -> bytes:
    """Replace values of a JSON document by others, which bytes seldom do."""
    document = json.loads(original)
    for place, value in edits:
        places = list(_places(document))
        if places:
            owner, key = places[int(place * (len(places) - 1))]
            owner[key] = deepcopy(value)  # type: ignore[index]
    return json.dumps(document).encode()


def check_mutated(root: Path, victim: Path, mutated: bytes) -> None:
    """Scan the store with one file changed: tables, or one of our errors, within seconds."""
    original = victim.read_bytes()
    victim.write_bytes(mutated)
    started = time.process_time()  # the machine may stand still for a while
    try:
        scan = scan_store_records(str(root))
        assert all(finding.code and finding.message for finding in scan.findings)
        assert build_image_assets(scan.images).num_rows == len(scan.images)
        rows = scan_chunk_index(str(root), options=ScanOptions(max_chunk_rows=100_000)).read_all().num_rows
        assert rows <= 100_000
    except BioimageError:
        pass
    finally:
        victim.write_bytes(original)
    assert time.process_time() - started < 20


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutations())
def test_a_store_with_mutated_bytes_gives_a_result_or_one_of_our_errors(
    stores: Path, mutation: tuple[str, int, list[tuple[float, int, bytes]]]
) -> None:
    name, which, edits = mutation
    files = sorted(path for path in (stores / f"{name}.zarr").rglob("*") if path.is_file())
    victim = files[which % len(files)]
    check_mutated(stores / f"{name}.zarr", victim, mutate_bytes(victim.read_bytes(), edits))


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(NAMES),
    which=st.integers(0, 50),
    edits=st.lists(st.tuples(st.floats(0, 1), st.sampled_from(VALUES)), min_size=1, max_size=3),
)
def test_a_store_with_other_json_values_gives_a_result_or_one_of_our_errors(
    stores: Path, name: str, which: int, edits: list[tuple[float, object]]
) -> None:
    documents = sorted(
        path
        for path in (stores / f"{name}.zarr").rglob("*")
        if path.name in ("zarr.json", ".zattrs", ".zarray", ".zgroup")
    )
    victim = documents[which % len(documents)]
    check_mutated(stores / f"{name}.zarr", victim, mutate_values(victim.read_bytes(), edits))
