"""The ``image_assets`` table: one row per image record.

Columns and types: ``bioimage_assets.core.tables.schemas.IMAGE_ASSETS``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import pyarrow as pa

from bioimage_assets.core.model.image import ImageRecord
from bioimage_assets.core.tables.columns import (
    build_list_column,
    build_nullable_struct_column,
    build_struct_column,
    wrap_lists,
)
from bioimage_assets.core.tables.schemas import IMAGE_ASSETS


def build_image_assets(records: Sequence[ImageRecord]) -> pa.Table:
    """Build the table in the order of the records."""
    columns = [_build_column(field, records) for field in IMAGE_ASSETS]
    return pa.Table.from_arrays(columns, schema=IMAGE_ASSETS)


def _build_column(field: pa.Field, records: Sequence[ImageRecord]) -> pa.Array:
    if field.name == "level_count":
        return pa.array([len(record.levels) for record in records], field.type)
    rows = [getattr(record, field.name) for record in records]
    if field.name in ("levels", "files"):
        structs = build_struct_column(chain.from_iterable(rows), field.type.value_type)
        return wrap_lists(rows, structs, field.type)
    if pa.types.is_struct(field.type):
        return build_nullable_struct_column(rows, field.type)
    if pa.types.is_list(field.type):
        return build_list_column(rows, field.type)
    return pa.array(rows, field.type)
