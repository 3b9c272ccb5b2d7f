"""A word of a user in; the state of tables that it means out: a release, a warehouse root, a project, or the project as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.release.compare.open_catalog_state import list_catalog_state, list_released_catalog
from bioimage_assets.core.release.compare.open_warehouse_state import list_warehouse_tables
from bioimage_assets.core.release.compare.state import ComparedState
from bioimage_assets.core.release.layout import (
    NOW,
    SETTINGS_DIR,
    WAREHOUSE_DIR,
    is_release,
    list_releases,
)
from bioimage_assets.core.release.record import read_record
from bioimage_assets.core.release.verify import read_checksums
from bioimage_assets.core.settings.project import NO_CATALOG
from bioimage_assets.core.storage.tables import ProjectTables
from bioimage_assets.core.warehouse.manifest.layout import MANIFEST_NAME
from bioimage_assets.core.warehouse.root import open_warehouse

OpenProject = Callable[[Path | None], ProjectTables]
"""Opens the project of a data folder; None: that of the settings."""


def open_state(
    word: str,
    releases_dir: Path,
    open_project: OpenProject,
    storage_options: Mapping[str, object] | None = None,
) -> ComparedState:
    """Open what a word means: ``now``, the name of a release, or the place of a release, a root, or a project's data folder.

    Raises
    ------
    UsageError
        It is none of them.
    """
    if word == NOW:
        return open_project_state(open_project(None), "the project as it is")
    if "/" not in word and is_release(releases_dir / word):
        return open_release_state(releases_dir / word)
    if "://" in word and not word.startswith("file://"):
        return ComparedState(
            word, list_warehouse_tables(open_warehouse(word, storage_options=storage_options))
        )
    folder = Path(word)
    if is_release(folder):
        return open_release_state(folder)
    if (folder / MANIFEST_NAME).is_file():
        return ComparedState(word, list_warehouse_tables(open_warehouse(word)))
    if (folder / "warehouse").is_dir() or (folder / "catalog" / "catalog.db").is_file():
        return open_project_state(open_project(folder), word)
    found = ComparedState(word, list_warehouse_tables(open_warehouse(word)) if folder.is_dir() else {})
    if not found.tables:
        known = ", ".join(path.name for path in list_releases(releases_dir)) or "none"
        raise UsageError(
            f"{word!r} is neither {NOW!r} nor a release (there are: {known}, in {releases_dir}) nor the folder of a release, a "
            "warehouse root or a project with tables."
        )
    return found


def open_release_state(folder: Path) -> ComparedState:
    """A release, from its own files alone: it may be a copy on another machine."""
    record = read_record(folder)
    tables = {
        **list_released_catalog(folder, record),
        **list_warehouse_tables(open_warehouse(folder / WAREHOUSE_DIR)),
    }
    label = f"release {record.name} of {record.created_at}"
    return ComparedState(label, tables, _read_settings(folder), record.software)


def open_project_state(tables: ProjectTables, label: str) -> ComparedState:
    """A project as it is: all tables of its catalog and of its warehouse root."""
    found = dict(list_warehouse_tables(tables.warehouse))
    if tables.settings.catalog_name != NO_CATALOG and tables.is_catalog_there():
        found |= list_catalog_state(tables.open_catalog(), tables.settings.catalog_namespace)
    return ComparedState(label, found)


def _read_settings(folder: Path) -> dict[str, str]:
    """Checksums of the files of settings, as the release has them."""
    found = read_checksums(folder)
    return {path: digest for path, digest in found.items() if path.startswith(f"{SETTINGS_DIR}/")}
