"""A table that is not in the catalog yet: its Iceberg schema, partition specification and properties, staged in memory.

A staged table has a place and an id and can be written for; nobody sees it before a commit creates it
(https://py.iceberg.apache.org/api/#creating-a-table).
"""

from __future__ import annotations

import itertools
import time

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import PyArrowFileIO, pyarrow_to_schema
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionField, PartitionSpec
from pyiceberg.schema import Schema, sanitize_column_names
from pyiceberg.table import StagedTable
from pyiceberg.transforms import IdentityTransform

from bioimage_assets.core.catalog.column_docs import COLUMN_DOCS
from bioimage_assets.core.catalog.session import Identifier
from bioimage_assets.core.catalog.unreferenced_files import OLDER_FILES_PROPERTY, list_files_below
from bioimage_assets.core.errors import SchemaConflictError

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


def stage_table(
    catalog: Catalog,
    identifier: Identifier,
    stored: pa.Schema,
    partition_column: str,
    properties: dict[str, str],
) -> StagedTable:
    """Stage a table for a schema of stored types; partitioned by the identity of the partition column where it has one.

    SchemaConflictError names columns that no table of Iceberg can have side by side; TableAlreadyExistsError from
    catalogs that look at once whether the name is taken.
    """
    iceberg_schema = check_names(".".join(identifier), stored)
    catalog.create_namespace_if_not_exists(identifier[:-1])
    transaction = catalog.create_table_transaction(
        _staging_identifier(catalog, identifier),
        schema=iceberg_schema,
        # Part of the creation: added later it would be a second commit to race for.
        partition_spec=_partition_spec(iceberg_schema, partition_column),
        properties=_new_table_properties(stored, partition_column) | properties,
    )
    staged = transaction._table
    assert isinstance(staged, StagedTable)
    _protect_older_files(staged)
    return staged


def _staging_identifier(catalog: Catalog, identifier: Identifier) -> Identifier:
    """Name of a table as a SQL catalog takes it: its namespaces are one text with dots there.

    PyIceberg 0.12.0: ``create_table_transaction`` of SqlCatalog refuses what its ``create_table`` takes ("hierarchical
    namespaces are not supported"). Goes once both take ``a.b.table``.
    """
    return (".".join(identifier[:-1]), identifier[-1]) if isinstance(catalog, SqlCatalog) else identifier


def check_names(name: str, stored: pa.Schema) -> Schema:
    """Iceberg schema of stored types; SchemaConflictError where two columns would have one name.

    Nested fields are found by dotted names, and names in files have the letters that Avro allows, so that
    ``a.b`` meets field ``b`` of ``a``, and ``a b`` meets ``a_x20b``.
    """
    try:
        schema = pyarrow_to_schema(_with_field_ids(with_docs(stored)))
        schema.column_names  # noqa: B018 - builds the index of names, which refuses clashes
        sanitize_column_names(schema).column_names  # noqa: B018
    except ValueError as error:
        raise SchemaConflictError(
            f"Columns of the table {name} cannot be stored side by side in Iceberg ({error}). Rename one of them; "
            "nothing was written."
        ) from None
    return schema


def _protect_older_files(staged: StagedTable) -> None:
    """Note when a table was made whose folder holds files of a table before it."""
    made_ms = int(time.time() * 1000)
    if isinstance(staged.io, PyArrowFileIO) and _holds_files(staged):
        staged.metadata.properties[OLDER_FILES_PROPERTY] = str(made_ms)


def _holds_files(staged: StagedTable) -> bool:
    try:
        return any(True for _ in list_files_below(staged))
    except FileNotFoundError:  # another first writer makes or removes its folders at this moment
        return True


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


def with_docs(schema: pa.Schema) -> pa.Schema:
    """The same columns with what is known about them, which the table keeps."""
    return pa.schema(
        [
            field.with_metadata({"doc": COLUMN_DOCS[field.name]}) if field.name in COLUMN_DOCS else field
            for field in schema
        ]
    )
