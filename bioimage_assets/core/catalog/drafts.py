"""A table as a write needs it, made or grown in memory only: data files are written for the draft, the catalog hears last.

So a write that is refused, for its columns or for one of its values, leaves no table, no column and no file behind.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import StagedTable, Table

from bioimage_assets.core.catalog.arrow_types import storage_schema
from bioimage_assets.core.catalog.evolution import (
    Wanted,
    draft_growth,
    identity_column,
    original_types_of,
)
from bioimage_assets.core.catalog.locks import commit_lock
from bioimage_assets.core.catalog.new_tables import check_names, stage_table
from bioimage_assets.core.catalog.retry import call_with_retry
from bioimage_assets.core.catalog.schema_plan import merge_schemas, plan_evolution
from bioimage_assets.core.catalog.session import Identifier
from bioimage_assets.core.errors import SchemaConflictError, UsageError


@dataclass(frozen=True, slots=True)
class Draft:
    """A table to write files for; ``loaded`` is the catalog's state of it, None where it is to be made."""

    table: Table
    loaded: Table | None
    changes: tuple[str, ...]

    @property
    def has_grown(self) -> bool:
        """Whether the catalog's table must grow before it can take the files."""
        return self.loaded is not None and self.loaded is not self.table


def draft_table(catalog: Catalog, identifier: Identifier, wanted: Wanted, *, by_partition: bool) -> Draft:
    """Load a table and grow it in memory, or stage a new one.

    A table that never had a snapshot and whose schema or layout refuses the data holds nothing that could be lost:
    it goes, and a new one is staged. Earlier versions left such tables after a first write that was refused.

    Raises
    ------
    SchemaConflictError
        A column cannot be stored in Iceberg, or clashes with what is stored; each is named.
    UsageError
        The table is not partitioned by the partition column, or that column holds no text.
    """
    stored, changes = _plan_new(identifier, wanted)
    _check_partition_column(identifier, stored, wanted.partition_column, by_partition=by_partition)

    def draft() -> Draft:
        try:
            table = catalog.load_table(identifier)
        except NoSuchTableError:
            return _stage(catalog, identifier, wanted, stored, changes)
        try:
            if by_partition:
                check_layout(table, wanted.partition_column)
            grown, growth = draft_growth(catalog, table, wanted)
            return Draft(grown, table, growth)
        except (SchemaConflictError, UsageError):
            if not _drop_without_snapshot(catalog, identifier):
                raise
        return _stage(catalog, identifier, wanted, stored, changes)

    return call_with_retry(draft)


def _plan_new(identifier: Identifier, wanted: Wanted) -> tuple[pa.Schema, tuple[str, ...]]:
    """Schema of a new table, in stored types: what was written down for it, then what the data have besides."""
    name = ".".join(identifier)
    stored = pa.schema([])
    changes: tuple[str, ...] = ()
    for number, (schema, is_declared) in enumerate(wanted.steps):
        incoming = storage_schema(schema, name)
        if number == 0:
            stored = incoming
            continue
        plan = plan_evolution(name, stored, incoming, is_declared=is_declared)
        stored, changes = merge_schemas(stored, plan.merge), plan.changes
    if not len(stored):
        raise SchemaConflictError(
            f"The data for the table {name} have no column that Iceberg can store: a table needs at least one whose "
            "type is not null. Nothing was written."
        )
    check_names(name, stored)
    return stored, changes


def _stage(
    catalog: Catalog, identifier: Identifier, wanted: Wanted, stored: pa.Schema, changes: tuple[str, ...]
) -> Draft:
    properties: dict[str, str] = {}
    seen: pa.Schema | None = None
    for schema, _ in wanted.steps:
        properties |= original_types_of(properties, seen, schema)
        seen = storage_schema(schema)
    return Draft(stage_table(catalog, identifier, stored, wanted.partition_column, properties), None, changes)


def _check_partition_column(
    identifier: Identifier, stored: pa.Schema, column: str, *, by_partition: bool
) -> None:
    if not by_partition:
        return
    name = ".".join(identifier)
    if column not in stored.names:
        raise UsageError(
            f"The data for the table {name} have no column {column!r}, which says whose rows they are. "
            "Add it; nothing was written."
        )
    kind = stored.field(column).type
    if not pa.types.is_string(kind):
        raise SchemaConflictError(
            f"Column {column!r} of the data for the table {name} holds the partition keys, which are text such as "
            f"'dataset/plate'; found the type {kind}. Cast it to text, or leave the column out where all rows are of "
            "one partition. Nothing was written."
        )


def check_layout(table: Table, partition_column: str) -> None:
    """UsageError unless a table is partitioned by the identity of this column."""
    if identity_column(table) != partition_column:
        raise UsageError(
            f"{'.'.join(table.name())} is not partitioned by {partition_column!r} (found {table.spec()}), so its partitions "
            "cannot be replaced file by file. Copy its rows into a new table with replace_table()."
        )


def _drop_without_snapshot(catalog: Catalog, identifier: Identifier) -> bool:
    """Take a table that never had a row out of the catalog; False, and nothing is done, where it had one."""
    with commit_lock(catalog, identifier):
        try:
            # Looked at again under the lock: somebody may have made the first write meanwhile.
            if catalog.load_table(identifier).metadata.snapshots:
                return False
            catalog.drop_table(identifier)
        except NoSuchTableError:
            pass
    return True


def fits_files(table: Table, draft: Table, columns: tuple[str, ...]) -> bool:
    """Whether files written for a draft are files of the table: the same columns, ids, partitions and place."""
    if isinstance(draft, StagedTable) and draft.metadata.table_uuid == table.metadata.table_uuid:
        return True
    ours, theirs = draft.schema(), table.schema()
    return (
        draft.location() == table.location()
        and draft.spec() == table.spec()
        and all(
            name in theirs.column_names and theirs.find_field(name) == ours.find_field(name)
            for name in columns
        )
    )
