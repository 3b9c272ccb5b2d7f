"""Mutated metadata always give a result or one of our errors, in bounded time."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.scan import scan_chunk_index, scan_store_records
from bioimage_assets_tests.builders.zarr_documents import write_array, write_group, write_image, write_plate
from bioimage_assets_tests.builders.zarr_plates import write_pixel_array

NAMES = ("plate2", "plate3", "labels", "series", "sharded", "group")
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
    yield root
    shutil.rmtree(root)


@st.composite
def mutations(draw: st.DrawFn) -> tuple[str, int, list[tuple[float, int, bytes]]]:
    name = draw(st.sampled_from(NAMES))
    edits = st.tuples(
        st.floats(0, 1), st.integers(0, 12), st.one_of(st.sampled_from(PIECES), st.binary(max_size=6))
    )
    return name, draw(st.integers(0, 50)), draw(st.lists(edits, min_size=1, max_size=4))


@pytest.mark.slow
@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutations())
def test_a_store_with_mutated_bytes_gives_a_result_or_one_of_our_errors(
    stores: Path, mutation: tuple[str, int, list[tuple[float, int, bytes]]]
) -> None:
    name, which, edits = mutation
    root = stores / f"{name}.zarr"
    files = sorted(path for path in root.rglob("*") if path.is_file())
    victim = files[which % len(files)]
    original = victim.read_bytes()
    raw = bytearray(original)
    for place, removed, inserted in edits:
        start = int(place * len(raw))
        raw[start : start + removed] = inserted
    victim.write_bytes(raw)
    started = time.monotonic()
    try:
        scan = scan_store_records(str(root))
        assert all(finding.code and finding.message for finding in scan.findings)
        rows = scan_chunk_index(str(root), options=ScanOptions(max_chunk_rows=100_000)).read_all().num_rows
        assert rows <= 100_000
    except BioimageError:
        pass
    finally:
        victim.write_bytes(original)
    assert time.monotonic() - started < 5
