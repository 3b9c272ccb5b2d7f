"""A bit that flips in a stored part is noticed: always when every byte is compared, and nearly always when it is read."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest
from bioimage_assets_tests.core.warehouse.tables import cells

A, B = "screen/P1", "screen/P2"
FLIPS = 120


def _measured(key: str, rows: int = 400) -> pa.Table:
    numbers = random.Random(3)
    values = {f"Cells_Texture_{i}": pa.array([numbers.random() for _ in range(rows)]) for i in range(6)}
    return cells(key, rows, **values)


def _flip(path: Path, whole: bytes, bit: int) -> None:
    damaged = bytearray(whole)
    damaged[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(damaged)


def _part(root: Path, key: str = A) -> Path:
    warehouse = open_warehouse(root)
    (path,) = warehouse.files("single_cells", [key])
    return Path(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    warehouse = open_warehouse(tmp_path / "root")
    warehouse.replace_partitions("single_cells", _measured(A), [A], fingerprint="one")
    return tmp_path / "root"


def test_every_flipped_bit_is_an_error_of_the_deep_validation(root):
    path = _part(root)
    whole = path.read_bytes()
    assert validate_warehouse_manifest(root, deep=True).is_valid
    # In pages, page headers, statistics, footer and magic bytes alike.
    for bit in random.Random(1).sample(range(len(whole) * 8), FLIPS):
        _flip(path, whole, bit)
        found = validate_warehouse_manifest(root, deep=True).errors
        assert any(path.name in error for error in found), bit
    path.write_bytes(whole)
    assert validate_warehouse_manifest(root, deep=True).is_valid


def test_a_flipped_bit_of_a_page_is_never_read_as_another_value(root):
    path = _part(root)
    whole, told = path.read_bytes(), open_warehouse(root).read("single_cells")
    said: list[str] = []
    for bit in random.Random(2).sample(range(len(whole) * 8), FLIPS):
        _flip(path, whole, bit)
        try:
            read = open_warehouse(root).read("single_cells")
        except BioimageError as error:
            said.append(str(error))
            continue
        assert read.equals(told), bit
    # The others hit bytes that no reader uses: statistics, names of encodings, the writer's name.
    assert len(said) / FLIPS > 0.75
    assert all(path.name in text for text in said)


def test_the_error_names_the_file_what_was_found_and_what_to_do(root):
    path = _part(root)
    whole = path.read_bytes()
    column = pq.read_metadata(path).row_group(0).column(5)
    _flip(path, whole, (column.data_page_offset + column.total_compressed_size // 2) * 8)
    with pytest.raises(BioimageError, match="CRC") as caught:
        open_warehouse(root).read("single_cells", plate_keys=[A])
    assert str(path) in str(caught.value)
    assert "build its partition again" in " ".join(str(caught.value).split())
    with pytest.raises(BioimageError, match="CRC"):
        for _ in open_warehouse(root).batches("single_cells", plate_keys=[A]):
            pass


def test_building_the_same_rows_again_mends_a_damaged_part(root):
    path = _part(root)
    whole = path.read_bytes()
    _flip(path, whole, len(whole) * 4)
    written = open_warehouse(root).replace_partitions("single_cells", _measured(A), [A], fingerprint="one")
    assert written.changed
    assert path.read_bytes() == whole
    again = open_warehouse(root).replace_partitions("single_cells", _measured(A), [A], fingerprint="one")
    assert not again.changed


def test_parts_of_earlier_versions_are_read_and_said_to_have_no_digest(root):
    folder = root / "single_cells"
    pq.write_table(_measured(B), folder / "older.parquet")
    warehouse = open_warehouse(root)
    assert warehouse.read("single_cells", plate_keys=[B]).num_rows == 400
    warehouse.append("single_cells", _measured("screen/P3"))  # the manifest takes the older file up
    found = validate_warehouse_manifest(root, deep=True)
    assert found.errors == []
    assert any("no digest stored for 1 file(s)" in warning for warning in found.warnings)


@pytest.mark.parametrize("place", ["root", "memory://flipped-bits"])
def test_a_lost_part_costs_its_own_plate_and_is_replaced(place, tmp_path):
    uri = place if "://" in place else str(tmp_path / place)
    warehouse = open_warehouse(uri)
    for key in (A, B):
        warehouse.replace_partitions("single_cells", cells(key), [key], fingerprint="one")
    files = warehouse.files_at
    (name,) = (n for n in warehouse.manifest().tables[0].partitions[A].files)
    files.remove_file(f"single_cells/{name}")
    assert warehouse.read("single_cells", plate_keys=[B]).num_rows == 3
    with pytest.raises(BioimageError, match="missing"):
        warehouse.read("single_cells", plate_keys=[A])
    warehouse.replace_partitions("single_cells", cells(A), [A], fingerprint="one")
    assert warehouse.read("single_cells").num_rows == 6
    files.remove_file(f"single_cells/{name}")
    warehouse.remove_partitions("single_cells", [A])
    assert warehouse.partitions("single_cells") == (B,)
    assert validate_warehouse_manifest(uri, deep=True).is_valid
