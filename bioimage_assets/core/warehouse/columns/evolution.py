"""One schema for all parts of a table, which only grows.

A *logical* schema may hold ``null`` types (a column that was empty so far, at any depth); the
*stored* schema writes these as strings, so that every Parquet reader can read every part, and gives
them their real type as soon as a value appears.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.types as pt

from bioimage_assets.core.errors import SchemaConflictError


def stored_type(kind: pa.DataType) -> pa.DataType:
    """Replace ``null`` by string, at any depth; other types stay."""
    if pt.is_null(kind):
        return pa.string()
    if pt.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        return pa.struct([field.with_type(stored_type(field.type)) for field in fields])
    if _is_list(kind):
        return _rebuild_list(kind, kind.value_field.with_type(stored_type(kind.value_type)))
    return kind


def stored_schema(schema: pa.Schema) -> pa.Schema:
    """Schema of the Parquet parts for a logical schema."""
    return pa.schema([field.with_type(stored_type(field.type)) for field in schema])


def logical_schema(schema: pa.Schema, where: str) -> pa.Schema:
    """Schema of incoming data as a table keeps it: dictionaries decoded, views made plain, names unique.

    Raises
    ------
    SchemaConflictError
        Two columns share a name, or there is no column at all.
    """
    if not len(schema):
        raise SchemaConflictError(f"{where}: the data have no columns; a table part needs at least one.")
    twice = (
        sorted({name for name in schema.names if schema.names.count(name) > 1})
        if _has_duplicates(schema)
        else []
    )
    if twice:
        raise SchemaConflictError(
            f"{where}: column name(s) given twice: {', '.join(twice)}. Rename one of each."
        )
    return pa.schema([field.with_type(_plain_type(field.type)) for field in schema])


def union_schemas(known: pa.Schema | None, new: pa.Schema, where: str) -> pa.Schema:
    """Join two logical schemas: known columns keep their order, new ones follow.

    A ``Metadata_*`` column that holds text on one plate and numbers on another is text in the whole table.

    Raises
    ------
    SchemaConflictError
        A column has types that no common type holds without loss; every such column is named.
    """
    if known is None:
        return new
    fields: list[pa.Field] = []
    conflicts: list[str] = []
    incoming = {field.name: field for field in new}
    for field in known:
        other = incoming.pop(field.name, None)
        if other is None:
            fields.append(field.with_nullable(True))
            continue
        kind = promote(field.type, other.type)
        if kind is None and field.name.startswith("Metadata_"):
            kind = _common_text(field.type, other.type)
        if kind is None:
            conflicts.append(f"{field.name!r} is {field.type}, the new data have {other.type}")
            continue
        fields.append(field.with_type(kind).with_nullable(field.nullable or other.nullable))
    if conflicts:
        raise SchemaConflictError(
            f"{where}: incompatible column type(s): {'; '.join(conflicts)}. Nothing was written. "
            "Cast the new data, or overwrite the whole table."
        )
    return pa.schema([*fields, *(field.with_nullable(True) for field in incoming.values())])


def union_all(schemas: Iterable[pa.Schema], where: str) -> pa.Schema | None:
    """Join any number of logical schemas, None for none."""
    result: pa.Schema | None = None
    for schema in schemas:
        result = union_schemas(result, schema, where)
    return result


def promote(known: pa.DataType, new: pa.DataType) -> pa.DataType | None:
    """Type that holds both without loss, None where there is none. The known type wins where it can."""
    if known.equals(new) or pt.is_null(new):
        return known
    if pt.is_null(known):
        return new
    if pt.is_integer(known) and pt.is_integer(new):
        return _wider_integer(known, new)
    if _is_number(known) and _is_number(new):
        return pa.float64()
    for is_family in (_is_text, _is_binary):
        if is_family(known) and is_family(new):
            return known
    if pt.is_timestamp(known) and pt.is_timestamp(new) and (known.tz is None) == (new.tz is None):
        return _finer_timestamp(known, new)
    if _is_list(known) and _is_list(new) and _list_size(known) == _list_size(new):
        value = promote(known.value_type, new.value_type)
        return (
            None
            if value is None
            else _rebuild_list(known, known.value_field.with_type(value).with_nullable(True))
        )
    if pt.is_struct(known) and pt.is_struct(new):
        return _promote_struct(known, new)
    return None


def own_schema(part: pa.Schema, table: pa.Schema) -> pa.Schema:
    """Columns of a part in the types of its table, in its own order.

    Numbers whose column is text because other plates have words there stay numbers: readers of the whole table get
    their text, the plate keeps its values.
    """
    return pa.schema(
        [
            table.field(field.name).with_type(field.type)
            if keeps_numbers(field.type, table.field(field.name).type)
            else table.field(field.name)
            for field in part
        ]
    )


def keeps_numbers(part: pa.DataType, table: pa.DataType) -> bool:
    """Whether a part has numbers where its table has text."""
    return _is_text(table) and (_is_number(part) or pt.is_boolean(part))


def is_even(part: pa.Schema, table: pa.Schema) -> bool:
    """Whether a part has all columns of its table in the table's types; their order does not matter."""
    kinds = {field.name: field.type for field in part}
    return kinds == {field.name: field.type for field in table}


def spell_type(kind: pa.DataType) -> str:
    """Spell a type for the manifest; Parquet renames list items to elements, which is not a difference."""
    return str(kind).replace("<element: ", "<item: ")


def spell_types(schema: pa.Schema) -> dict[str, str]:
    """Types of all columns as the manifest spells them."""
    return {field.name: spell_type(field.type) for field in schema}


def added_columns(old: pa.Schema | None, new: pa.Schema) -> tuple[str, ...]:
    """Names of columns that only the new schema has."""
    known = set(old.names) if old is not None else set()
    return tuple(name for name in new.names if name not in known)


def changed_columns(old: pa.Schema | None, new: pa.Schema) -> tuple[str, ...]:
    """Names of columns whose stored type differs between two schemas."""
    if old is None:
        return ()
    kinds = {field.name: stored_type(field.type) for field in old}
    return tuple(f.name for f in new if f.name in kinds and not kinds[f.name].equals(stored_type(f.type)))


def _has_duplicates(schema: pa.Schema) -> bool:
    return len(set(schema.names)) < len(schema.names)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pt.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pt.is_string_view(kind):
        return pa.string()
    if pt.is_binary_view(kind):
        return pa.binary()
    if pt.is_struct(kind):
        return pa.struct(
            [f.with_type(_plain_type(f.type)) for f in (kind.field(i) for i in range(kind.num_fields))]
        )
    if _is_list(kind):
        return _rebuild_list(kind, kind.value_field.with_type(_plain_type(kind.value_type)))
    return kind


def _is_list(kind: pa.DataType) -> bool:
    return bool(pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind))


def _list_size(kind: pa.DataType) -> int | None:
    return kind.list_size if pt.is_fixed_size_list(kind) else None


def _rebuild_list(kind: pa.DataType, value: pa.Field) -> pa.DataType:
    if pt.is_fixed_size_list(kind):
        return pa.list_(value, kind.list_size)
    return pa.large_list(value) if pt.is_large_list(kind) else pa.list_(value)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pt.is_integer(kind) or pt.is_floating(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pt.is_string(kind) or pt.is_large_string(kind))


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pt.is_binary(kind) or pt.is_large_binary(kind))


def _common_text(known: pa.DataType, new: pa.DataType) -> pa.DataType | None:
    for text, other in ((known, new), (new, known)):
        if _is_text(text) and (_is_number(other) or pt.is_boolean(other)):
            return text
    return None


def _wider_integer(known: pa.DataType, new: pa.DataType) -> pa.DataType | None:
    if pt.is_signed_integer(known) == pt.is_signed_integer(new):
        return known if known.bit_width >= new.bit_width else new
    unsigned = new if pt.is_signed_integer(known) else known
    signed = known if pt.is_signed_integer(known) else new
    if unsigned.bit_width < signed.bit_width:
        return signed
    return {8: pa.int16(), 16: pa.int32(), 32: pa.int64()}.get(unsigned.bit_width)


def _finer_timestamp(known: pa.DataType, new: pa.DataType) -> pa.DataType:
    order = ("s", "ms", "us", "ns")
    unit = max(known.unit, new.unit, key=order.index)
    return pa.timestamp(unit, known.tz)


def _promote_struct(known: pa.DataType, new: pa.DataType) -> pa.DataType | None:
    fields: list[pa.Field] = []
    incoming = {new.field(i).name: new.field(i) for i in range(new.num_fields)}
    for field in (known.field(i) for i in range(known.num_fields)):
        other = incoming.pop(field.name, None)
        if other is None:
            fields.append(field.with_nullable(True))
            continue
        kind = promote(field.type, other.type)
        if kind is None:
            return None
        fields.append(field.with_type(kind).with_nullable(field.nullable or other.nullable))
    return pa.struct([*fields, *(field.with_nullable(True) for field in incoming.values())])
