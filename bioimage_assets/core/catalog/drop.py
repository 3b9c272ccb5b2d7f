"""Take a table out of the catalog, with its rows, its snapshots and the files that are its own."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from datetime import UTC, datetime

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.table import Table

from bioimage_assets.core.catalog.locks import commit_lock
from bioimage_assets.core.catalog.lost_files import read_presence
from bioimage_assets.core.catalog.retry import catalog_errors
from bioimage_assets.core.catalog.session import Identifier, list_leaf_names, parse_identifier
from bioimage_assets.core.catalog.unreferenced_files import (
    OLDER_FILES_PROPERTY,
    StoredFile,
    list_files,
    referenced_paths,
)
from bioimage_assets.core.model.results import DroppedTable


def drop_catalog_table(
    catalog: Catalog, identifier: str | Sequence[str], *, dry_run: bool = True
) -> DroppedTable | None:
    """Remove a table; None where there is none of that name.

    The catalog forgets it first, then the files below its location go: those of another table in the same place, of a
    table that was there before it, and whatever is reached through a link stay. A killed removal leaves files that
    nothing names.

    Raises
    ------
    CatalogError
        The table's metadata lie elsewhere than they say: whose the files are cannot be told. Nothing is removed.
    """
    parts = parse_identifier(identifier)
    name = ".".join(parts)
    with catalog_errors(f"Dropping {name}"), commit_lock(catalog, parts):
        found = read_presence(catalog, parts)
        if found.is_missing:
            return None
        if found.unreadable is not None:
            # Which files it had is lost with its metadata: a copy may bring them back.
            if not dry_run:
                catalog.drop_table(parts)
            return DroppedTable(
                "catalog", name, is_dry_run=dry_run, note=f"{found.unreadable}; its files stay"
            )
        table = catalog.load_table(parts)
        files = _own_files(catalog, parts, table)
        if not dry_run:
            catalog.drop_table(parts)
            for file in files:
                _delete(table, file)
    return DroppedTable(
        "catalog",
        name,
        row_count=sum(found.rows.values()),
        snapshot_count=len(table.metadata.snapshots),
        file_count=len(files),
        bytes=sum(file.size_bytes for file in files),
        location=table.location(),
        is_dry_run=dry_run,
    )


def _own_files(catalog: Catalog, parts: Identifier, table: Table) -> list[StoredFile]:
    """Files below the location that belong to nobody else."""
    made_at = datetime.fromtimestamp(int(table.properties.get(OLDER_FILES_PROPERTY, 0)) / 1000, UTC)
    named = referenced_paths(table)
    neighbours = list(_tables_at(catalog, parts, table))
    taken = {path for other in neighbours for path in referenced_paths(other)}
    return [
        file
        for file in list_files(table)
        if file.path not in taken
        # What this table does not name may be of a table before it, or of a write of the neighbour.
        and (
            file.path in named
            or (not neighbours and file.modified_at is not None and file.modified_at >= made_at)
        )
    ]


def _tables_at(catalog: Catalog, parts: Identifier, table: Table) -> list[Table]:
    """Other tables of the namespace with the same location: a renamed one keeps the place of its first name."""
    place = posixpath.normpath(table.location())
    found = []
    for leaf in list_leaf_names(catalog, parts[:-1]):
        if leaf == parts[-1]:
            continue
        try:
            other = catalog.load_table((*parts[:-1], leaf))
        except (NoSuchTableError, NoSuchNamespaceError):
            continue
        if posixpath.normpath(other.location()) == place:
            found.append(other)
    return found


def _delete(table: Table, file: StoredFile) -> None:
    try:
        table.io.delete(file.uri)
    except FileNotFoundError:  # the catalog's server has removed it along with the table
        return
