"""Arrow types that Iceberg cannot hold, turned into ones it can, and back without loss.

Iceberg format version 2 has no null, unsigned, 8/16-bit, half-float, dictionary, fixed-size-list,
duration or nanosecond types (https://iceberg.apache.org/spec/#primitive-types). Payload columns such
as OME-Arrow images use several of them, so every array is converted recursively on the way in, and
the original type is remembered (see ``arrow_type_memory``) for the way out.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.errors import SchemaConflictError

# The narrowest Iceberg type that holds every value; dates and times keep microseconds, the unit Iceberg v2 has.
_WIDER: dict[pa.DataType, pa.DataType] = {
    pa.int8(): pa.int32(),
    pa.int16(): pa.int32(),
    pa.uint8(): pa.int32(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.int64(),
    pa.float16(): pa.float32(),
    pa.string_view(): pa.string(),
    pa.binary_view(): pa.binary(),
    pa.large_string(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.date64(): pa.date32(),
    pa.time32("s"): pa.time64("us"),
    pa.time32("ms"): pa.time64("us"),
    pa.time64("ns"): pa.time64("us"),
}


def storage_type(kind: pa.DataType) -> pa.DataType | None:
    """Give the type that Iceberg stores for an Arrow type; None for types that hold nothing (null).

    SchemaConflictError for types that have no faithful counterpart (unions, intervals, run-end encoded).
    """
    if pa.types.is_null(kind):
        return None
    if isinstance(kind, pa.BaseExtensionType):
        return storage_type(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return storage_type(kind.value_type)
    if kind in _WIDER:
        return _WIDER[kind]
    if pa.types.is_timestamp(kind):
        # Iceberg keeps no zone names: timestamptz is an instant in UTC. The zone comes back with the original type.
        return pa.timestamp("us", tz="UTC" if kind.tz else None)
    if pa.types.is_duration(kind):
        return pa.int64()
    if pa.types.is_nested(kind):
        return _storage_nested(kind)
    if pa.types.is_decimal(kind):
        return _storage_decimal(kind)
    # PyArrow 22 has no predicate for run-end encoded and month-day-nano types.
    if pa.types.is_interval(kind) or str(kind).startswith(("run_end", "month_day")):
        raise _no_counterpart(kind)
    return kind


def _storage_decimal(kind: pa.DataType) -> pa.DataType:
    """Iceberg's decimals have up to 38 digits, none of them before the ones place."""
    if kind.precision > 38:
        raise SchemaConflictError(
            f"Arrow type {kind} has more than the 38 digits that decimals of Iceberg have. Cast the column to float64, "
            "or to text."
        )
    if not 0 <= kind.scale <= kind.precision:
        raise SchemaConflictError(
            f"Arrow type {kind} has a scale that decimals of Iceberg cannot have (0 to {kind.precision}). Cast the "
            "column to another decimal, or to float64."
        )
    return pa.decimal128(kind.precision, kind.scale)


def _no_counterpart(kind: pa.DataType) -> SchemaConflictError:
    return SchemaConflictError(
        f"Arrow type {kind} cannot be stored in Iceberg. Cast the column to text or numbers."
    )


def _storage_nested(kind: pa.DataType) -> pa.DataType | None:
    if pa.types.is_struct(kind):
        _check_struct_names([child.name for child in kind])
        fields = [field for child in kind if (field := storage_field(child)) is not None]
        return pa.struct(fields) if fields else None
    if pa.types.is_map(kind):
        key, item = storage_field(kind.key_field), storage_field(kind.item_field)
        return pa.map_(key, item) if key is not None and item is not None else None
    if is_list(kind):
        element = storage_field(kind.value_field)
        # Parquet and Iceberg call list items "element", Arrow "item"; writers compare schemas with names.
        return pa.list_(element.with_name("element")) if element is not None else None
    raise _no_counterpart(kind)


def _check_struct_names(names: list[str]) -> None:
    for name in names:
        _check_name(name)
    # DuckDB finds the fields of a struct whatever their case, and gives one field's values for the other's.
    lower = [name.lower() for name in names]
    if alike := sorted({name for name in names if lower.count(name.lower()) > 1}):
        raise SchemaConflictError(
            f"fields of a struct may not have one name, or names that differ in case only: {', '.join(alike)}. "
            "Rename one of them."
        )


def storage_field(field: pa.Field) -> pa.Field | None:
    """Field as Iceberg stores it, without metadata; None where nothing would be stored."""
    kind = storage_type(field.type)
    return None if kind is None else pa.field(field.name, kind, nullable=field.nullable)


def storage_schema(schema: pa.Schema, table: str = "") -> pa.Schema:
    """Schema that Iceberg can hold for these columns; columns of null type are left out.

    SchemaConflictError names a column whose type or name has no counterpart, and duplicate column names; ``table`` is
    named, too, where it is given.
    """
    where = f"Table {table}: " if table else ""
    if len(set(schema.names)) != len(schema.names):
        twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
        raise SchemaConflictError(
            f"{where}Column names must be unique; given more than once: {', '.join(twice)}. Nothing was written."
        )
    fields = []
    for field in schema:
        try:
            _check_name(field.name)
            stored = storage_field(field)
        except SchemaConflictError as error:
            raise SchemaConflictError(f"{where}Column {field.name!r}: {error} Nothing was written.") from None
        if stored is not None:
            fields.append(stored)
    return pa.schema(fields)


def _check_name(name: str) -> None:
    # Avro, in which Iceberg keeps its manifests, has no empty names, and DuckDB ends a name at a NUL.
    if not name or "\x00" in name:
        raise SchemaConflictError("a name must have at least one letter, and no NUL. Rename it.")


def is_list(kind: pa.DataType) -> bool:
    """Tell whether a type is any kind of list: variable, large, fixed-size or view."""
    return (
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or str(kind).startswith(("list_view", "large_list_view"))
    )


def convert_array(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Convert an array to a type of the same meaning, struct fields by name, nulls and order kept.

    Struct fields that the array lacks become null, those the target lacks are dropped where they hold
    nothing that can be stored. ArrowInvalid where a value does not fit (nothing is truncated or wrapped around).
    """
    if isinstance(target, pa.BaseExtensionType):
        return target.wrap_array(convert_array(array, target.storage_type))
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if array.type == target:
        return array
    if pa.types.is_null(target) or pa.types.is_null(array.type):
        if array.null_count != len(array):
            raise pa.ArrowInvalid(f"values of type {array.type} do not fit the type null")
        return pa.nulls(len(array), target)
    if pa.types.is_struct(target) and pa.types.is_struct(array.type):
        return _convert_struct(array, target)
    if pa.types.is_map(target) and pa.types.is_map(array.type):
        return _convert_map(array, target)
    if is_list(target) and is_list(array.type):
        return _convert_list(array, target)
    if pa.types.is_duration(target) or pa.types.is_duration(array.type):
        # By its count: PyArrow 22 casts int64 to durations, but no other number.
        return array.cast(pa.int64()).cast(target)
    if pa.types.is_dictionary(array.type):
        return convert_array(array.dictionary_decode(), target)
    if pa.types.is_dictionary(target):
        return convert_array(array, target.value_type).dictionary_encode().cast(target)
    if target == pa.float16() or array.type == pa.float16():
        return _cast_half(array, target)
    if pa.types.is_floating(array.type) and pa.types.is_floating(target):
        # Floats round, and too large ones are infinite, as in every float32 column.
        return array.cast(target, safe=False)
    return array.cast(target)


def _cast_half(array: pa.Array, target: pa.DataType) -> pa.Array:
    if target == pa.float16():
        return array.cast(pa.float32(), safe=False).cast(target, safe=False)
    return array.cast(pa.float32(), safe=False).cast(target)


def _convert_struct(array: pa.StructArray, target: pa.StructType) -> pa.Array:
    given = {array.type.field(i).name: i for i in range(array.type.num_fields)}
    wanted = [target.field(i) for i in range(target.num_fields)]
    children = [
        convert_array(array.field(given[field.name]), field.type)
        if field.name in given
        else pa.nulls(len(array), field.type)
        for field in wanted
    ]
    names = {field.name for field in wanted}
    # flatten() nulls a field where its struct is null; field() shows whatever bytes stand there.
    lost = [name for name, i in given.items() if name not in names and _holds_values(array.flatten()[i])]
    if lost:
        raise pa.ArrowInvalid(f"struct fields {', '.join(lost)} have no place in {target}")
    # StructArray.from_arrays of no fields has no length.
    if not wanted:
        return pa.array([None if missing else {} for missing in array.is_null().to_pylist()], target)
    return pa.StructArray.from_arrays(children, fields=wanted, mask=array.is_null())


def _holds_values(array: pa.Array) -> bool:
    """Tell whether leaving an array out loses anything that could be stored."""
    return array.null_count != len(array) and storage_type(array.type) is not None


def _offsets(array: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Lengths-based offsets (64 bit, starting at zero) and the null mask of any list array."""
    lengths = pc.fill_null(pc.list_value_length(array), 0).cast(pa.int64())
    ends = pc.cumulative_sum(lengths) if len(lengths) else lengths
    return pa.concat_arrays([pa.array([0], pa.int64()), ends]), array.is_null()


def _convert_list(array: pa.Array, target: pa.DataType) -> pa.Array:
    offsets, missing = _offsets(array)
    # flatten() leaves out what a slice or a null hides; ``values`` of a sliced list has the whole buffer.
    values = convert_array(array.flatten(), target.value_type)
    if pa.types.is_fixed_size_list(target):
        plain = pa.LargeListArray.from_arrays(
            offsets, values, type=pa.large_list(target.value_field), mask=missing
        )
        return plain.cast(target)
    if pa.types.is_large_list(target):
        return pa.LargeListArray.from_arrays(offsets, values, type=target, mask=missing)
    if not pa.types.is_list(target):  # PyArrow 22 casts no list to a view of one
        return _build_list_view(offsets, values, target, missing)
    plain = pa.ListArray.from_arrays(
        offsets.cast(pa.int32()), values, type=pa.list_(target.value_field), mask=missing
    )
    return plain if plain.type == target else plain.cast(target)


def _build_list_view(offsets: pa.Array, values: pa.Array, target: pa.DataType, missing: pa.Array) -> pa.Array:
    sizes = pc.subtract(offsets[1:], offsets[:-1])
    if str(target).startswith("large"):
        return pa.LargeListViewArray.from_arrays(offsets[:-1], sizes, values, type=target, mask=missing)
    starts, sizes = offsets[:-1].cast(pa.int32()), sizes.cast(pa.int32())
    return pa.ListViewArray.from_arrays(starts, sizes, values, type=target, mask=missing)


def _convert_map(array: pa.MapArray, target: pa.MapType) -> pa.Array:
    if array.offset or array.null_count:
        # pyarrow 22: MapArray.from_arrays refuses a mask of nulls beside the offsets of a slice ("Null bitmap with
        # offsets slice not supported"); taking all rows compacts them. Goes once it takes both.
        array = array.take(pa.array(range(len(array)), pa.int64()))
    keys, items = convert_array(array.keys, target.key_type), convert_array(array.items, target.item_type)
    offsets = array.offsets
    if array.null_count:
        starts = pc.if_else(pa.concat_arrays([array.is_null(), pa.array([False])]), None, offsets)
        return pa.MapArray.from_arrays(starts, keys, items, type=target)
    return pa.MapArray.from_arrays(offsets, keys, items, type=target)


def convert_column(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    """Convert every chunk of a column; SchemaConflictError names the column where a value does not fit."""
    if column.type == field.type:
        return column
    try:
        return pa.chunked_array(
            [convert_array(chunk, field.type) for chunk in column.chunks], type=field.type
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        # Without a cause: the sentence says all that Arrow's does, and callers show the innermost error.
        raise SchemaConflictError(
            f"Column {field.name!r} of type {column.type} does not fit the stored type {field.type}: {error}. "
            f"{_remedy(column.type, field.type)}"
        ) from None


def _remedy(given: pa.DataType, stored: pa.DataType) -> str:
    if pa.types.is_timestamp(stored) or pa.types.is_time(stored):
        return "Iceberg keeps microseconds: round the column to them (cast it with safe=False), or cast it to text."
    if pa.types.is_floating(given) and pa.types.is_integer(stored):
        return (
            "A column of integers cannot become one of fractions in Iceberg: cast it to whole numbers, or drop the table "
            "(bioimage-assets tables drop) and write all plates with the column as float64."
        )
    if given == pa.uint64() and pa.types.is_integer(stored):
        return "Iceberg has no integers above 2^63 - 1: cast the column to float64, or to text."
    return f"Cast the column so that its values fit {stored}, or to a new column of another name."
