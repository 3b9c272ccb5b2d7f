"""Columns of a joined table: image columns first, then every profile column, each name once.

The rule for names: image columns keep theirs; a profile column of the same name becomes ``profile_<name>``;
a repeated profile column becomes ``<name>_2``, ``<name>_3`` …; ``dataset_id`` and ``plate_key`` appear once.
Position columns (``dataset_id plate_id well_id site_id``) hold the image's values, or the profile's own in
canonical spelling where no image was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.joins.matcher import BatchMatch, rule_names
from bioimage_assets.core.tables.schemas import IMAGE_ASSETS

JOIN_IMAGE_COLUMNS = (
    "plate_key", "dataset_id", "plate_id", "well_id", "site_id", "acquisition_id", "image_id", "format_family",
    "uri", "array_path", "axes", "shape", "dtype", "channel_names", "pixel_size_x_um", "pixel_size_y_um",
    "pixel_size_z_um",
)  # fmt: skip
POSITION_COLUMNS = ("dataset_id", "plate_id", "well_id", "site_id")
ONCE_COLUMNS = ("plate_key", "dataset_id")
RULE_COLUMN = "join_rule"


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """Schema of the joined table and where its columns come from.

    ``image`` holds the image columns to take from (one row per image), ``profile_positions`` the profile
    columns in output order, ``plate_key`` the constant partition of the join where there is one.
    """

    schema: pa.Schema
    leading: tuple[str, ...]
    image: pa.RecordBatch
    profile_positions: tuple[int, ...]
    plate_key: str | None
    profile_plate_key: int | None


def plan_output(
    profile_schema: pa.Schema, images: pa.Table, image_columns: Sequence[str], plate_key: str | None
) -> OutputPlan:
    """Lay out the joined table."""
    wanted = dict.fromkeys(
        ("plate_key", "dataset_id", *(c for c in image_columns if c in images.column_names))
    )
    leading = (*dict.fromkeys((*wanted, *POSITION_COLUMNS)), RULE_COLUMN)
    kept, plate_position = [], None
    once = set(ONCE_COLUMNS)
    given = profile_schema.names
    for position, name in enumerate(given):
        if name == "plate_key" and name in once:
            plate_position = position
        if name in once:
            once.discard(name)
            continue
        kept.append(position)
    names = _unique_names([given[p] for p in kept], set(leading))
    fields = [_leading_field(name, images.schema, plate_key) for name in leading]
    fields += [profile_schema.field(p).with_name(name) for p, name in zip(kept, names, strict=True)]
    metadata = {k: v for k, v in (profile_schema.metadata or {}).items() if k != b"pandas"}
    taken = images.select([name for name in wanted if name in images.column_names]).combine_chunks()
    image = taken.to_batches()[0] if taken.num_rows else pa.RecordBatch.from_pylist([], schema=taken.schema)
    return OutputPlan(
        pa.schema(fields, metadata or None), leading, image, tuple(kept), plate_key, plate_position
    )


def default_image_columns(images: pa.Schema) -> tuple[str, ...]:
    """Image columns of a joined table: the standard ones, and columns the project's schema does not know."""
    foreign = [name for name in images.names if name not in IMAGE_ASSETS.names and name != RULE_COLUMN]
    return (*(name for name in JOIN_IMAGE_COLUMNS if name in images.names), *foreign)


def _leading_field(name: str, images: pa.Schema, plate_key: str | None) -> pa.Field:
    if name == RULE_COLUMN or name in POSITION_COLUMNS:
        return pa.field(name, pa.string())
    if name == "plate_key":
        return pa.field(name, pa.string(), nullable=plate_key is None)
    return pa.field(name, images.field(name).type)


def _unique_names(names: Sequence[str], taken: set[str]) -> list[str]:
    reserved = taken | set(names)
    result: list[str] = []
    seen: set[str] = set()
    for name in names:
        if name not in taken and name not in seen:
            seen.add(name)
            result.append(name)
            continue
        base = f"profile_{name}" if name in taken and name not in seen else name
        fresh, number = base, 2
        while fresh in reserved:
            fresh, number = f"{base}_{number}", number + 1
        seen.add(name)
        reserved.add(fresh)
        result.append(fresh)
    return result


def build_output(
    plan: OutputPlan, batch: pa.RecordBatch, match: BatchMatch, *, keep_unmatched: bool
) -> pa.RecordBatch:
    """Put image columns before the rows of one batch; profile columns are passed on as they are."""
    indices = pa.array(match.image_rows, pa.int32(), mask=match.image_rows < 0)
    columns: list[pa.Array] = []
    for name in plan.leading:
        if name == RULE_COLUMN:
            columns.append(rule_names(match.rule_codes))
        elif name == "plate_key":
            columns.append(_plate_keys(plan, batch, indices))
        else:
            columns.append(_leading_column(plan, name, indices, match))
    columns += [batch.column(position) for position in plan.profile_positions]
    joined = pa.RecordBatch.from_arrays(columns, schema=plan.schema)
    return joined if keep_unmatched else joined.filter(pa.array(match.image_rows >= 0))


def _leading_column(plan: OutputPlan, name: str, indices: pa.Array, match: BatchMatch) -> pa.Array:
    taken = _take(plan.image, name, indices)
    if name not in POSITION_COLUMNS:
        return taken
    own = match.positions[name]
    return own if taken is None else pc.coalesce(taken.cast(pa.string()), own)


def _plate_keys(plan: OutputPlan, batch: pa.RecordBatch, indices: pa.Array) -> pa.Array:
    if plan.plate_key is not None:
        return pa.repeat(pa.scalar(plan.plate_key), len(indices))
    taken = _take(plan.image, "plate_key", indices)
    candidates = [] if taken is None else [taken.cast(pa.string())]
    if plan.profile_plate_key is not None:
        own = batch.column(plan.profile_plate_key)
        if pa.types.is_string(own.type) or pa.types.is_large_string(own.type):
            candidates.append(own.cast(pa.string()))
    if not candidates:
        return pa.nulls(len(indices), pa.string())
    return pc.coalesce(*candidates)


def _take(image: pa.RecordBatch, name: str, indices: pa.Array) -> pa.Array | None:
    position = image.schema.get_field_index(name)
    return None if position < 0 else image.column(position).take(indices)
