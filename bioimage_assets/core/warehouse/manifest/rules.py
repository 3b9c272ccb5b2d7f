"""Producer rules of the Cytomining warehouse specification 1.0.0 that a manifest alone can keep or break."""

from __future__ import annotations

from bioimage_assets.core.errors import WarehouseRoleError
from bioimage_assets.core.warehouse.manifest.layout import Layout
from bioimage_assets.core.warehouse.manifest.records import WarehouseManifest, WarehouseTableManifestEntry
from bioimage_assets.core.warehouse.manifest.roles import (
    FIXED_IDENTIFIERS,
    PROFILE_ROLES,
    check_role_namespace,
)

# M3
REQUIRED_ENTRY_KEYS = ("table_name", "role", "format", "join_keys", "columns")

OBJECT_COLUMNS = frozenset(
    {"Metadata_ObjectID", "Metadata_ObjectNumber", "ObjectNumber", "object_id", "Metadata_object_id"}
)
IMAGE_COLUMNS = frozenset(
    {
        "image_id",
        "Metadata_ImageID",
        "Metadata_image_id",
        "Metadata_ImageNumber",
        "ImageNumber",
        "TableNumber",
    }
)
# Levels at which one row is no longer one object of one image; a well or treatment names itself.
AGGREGATED_LEVELS = frozenset(
    {"image", "site", "field", "well", "plate", "treatment", "perturbation", "consensus"}
)
IMAGE_COMMON_COLUMNS = ("dataset_id", "image_id", "shape", "dtype")


def check_specification(
    manifest: WarehouseManifest, layout: Layout, errors: list[str], warnings: list[str]
) -> None:
    """Check every entry; a flat root cannot keep the namespace rules, which is said once."""
    if layout == "flat" and manifest.tables:
        errors.append(
            "The root has the flat layout; the specification wants <namespace>/<table> (N1-N3). Use `bioimage-assets convert-layout`."
        )
    for entry in manifest.tables:
        _check_role(entry, layout, errors)
        _check_keys(entry, errors)
        if entry.role in PROFILE_ROLES:
            _check_profiles(entry, errors, warnings)
        if entry.role == "quality_control":
            _check_quality_control(entry, warnings)
        if entry.role == "image_assets":
            missing = [
                name
                for name in IMAGE_COMMON_COLUMNS
                if name not in entry.columns and f"{name}_json" not in entry.columns
            ]
            if missing:
                warnings.append(
                    f"Manifest table {entry.table_name} lacks common image column(s) {', '.join(missing)} (I6)."
                )


def _check_role(entry: WarehouseTableManifestEntry, layout: Layout, errors: list[str]) -> None:
    name = entry.table_name
    segments = name.split(".")
    if layout == "namespaced" and len(segments) < 2:
        errors.append(f"Manifest table {name} has no namespace (N2, M2).")
        return
    try:
        check_role_namespace(
            entry.role, segments[0] if layout == "namespaced" else _own_namespace(entry.role)
        )
    except WarehouseRoleError as error:
        errors.append(f"Manifest table {name}: {error}")
        return
    fixed = FIXED_IDENTIFIERS.get(entry.role)
    if layout == "namespaced" and fixed is not None and name != fixed:
        errors.append(f"Manifest table {name} has role {entry.role!r}, which belongs to {fixed} (I3, T1-T4).")


def _own_namespace(role: str) -> str:
    return FIXED_IDENTIFIERS.get(role, role).split(".")[0]


def _check_keys(entry: WarehouseTableManifestEntry, errors: list[str]) -> None:
    unknown = [key for key in entry.join_keys if key not in entry.columns]
    if unknown:
        errors.append(
            f"Manifest table {entry.table_name} joins on column(s) it does not have: {', '.join(unknown)}."
        )
    if not entry.join_keys and entry.role != "reports":
        errors.append(f"Manifest table {entry.table_name} must declare join_keys (M3).")


def _check_profiles(entry: WarehouseTableManifestEntry, errors: list[str], warnings: list[str]) -> None:
    name = entry.table_name
    if entry.analysis_level is None:
        errors.append(
            f"Manifest table {name} must declare analysis_level, so that its rows are known unread (M5)."
        )
    if entry.object_type is None:
        warnings.append(
            f"Manifest table {name} does not say which objects its rows are (object_type, P2, P5)."
        )
    columns = set(entry.columns)
    if entry.analysis_level in AGGREGATED_LEVELS:
        if not columns.intersection(entry.join_keys):
            errors.append(f"Manifest table {name} has no column that identifies its rows (P4).")
        return
    if not columns & OBJECT_COLUMNS:
        errors.append(f"Manifest table {name} has no object identifier, e.g. Metadata_ObjectID (P4).")
    if not columns & IMAGE_COLUMNS:
        errors.append(f"Manifest table {name} has no image identifier, e.g. image_id (P4).")


def _check_quality_control(entry: WarehouseTableManifestEntry, warnings: list[str]) -> None:
    name = entry.table_name
    if entry.analysis_level in (None, "single_cell") and not set(entry.columns) & OBJECT_COLUMNS:
        warnings.append(f"Manifest table {name} has no object identifier (Q3).")
    if entry.column_types and "bool" not in entry.column_types.values():
        warnings.append(f"Manifest table {name} has no boolean column that says which rows fail (Q4).")
