"""What a caller says about a table, completed with what the project knows of its own tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, Unpack

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.model.table_specs import TABLES
from bioimage_assets.core.warehouse.changes.stage_parts import TableDescription
from bioimage_assets.core.warehouse.manifest.layout import leaf_name, split_table_name


class TableWords(TypedDict, total=False):
    """Keyword arguments that describe a table in the manifest; None and left out are the same.

    ``role`` is wanted for a table that is none of the project's own. ``partition_column`` is ``plate_key``
    unless said otherwise; ``source_type`` and ``source_ref`` say where the rows came from; ``snapshot_id`` is
    the catalog's snapshot that they were read from.
    """

    role: str | None
    join_keys: Sequence[str] | None
    source_type: str | None
    source_ref: str | None
    analysis_level: str | None
    object_type: str | None
    partition_column: str | None
    snapshot_id: int | None


class WholeTableWords(TableWords, total=False):
    """What may be said besides of a write that names no partitions: the run, and a namespace for a bare name."""

    run_id: str | None
    namespace: str | None


def describe_table(table_name: str, **words: Unpack[TableWords]) -> TableDescription:
    """Describe a table that is to be written.

    Raises
    ------
    UsageError
        The name is not a table name.
    WarehouseError
        The table is none of the project's own and has no role.
    """
    unknown = sorted(set(words) - set(TableWords.__annotations__))
    if unknown:
        raise TypeError(f"unexpected keyword argument(s): {', '.join(unknown)}")
    split_table_name(table_name)
    spec = TABLES.get(leaf_name(table_name))
    role, join_keys = words.get("role"), words.get("join_keys")
    if role is None and spec is None:
        raise WarehouseError(f"Table {table_name!r} is none of the project's own; say its role.")
    own = spec if spec is not None and role in (None, spec.role) else None
    return TableDescription(
        role=role or (own.role if own else ""),
        join_keys=tuple(join_keys) if join_keys is not None else own.join_keys if own else (),
        source_type=words.get("source_type"),
        source_ref=words.get("source_ref"),
        analysis_level=words.get("analysis_level") or (own.analysis_level if own else None),
        object_type=words.get("object_type") or (own.object_type if own else None),
        partition_column=words.get("partition_column")
        or (spec.partition_column if spec is not None else "plate_key"),
        snapshot_id=words.get("snapshot_id"),
    )
