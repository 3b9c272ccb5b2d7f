"""Findings of the steps after the scan, kept so that "what is wrong with my data" is one query.

The scan has ``scan_findings``; measurements, joins, quality control and profiles share ``plate_findings``,
where each step replaces its own rows of a plate. Steps over a whole dataset stand there under the dataset's key.
"""

from collections.abc import Sequence

import pyarrow as pa

from bioimage_assets.assets.stored import remove_partition
from bioimage_assets.core.errors import MissingTableError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.tables.schemas import PLATE_FINDINGS
from bioimage_assets.partitions import dataset_of
from bioimage_assets.resources.project import ProjectResource

NAME = "plate_findings"


def store_findings(
    project: ProjectResource, plate_key: str, step: str, findings: Sequence[Finding], run_id: str
) -> None:
    """Replace what a step found about a plate or a dataset; a step that finds nothing leaves nothing."""
    warehouse, step_key = project.warehouse(), f"{plate_key}#{step}"
    if not findings:
        remove_partition(warehouse, NAME, step_key)
        return
    rows = [
        {
            "step_key": step_key,
            "plate_key": plate_key,
            "dataset_id": dataset_of(plate_key),
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


def read_step_findings(project: ProjectResource, plate_key: str) -> tuple[Finding, ...]:
    """What all steps found about a plate, or about a dataset, given by its key."""
    warehouse = project.warehouse()
    try:
        keys = [key for key in warehouse.partitions(NAME) if key.split("#", 1)[0] == plate_key]
    except MissingTableError:
        return ()
    rows = warehouse.read(NAME, plate_keys=keys).to_pylist() if keys else []
    return tuple(
        Finding(row["code"], row["severity"], row["location"] or "", row["message"], row["store_uri"] or "")
        for row in rows
    )


def remove_findings(project: ProjectResource, plate_key: str) -> None:
    """Forget what all steps found about a plate."""
    warehouse = project.warehouse()
    try:
        keys = [key for key in warehouse.partitions(NAME) if key.split("#", 1)[0] == plate_key]
    except MissingTableError:
        return
    for key in keys:
        remove_partition(warehouse, NAME, key)
