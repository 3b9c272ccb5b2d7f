"""Create an Iceberg table for an Arrow schema, or make an existing one grow; what cannot fit is refused first.

Columns are only ever added, widened or made optional. A schema change is a commit of its own: inside
a data transaction PyIceberg 0.12 cannot retry it.
"""

from __future__ import annotations

import itertools
import time

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.io.pyarrow import PyArrowFileIO, pyarrow_to_schema
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform

from bioimage_assets.core.catalog.arrow_type_memory import (
    ARROW_SCHEMA_PROPERTY,
    build_original_types,
    original_types_property,
    read_original_types,
)
from bioimage_assets.core.catalog.arrow_types import storage_schema
from bioimage_assets.core.catalog.column_docs import COLUMN_DOCS
from bioimage_assets.core.catalog.retry import call_with_retry
from bioimage_assets.core.catalog.schema_plan import plan_evolution
from bioimage_assets.core.catalog.session import Identifier
from bioimage_assets.core.catalog.unreferenced_files import OLDER_FILES_PROPERTY, list_files

PARTITION_COLUMN = "plate_key"

# Full metrics on key columns: the conflict check compares file metrics, which are cut to 16 characters
# otherwise, and real plate keys share longer prefixes than that. None on other columns: a file holds one plate,
# so their bounds exclude no file, yet every commit reads and writes them again. Manifests are merged and old
# metadata files dropped, or every commit gets slower.
TABLE_PROPERTIES = {
    "commit.retry.num-retries": "20",
    "commit.retry.min-wait-ms": "50",
    "commit.retry.max-wait-ms": "2000",
    "commit.retry.total-timeout-ms": "120000",
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "20",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    "write.metadata.metrics.default": "none",
}
_METRICS_COLUMN = "write.metadata.metrics.column."


def ensure_table(
    catalog: Catalog, identifier: Identifier, schema: pa.Schema, *, partition_column: str = PARTITION_COLUMN
) -> Table:
    """Load a table, creating it and its namespace first where needed; safe in many processes at once.

    A new table that has the partition column is partitioned by its identity.
    """
    stored = _with_docs(storage_schema(schema))

    def load_or_create() -> Table:
        try:
            return catalog.load_table(identifier)
        except NoSuchTableError:
            pass
        catalog.create_namespace_if_not_exists(identifier[:-1])
        properties = _new_table_properties(stored, partition_column) | _original_types_of(None, None, schema)
        iceberg_schema = pyarrow_to_schema(_with_field_ids(stored))
        # The specification is part of the creation: added later it would be a second commit to race for.
        spec = _partition_spec(iceberg_schema, partition_column)
        made_ms = int(time.time() * 1000)
        catalog.create_table(identifier, schema=iceberg_schema, partition_spec=spec, properties=properties)
        return _protect_older_files(catalog.load_table(identifier), made_ms)

    return call_with_retry(load_or_create)


def _protect_older_files(table: Table, made_ms: int) -> Table:
    """Note when a table was made whose folder holds files of a table before it."""
    if isinstance(table.io, PyArrowFileIO) and any(
        file.uri != table.metadata_location  # whose time an object store tells in whole seconds
        and (file.modified_at is None or file.modified_at.timestamp() * 1000 < made_ms)
        for file in list_files(table)
    ):
        with table.transaction() as change:
            change.set_properties({OLDER_FILES_PROPERTY: str(made_ms)})
    return table


def _partition_spec(schema: Schema, column: str) -> PartitionSpec:
    if column not in schema.column_names:
        return UNPARTITIONED_PARTITION_SPEC
    source = schema.find_field(column)
    return PartitionSpec(
        PartitionField(
            # Partition fields are numbered from 1000 (https://iceberg.apache.org/spec/#partition-specs).
            source_id=source.field_id,
            field_id=1000,
            transform=IdentityTransform(),
            name=f"part_{column}",
        )
    )


def _with_field_ids(schema: pa.Schema) -> pa.Schema:
    """Number every field, nested ones too; the catalog renumbers them when it creates the table."""
    counter = itertools.count(1)

    def number(field: pa.Field) -> pa.Field:
        metadata = dict(field.metadata or {}) | {b"PARQUET:field_id": str(next(counter)).encode()}
        kind = field.type
        if pa.types.is_struct(kind):
            kind = pa.struct([number(kind.field(i)) for i in range(kind.num_fields)])
        elif pa.types.is_map(kind):
            kind = pa.map_(number(kind.key_field), number(kind.item_field))
        elif pa.types.is_list(kind):
            kind = pa.list_(number(kind.value_field))
        return pa.field(field.name, kind, nullable=field.nullable, metadata=metadata)

    return pa.schema([number(field) for field in schema])


def _new_table_properties(stored: pa.Schema, partition_column: str) -> dict[str, str]:
    properties = dict(TABLE_PROPERTIES)
    keys = (partition_column, "plate_key", "dataset_id", "image_id")
    properties |= {f"{_METRICS_COLUMN}{name}": "full" for name in keys if name in stored.names}
    return properties


def _original_types_of(table: Table | None, stored: pa.Schema | None, schema: pa.Schema) -> dict[str, str]:
    known = read_original_types(table.properties) if table is not None else {}
    wanted = build_original_types(known, stored, schema)
    if {name: field.type for name, field in wanted.items()} == {
        name: field.type for name, field in known.items()
    }:
        return {}
    return {ARROW_SCHEMA_PROPERTY: original_types_property(wanted)}


def _with_docs(schema: pa.Schema) -> pa.Schema:
    return pa.schema(
        [
            field.with_metadata({"doc": COLUMN_DOCS[field.name]}) if field.name in COLUMN_DOCS else field
            for field in schema
        ]
    )


def stored_arrow_schema(table: Table) -> pa.Schema:
    """A table's schema as plain Arrow types (string, list), field ids left out."""
    return storage_schema(table.schema().as_arrow())


def identity_column(table: Table) -> str | None:
    """Column that a table is partitioned by as it is; None for any other layout."""
    fields = table.spec().fields
    if len(fields) == 1 and isinstance(fields[0].transform, IdentityTransform):
        return table.schema().find_column_name(fields[0].source_id)
    return None


def evolve_table(
    catalog: Catalog, table: Table, schema: pa.Schema, *, is_declared: bool = False
) -> tuple[Table, tuple[str, ...]]:
    """Make a table able to hold data of this schema; give it back with a sentence per change.

    ``is_declared`` says that the schema was written down for the table, so that a column which is
    nullable there becomes optional. SchemaConflictError, before anything is written, names every
    column that cannot fit. Without a change there is no commit.
    """
    incoming = storage_schema(schema)
    # The caller's table in the first attempt, without a request; later attempts load it again.
    latest = [table]

    def evolve() -> tuple[Table, tuple[str, ...]]:
        current = latest.pop() if latest else catalog.load_table(table.name())
        stored = stored_arrow_schema(current)
        plan = plan_evolution(".".join(current.name()), stored, incoming, is_declared=is_declared)
        original_types = _original_types_of(current, stored, schema)
        if not plan.changes and not original_types:
            return current, ()
        with current.transaction() as transaction:
            if plan.changes:
                with transaction.update_schema() as update:
                    # Adds and widens by name, and never drops: columns of other plates stay.
                    update.union_by_name(_with_docs(plan.merge))
            if original_types:
                transaction.set_properties(original_types)
        return current, plan.changes

    return call_with_retry(evolve)
