"""Lost and damaged data files of the catalog are told: lost ones from listings, damaged ones by the checksums of their pages."""

import random
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import pyarrow.fs as pafs
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import PyArrowFile

from bioimage_assets.core.catalog import lost_files
from bioimage_assets.core.catalog.lost_files import read_presence, release_unreadable
from bioimage_assets.core.catalog.maintain import MaintenanceOptions, maintain_table
from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.catalog.session import parse_identifier
from bioimage_assets.core.catalog.verify import check_catalog_table
from bioimage_assets.core.errors import CatalogError
from bioimage_assets_tests.core.catalog.plates import TABLE, build_plate, build_plates

A, B = "screen/P1", "screen/P2"
NAME = parse_identifier(TABLE)


def _file_of(catalog: Catalog, key: str) -> Path:
    (task,) = catalog.load_table(TABLE).scan(row_filter=f"plate_key = '{key}'").plan_files()
    return Path(task.file.file_path.removeprefix("file://"))


@pytest.fixture
def two_plates(catalog: Catalog) -> Catalog:
    replace_partitions(catalog, TABLE, build_plates([A, B], rows=2_000), [A, B])
    return catalog


@pytest.mark.slow
def test_a_flipped_bit_of_a_data_file_is_an_error_that_names_it_or_changes_no_value(two_plates: Catalog):
    path = _file_of(two_plates, A)
    whole, told = path.read_bytes(), read_table(two_plates, TABLE)
    said: list[str] = []
    for bit in random.Random(5).sample(range(len(whole) * 8), 80):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(damaged)
        try:
            read = read_table(two_plates, TABLE)
        except CatalogError as error:
            said.append(f"{error}")
            said += check_catalog_table(two_plates, NAME) or [f"not told by the check: bit {bit}"]
            continue
        assert read.equals(told), bit
    assert len(said) > 120
    assert all(path.name in text for text in said)
    path.write_bytes(whole)
    assert check_catalog_table(two_plates, NAME) == []
    assert read_table(two_plates, TABLE).equals(told)


@pytest.mark.parametrize("change", [lambda data: None, lambda data: data[:-9], lambda data: data + b"more"])
def test_a_lost_cut_or_grown_data_file_is_lost_and_its_plate_is_written_again(two_plates, change):
    path = _file_of(two_plates, A)
    changed = change(path.read_bytes())
    path.unlink() if changed is None else path.write_bytes(changed)
    found = read_presence(two_plates, NAME)
    assert list(found.lost) == [A]
    assert path.name in found.lost[A]
    assert found.rows == {A: 2_000, B: 2_000}
    assert len(check_catalog_table(two_plates, NAME)) == 1
    replace_partitions(two_plates, TABLE, build_plate(A), [A])
    assert read_presence(two_plates, NAME).lost == {}
    assert read_table(two_plates, TABLE).num_rows == 2_010


@pytest.mark.parametrize("pattern", ["metadata/*.json", "metadata/snap-*.avro", "metadata/*-m*.avro"])
def test_a_table_whose_metadata_are_lost_is_made_again_and_maintenance_spares_its_files(
    two_plates, tmp_path, pattern
):
    older = set(tmp_path.rglob("*.parquet"))
    for path in tmp_path.rglob(pattern):
        path.unlink()
    with patch("bioimage_assets.core.catalog.lost_files._LOOK_AGAIN_S", 0.05):
        assert "lost" in str(read_presence(two_plates, NAME).unreadable)
        assert release_unreadable(two_plates, NAME) is not None
        assert release_unreadable(two_plates, NAME) is None
    assert read_presence(two_plates, NAME).is_missing
    replace_partitions(two_plates, TABLE, build_plate(B), [B])
    assert read_table(two_plates, TABLE).num_rows == 10
    maintain_table(two_plates, TABLE, options=MaintenanceOptions(orphan_age_s=0), dry_run=False)
    assert older <= set(tmp_path.rglob("*.parquet"))


def test_a_look_at_many_plates_is_one_listing_and_opens_no_data_file(catalog: Catalog):
    keys = [f"screen/P{i}" for i in range(12)]
    replace_partitions(catalog, TABLE, build_plates(keys), keys)
    counted: Counter[str] = Counter()
    open_file = PyArrowFile.open

    def opened(self, *arguments, **words):
        counted["opened " + ("data" if "/data/" in self.location else "metadata")] += 1
        return open_file(self, *arguments, **words)

    class Listing(pafs.FileSelector):
        def __init__(self, *arguments, **words):
            counted["listed"] += 1
            super().__init__(*arguments, **words)

    with patch.object(PyArrowFile, "open", opened), patch.object(pafs, "FileSelector", Listing):
        found = read_presence(catalog, NAME)
    assert (len(found.rows), counted["listed"], counted["opened data"]) == (12, 1, 0)
    assert counted["opened metadata"] <= 3


def test_a_look_at_some_plates_of_very_many_lists_their_folders_alone(catalog: Catalog):
    keys = [f"screen/P{i}" for i in range(20)]
    replace_partitions(catalog, TABLE, build_plates(keys), keys)
    listed: list[str] = []

    class Listing(pafs.FileSelector):
        def __init__(self, folder, *arguments, **words):
            listed.append(folder)
            super().__init__(folder, *arguments, **words)

    with patch.object(pafs, "FileSelector", Listing), patch.object(lost_files, "_FILES_PER_FOLDER", 2):
        found = read_presence(catalog, NAME, keys[:10])
    assert (len(found.rows), len(listed)) == (10, 10)
