"""A warehouse root is compared with what its manifest claims and with the producer rules of the specification.

Source: Cytomining warehouse specification 1.0.0 (rule numbers in the code of ``rules``), error texts of
iceberg-bioimage 0.1.0 where it has one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import orjson

from bioimage_assets.core.errors import ManifestError, UsageError
from bioimage_assets.core.warehouse.detect import list_table_folders
from bioimage_assets.core.warehouse.files import RootFiles
from bioimage_assets.core.warehouse.layout import JOURNAL_NAME, MANIFEST_NAME, split_table_name
from bioimage_assets.core.warehouse.manifest import (
    WarehouseManifest,
    WarehouseTableManifestEntry,
    parse_manifest,
)
from bioimage_assets.core.warehouse.results import WarehouseValidationResult
from bioimage_assets.core.warehouse.roles import SPEC_VERSION, SUPPORTED_MAJOR, parse_semver
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets.core.warehouse.rules import REQUIRED_ENTRY_KEYS, check_specification
from bioimage_assets.core.warehouse.state import find_folder
from bioimage_assets.core.warehouse.validate_files import check_table_files

Problems = tuple[list[str], list[str]]


def validate_warehouse_manifest(
    root: str | Path, *, strict: bool = False, storage_options: Mapping[str, object] | None = None
) -> WarehouseValidationResult:
    """Check a root; reads the manifest, every folder listing and every Parquet footer, no data.

    Parameters
    ----------
    strict
        Also check the producer rules of the specification that depend on namespaces, roles and levels;
        meant for namespaced roots.

    Examples
    --------
    >>> validate_warehouse_manifest("warehouse-root").is_valid  # doctest: +SKIP
    True
    """
    warehouse = open_warehouse(root, storage_options=storage_options)
    files = warehouse.files_at
    errors: list[str] = []
    warnings: list[str] = []
    found = files.read(MANIFEST_NAME)
    if found is None:
        return WarehouseValidationResult(files.uri, [f"{MANIFEST_NAME} is missing."], [])
    try:
        manifest = parse_manifest(found[0], files.uri)
    except ManifestError as error:
        text = str(error)
        known = (
            text
            if text.startswith("Invalid warehouse_manifest.json")
            else f"Invalid warehouse_manifest.json: {text}"
        )
        return WarehouseValidationResult(files.uri, [known], [])
    _check_version(manifest, strict or warehouse.layout == "namespaced", errors, warnings)
    _check_names(manifest, errors)
    raw = {entry.get("table_name"): entry for entry in orjson.loads(found[0]).get("tables", [])}
    for entry in manifest.tables:
        _check_entry(files, entry, raw.get(entry.table_name, {}), strict, errors, warnings)
    if strict:
        check_specification(manifest, warehouse.layout, errors, warnings)
    _check_strays(files, manifest, strict, errors, warnings)
    return WarehouseValidationResult(files.uri, errors, warnings)


def _check_version(
    manifest: WarehouseManifest, is_required: bool, errors: list[str], warnings: list[str]
) -> None:
    version = manifest.warehouse_spec_version
    if version is None:
        (errors if is_required else warnings).append(f"{MANIFEST_NAME} must declare warehouse_spec_version.")
        return
    parsed = parse_semver(version)
    if parsed is None:
        errors.append(
            f"warehouse_spec_version {version!r} is no semantic version; expected e.g. {SPEC_VERSION}."
        )
    elif parsed[0] != SUPPORTED_MAJOR:
        errors.append(
            f"warehouse_spec_version {version} has an unknown major version; {SUPPORTED_MAJOR} is understood."
        )


def _check_names(manifest: WarehouseManifest, errors: list[str]) -> None:
    counted = Counter(entry.table_name for entry in manifest.tables)
    errors += [
        f"Duplicate table_name in manifest: {name}" for name, count in sorted(counted.items()) if count > 1
    ]
    for name in sorted(counted):
        try:
            split_table_name(name)
        except UsageError as error:
            errors.append(f"Invalid manifest table_name {name!r}: {error}")


def _check_entry(
    files: RootFiles,
    entry: WarehouseTableManifestEntry,
    raw: Mapping[str, object],
    strict: bool,
    errors: list[str],
    warnings: list[str],
) -> None:
    name = entry.table_name
    try:
        split_table_name(name)
    except UsageError:
        return
    lacking = [key for key in REQUIRED_ENTRY_KEYS if strict and key not in raw]
    errors += [f"Manifest table {name} must declare {key}." for key in lacking]
    if entry.format != "parquet":
        errors.append(f"Manifest table {name} has format {entry.format!r}; expected 'parquet'.")
    if not entry.join_keys and entry.role in ("image_assets", "joined_profiles"):
        errors.append(f"Manifest table {name} must declare join_keys.")
    if not entry.columns:
        warnings.append(f"Manifest table {name} does not record columns.")
    if entry.role == "quality_control" and "." in name and not name.startswith("quality_control."):
        errors.append("Manifest table with role quality_control must use the quality_control namespace.")
    folder, sizes = find_folder(files, name)
    if not sizes:
        errors.append(f"Manifest table path does not exist: {name}")
        return
    if folder != "/".join(split_table_name(name)):
        errors.append(
            f"Manifest table {name} lies in the folder {folder!r}; run convert_layout to put it in place."
        )
    check_table_files(files, entry, folder, sizes, errors, warnings)


def _check_strays(
    files: RootFiles, manifest: WarehouseManifest, strict: bool, errors: list[str], warnings: list[str]
) -> None:
    """Tables that only the folders know, and a change that was cut off."""
    known = {"/".join(entry.table_name.split(".")) for entry in manifest.tables}
    known |= {find_folder(files, e.table_name)[0] for e in manifest.tables if _is_name(e.table_name)}
    for name in list_table_folders(files):
        if name.replace(".", "/") not in known:
            message = (
                f"Folder {name.replace('.', '/')!r} holds Parquet files but the manifest has no table {name}."
            )
            (errors if strict else warnings).append(message)
    if files.read(JOURNAL_NAME) is not None:
        warnings.append("A change was cut off; the next write or `maintain` finishes it.")


def _is_name(name: str) -> bool:
    try:
        split_table_name(name)
    except UsageError:
        return False
    return True
