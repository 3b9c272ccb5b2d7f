"""Versions of the libraries that stored tables were made with, as the manifest has them with each call."""

from __future__ import annotations

from collections.abc import Collection

from bioimage_assets.core.storage.tables import ProjectTables


def read_library_versions(
    tables: ProjectTables, names: Collection[str], partition: str
) -> dict[str, tuple[str, ...]]:
    """Versions by package, sorted, of the calls behind these tables of a plate or dataset; one bucket of entries per table is read."""
    found: dict[str, set[str]] = {}
    for name in names:
        listed = tables.warehouse.listed(name, [partition])
        part = listed.partitions.get(partition)
        for call in listed.steps.get(part.steps, ()) if part is not None and part.steps is not None else ():
            package = str(call.get("call", "")).partition(".")[0]
            found.setdefault(package, set()).add(str(call.get("version", "")))
    return {package: tuple(sorted(versions)) for package, versions in sorted(found.items())}
