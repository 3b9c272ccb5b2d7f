"""What the steps after the scan found about a plate or a dataset, kept so that "what is wrong with my data" is one query.

The scan has ``scan_findings``; measurements, joins, quality control, profiles and pages share ``plate_findings``, where each
step replaces its own rows. Steps over a whole dataset stand there under the dataset's key.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pyarrow as pa

from bioimage_assets.core.errors import MissingTableError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.identity import dataset_of
from bioimage_assets.core.model.table_specs import STEPS, TABLES
from bioimage_assets.core.storage.step_keys import build_step_key, partition_of
from bioimage_assets.core.storage.tables import drop_partitions
from bioimage_assets.core.tables.schemas import PLATE_FINDINGS
from bioimage_assets.core.warehouse.root import Warehouse

NAME = "plate_findings"
FAILED = " failed"
"""Behind the name of a step: the key of why it failed."""
_FEW = 8  # plates; of more of them all keys of the table are looked at


def store_findings(
    warehouse: Warehouse, partition: str, step: str, findings: Sequence[Finding], run_id: str
) -> None:
    """Replace what a step found about a plate or a dataset; a step that finds nothing leaves nothing."""
    step_key = build_step_key(partition, step)
    if not findings:
        drop_partitions(warehouse, NAME, [step_key])
        return
    rows = [
        {
            "step_key": step_key,
            "plate_key": partition,
            "dataset_id": dataset_of(partition),
            "step": step,
            "code": finding.code,
            "severity": finding.severity,
            "location": finding.location,
            "message": finding.message,
            "store_uri": finding.store_uri,
        }
        for finding in dict.fromkeys(findings)
    ]
    warehouse.replace_partitions(
        NAME,
        pa.Table.from_pylist(rows, schema=PLATE_FINDINGS),
        [step_key],
        source_type="dagster_asset",
        source_ref=step,
        run_id=run_id,
    )


def list_step_keys(warehouse: Warehouse, name: str, partition: str) -> list[str]:
    """Keys ``<plate>#<step>`` of a plate or dataset in a table that all steps write to."""
    try:
        return [key for key in warehouse.partitions(name) if partition_of(key) == partition]
    except MissingTableError:
        return []


def find_step_keys(warehouse: Warehouse, name: str, partitions: Collection[str]) -> list[str]:
    """The same of some plates and datasets; of few ones the keys that steps give are asked for, and no table is listed."""
    if len(partitions) > _FEW:
        return [key for key in warehouse.partitions(name) if partition_of(key) in partitions]
    words = [*TABLES, *(f"{step.name}{FAILED}" for step in STEPS)]
    return list(
        warehouse.find_partitions(name, [build_step_key(key, word) for key in partitions for word in words])
    )
