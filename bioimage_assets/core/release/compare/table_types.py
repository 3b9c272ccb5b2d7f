"""Arrow types as they are compared: how a text or a list is laid out in a file is no difference."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.types as pt


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type without its layout: dictionaries, views, large and fixed-size variants, extension types, and names of list items.

    >>> str(plain_type(pa.dictionary(pa.int32(), pa.large_string())))
    'string'
    """
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if pt.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind):
        return pa.string()
    if (
        pt.is_binary(kind)
        or pt.is_large_binary(kind)
        or pt.is_binary_view(kind)
        or pt.is_fixed_size_binary(kind)
    ):
        return pa.binary()
    if is_list(kind):
        return pa.list_(pa.field("item", plain_type(kind.value_type)))
    if pt.is_map(kind):
        pair = [pa.field("key", plain_type(kind.key_type)), pa.field("value", plain_type(kind.item_type))]
        return pa.list_(pa.field("item", pa.struct(pair)))
    if pt.is_struct(kind):
        return pa.struct([pa.field(child.name, plain_type(child.type)) for child in kind])
    return kind


def is_list(kind: pa.DataType) -> bool:
    """Whether it is a list of any layout."""
    return pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind) or pt.is_list_view(kind)


def is_number(kind: pa.DataType) -> bool:
    """Whether values are numbers that numpy has."""
    return pt.is_integer(kind) or pt.is_floating(kind)


def are_comparable(a: pa.DataType, b: pa.DataType) -> bool:
    """Whether values of two plain types can be equal: the same type, two kinds of numbers, or a column that held nothing."""
    if a == b or pt.is_null(a) or pt.is_null(b):
        return True
    if is_number(a) and is_number(b):
        return True
    if pt.is_decimal(a) and pt.is_decimal(b):
        return True
    if is_list(a) and is_list(b):
        return are_comparable(a.value_type, b.value_type)
    if pt.is_struct(a) and pt.is_struct(b):
        names = {field.name for field in a}
        return names == {field.name for field in b} and all(
            are_comparable(field.type, b.field(field.name).type) for field in a
        )
    return pt.is_timestamp(a) and pt.is_timestamp(b) and (a.tz is None) == (b.tz is None)


def as_plain(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """One array of the plain type."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # of no rows
        array = pa.array([], array.type)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pt.is_dictionary(array.type):
        array = array.dictionary_decode()
    wanted = plain_type(array.type)
    return array if array.type == wanted else array.cast(wanted)
