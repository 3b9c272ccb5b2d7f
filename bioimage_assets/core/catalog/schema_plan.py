"""How a stored schema must change to take new data: columns to add, widen or relax, or a refusal. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from bioimage_assets.core.errors import SchemaConflictError

# Iceberg's promotions (https://iceberg.apache.org/spec/#schema-evolution); data files are not rewritten.
_WIDENINGS = {(pa.int32(), pa.int64()), (pa.float32(), pa.float64())}


@dataclass(frozen=True, slots=True)
class SchemaPlan:
    """What new data ask of an existing table: a schema to merge in and a sentence per change."""

    merge: pa.Schema
    changes: tuple[str, ...]


def plan_evolution(
    name: str, stored: pa.Schema, incoming: pa.Schema, *, is_declared: bool = False
) -> SchemaPlan:
    """Compare a table's schema with that of new data, both in stored types; SchemaConflictError where they clash."""
    merge: list[pa.Field] = []
    changes: list[str] = []
    conflicts: list[str] = []
    for field in incoming:
        if field.name not in stored.names:
            # Rows that are there already have no value for it.
            merge.append(field.with_nullable(True))
            changes.append(f"added column {field.name} {field.type}")
            continue
        before = stored.field(field.name)
        kind = _merge_types(before.type, field.type)
        if kind is None:
            conflicts.append(f"{field.name}: stored as {before.type}, new data have {field.type}")
            continue
        relaxed = is_declared and field.nullable and not before.nullable
        if relaxed:
            changes.append(f"column {field.name} became optional")
        if kind != before.type:
            changes.append(f"column {field.name} went from {before.type} to {kind}")
        if relaxed or kind != before.type:
            merge.append(pa.field(field.name, kind, nullable=before.nullable or relaxed))
    given = set(incoming.names)
    conflicts += [
        f"{field.name}: required by the table, missing in the new data"
        for field in stored
        if not field.nullable and field.name not in given
    ]
    if conflicts:
        raise SchemaConflictError(
            f"New data do not fit the table {name}; nothing was written. {'; '.join(conflicts)}. "
            "Cast the columns, write to another table, or drop this one with all its rows and snapshots: "
            f"bioimage-assets tables drop {name.rpartition('.')[2]}."
        )
    return SchemaPlan(pa.schema(merge), tuple(changes))


def merge_schemas(stored: pa.Schema, merge: pa.Schema) -> pa.Schema:
    """A schema with the changes of a plan: fields of the same name replaced, others added."""
    changed = {field.name: field for field in merge}
    known = [changed.pop(field.name, field) for field in stored]
    return pa.schema([*known, *changed.values()])


def _merge_types(stored: pa.DataType, incoming: pa.DataType) -> pa.DataType | None:
    """Type that holds both, None where there is none. Numbers may become wider, whole numbers floats."""
    if stored == incoming:
        return stored
    if (stored, incoming) in _WIDENINGS:
        return incoming
    if pa.types.is_decimal(stored) and pa.types.is_decimal(incoming) and stored.scale == incoming.scale:
        return max(stored, incoming, key=lambda kind: int(kind.precision))
    if pa.types.is_struct(stored) and pa.types.is_struct(incoming):
        return _merge_structs(stored, incoming)
    if pa.types.is_list(stored) and pa.types.is_list(incoming):
        element = _merge_types(stored.value_type, incoming.value_type)
        return None if element is None else pa.list_(stored.value_field.with_type(element))
    if pa.types.is_map(stored) and pa.types.is_map(incoming):
        return (
            stored
            if stored.key_type == incoming.key_type and stored.item_type == incoming.item_type
            else None
        )
    # Values are checked one by one when they are written: what does not fit exactly stops the write.
    numbers = pa.types.is_integer, pa.types.is_floating
    if any(is_kind(stored) for is_kind in numbers) and any(is_kind(incoming) for is_kind in numbers):
        return stored
    return None


def _merge_structs(stored: pa.StructType, incoming: pa.StructType) -> pa.DataType | None:
    others = {incoming.field(i).name: incoming.field(i) for i in range(incoming.num_fields)}
    fields: list[pa.Field] = []
    for i in range(stored.num_fields):
        field = stored.field(i)
        other = others.pop(field.name, None)
        if other is None and not field.nullable:
            return None
        kind = field.type if other is None else _merge_types(field.type, other.type)
        if kind is None:
            return None
        fields.append(field.with_type(kind))
    return pa.struct([*fields, *(other.with_nullable(True) for other in others.values())])
