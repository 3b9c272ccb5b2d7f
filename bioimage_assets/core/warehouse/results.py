"""What warehouse calls return: one table write, one export, one validation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from bioimage_assets.core.findings import Finding


@dataclass(frozen=True, slots=True)
class TableWrite:
    """One change of one table.

    Parameters
    ----------
    table_name
        Name in the manifest (dotted in a namespaced root).
    row_count
        Rows of this write.
    total_rows
        Rows of the whole table after it.
    partitions
        Rows by partition key, of this write.
    files
        Part names that this write put in place, relative to the table's folder.
    changed
        False where the table held the same bytes already and nothing was touched.
    added_columns
        Columns that the table did not have before.
    """

    table_name: str
    row_count: int
    total_rows: int
    partitions: Mapping[str, int]
    files: tuple[str, ...]
    changed: bool
    added_columns: tuple[str, ...] = ()
    generation: int = 0
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class CytominingWarehouseResult:
    """Result of an export: tables written and the rows of *this* export by table."""

    warehouse_root: str
    tables_written: list[str]
    row_counts: dict[str, int]
    manifest_path: str
    warnings: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, object]:
        """The seeds' four keys; ``warnings`` only where there are some."""
        content: dict[str, object] = {
            "warehouse_root": self.warehouse_root,
            "tables_written": list(self.tables_written),
            "row_counts": dict(self.row_counts),
            "manifest_path": self.manifest_path,
        }
        if self.warnings:
            content["warnings"] = list(self.warnings)
        return content

    def to_json(self, **json_options: object) -> str:
        """JSON text; keyword arguments go to ``json.dumps``."""
        return json.dumps(self.to_dict(), **json_options)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class WarehouseValidationResult:
    """What a validation found; a root is valid when there are no errors."""

    warehouse_root: str
    errors: list[str]
    warnings: list[str]

    @property
    def is_valid(self) -> bool:
        """Whether nothing is wrong."""
        return not self.errors

    def to_dict(self) -> dict[str, object]:
        """Plain dictionary with ``is_valid``."""
        return {
            "warehouse_root": self.warehouse_root,
            "is_valid": self.is_valid,
            "errors": list(self.errors),
            "warnings": list(self.warnings),
        }

    def to_json(self, **json_options: object) -> str:
        """JSON text; keyword arguments go to ``json.dumps``."""
        return json.dumps(self.to_dict(), **json_options)  # type: ignore[arg-type]
