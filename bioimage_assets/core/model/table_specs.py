"""Every table of the project, declared once: what it holds, what it is made of, where it is kept, how it is checked.

Assets, jobs, checks, versions, fingerprints, the lists of the command line and the table of tables in the docs are made
from these declarations. A new table is one spec, one function that builds it and one test: see CONTRIBUTING.md.
Arrow schemas stand in ``core/tables/schemas.py``; nothing heavy is imported here, since every process of Dagster loads this module.
"""

from __future__ import annotations

from collections.abc import Iterator

from bioimage_assets.core.model.campaign_specs import CAMPAIGN_STEPS
from bioimage_assets.core.model.dataset_specs import DATASET_STEPS
from bioimage_assets.core.model.plate_specs import PLATE_STEPS
from bioimage_assets.core.model.scan_specs import SCAN_STEPS
from bioimage_assets.core.model.step_spec import Dimension, Home, StepSpec, TableSpec

STEPS: tuple[StepSpec, ...] = (*SCAN_STEPS, *PLATE_STEPS, *DATASET_STEPS, *CAMPAIGN_STEPS)
"""Each after the steps whose tables it reads."""

# Tables that every step may write to, beside those that it makes.
SHARED_TABLES = (
    TableSpec(
        "plate_findings",
        "What the steps after the scan found about a plate or a dataset.",
        grain="one finding of a step after the scan, about a plate or a dataset: measurements, join, quality control, profiles",
        role="reports",
        namespace="reports",
        join_keys=("dataset_id", "step"),
        analysis_level="plate",
        object_type="finding",
        partition_column="step_key",
    ),
    TableSpec(
        "built_tables",
        "What was built of each plate and is not a part of this root: tables in the catalog, used in place, or without rows.",
        grain="one table of one plate or dataset that is kept in the catalog, used in place, or has no rows",
        role="reports",
        namespace="reports",
        join_keys=("dataset_id", "table_name"),
        analysis_level="plate",
        object_type="table",
        partition_column="step_key",
    ),
)

_ALL = (*(table for step in STEPS for table in step.tables), *SHARED_TABLES)
HOMES: dict[str, Home] = {table.name: table.home for table in _ALL}
TABLES: dict[str, TableSpec] = {table.name: table for table in _ALL if table.home in ("catalog", "warehouse")}
"""What has rows: pages and copies are not here."""

DIMENSIONS: dict[str, Dimension] = {table.name: step.dimension for step in STEPS for table in step.tables}
"""What one partition of a table is; tables that all steps write to are not here."""


def list_steps(dimension: Dimension) -> Iterator[StepSpec]:
    """Steps of plates, datasets or campaigns, each after the steps whose tables it reads."""
    return (step for step in STEPS if step.dimension == dimension)


def list_tables(dimension: Dimension) -> tuple[str, ...]:
    """Names of what is made of each plate, dataset or campaign, pages and copies included, in the order of the steps."""
    return tuple(name for step in list_steps(dimension) for name in step.names)


CATALOG_TABLES = tuple(table.name for step in STEPS for table in step.tables if table.home == "catalog")
"""Kept in the catalog unless the settings say otherwise: what a scan makes."""
