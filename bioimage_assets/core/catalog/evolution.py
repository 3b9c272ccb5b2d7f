"""Make an Iceberg table grow for an Arrow schema; what cannot fit is refused first.

Columns are only ever added, widened or made optional. A schema change is a commit of its own: inside
a data transaction PyIceberg 0.12 cannot retry it.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table, Transaction
from pyiceberg.transforms import IdentityTransform

from bioimage_assets.core.catalog.arrow_type_memory import (
    ARROW_SCHEMA_PROPERTY,
    build_original_types,
    original_types_property,
    read_original_types,
)
from bioimage_assets.core.catalog.arrow_types import storage_schema
from bioimage_assets.core.catalog.new_tables import with_docs
from bioimage_assets.core.catalog.retry import call_with_retry
from bioimage_assets.core.catalog.schema_plan import plan_evolution

PARTITION_COLUMN = "plate_key"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a write asks of its table: the schema of the data, and the one that was written down for the table.

    ``partition_column`` is the column that a new table is partitioned by, where the schema has it.
    """

    given: pa.Schema
    declared: pa.Schema | None = None
    partition_column: str = PARTITION_COLUMN

    @property
    def steps(self) -> tuple[tuple[pa.Schema, bool], ...]:
        """Schemas to grow for, in order, and whether each is the declared one."""
        declared = () if self.declared is None else ((self.declared, True),)
        is_new = self.declared is None or not self.given.equals(self.declared)
        return (*declared, *(((self.given, False),) if is_new else ()))


def original_types_of(
    known_properties: dict[str, str], stored: pa.Schema | None, schema: pa.Schema
) -> dict[str, str]:
    """Table property that remembers the types of a schema; empty where those known stay."""
    known = read_original_types(known_properties)
    wanted = build_original_types(known, stored, schema)
    if {name: field.type for name, field in wanted.items()} == {
        name: field.type for name, field in known.items()
    }:
        return {}
    return {ARROW_SCHEMA_PROPERTY: original_types_property(wanted)}


def stored_arrow_schema(table: Table) -> pa.Schema:
    """A table's schema as plain Arrow types (string, list), field ids left out."""
    return storage_schema(table.schema().as_arrow())


def identity_column(table: Table) -> str | None:
    """Column that a table is partitioned by as it is; None for any other layout."""
    fields = table.spec().fields
    if len(fields) == 1 and isinstance(fields[0].transform, IdentityTransform):
        return table.schema().find_column_name(fields[0].source_id)
    return None


def draft_growth(catalog: Catalog, table: Table, wanted: Wanted) -> tuple[Table, tuple[str, ...]]:
    """The table as it will be once it has grown for a write, in memory alone, with a sentence per change."""
    transaction = Transaction(table)
    changes: tuple[str, ...] = ()
    grown = table
    for schema, is_declared in wanted.steps:
        changes += _stage_growth(transaction, grown, schema, is_declared=is_declared)
        if transaction._updates:
            grown = Table(
                table.name(), transaction.table_metadata, table.metadata_location, table.io, catalog
            )
    return grown, changes


def grow_table(catalog: Catalog, table: Table, wanted: Wanted) -> tuple[Table, tuple[str, ...]]:
    """Make a table able to hold the data of a write; give it back with a sentence per change.

    SchemaConflictError, before anything is written, names every column that cannot fit. Without a change there is
    no commit.
    """
    changes: tuple[str, ...] = ()
    for schema, is_declared in wanted.steps:
        table, further = _evolve(catalog, table, schema, is_declared=is_declared)
        changes += further
    return table, changes


def _evolve(
    catalog: Catalog, table: Table, schema: pa.Schema, *, is_declared: bool
) -> tuple[Table, tuple[str, ...]]:
    # The caller's table in the first attempt, without a request; later attempts load it again.
    latest = [table]

    def evolve() -> tuple[Table, tuple[str, ...]]:
        current = latest.pop() if latest else catalog.load_table(table.name())
        transaction = Transaction(current)
        changes = _stage_growth(transaction, current, schema, is_declared=is_declared)
        if transaction._updates:
            transaction.commit_transaction()
        return current, changes

    return call_with_retry(evolve)


def _stage_growth(
    transaction: Transaction, table: Table, schema: pa.Schema, *, is_declared: bool
) -> tuple[str, ...]:
    """Put what a schema asks of a table into a transaction.

    ``is_declared`` says that the schema was written down for the table, so that a column which is
    nullable there becomes optional.
    """
    stored = stored_arrow_schema(table)
    plan = plan_evolution(".".join(table.name()), stored, storage_schema(schema), is_declared=is_declared)
    original_types = original_types_of(table.properties, stored, schema)
    if plan.changes:
        with transaction.update_schema() as update:
            # Adds and widens by name, and never drops: columns of other plates stay.
            update.union_by_name(with_docs(plan.merge))
    if original_types:
        transaction.set_properties(original_types)
    return plan.changes
