"""What an object store's manifest has to say so that a change of several objects is one step.

Objects that a manifest does not name are rows where it knows nothing of their table, or where another tool gave
their names: such a tool put them there, or the manifest was lost. Others are what a killed writer left. So the
first change of a table enters it as it was (with no partition, if it was not there) before its objects come, and
objects of other tools are named as gone before they go.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest.layout import is_part_name
from bioimage_assets.core.warehouse.manifest.manifest_file import read_manifest
from bioimage_assets.core.warehouse.manifest.records import WarehouseManifest, WarehouseTableManifestEntry
from bioimage_assets.core.warehouse.reading.table_state import TableState


def announce_table(
    files: RootFiles,
    manifest: WarehouseManifest,
    version: str | None,
    state: TableState,
    entry: WarehouseTableManifestEntry,
) -> tuple[WarehouseManifest, str | None]:
    """Enter a table as it is now, unless that was done; give the manifest to go on from and its token.

    ``entry`` is what the table will be.
    """
    known = manifest.entry(state.table_name)
    if known is not None and known.partitions is not None:
        return manifest, version
    empty = replace(
        entry,
        partitions={},
        partition_count=None,
        partition_index=None,
        row_count=0,
        schema_file=None,
        steps={},
    )
    files.commit(None, manifest.with_entry(state.entry or empty).to_bytes(), version, None)
    return read_manifest(files)


def find_gone(files: RootFiles, state: TableState, drops: Collection[str]) -> dict[str, str]:
    """Objects of other tools that a change lets go, or an earlier one did, with their versions."""
    known = state.entry.gone_files if state.entry is not None else {}
    foreign = {name for name in drops if not is_part_name(name)} | {
        name for name in known if name in state.leftovers
    }
    versions = files.list_versions(state.folder) if foreign and not files.is_local else {}
    return {name: versions[name] for name in sorted(foreign) if name in versions}
