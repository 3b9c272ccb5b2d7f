"""Validates a warehouse root against its manifest and the producer rules of the specification.

Source: Cytomining warehouse specification 1.0.0 (rule numbers in the code of ``rules``), error texts of
iceberg-bioimage 0.1.0 where it has one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import orjson

from bioimage_assets.core.errors import ManifestError, UsageError, WarehouseError
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest.detect import list_table_folders
from bioimage_assets.core.warehouse.manifest.layout import (
    JOURNAL_NAME,
    MANIFEST_NAME,
    find_entry_folder,
    split_table_name,
)
from bioimage_assets.core.warehouse.manifest.manifest_file import forget_root, read_manifest
from bioimage_assets.core.warehouse.manifest.records import (
    WarehouseManifest,
    WarehouseTableManifestEntry,
    parse_manifest,
)
from bioimage_assets.core.warehouse.manifest.roles import SPEC_VERSION, SUPPORTED_MAJOR, parse_semver
from bioimage_assets.core.warehouse.manifest.rules import REQUIRED_ENTRY_KEYS, check_specification
from bioimage_assets.core.warehouse.manifest.stored_partitions import (
    StoredPartitions,
    open_partitions_of,
)
from bioimage_assets.core.warehouse.reading.consistent_read import read_one_state
from bioimage_assets.core.warehouse.reading.table_state import TableFolder, find_folder, load_state
from bioimage_assets.core.warehouse.results import WarehouseValidationResult
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets.core.warehouse.validation.contents import check_contents
from bioimage_assets.core.warehouse.validation.files import check_table_files

Problems = tuple[list[str], list[str]]


def validate_warehouse_manifest(
    root: str | Path,
    *,
    strict: bool = False,
    deep: bool = False,
    storage_options: Mapping[str, object] | None = None,
) -> WarehouseValidationResult:
    """Check a root; reads the manifest, every folder listing and every Parquet footer, no data unless it is asked for.

    Parameters
    ----------
    deep
        Also read every file: its digest is compared with the manifest's, its pages are decoded and compared with their
        checksums. Takes as long as reading all tables twice.
    strict
        Also check the producer rules of the specification that depend on namespaces, roles and levels;
        meant for namespaced roots.

    Examples
    --------
    >>> validate_warehouse_manifest("warehouse-root").is_valid
    True
    """
    warehouse = open_warehouse(root, storage_options=storage_options)
    files = warehouse.files_at
    errors: list[str] = []
    warnings: list[str] = []
    found = files.read(MANIFEST_NAME)
    if found is None:
        return WarehouseValidationResult(files.uri, [f"{MANIFEST_NAME} is missing."], [])
    # What this process wrote or read may not be what the files hold by now.
    forget_root(files.uri)
    try:
        manifest = parse_manifest(found[0], files.uri, open_partitions_of(files))
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
    raw = _raw_entries(found[0])
    for name in dict.fromkeys(entry.table_name for entry in manifest.tables):
        problems = _check_table(files, manifest, raw, name, strict)
        if any(problems):
            # A writer may have come between the manifest and the files: once more, in one state of the root.
            problems = read_one_state(files, partial(_check_table_again, files, name, strict))
        errors += problems[0]
        warnings += problems[1]
    if deep:
        for name in dict.fromkeys(entry.table_name for entry in manifest.tables):
            with suppress(ManifestError):  # said above
                check_contents(files, name, errors, warnings)
    if strict:
        check_specification(manifest, warehouse.layout, errors, warnings)
    strays = read_one_state(files, lambda: _find_strays(files, read_manifest(files)[0]))
    (errors if strict else warnings).extend(strays)
    if files.version(JOURNAL_NAME) is not None:
        warnings.append("A change was cut off; the next write or `maintain` finishes it.")
    return WarehouseValidationResult(files.uri, errors, warnings)


def _check_table_again(files: RootFiles, table_name: str, strict: bool) -> Problems:
    found = files.read(MANIFEST_NAME)
    payload = found[0] if found else b"{}"
    manifest = parse_manifest(payload, files.uri, open_partitions_of(files))
    return _check_table(files, manifest, _raw_entries(payload), table_name, strict)


def _raw_entries(payload: bytes) -> dict[str, Mapping[str, object]]:
    return {entry.get("table_name"): entry for entry in orjson.loads(payload).get("tables", [])}


def _check_table(
    files: RootFiles,
    manifest: WarehouseManifest,
    raw: Mapping[str, Mapping[str, object]],
    table_name: str,
    strict: bool,
) -> Problems:
    """Errors and warnings of one table; none where a writer took it away."""
    errors: list[str] = []
    warnings: list[str] = []
    for entry in manifest.tables:
        if entry.table_name == table_name and _check_entries(entry, raw[table_name], errors):
            _check_entry(files, manifest, entry, raw[table_name], strict, errors, warnings)
    return errors, warnings


def _check_entries(entry: WarehouseTableManifestEntry, raw: Mapping[str, object], errors: list[str]) -> bool:
    """Whether the entries of the partitions beside the manifest can be read; every file of them is."""
    name, path = entry.table_name, raw.get("partition_index")
    if path is not None and entry.partition_index is None and entry.partitions is None:
        errors.append(
            f"Manifest table {name} names the entries of its partitions by {path!r:.120}, which is no file that this package "
            "writes; `bioimage-assets maintain` writes them from the files."
        )
    if not isinstance(entry.partitions, StoredPartitions):
        return True
    try:
        entry.partitions.load()
    except WarehouseError as error:
        errors.append(f"Manifest table {name}: {error}")
        return False
    held = len(entry.partitions)
    if entry.partition_count != held:
        errors.append(
            f"Manifest table {name} records {count_words(entry.partition_count or 0, 'partition')}; its entries are {held}."
        )
    return True


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
    manifest: WarehouseManifest,
    entry: WarehouseTableManifestEntry,
    raw: Mapping[str, object],
    strict: bool,
    errors: list[str],
    warnings: list[str],
) -> None:
    name = entry.table_name
    if entry.is_announced:
        warnings.append(
            f"Table {name} is to be made by a write that was cut off, or is under way; it holds nothing yet. Write it "
            "again, or let `maintain` forget it after a day."
        )
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
    found = find_folder(files, name)
    folder, sizes = found.path, found.sizes
    if not sizes:
        errors.append(f"Manifest table path does not exist: {name}")
        return
    if folder != find_entry_folder(name):
        errors.append(
            f"Manifest table {name} lies in the folder {folder!r}; run `bioimage-assets convert-layout` to put it in place."
        )
    leftovers = load_state(files, manifest, name, adopt=False).leftovers
    if leftovers:
        warnings.append(
            f"{len(leftovers)} object(s) in {folder!r} belong to no state of table {name}: a write was cut off, or is "
            "under way. `maintain` removes them after a day."
        )
    rows = {file: size for file, size in sizes.items() if file not in leftovers}
    check_table_files(files, entry, TableFolder(folder, rows, found.has_columns_file), errors, warnings)


def _find_strays(files: RootFiles, manifest: WarehouseManifest) -> list[str]:
    """Tables that only the folders know."""
    known = {find_folder(files, entry.table_name).path for entry in manifest.tables}
    known |= {entry.table_name.replace(".", "/") for entry in manifest.tables}
    return [
        f"Folder {name.replace('.', '/')!r} holds Parquet files but the manifest has no table {name}."
        for name in list_table_folders(files)
        if name.replace(".", "/") not in known
    ]
