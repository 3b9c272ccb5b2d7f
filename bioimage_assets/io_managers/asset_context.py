"""What both IO managers ask of an asset's context and tell it: table name, partition column, schema, row counts."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.model.identity import dimension_of
from bioimage_assets.core.model.table_specs import TABLES

# A schema of thousands of features would be stored again with every materialisation.
_MAX_SCHEMA_COLUMNS = 200


def table_name(context: dg.OutputContext | dg.InputContext) -> str:
    """Name of an asset's table: metadata ``table``, else the asset's own name."""
    return str((context.definition_metadata or {}).get("table") or context.asset_key.path[-1])


def own_table_name(context: dg.OutputContext) -> str:
    """The same for an asset that stores rows; UsageError where they would replace those of one of the project's tables."""
    name = table_name(context)
    if name.rsplit(".", 1)[-1] in TABLES and context.asset_key.path != [name]:
        raise UsageError(
            f"The asset {context.asset_key.to_user_string()} would replace rows of {name}, which is a table of the project. Give "
            "it a table of its own: another name, or the metadata 'table'."
        )
    return name


def partition_keys(context: dg.OutputContext | dg.InputContext) -> list[str] | None:
    """Partitions that a step writes or reads; None for an asset without partitions."""
    return list(context.asset_partition_keys) if context.has_asset_partitions else None


def partition_column(context: dg.OutputContext | None, keys: list[str]) -> str:
    """Column that holds the partition: metadata ``partition_column``, else known from the keys or the kind of partitions."""
    metadata = (context.definition_metadata or {}) if context is not None else {}
    if "partition_column" in metadata:
        return str(metadata["partition_column"])
    # Plate keys are `<dataset>/<plate>`, those of campaigns `campaign:<name>`; any other dynamic key is a dataset.
    kinds = {dimension_of(key) for key in keys}
    if "plate" in kinds:
        return "plate_key"
    if kinds == {"campaign"}:
        return "campaign_key"
    is_own = context is not None and context.has_asset_partitions and not _is_dynamic(context)
    return "partition_key" if is_own else ("dataset_id" if keys else "plate_key")


def _is_dynamic(context: dg.OutputContext) -> bool:
    return isinstance(context.asset_partitions_def, dg.DynamicPartitionsDefinition)


def given_fingerprint(context: dg.OutputContext) -> str | None:
    """Fingerprint that the asset passed on in its metadata."""
    given = (context.output_metadata or {}).get("fingerprint")
    return None if given is None else str(given.value)


def record_output(
    context: dg.OutputContext,
    metadata: dict[str, Any],
    schema: Any,
    row_count: int,
    partition_rows: Mapping[str, int],
) -> None:
    """Add metadata, the schema and row counts to a materialisation.

    Counts go to every partition of its own, since a batch of partitions shares the rest. What the asset
    itself said wins.
    """
    if len(schema) <= _MAX_SCHEMA_COLUMNS:
        metadata = {**metadata, "dagster/column_schema": _column_schema(schema)}
    if not context.has_asset_partitions:
        metadata = {**metadata, "dagster/row_count": row_count}
    given = context.output_metadata or {}
    context.add_output_metadata({key: value for key, value in metadata.items() if key not in given})
    if context.has_asset_partitions:
        for key, rows in partition_rows.items():
            context.step_context.add_asset_metadata(
                {"dagster/partition_row_count": rows}, asset_key=context.asset_key, partition_key=key
            )


def _column_schema(schema: Any) -> dg.TableSchema:
    from bioimage_assets.core.catalog.column_docs import COLUMN_DOCS

    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=field.name,
                type=str(field.type),
                description=COLUMN_DOCS.get(field.name),
                constraints=dg.TableColumnConstraints(nullable=field.nullable),
            )
            for field in schema
        ]
    )
