"""Cast data of one part to the stored schema of its table: columns reordered, added as nulls, nothing lost."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from bioimage_assets.core.errors import SchemaConflictError


def conform(table: pa.Table, schema: pa.Schema, where: str) -> pa.Table:
    """Give a table exactly these columns, in this order.

    Raises
    ------
    SchemaConflictError
        A value does not fit the column's type, or a column that the schema lacks holds data.
    """
    if table.schema.equals(schema):
        return table.replace_schema_metadata(None)
    known, present = set(schema.names), set(table.column_names)
    extra = [name for name in table.column_names if name not in known]
    if extra:
        raise SchemaConflictError(
            f"{where}: the data have columns that were not announced: {', '.join(extra[:5])}."
        )
    columns: list[pa.ChunkedArray] = []
    for field in schema:
        if field.name not in present:
            columns.append(pa.chunked_array([pa.nulls(table.num_rows, field.type)], type=field.type))
            continue
        try:
            columns.append(_cast_chunked(table.column(field.name), field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise SchemaConflictError(
                f"{where}: column {field.name!r} does not fit {field.type}: {error}. Nothing was written."
            ) from error
    return pa.table(columns, schema=schema)


def _cast_chunked(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if column.type.equals(kind):
        return column
    return pa.chunked_array([_cast_array(chunk, kind) for chunk in column.chunks], type=kind)


def _cast_array(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if array.type.equals(kind):
        return array
    if pt.is_null(array.type):
        return pa.nulls(len(array), kind)
    if pt.is_struct(array.type) and pt.is_struct(kind):
        return _cast_struct(array, kind)
    if pt.is_list(array.type) and pt.is_list(kind) and not array.type.value_field.equals(kind.value_field):
        return _cast_list(array, kind)
    return array.cast(kind)


def _cast_struct(array: pa.StructArray, kind: pa.StructType) -> pa.Array:
    names = {array.type.field(i).name for i in range(array.type.num_fields)}
    children = []
    for field in (kind.field(i) for i in range(kind.num_fields)):
        child = (
            pc.struct_field(array, field.name) if field.name in names else pa.nulls(len(array), field.type)
        )
        children.append(_cast_array(child, field.type))
    fields = [kind.field(i) for i in range(kind.num_fields)]
    return pa.StructArray.from_arrays(children, fields=fields, mask=pc.is_null(array))


def _cast_list(array: pa.ListArray, kind: pa.ListType) -> pa.Array:
    values = _cast_array(array.flatten(), kind.value_type)
    lengths = pc.fill_null(pc.list_value_length(array), 0)
    ends = pc.cumulative_sum(lengths).cast(pa.int32())
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    return pa.ListArray.from_arrays(offsets, values, type=kind, mask=pc.is_null(array))
