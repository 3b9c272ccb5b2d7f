"""Which layout an existing root has, and which of its tables a name means."""

from __future__ import annotations

from bioimage_assets.core.errors import ManifestError
from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest.layout import (
    COLUMNS_NAME,
    NAMESPACES,
    Layout,
    leaf_name,
    qualify_table_name,
    split_table_name,
)
from bioimage_assets.core.warehouse.manifest.manifest_file import read_manifest
from bioimage_assets.core.warehouse.manifest.records import WarehouseManifest


def detect_layout(files: RootFiles) -> Layout | None:
    """Layout of a root: what its manifest says, else its table names, else its folders; None for an empty root."""
    try:
        manifest, version = read_manifest(files)
    except ManifestError:
        # A broken manifest must not keep anyone from reading or repairing the root.
        manifest, version = WarehouseManifest(files.uri), None
    if manifest.layout is not None:
        return manifest.layout
    if version is not None and manifest.tables:
        names = [entry.table_name for entry in manifest.tables]
        if any("." in name and not name.startswith("legacy.") for name in names):
            return "namespaced"
        return "flat"
    return _layout_of_folders(files)


def list_table_folders(files: RootFiles) -> list[str]:
    """Names of all tables that have Parquet files, by their folders: bare and ``<namespace>.<table>``."""
    names: list[str] = []
    for folder in files.list_folders(""):
        if _holds_rows(files, folder):
            names.append(folder)
        else:
            names += [
                f"{folder}.{child}"
                for child in files.list_folders(folder)
                if _holds_rows(files, f"{folder}/{child}")
            ]
    return names


def _holds_rows(files: RootFiles, folder: str) -> bool:
    return bool(list_row_parts(files, folder)[0])


def list_row_parts(files: RootFiles, folder: str) -> tuple[dict[str, int], bool]:
    """Parts with rows and their bytes, and whether the file that only names columns is beside them."""
    sizes = dict(files.list_parts(folder))
    return sizes, sizes.pop(COLUMNS_NAME, None) is not None


def resolve_table_name(
    manifest: WarehouseManifest, layout: Layout, table_name: str, role: str | None, namespace: str | None
) -> str:
    """Name that a table has in this root.

    An entry of exactly that name comes first, then the name the layout gives it, then the one entry with
    the same last segment; otherwise the name a new table would get.
    """
    known = {entry.table_name for entry in manifest.tables}
    if table_name in known:
        # Whatever its name is: another tool may have made it.
        return table_name
    name = ".".join(split_table_name(table_name))
    if name in known:
        return name
    if role is None and "." not in name and namespace is None:
        same_leaf = sorted(entry for entry in known if leaf_name(entry) == name)
        if len(same_leaf) == 1:
            return same_leaf[0]
    return qualify_table_name(name, layout, role, namespace)


def _layout_of_folders(files: RootFiles) -> Layout | None:
    names = list_table_folders(files)
    if any(name.split(".")[0] in NAMESPACES for name in names if "." in name):
        return "namespaced"
    return "flat" if names else None
