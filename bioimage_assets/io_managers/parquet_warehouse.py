"""Assets become tables of the Cytomining-compatible Parquet warehouse root, one part per partition, and come back.

Thin: everything that can go wrong with storage is handled in ``core.warehouse``.
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


class ParquetWarehouseIOManager(ProjectIOManager):
    """Stores tables in the project's warehouse root and loads them again.

    A partitioned asset replaces exactly the parts of its partitions, however many the run has; an
    unpartitioned one replaces the table. The same data again change nothing. Takes ``pa.Table``,
    ``pa.RecordBatchReader``, DuckDB relations, pandas and polars frames, and a dictionary of partition key to
    one of them; gives the type that the parameter is annotated with, a ``pa.Table`` where it is not. A partition of the run
    that was never built in a table that it reads is an error.

    Metadata on an asset: ``table`` (default: the asset's name), ``partition_column`` (default ``plate_key``,
    ``dataset_id`` for partitions that are datasets, ``partition_key`` for static and time partitions), and for tables that are not the project's own ``role``,
    ``join_keys``, ``analysis_level``, ``object_type``. Metadata on an ``AssetIn``: ``columns`` (only these are read).
    """

    def store_value(self, context: dg.OutputContext, obj: Any) -> None:
        """Store a table that an asset of a user returned."""
        warehouse = self.project.warehouse()
        name = own_table_name(context)
        options = _describe(context, name)
        keys = partition_keys(context)
        if keys is None:
            written = warehouse.overwrite(name, build_arrow(obj, None, []), **options)
        else:
            column = partition_column(context, keys)
            options |= {"partition_column": column, "fingerprint": given_fingerprint(context)}
            written = warehouse.replace_partitions(name, build_arrow(obj, column, keys), keys, **options)
        _record(context, warehouse, written)

    def load_input(self, context: dg.InputContext) -> Any:
        """Load the partitions that the asset depends on, or the whole table, as the annotated type."""
        return load_table(context, self.project, is_in_catalog=False)


def _describe(context: dg.OutputContext, name: str) -> dict[str, Any]:
    """What the manifest says about the table: the project's own tables are known, others say it themselves."""
    from bioimage_assets.core.model.table_specs import TABLES

    metadata = context.definition_metadata or {}
    spec = TABLES.get(name.rsplit(".", 1)[-1])
    return {
        "role": metadata.get("role") or (spec.role if spec else "profiles"),
        "join_keys": metadata.get("join_keys") or (list(spec.join_keys) if spec else None),
        "analysis_level": metadata.get("analysis_level") or (spec.analysis_level if spec else None),
        "object_type": metadata.get("object_type") or (spec.object_type if spec else None),
        "source_type": "dagster_asset",
        "source_ref": context.asset_key.to_user_string(),
        "run_id": context.run_id,
    }


def _record(context: dg.OutputContext, warehouse: Any, written: Any) -> None:
    """Path, changes, schema and row counts as metadata."""
    metadata: dict[str, Any] = {
        "dagster/table_name": written.table_name,
        "dagster/uri": f"{warehouse.root}/{written.table_name.replace('.', '/')}",
        "table_rows": written.total_rows,
        "is_changed": written.changed,
    }
    if written.added_columns:
        metadata["added_columns"] = list(written.added_columns)[:50]
    if written.findings:
        metadata["findings"] = dg.MetadataValue.md("\n".join(f"- {f.message}" for f in written.findings))
    schema = warehouse.schema(written.table_name)
    record_output(context, metadata, schema, written.row_count, written.partitions)
