"""What an exported object was made of, as plain values for ``uns``: stored parts, their snapshots, library calls, versions, settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata

import pandas as pd

from bioimage_assets.core.anndata.plate_rows import CELLS, NORMALIZED, QC, WELLS
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.storage.tables import ProjectTables

KEY = "bioimage_assets"
TABLES = (CELLS, QC, WELLS, NORMALIZED, "image_assets")
_PACKAGES = (
    "bioimage_assets",
    "anndata",
    "pycytominer",
    "cosmicqc",
    "numpy",
    "pandas",
    "scikit-learn",
    "pyarrow",
)
_PART = ("table", "plate_key", "home", "fingerprint", "digest", "run_id", "snapshot_id", "row_count")


@dataclass(frozen=True, slots=True)
class StoredParts:
    """The stored parts behind an export, one row each, and the library calls that made them."""

    rows: tuple[tuple[str, ...], ...]
    calls: Mapping[str, object]

    def to_frame(self) -> pd.DataFrame:
        """As a table of text."""
        frame = pd.DataFrame(self.rows, columns=list(_PART), dtype=object)
        return frame.set_index(pd.Index([str(row) for row in range(len(frame))], dtype=object))


def read_stored_parts(tables: ProjectTables, plate_keys: Sequence[str]) -> StoredParts:
    """What catalog and manifest say of the tables of some plates; read again, it tells whether they changed meanwhile."""
    rows: list[tuple[str, ...]] = []
    calls: dict[str, object] = {}
    for name in TABLES:
        if tables.is_in_catalog(name):
            snapshot = _read_snapshot(tables, name)
            if snapshot:
                rows += [(name, key, "catalog", "", "", "", snapshot, "") for key in plate_keys]
            continue
        listed = tables.warehouse.listed(name, plate_keys)
        for key in plate_keys:
            part = listed.partitions.get(key)
            if part is None:
                continue
            told = (part.fingerprint or "", part.digest or "", part.run_id or "")
            rows.append((name, key, "warehouse", *told, "", str(part.row_count)))
            if part.steps is not None:
                calls[f"{name} {key}"] = list(listed.steps.get(part.steps, ()))
    return StoredParts(tuple(rows), calls)


def build_uns(
    parts: StoredParts, told: Mapping[str, object], settings: Mapping[str, DatasetSettings]
) -> dict[str, object]:
    """Provenance under one key; calls and settings, which nest, are JSON."""
    return {
        KEY: {
            **told,
            "packages": {name: _version(name) for name in _PACKAGES},
            "tables": parts.to_frame(),
            "calls": json.dumps(parts.calls, sort_keys=True),
            "settings": json.dumps(
                {name: asdict(one) for name, one in settings.items()}, sort_keys=True, default=str
            ),
        }
    }


def _read_snapshot(tables: ProjectTables, name: str) -> str:
    if not tables.is_catalog_there():
        return ""
    catalog, identifier = tables.identify(name)
    if not catalog.table_exists(identifier):
        return ""
    snapshot = catalog.load_table(identifier).current_snapshot()
    return "" if snapshot is None else str(snapshot.snapshot_id)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
