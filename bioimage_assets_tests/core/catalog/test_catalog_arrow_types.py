"""Payload columns and odd Arrow types come back from Iceberg with type, values and nulls unchanged."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.catalog import Catalog

from bioimage_assets.core.catalog.arrow_types import convert_array, storage_schema, storage_type
from bioimage_assets.core.catalog.read import read_batches, read_table
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.errors import SchemaConflictError
from bioimage_assets_tests.core.catalog.plates import TABLE

KEY = "screen/P1"

# The OME-Arrow struct in small: unsigned pixels, lists in structs in lists, a field of null type.
OME_IMAGE = pa.struct(
    [
        pa.field("type", pa.string()),
        pa.field("masks", pa.null()),
        pa.field(
            "pixels_meta",
            pa.struct([("size_x", pa.int16()), ("channels", pa.list_(pa.struct([("name", pa.string())])))]),
        ),
        pa.field("planes", pa.list_(pa.struct([("z", pa.uint8()), ("pixels", pa.list_(pa.uint16()))]))),
        pa.field("raw", pa.large_binary()),
    ]
)
IMAGES = [
    {
        "type": "ome.arrow",
        "masks": None,
        "pixels_meta": {"size_x": 3, "channels": [{"name": "DNA"}, {"name": None}]},
        "planes": [{"z": 0, "pixels": [0, 65535, 7]}, None, {"z": 255, "pixels": None}],
        "raw": b"\x00\xff",
    },
    None,
    {"type": None, "masks": None, "pixels_meta": None, "planes": [], "raw": b""},
    {
        "type": "",
        "masks": None,
        "pixels_meta": {"size_x": None, "channels": None},
        "planes": None,
        "raw": None,
    },
]


def with_key(column: pa.Array | pa.ChunkedArray, key: str = KEY) -> pa.Table:
    return pa.table({"plate_key": [key] * len(column), "payload": column})


def through_iceberg(catalog: Catalog, column: pa.Array) -> pa.ChunkedArray:
    replace_partitions(catalog, TABLE, with_key(column), [KEY])
    return read_table(catalog, TABLE)["payload"]


ODD_COLUMNS = {
    "ome-arrow": pa.array(IMAGES, OME_IMAGE),
    "uint8": pa.array([0, 255, None], pa.uint8()),
    "uint32": pa.array([0, 2**32 - 1, None], pa.uint32()),
    "uint64": pa.array([0, 2**63 - 1, None], pa.uint64()),
    "int8": pa.array([-128, 127, None], pa.int8()),
    "float16": pa.array(np.array([0.5, np.inf, np.nan], np.float16)),
    "float32": pa.array([0.1, None, float("-inf")], pa.float32()),
    "null": pa.nulls(3),
    "dictionary": pa.array(["a", None, "a"]).dictionary_encode(),
    "large-string": pa.array(["a", None, ""], pa.large_string()),
    "string-view": pa.array(["a", None, "x" * 40], pa.string_view()),
    "fixed-list": pa.array([[1, 2], None, [3, None]], pa.list_(pa.int16(), 2)),
    "large-list": pa.array([[1], None, []], pa.large_list(pa.uint16())),
    "list-of-struct": pa.array(
        [[{"a": 1}], None, [], [None, {"a": None}]], pa.list_(pa.struct([("a", pa.int64())]))
    ),
    "map-of-struct": pa.array(
        [[("k", {"a": 1})], None, []], pa.map_(pa.string(), pa.struct([("a", pa.int64())]))
    ),
    "list-of-null": pa.array([[None], None, []], pa.list_(pa.null())),
    "map": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int16())),
    "decimal": pa.array([None, 1, 2], pa.decimal128(9, 3)),
    "fixed-binary": pa.array([b"ab", None, b"cd"], pa.binary(2)),
    "duration": pa.array([dt.timedelta(seconds=1), None, dt.timedelta(0)], pa.duration("ms")),
    "timestamp-ns": pa.array([0, None, 5_000], pa.timestamp("ns")),
    "timestamp-zone": pa.array([0, None, 5], pa.timestamp("ms", tz="Europe/Berlin")),
    "date64": pa.array([0, None, 86_400_000], pa.date64()),
    "time32": pa.array([0, None, 5], pa.time32("s")),
    "bool": pa.array([True, None, False]),
    "empty-struct": pa.array([{}, None, {}], pa.struct([])),
    "struct-of-null": pa.array([{"a": None}, {"a": None}, {"a": None}], pa.struct([("a", pa.null())])),
}


@pytest.mark.parametrize(
    "name", sorted(set(ODD_COLUMNS) - {"empty-struct", "struct-of-null", "list-of-null"})
)
def test_a_column_comes_back_as_it_was(catalog: Catalog, name: str) -> None:
    column = ODD_COLUMNS[name]
    back = through_iceberg(catalog, column)
    assert back.type == column.type
    assert str(back.to_pylist()) == str(column.to_pylist())


@pytest.mark.parametrize(
    "name", sorted(set(ODD_COLUMNS) - {"empty-struct", "struct-of-null", "list-of-null"})
)
def test_a_slice_of_a_column_comes_back_as_it_was(catalog: Catalog, name: str) -> None:
    column = pa.concat_arrays([ODD_COLUMNS[name]] * 2).slice(1, 4)
    assert str(through_iceberg(catalog, column).to_pylist()) == str(column.to_pylist())


@pytest.mark.parametrize("name", ["empty-struct", "struct-of-null", "list-of-null"])
def test_a_payload_that_holds_nothing_keeps_its_type(catalog: Catalog, name: str) -> None:
    back = through_iceberg(catalog, ODD_COLUMNS[name])
    assert back.type == ODD_COLUMNS[name].type
    assert len(back) == 3


def test_streamed_reading_gives_the_same_types(catalog: Catalog) -> None:
    column = pa.array(IMAGES, OME_IMAGE)
    replace_partitions(catalog, TABLE, with_key(column), [KEY])
    back = read_batches(catalog, TABLE).read_all()
    assert back.schema.field("payload").type == OME_IMAGE
    assert back["payload"].to_pylist() == IMAGES


def test_a_column_that_was_null_in_one_plate_takes_the_type_of_the_next(catalog: Catalog) -> None:
    replace_partitions(catalog, TABLE, with_key(pa.nulls(2)), [KEY])
    replace_partitions(catalog, TABLE, with_key(pa.array([7], pa.uint16()), "screen/P2"), ["screen/P2"])
    back = read_table(catalog, TABLE)["payload"]
    assert back.type == pa.uint16()
    assert sorted(back.to_pylist(), key=str) == [7, None, None]


def test_a_null_column_after_a_real_one_changes_nothing(catalog: Catalog) -> None:
    replace_partitions(catalog, TABLE, with_key(pa.array(["a"])), [KEY])
    replace_partitions(catalog, TABLE, with_key(pa.nulls(1), "screen/P2"), ["screen/P2"])
    back = read_table(catalog, TABLE)["payload"]
    assert (back.type, sorted(back.to_pylist(), key=str)) == (pa.string(), [None, "a"])


def test_a_struct_field_that_was_null_may_get_values_later(catalog: Catalog) -> None:
    with_masks = pa.struct(
        [*(f for f in OME_IMAGE if f.name != "masks"), pa.field("masks", pa.list_(pa.uint8()))]
    )
    replace_partitions(catalog, TABLE, with_key(pa.array(IMAGES, OME_IMAGE)), [KEY])
    second = pa.array([{"type": "x", "masks": [1, 255]}], with_masks)
    replace_partitions(catalog, TABLE, with_key(second, "screen/P2"), ["screen/P2"])
    back = read_table(catalog, TABLE)["payload"]
    assert back.type.field("masks").type == pa.list_(pa.uint8())
    assert {
        "type": "x",
        "masks": [1, 255],
        "pixels_meta": None,
        "planes": None,
        "raw": None,
    } in back.to_pylist()
    assert back.type.field("planes").type == OME_IMAGE.field("planes").type


def test_two_plates_with_two_widths_meet_in_the_wider_one(catalog: Catalog) -> None:
    replace_partitions(catalog, TABLE, with_key(pa.array([7], pa.uint8())), [KEY])
    replace_partitions(catalog, TABLE, with_key(pa.array([70_000], pa.int32()), "screen/P2"), ["screen/P2"])
    back = read_table(catalog, TABLE)["payload"]
    assert (back.type, sorted(back.to_pylist())) == (pa.int32(), [7, 70_000])


@pytest.mark.parametrize(
    "column",
    [pa.array([2**64 - 1], pa.uint64()), pa.array([1], pa.timestamp("ns"))],
    ids=["uint64-above-int64", "nanoseconds"],
)
def test_values_that_would_change_are_refused_not_rounded(catalog: Catalog, column: pa.Array) -> None:
    with pytest.raises(SchemaConflictError, match="payload"):
        through_iceberg(catalog, column)


def test_types_without_a_counterpart_are_refused_by_column_name() -> None:
    union = pa.schema([pa.field("u", pa.dense_union([pa.field("a", pa.int32())]))])
    with pytest.raises(SchemaConflictError, match="Column 'u'"):
        storage_schema(union)
    with pytest.raises(SchemaConflictError, match="more than once: a"):
        storage_schema(pa.schema([("a", pa.int32()), ("a", pa.int32())]))


@pytest.mark.parametrize("name", ["Cells-Area x", "μm", "1st", 'quote"d', "a.b", "select", " "])
def test_column_names_are_data(catalog: Catalog, name: str) -> None:
    rows = pa.table({"plate_key": [KEY], name: [1.5]})
    replace_partitions(catalog, TABLE, rows, [KEY])
    assert read_table(catalog, TABLE, columns=[name]).to_pydict() == {name: [1.5]}


_LEAVES = st.sampled_from(
    [pa.uint8(), pa.int16(), pa.string(), pa.large_string(), pa.bool_(), pa.float32(), pa.null()]
)
_TYPES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        inner.map(pa.list_),
        inner.map(pa.large_list),
        st.lists(inner, min_size=1, max_size=3).map(
            lambda kinds: pa.struct([pa.field(f"f{i}", kind) for i, kind in enumerate(kinds)])
        ),
    ),
    max_leaves=5,
)


def _values(kind: pa.DataType) -> st.SearchStrategy:
    if pa.types.is_null(kind):
        return st.none()
    if pa.types.is_struct(kind):
        fields = {kind.field(i).name: _values(kind.field(i).type) for i in range(kind.num_fields)}
        return st.none() | st.fixed_dictionaries(fields)
    if pa.types.is_nested(kind):
        return st.none() | st.lists(_values(kind.value_type), max_size=3)
    if pa.types.is_boolean(kind):
        return st.none() | st.booleans()
    if pa.types.is_integer(kind):
        return st.none() | st.integers(0, 255)
    if pa.types.is_floating(kind):
        return st.none() | st.floats(width=32, allow_nan=False)
    return st.none() | st.text(max_size=3)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_there_and_back_is_the_identity_wherever_something_can_be_stored(data: st.DataObject) -> None:
    kind = data.draw(_TYPES)
    stored = storage_type(kind)
    rows = data.draw(st.lists(_values(kind), max_size=6))
    array = pa.array(rows, kind)
    start = data.draw(st.integers(0, len(rows)))
    piece = array.slice(start)
    if stored is None:
        return
    back = convert_array(convert_array(piece, stored), kind)
    back.validate(full=True)
    assert back.type == kind
    assert _without_empty(back.to_pylist(), kind) == _without_empty(piece.to_pylist(), kind)


def _without_empty(rows: list, kind: pa.DataType) -> list:
    """Rows with everything that has no stored counterpart set to null."""
    return [_strip(row, kind) for row in rows]


def _strip(value, kind: pa.DataType):
    if value is None or storage_type(kind) is None:
        return None
    if pa.types.is_struct(kind):
        return {
            kind.field(i).name: _strip(value[kind.field(i).name], kind.field(i).type)
            for i in range(kind.num_fields)
        }
    if pa.types.is_nested(kind):
        return [_strip(item, kind.value_type) for item in value]
    return value
