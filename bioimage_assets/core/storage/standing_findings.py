"""What stands found about plates and datasets, as it is stored: the same for commands, pages, checks and run metadata."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.core.errors import MissingTableError
from bioimage_assets.core.findings import Finding, FindingGroup, group_findings
from bioimage_assets.core.storage.step_findings import NAME as STEP_FINDINGS
from bioimage_assets.core.storage.step_findings import find_step_keys
from bioimage_assets.core.storage.step_keys import build_step_key
from bioimage_assets.core.storage.tables import ProjectTables

SCAN_FINDINGS = "scan_findings"


def read_standing_findings(
    tables: ProjectTables, partitions: Collection[str]
) -> dict[str, tuple[FindingGroup, ...]]:
    """Findings of all steps by plate or dataset, one group per code, the worst first; two reads for any number of plates.

    Every one of ``partitions`` has an entry, an empty one where nothing was found.
    """
    found = read_each_finding(tables, partitions)
    return {key: group_findings(key, found[key]) for key in partitions}


def read_each_finding(tables: ProjectTables, partitions: Collection[str]) -> Mapping[str, Sequence[Finding]]:
    """The same, every finding for itself, those of the scan first."""
    found: dict[str, list[Finding]] = {key: [] for key in partitions}
    for rows in (_read_scan_findings(tables, partitions), _read_step_findings(tables, partitions)):
        if rows is not None:
            chosen = rows.filter(pc.is_in(rows["plate_key"], pa.array(list(partitions), pa.string())))
            for row in chosen.to_pylist():
                found[row["plate_key"]].append(_build_finding(row))
    return found


def read_findings_of_step(
    tables: ProjectTables, partition: str, step_tables: Sequence[str]
) -> tuple[FindingGroup, ...]:
    """The same of one step, given by its tables, and one plate or dataset."""
    names = [build_step_key(partition, name) for name in step_tables]
    there = tables.warehouse.find_partitions(STEP_FINDINGS, names)
    found = [tables.warehouse.read(STEP_FINDINGS, plate_keys=there)] if there else []
    scanned = _read_scan_findings(tables, [partition]) if SCAN_FINDINGS in step_tables else None
    rows = [row for table in (scanned, *found) if table is not None for row in table.to_pylist()]
    return group_findings(partition, map(_build_finding, rows))


def list_standing_findings(tables: ProjectTables, partitions: Iterable[str]) -> tuple[FindingGroup, ...]:
    """The same in one list, sorted by plate."""
    found = read_standing_findings(tables, sorted(set(partitions)))
    return tuple(group for key in sorted(found) for group in found[key])


def read_finding_rows(rows: pa.Table) -> list[Finding]:
    """Rows of ``scan_findings`` or ``plate_findings`` as findings."""
    return [_build_finding(row) for row in rows.to_pylist()]


def _build_finding(row: dict[str, str]) -> Finding:
    return Finding(
        row["code"], row["severity"], row["location"] or "", row["message"], row["store_uri"] or ""  # type: ignore[arg-type]
    )  # fmt: skip


def _read_scan_findings(tables: ProjectTables, partitions: Collection[str]) -> pa.Table | None:
    keys = sorted(partitions)
    try:
        if not tables.is_in_catalog(SCAN_FINDINGS):
            there = tables.warehouse.find_partitions(SCAN_FINDINGS, keys)
            return tables.warehouse.read(SCAN_FINDINGS, plate_keys=there)
        if not tables.is_catalog_there():
            return None
        catalog, identifier = tables.identify(SCAN_FINDINGS)
        return read_table(catalog, identifier, plate_keys=keys, partition_column="plate_key")
    except MissingTableError:
        return None


def _read_step_findings(tables: ProjectTables, partitions: Collection[str]) -> pa.Table | None:
    try:
        keys = find_step_keys(tables.warehouse, STEP_FINDINGS, partitions)
        return tables.warehouse.read(STEP_FINDINGS, plate_keys=keys) if keys else None
    except MissingTableError:
        return None
