"""Parquet tables that are damaged, odd or very wide: read, or the project's error that names the file and the column."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.measurements.flat_table_columns import plan_table
from bioimage_assets.core.measurements.model import PlateContext
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.core.measurements.conftest import Reader

COLUMNS: dict[str, object] = {
    "Metadata_Plate": ["P1", "P1"], "Metadata_Well": ["A01", "B02"], "Metadata_Site": ["0", "1"], "ImageNumber": [1, 2],
    "ObjectNumber": [1, 1], "Cells_AreaShape_Area": [1.5, 2.5],
}  # fmt: skip


def write(folder: Path, **changed: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({**COLUMNS, **changed}), folder / "P1.parquet")
    return folder / "P1.parquet"


def no_text(raw: bytes = b"\xff\xed") -> pa.Array:
    """Two texts of one byte each that is no UTF-8."""
    offsets = pa.py_buffer(np.arange(3, dtype=np.int32).tobytes())
    return pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(raw)])


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda raw: b"",
    "cut off": lambda raw: raw[:-100],
    "encrypted": lambda raw: raw[:-4] + b"PARE",
    "a footer of two gigabytes": lambda raw: raw[:-8] + b"\xff\xff\xff\x7f" + raw[-4:],
    "zeros in a footer": lambda raw: raw[:-300] + bytes(200) + raw[-100:],
    "zeros in the pages": lambda raw: raw[:200] + bytes(100) + raw[300:],
    "other pages": lambda raw: raw[:4] + bytes(range(256)) + raw[260:],
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, read_plate: Reader, kind: str) -> None:
    path = write(tmp_path / "P1")
    path.write_bytes(DAMAGES[kind](path.read_bytes()))
    with pytest.raises(MeasurementError, match=str(path.parent)):
        read_plate(path.parent)


@pytest.mark.parametrize(
    "odd",
    [
        {"ImageNumber": pa.array([2**64 - 1, 1], pa.uint64())},
        {"ImageNumber": [float("inf"), 1.0]},
        {"ImageNumber": [1e308, 1.0]},
        {"ObjectNumber": [1.5, 1.0]},
        {"Metadata_Well": no_text()},
        {"Metadata_Compound": no_text()},
        {"Cells_Words": no_text()},
    ],
)
def test_values_that_no_column_holds_are_an_error_that_names_the_file(
    tmp_path: Path, read_plate: Reader, odd: dict[str, object]
) -> None:
    path = write(tmp_path / "P1", **odd)
    with pytest.raises(MeasurementError, match=str(path.parent)) as refused:
        read_plate(path.parent)
    assert len(str(refused.value)) < 3_000


@pytest.mark.parametrize(
    ("odd", "expected"),
    [
        ({"Cells_D": pa.array([decimal.Decimal("1.5"), None], pa.decimal256(60, 2))}, [1.5, None]),
        ({"Cells_E": pa.array([1, 2]).dictionary_encode()}, [1.0, 2.0]),
        ({"Cells_N": pa.array([{"a": 1}, {"a": 2}])}, [{"a": 1}, {"a": 2}]),
        ({"Cells_T": pa.array([datetime.timedelta(1), None], pa.duration("ns"))}, None),
        ({"": [1, 2]}, [1, 2]),
        ({"x" * 131_073: [1.0, 2.0]}, [1.0, 2.0]),
        ({"Cells_\udcff".encode("utf-8", "replace").decode(): [1.0, 2.0]}, [1.0, 2.0]),
    ],
)
def test_columns_of_odd_types_and_names_cost_no_row(
    tmp_path: Path, read_plate: Reader, odd: dict[str, object], expected: list[object] | None
) -> None:
    plate = read_plate(write(tmp_path / "P1", **odd).parent)
    (name,) = odd
    assert plate.table.num_rows == 2
    assert name in plate.table.column_names
    assert expected is None or plate.table[name].to_pylist() == expected
    assert all(len(finding.message) < 5_000 for finding in plate.result.findings)


def test_names_that_differ_in_case_only_are_told_apart(tmp_path: Path, read_plate: Reader) -> None:
    plate = read_plate(write(tmp_path / "P1", cells_areashape_area=[7.0, 8.0]).parent)
    assert plate.table["cells_areashape_area_2"].to_pylist() == [7.0, 8.0]
    assert "duplicate-columns" in plate.codes()


def test_a_type_of_a_pickle_is_never_built(tmp_path: Path, read_plate: Reader) -> None:
    owned = tmp_path / "owned"
    raw = f"cos\nsystem\n(S'touch {owned}'\ntR.".encode()
    words = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": raw}
    field = pa.field("Metadata_X", pa.binary(), metadata=words)
    (tmp_path / "P1").mkdir()
    pq.write_table(
        pa.table(COLUMNS).append_column(field, pa.array([b"a", b"b"])), tmp_path / "P1" / "P1.parquet"
    )
    assert read_plate(tmp_path / "P1").table.num_rows == 2
    assert not owned.exists()


def test_names_of_a_schema_are_listed_a_few_times_however_many_columns_there_are(
    tmp_path: Path, read_plate: Reader
) -> None:
    """A list of all names for each column took nine seconds for ten thousand of them."""
    schema = pa.schema([("ObjectNumber", pa.int64()), *((f"Cells_F_{i}", pa.float64()) for i in range(300))])
    listed = 0

    class Counted:
        """The schema, which counts how often its names are asked for."""

        def __getattr__(self, name: str) -> object:
            nonlocal listed
            listed += name == "names"
            return getattr(schema, name)

        def __iter__(self) -> Iterator[pa.Field]:
            return iter(schema)

    context = PlateContext("s/P1", "s", "P1", DatasetSettings(), tmp_path, 1 << 30)
    layout, _ = plan_table(Counted(), context, text_numbers={"Cells_F_1": "."})
    assert len(layout.columns) > 300
    assert listed < 10
