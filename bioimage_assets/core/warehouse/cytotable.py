"""A CytoTable warehouse (``catalog.json`` beside Iceberg tables) is opened, and its tables join a warehouse root.

CytoTable's catalog file holds absolute paths that break when the folder moves, so tables are found by their
folders ``<namespace>/<table>/data``; the row count in the Iceberg metadata is checked against the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.joins.sources import open_profiles
from bioimage_assets.core.warehouse.export_tables import (
    build_result,
    check_mode,
    default_join_keys,
    open_for_export,
    write_export,
)
from bioimage_assets.core.warehouse.results import CytominingWarehouseResult
from bioimage_assets.core.warehouse.roles import FIXED_IDENTIFIERS, NAMESPACE_ROLES

CATALOG_NAME = "catalog.json"


@dataclass(frozen=True, slots=True)
class CytoTableTable:
    """One table of a CytoTable warehouse: ``<namespace>.<table>``, its Parquet files and their rows."""

    name: str
    files: tuple[Path, ...]
    row_count: int


def open_cytotable_warehouse(root: str | Path) -> tuple[CytoTableTable, ...]:
    """List the tables of a CytoTable warehouse; ``root`` is the folder of ``catalog.json`` or its parent.

    Raises
    ------
    WarehouseError
        There is no such catalog, or the files of a table hold other than the rows its metadata promise.
    """
    folder = _find_catalog(Path(root)).parent
    tables = []
    for data in sorted(folder.glob("*/*/data")):
        files = tuple(sorted(data.rglob("*.parquet")))
        if not files:
            continue
        name = f"{data.parent.parent.name}.{data.parent.name}"
        try:
            rows = sum(pq.read_metadata(path).num_rows for path in files)
        except (pa.ArrowInvalid, OSError) as error:
            raise WarehouseError(
                f"Table {name} of the CytoTable warehouse {folder} cannot be read: {error}"
            ) from error
        promised = _promised_rows(data.parent / "metadata")
        if promised is not None and promised != rows:
            raise WarehouseError(
                f"Table {name} of the CytoTable warehouse {folder}: its metadata promise {promised} rows, its files "
                f"hold {rows}. Read it through its own Iceberg metadata."
            )
        tables.append(CytoTableTable(name, files, rows))
    return tuple(tables)


def import_cytotable_warehouse(
    source: str | Path,
    warehouse_root: str | Path,
    *,
    table_names: Sequence[str] | None = None,
    mode: str = "overwrite",
) -> CytominingWarehouseResult:
    """Bring tables of a CytoTable warehouse into a root, columns and payloads unchanged.

    ``table_names`` are ``<namespace>.<table>``, None for all. ``profiles.joined_profiles`` lands under that
    role; crops and source images keep theirs.
    """
    check_mode(mode)
    found = open_cytotable_warehouse(source)
    chosen = [table for table in found if table_names is None or table.name in table_names]
    missing = sorted(set(table_names or ()) - {table.name for table in chosen})
    if missing:
        raise WarehouseError(f"The CytoTable warehouse {source} has no table {missing[0]}.")
    warehouse = open_for_export(warehouse_root)
    written = []
    for table in chosen:
        opened = open_profiles([str(path) for path in table.files])
        reader = pa.RecordBatchReader.from_batches(opened.schema, opened.batches())
        name = table.name if warehouse.layout == "namespaced" else table.name.rsplit(".", 1)[-1]
        keys = default_join_keys(opened.schema.names) or _object_keys(opened.schema.names)
        written.append(
            write_export(
                warehouse, name, reader, mode, role=_role(table.name), join_keys=keys, source_type="cytotable",
                source_ref=str(source),
            )
        )  # fmt: skip
    return build_result(warehouse, written)


def _find_catalog(root: Path) -> Path:
    for candidate in (root / CATALOG_NAME, root / "warehouse" / CATALOG_NAME):
        if candidate.is_file():
            return candidate
    raise WarehouseError(
        f"{root} is no CytoTable warehouse: {CATALOG_NAME} is in neither it nor its folder 'warehouse'."
    )


def _promised_rows(metadata: Path) -> int | None:
    """Total of the current snapshot in the newest metadata file, None where it says nothing."""
    documents = sorted(metadata.glob("*.metadata.json"))
    if not documents:
        return None
    content = orjson.loads(documents[-1].read_bytes())
    current = content.get("current-snapshot-id")
    for snapshot in content.get("snapshots", []):
        if snapshot.get("snapshot-id") == current:
            total = snapshot.get("summary", {}).get("total-records")
            return None if total is None else int(total)
    return None


def _role(name: str) -> str:
    leaf = name.rsplit(".", 1)[-1]
    return leaf if leaf in FIXED_IDENTIFIERS else NAMESPACE_ROLES.get(name.split(".")[0], "profiles")


def _object_keys(names: Sequence[str]) -> tuple[str, ...]:
    for keys in (
        ("Metadata_ObjectID",),
        ("Metadata_ImageNumber", "Metadata_ObjectNumber"),
        ("Metadata_ImageNumber",),
    ):
        if set(keys) <= set(names):
            return keys
    return ()
