"""The IO managers in a Dagster project of your own that has no plates: ``dagster dev -f examples/tables_without_plates.py``."""

import dagster as dg
import polars as pl
import pyarrow as pa

from bioimage_assets.extend import ProjectResource, build_resources

YEARS = dg.StaticPartitionsDefinition(["2024", "2025"])


@dg.asset(
    partitions_def=YEARS,
    io_manager_key="warehouse_io",
    metadata={"partition_column": "year", "role": "metadata", "join_keys": ["antibody"]},
)
def orders(context: dg.AssetExecutionContext) -> pa.Table:
    """What was ordered in a year. The column ``year`` is added, since the rows do not have it."""
    return pa.table({"antibody": ["NUP98", "TOM20"], "count": [1, int(context.partition_key) - 2020]})


@dg.asset(io_manager_key="iceberg_io", metadata={"table": "orders_of_all_years"})
def order_totals(orders: pl.LazyFrame) -> pl.LazyFrame:
    """Orders of all years, an Iceberg table that each run replaces whole."""
    return orders.group_by("antibody").agg(pl.col("count").sum())


defs = dg.Definitions(
    assets=[orders, order_totals],
    resources=build_resources(ProjectResource(data_dir="lab-data", catalog_namespace="lab")),
    executor=dg.in_process_executor,
)
