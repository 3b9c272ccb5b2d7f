"""Original Arrow types of the columns that Iceberg stores under another type.

They are kept in one table property (base64 of an Arrow IPC schema that holds only those columns), so a
column read back has the type it was written with. Types that differ between plates are merged.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pyarrow as pa

from bioimage_assets.core.catalog.arrow_types import is_list, storage_type

ARROW_SCHEMA_PROPERTY = "bioimage.arrow-schema"


def read_original_types(properties: Mapping[str, str]) -> dict[str, pa.Field]:
    """Original fields by column name, from a table's properties."""
    text = properties.get(ARROW_SCHEMA_PROPERTY)
    if not text:
        return {}
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))
    return {field.name: field for field in schema}


def build_original_types(
    known: Mapping[str, pa.Field], stored: pa.Schema | None, schema: pa.Schema
) -> dict[str, pa.Field]:
    """Fields to remember once data of this schema have joined those already known.

    A column whose type the default reading restores is not remembered; one that comes with two
    types falls back to the type that Iceberg stores. ``stored`` is the table's schema so far.
    """
    result = dict(known)
    for field in schema:
        before = result.get(field.name)
        if before is None and stored is not None and field.name in stored.names:
            before = stored.field(field.name)
        kind = field.type if before is None else merge_types(before.type, field.type)
        if kind is None or storage_type(kind) == kind:
            result.pop(field.name, None)
        elif before is None or kind != before.type:
            result[field.name] = pa.field(field.name, kind, metadata=field.metadata)
    return result


def original_types_property(original_types: Mapping[str, pa.Field]) -> str:
    """Text of the table property that ``read_original_types`` reads."""
    # Table properties are text; Arrow's IPC message keeps extension types and time zones, str(type) would not.
    return base64.b64encode(pa.schema(list(original_types.values())).serialize().to_pybytes()).decode()


def merge_types(first: pa.DataType, second: pa.DataType) -> pa.DataType | None:
    """One original type that both can be restored to, None where they disagree."""
    if first == second or pa.types.is_null(second):
        return first
    if pa.types.is_null(first):
        return second
    if pa.types.is_struct(first) and pa.types.is_struct(second):
        return _merge_structs(first, second)
    if is_list(first) and is_list(second) and type(first) is type(second):
        element = merge_types(first.value_type, second.value_type)
        if element is None or pa.types.is_fixed_size_list(first):
            return None
        field = first.value_field.with_type(element)
        return pa.large_list(field) if pa.types.is_large_list(first) else pa.list_(field)
    return None


def _merge_structs(first: pa.StructType, second: pa.StructType) -> pa.DataType | None:
    others = {second.field(i).name: second.field(i) for i in range(second.num_fields)}
    fields = []
    for i in range(first.num_fields):
        field = first.field(i)
        other = others.pop(field.name, None)
        kind = field.type if other is None else merge_types(field.type, other.type)
        if kind is None:
            return None
        fields.append(field.with_type(kind))
    return pa.struct([*fields, *others.values()])
