"""Convert a root to another layout: every table's folder and the manifest move together, or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bioimage_assets.core.errors import UsageError, WarehouseRoleError
from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest.detect import list_table_folders
from bioimage_assets.core.warehouse.manifest.layout import (
    Layout,
    is_table_name,
    qualify_table_name,
    table_folder,
)
from bioimage_assets.core.warehouse.manifest.manifest_file import read_manifest
from bioimage_assets.core.warehouse.manifest.records import WarehouseManifest, WarehouseTableManifestEntry
from bioimage_assets.core.warehouse.manifest.roles import SPEC_VERSION
from bioimage_assets.core.warehouse.manifest.views import write_views
from bioimage_assets.core.warehouse.reading.table_state import find_copies, load_state
from bioimage_assets.core.warehouse.root import open_warehouse


def convert_layout(
    root: str | Path,
    layout: Layout,
    *,
    namespaces: Mapping[str, str] | None = None,
    storage_options: Mapping[str, object] | None = None,
) -> dict[str, str]:
    """Move all tables of a root to the other layout; old to new table name of what moved.

    Locally each folder is renamed and a journal lets the next open finish a killed conversion; in an object
    store the objects are copied, the manifest switches, and the old objects go. Readers that list folders
    should pause meanwhile. A second call does nothing. Also puts right a root whose manifest was rewritten
    to dotted names without moving the data (iceberg-bioimage 0.1.0 on a flat root).

    Parameters
    ----------
    namespaces
        Namespace by table name, for tables whose role does not tell.

    Raises
    ------
    UsageError
        A table has no namespace, or two tables would get one name; nothing was moved.
    WarehouseRoleError
        A table has a role that the specification does not know; nothing was moved.

    Examples
    --------
    >>> convert_layout("warehouse-root", "namespaced")
    {'image_assets': 'images.image_assets'}
    """
    files = open_warehouse(root, storage_options=storage_options).files_at
    with files.exclusive():
        manifest, version = read_manifest(files)
        entries = _all_entries(files, manifest)
        names = {old: _new_name(old, entry, layout, namespaces or {}) for old, (entry, _) in entries.items()}
        twice = [name for name, count in Counter(names.values()).items() if count > 1]
        if twice:
            raise UsageError(
                f"Two tables of {files.uri} would both be named {twice[0]!r}; nothing was moved."
            )
        moves = {
            folder: table_folder(names[old])
            for old, (_, folder) in entries.items()
            if is_table_name(old) and folder != table_folder(names[old])
        }
        converted = [replace(entry, table_name=names[old]) for old, (entry, _) in entries.items()]
        following = replace(
            manifest, layout=layout, warehouse_spec_version=manifest.warehouse_spec_version or SPEC_VERSION
        ).with_tables(converted)
        if moves or manifest.layout != layout:
            files.move_folders(moves, following.to_bytes(), version)
    if following.tables:
        write_views(files)
    return {old: new for old, new in sorted(names.items()) if old != new or entries[old][1] in moves}


def _all_entries(
    files: RootFiles, manifest: WarehouseManifest
) -> dict[str, tuple[WarehouseTableManifestEntry, str]]:
    """Every table with its entry and the folder its data are really in."""
    found: dict[str, tuple[WarehouseTableManifestEntry, str]] = {}
    for entry in manifest.tables:
        state = load_state(files, manifest, entry.table_name, adopt=False)
        found[entry.table_name] = (entry, state.folder)
    covered = {folder for _, folder in found.values()}
    covered |= find_copies(files, manifest).keys()
    for name in list_table_folders(files):
        if is_table_name(name) and table_folder(name) not in covered:
            state = load_state(files, manifest, name)
            if state.entry is not None:
                found[name] = (state.entry, state.folder)
    return found


def _new_name(
    name: str, entry: WarehouseTableManifestEntry, layout: Layout, namespaces: Mapping[str, str]
) -> str:
    if not is_table_name(name):
        return name  # another tool's, which stays where it is
    # "legacy." is what iceberg-bioimage 0.1.0 put before names it did not know.
    bare = name.removeprefix("legacy.")
    try:
        return qualify_table_name(
            bare, layout, entry.role or None, namespaces.get(name, namespaces.get(bare))
        )
    except WarehouseRoleError as error:
        raise WarehouseRoleError(
            f"Table {name!r} has no place in the {layout} layout: {error} Nothing was moved. Overwrite the table "
            "with a role of the vocabulary first."
        ) from error
