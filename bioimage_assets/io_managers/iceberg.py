"""Assets become rows of Iceberg tables, one partition of the table per partition of the asset, and come back.

Thin: everything that can go wrong with storage is handled in ``core.catalog``.
"""

from typing import Any

import dagster as dg

from bioimage_assets.io_managers.asset_context import (
    given_fingerprint,
    own_table_name,
    partition_column,
    partition_keys,
    record_output,
)
from bioimage_assets.io_managers.frames import build_arrow
from bioimage_assets.io_managers.load import load_table
from bioimage_assets.io_managers.project_io import ProjectIOManager


class IcebergIOManager(ProjectIOManager):
    """Stores tables in the project's Iceberg catalog and loads them again.

    A partitioned asset replaces the rows of exactly its partitions in one commit, however many partitions
    the run has; an unpartitioned one replaces the table. Takes ``pa.Table``, ``pa.RecordBatchReader``,
    DuckDB relations, pandas and polars frames, and a dictionary of partition key to one of them; gives
    the type that the parameter is annotated with, a ``pa.Table`` where it is not. A partition of the run that was
    never built in a table that it reads is an error.

    Metadata on an asset: ``table`` (default: the asset's name), ``partition_column`` (default ``plate_key``,
    ``dataset_id`` for partitions that are datasets, ``partition_key`` for static and time partitions). Metadata on an
    ``AssetIn``: ``columns`` (only these are read), ``where`` (row filter), ``as_of`` (snapshot id, time or tag).
    """

    namespace: str | None = None

    def store_value(self, context: dg.OutputContext, obj: Any) -> None:
        """Store a table that an asset of a user returned."""
        from bioimage_assets.core.catalog.replace import replace_partitions, replace_table
        from bioimage_assets.core.tables.schemas import TABLE_SCHEMAS

        catalog, identifier, name = self._locate(context)
        keys = partition_keys(context) or []
        column = partition_column(context, keys) if keys else None
        data = build_arrow(obj, column, keys)
        options: dict[str, Any] = {
            "schema": TABLE_SCHEMAS.get(name),
            "snapshot_properties": _snapshot_properties(context, keys),
        }
        if column is not None:
            result = replace_partitions(catalog, identifier, data, keys, partition_column=column, **options)
        else:
            result = replace_table(catalog, identifier, data, **options)
        _record(context, result, data.schema)

    def load_input(self, context: dg.InputContext) -> Any:
        """Load the partitions that the asset depends on, or the whole table, as the annotated type."""
        return load_table(context, self.project, is_in_catalog=True, namespace=self.namespace)

    def _locate(self, context: dg.OutputContext) -> tuple[Any, tuple[str, ...], str]:
        from bioimage_assets.core.catalog.session import resolve_identifier

        name = own_table_name(context)
        catalog = self.project.catalog()
        namespace = self.namespace or self.project.settings.catalog_namespace
        return catalog, resolve_identifier(catalog, namespace, name), name


def _snapshot_properties(context: dg.OutputContext, keys: list[str]) -> dict[str, str]:
    """What leads from a snapshot back to the run that made it."""
    properties = {"dagster.run-id": context.run_id, "dagster.asset": context.asset_key.to_user_string()}
    if keys:
        properties |= {"bioimage.plates": ",".join(keys[:20]), "bioimage.plate-count": str(len(keys))}
    if code_version := context.asset_spec.code_version:
        properties["bioimage.code-version"] = code_version
    if fingerprint := given_fingerprint(context):
        properties["bioimage.fingerprint"] = fingerprint
    return properties


def _record(context: dg.OutputContext, result: Any, schema: Any) -> None:
    """Snapshot, schema and row counts as metadata."""
    metadata: dict[str, Any] = {
        "dagster/table_name": result.identifier,
        "iceberg_snapshot_id": dg.MetadataValue.text(str(result.snapshot_id)),
    }
    if result.schema_changes:
        metadata["schema_changes"] = dg.MetadataValue.md(
            "\n".join(f"- {line}" for line in result.schema_changes)
        )
    record_output(context, metadata, schema, result.row_count, result.partition_rows)
