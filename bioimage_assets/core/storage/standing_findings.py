"""What stands found about plates and datasets, as it is stored: the same for commands, pages, checks and run metadata."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.core.errors import MissingTableError
from bioimage_assets.core.findings import Finding, FindingGroup, group_findings
from bioimage_assets.core.storage.step_findings import NAME as STEP_FINDINGS
from bioimage_assets.core.storage.tables import ProjectTables

SCAN_FINDINGS = "scan_findings"


def read_standing_findings(
    tables: ProjectTables, partitions: Collection[str]
) -> dict[str, tuple[FindingGroup, ...]]:
    """Findings of all steps by plate or dataset, one group per code, the worst first; two reads for any number of plates.

    Every one of ``partitions`` has an entry, an empty one where nothing was found.
    """
    found: dict[str, list[Finding]] = defaultdict(list)
    for rows in (_read_scan_findings(tables, partitions), _read_step_findings(tables)):
        if rows is not None:
            chosen = rows.filter(pc.is_in(rows["plate_key"], pa.array(list(partitions), pa.string())))
            for row in chosen.to_pylist():
                found[row["plate_key"]].append(_build_finding(row))
    return {key: group_findings(key, found[key]) for key in partitions}


def list_standing_findings(tables: ProjectTables, partitions: Iterable[str]) -> tuple[FindingGroup, ...]:
    """The same in one list, sorted by plate."""
    found = read_standing_findings(tables, sorted(set(partitions)))
    return tuple(group for key in sorted(found) for group in found[key])


def _build_finding(row: dict[str, str]) -> Finding:
    return Finding(
        row["code"], row["severity"], row["location"] or "", row["message"], row["store_uri"] or ""  # type: ignore[arg-type]
    )  # fmt: skip


def _read_scan_findings(tables: ProjectTables, partitions: Collection[str]) -> pa.Table | None:
    keys = sorted(partitions)
    try:
        if not tables.is_in_catalog(SCAN_FINDINGS):
            return tables.warehouse.read(SCAN_FINDINGS, plate_keys=_stored(tables, SCAN_FINDINGS, keys))
        catalog, identifier = tables.identify(SCAN_FINDINGS)
        return read_table(catalog, identifier, plate_keys=keys, partition_column="plate_key")
    except MissingTableError:
        return None


def _read_step_findings(tables: ProjectTables) -> pa.Table | None:
    try:
        return tables.warehouse.read(STEP_FINDINGS)
    except MissingTableError:
        return None


def _stored(tables: ProjectTables, name: str, keys: list[str]) -> list[str]:
    there = set(tables.warehouse.partitions(name))
    return [key for key in keys if key in there]
