"""A scan opens what the metadata name, once, and lists nothing unless chunks are asked for."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import pytest

from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_store_records
from bioimage_assets.core.stores import open_without_links
from bioimage_assets_tests.builders.zarr_documents import write_plate
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate
from bioimage_assets_tests.opcounts.conftest import Check


@contextmanager
def count_operations(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Count opens that found a file, opens that did not, and directory listings."""
    counts: Counter[str] = Counter()
    real_open, real_beneath, real_scandir = os.open, open_without_links.open_following_no_link, os.scandir

    def counting_open(path: str, flags: int) -> int:
        if flags & os.O_DIRECTORY:
            return real_open(path, flags)
        return counting_beneath(real_open, path, flags)

    def counting_beneath(opener: Callable[..., int], *args: object) -> int:
        try:
            descriptor = opener(*args)
        except FileNotFoundError:
            counts["missing"] += 1
            raise
        counts["open"] += 1
        return descriptor

    def counting_scandir(path: str) -> object:
        counts["listing"] += 1
        return real_scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", counting_open)
        patch.setattr(open_without_links, "open_following_no_link", partial(counting_beneath, real_beneath))
        patch.setattr(os, "scandir", counting_scandir)
        yield counts


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("has_openat2", [True, False])
def test_a_plate_takes_one_open_per_document_and_no_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check_counts: Check, zarr_format: int, has_openat2: bool
) -> None:
    if not has_openat2:
        monkeypatch.setattr(open_without_links, "open_folder", lambda path: nullcontext())
    wells = {f"{row}/{column}": [str(field) for field in range(9)] for row in "ABC" for column in range(1, 5)}
    root = write_plate(tmp_path / "p.zarr", zarr_format=zarr_format, wells=wells, levels=("0", "1", "2"))
    with count_operations(monkeypatch) as counts:
        scan = scan_store_records(str(root))
    images = len(scan.images)
    assert images == 108
    assert counts["open"] / images <= 4.2
    assert counts["missing"] <= 4, "no speculative probe below the root"
    check_counts(counts)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_level_0_alone_takes_two_opens_per_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check_counts: Check, zarr_format: int
) -> None:
    wells = {f"A/{column}": [str(field) for field in range(9)] for column in range(1, 13)}
    root = write_plate(tmp_path / "p.zarr", zarr_format=zarr_format, wells=wells, levels=("0", "1", "2"))
    with count_operations(monkeypatch) as counts:
        scan = scan_store_records(str(root), ScanOptions(levels=(0,)))
    assert counts["open"] / len(scan.images) <= 2.2
    assert {len(image.levels) for image in scan.images} == {1}
    check_counts(counts)


def test_chunks_are_listed_once_per_folder_and_each_shard_is_opened_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check_counts: Check
) -> None:
    root = write_pixel_plate(tmp_path / "p.zarr", sharded=True, columns=2, fields=2, levels=2)
    with count_operations(monkeypatch) as scan_only:
        scan_store_records(str(root))
    with count_operations(monkeypatch) as counts:
        rows = scan_chunk_index(str(root)).read_all()
    arrays = 2 * 2 * 2
    assert rows.num_rows == arrays * (1 + 8)
    assert counts["open"] == scan_only["open"] + arrays + 1, (
        "one index per shard, and the root read once more"
    )
    assert counts["listing"] == arrays * 4, "the array folder, c/, c/0/ and c/0/0/"
    check_counts(counts)


@pytest.mark.slow
def test_a_plate_of_384_wells_and_9_fields_is_one_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check_counts: Check
) -> None:
    wells = {
        f"{chr(65 + row)}/{column}": [str(f) for f in range(9)]
        for row in range(16)
        for column in range(1, 25)
    }
    root = write_plate(tmp_path / "p.zarr", zarr_format=3, wells=wells, levels=("0",))
    with count_operations(monkeypatch) as counts:
        scan = scan_store_records(str(root))
    assert len(scan.images) == len({image.image_id for image in scan.images}) == 3456
    check_counts(counts)
