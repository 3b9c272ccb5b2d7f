"""How often TIFF scans touch a store: the exact counts stand in counts.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from bioimage_assets.core.formats.ome_tiff import chunks as chunk_module
from bioimage_assets.core.formats.ome_tiff import scan as file_module
from bioimage_assets.core.formats.ome_tiff.chunks import build_tiff_chunks
from bioimage_assets.core.formats.ome_tiff.scan import scan_tiff
from bioimage_assets.core.formats.plate_folders import scan as folder_module
from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets.core.stores.filesystem import FilesystemStore
from bioimage_assets.core.stores.local import LocalStore
from bioimage_assets.core.stores.open import open_store
from bioimage_assets_tests.builders import tiff_plates as plates
from bioimage_assets_tests.builders.tiff_files import (
    build_block,
    build_ome_image,
    build_ome_xml,
    build_plate_xml,
    write_ome_tiff,
    write_pages,
)
from bioimage_assets_tests.opcounts.conftest import Check

COUNTED = ("get", "list", "list_level", "list_folders", "get_ranges", "open_file", "head", "tail")


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Calls of the real local and memory stores."""
    found: Counter[str] = Counter()
    for store in (LocalStore, FilesystemStore):
        for name in COUNTED:
            original = getattr(store, name)

            def counted(self, *args, _name=name, _original=original, **options):
                found[_name] += 1
                return _original(self, *args, **options)

            monkeypatch.setattr(store, name, counted)
    return found


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[fsspec.AbstractFileSystem]:
    """An in-memory object store that counts as remote: every call is a request."""

    def open_remote(uri: str, **options: object):
        store = open_store(uri, **options)
        store.is_remote = True
        return store

    for module in (folder_module, file_module, chunk_module):
        monkeypatch.setattr(module, "open_store", open_remote)
    files = fsspec.filesystem("memory")
    yield files
    files.rm("/tiffops", recursive=True)


def test_a_single_file_is_opened_once(tmp_path: Path, counts: Counter[str], check_counts: Check):
    path = write_ome_tiff(tmp_path / "a.ome.tif", np.zeros((5, 64, 64), np.uint16), "CYX")
    scan_tiff(str(path))
    check_counts(counts)


def test_a_plate_of_one_channel_files_opens_one_per_channel(
    tmp_path: Path, counts: Counter[str], check_counts: Check
):
    folder = plates.write_named(
        tmp_path / "plate", plates.imagexpress_name, wells=("A01", "A02", "B01"), sites=4, channels=5
    )
    plates.write_htd(folder / "Plate7.HTD", list("abcde"))
    assert len(scan_plate_folder(str(folder)).images) == 12
    check_counts(counts)


def test_a_plate_of_ome_tiffs_opens_each_once(tmp_path: Path, counts: Counter[str], check_counts: Check):
    for site in range(6):
        write_ome_tiff(tmp_path / f"p/P_A01_s{site}.ome.tif", np.zeros((2, 16, 16), np.uint16), "CYX")
    assert len(scan_plate_folder(str(tmp_path / "p")).images) == 6
    check_counts(counts)


def test_chunk_rows_open_each_one_channel_file_once(
    tmp_path: Path, counts: Counter[str], check_counts: Check
):
    folder = plates.write_named(
        tmp_path / "plate", plates.imagexpress_name, wells=("A01",), sites=2, channels=3
    )
    scan = scan_plate_folder(str(folder))
    counts.clear()
    assert sum(batch.num_rows for batch in build_tiff_chunks(scan)) == 6
    check_counts(counts)


def test_a_remote_plate_is_one_listing_and_one_request_per_channel(
    tmp_path: Path, counts: Counter[str], check_counts: Check, bucket
):
    folder = plates.write_named(
        tmp_path / "plate", plates.imagexpress_name, wells=("A01", "B01"), sites=3, channels=3
    )
    bucket.put(str(folder), "/tiffops/plate", recursive=True)
    scan = scan_plate_folder("memory://tiffops/plate")
    assert len(scan.images) == 6
    check_counts(counts, "scan")
    counts.clear()
    assert sum(batch.num_rows for batch in build_tiff_chunks(scan)) == 18
    check_counts(counts, "chunk rows")


def test_remote_ome_tiffs_cost_one_request_each(
    tmp_path: Path, counts: Counter[str], check_counts: Check, bucket
):
    for site in range(6):
        write_ome_tiff(tmp_path / f"p/P_A01_s{site}.ome.tif", np.zeros((2, 16, 16), np.uint16), "CYX")
    bucket.put(str(tmp_path / "p"), "/tiffops/p", recursive=True)
    assert len(scan_plate_folder("memory://tiffops/p").images) == 6
    check_counts(counts)


def test_a_remote_file_costs_its_size_and_one_block(
    tmp_path: Path, counts: Counter[str], check_counts: Check, bucket
):
    path = write_ome_tiff(tmp_path / "a.ome.tif", np.zeros((5, 16, 16), np.uint16), "CYX")
    bucket.put(str(path), "/tiffops/a.ome.tif")
    assert scan_tiff("memory://tiffops/a.ome.tif").images[0].shape == (5, 16, 16)
    check_counts(counts)


def test_the_xml_of_a_whole_plate_is_read_once_for_all_chunk_rows(
    tmp_path: Path, counts: Counter[str], check_counts: Check
):
    names = [f"f{number}.ome.tif" for number in range(6)]
    images = [
        build_ome_image(n, x=24, y=16, blocks=build_block(0, file=name)) for n, name in enumerate(names)
    ]
    plate = build_plate_xml([(0, 0, [(n, n) for n in range(6)])])
    (tmp_path / "p.companion.ome").write_text(build_ome_xml(images, plates=plate))
    link = '<BinaryOnly MetadataFile="p.companion.ome" UUID="u"/>'
    for name in names:
        write_pages(tmp_path / name, [np.zeros((16, 24), np.uint16)], build_ome_xml([], extra=link))
    scan = scan_plate_folder(str(tmp_path))
    counts.clear()
    assert sum(batch.num_rows for batch in build_tiff_chunks(scan)) == 6
    assert counts["get"] == 1
    check_counts(counts)
