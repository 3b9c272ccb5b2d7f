"""The manifest that fits the files after a writer was killed, for readers who may not finish its change.

A change of one table is one step, so the table's folder is as before or as after it; only the manifest may be
behind.
"""

from __future__ import annotations

from pathlib import Path

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.warehouse.changes.change_record import MovesRecord, TableRecord, parse_record
from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest.layout import JOURNAL_NAME, STAGING_DIR
from bioimage_assets.core.warehouse.manifest.manifest_file import read_manifest
from bioimage_assets.core.warehouse.manifest.records import WarehouseManifest, WarehouseTableManifestEntry
from bioimage_assets.core.warehouse.manifest.stored_partitions import open_partitions_of


def read_interrupted_change(files: RootFiles, journal: bytes) -> WarehouseManifest:
    """Give the manifest of a local root with its journal taken into account; nothing is written.

    Raises
    ------
    WarehouseError
        The change was to be several steps (a conversion of the layout, or folders that cannot be exchanged
        here), so that it may be half done.
    """
    manifest, _ = read_manifest(files)
    record = parse_record(journal)
    if record is None:
        # Nobody's change: the next writer removes it.
        return manifest
    is_done = None if isinstance(record, MovesRecord) else _is_done(Path(files.uri), record)
    if is_done is None:
        raise WarehouseError(
            f"A change of {files.uri} was cut off half-way, and finishing it needs the right to write there. "
            f"Let someone who has it open the root, for example with `bioimage-assets maintain` ({JOURNAL_NAME})."
        )
    if not is_done or isinstance(record, MovesRecord) or record.entry is None:
        return manifest
    return manifest.with_entry(WarehouseTableManifestEntry.from_dict(record.entry, open_partitions_of(files)))


def _is_done(root: Path, record: TableRecord) -> bool | None:
    """Whether the one step of a change was done; None where it has several."""
    folder, work = root / record.folder, root / STAGING_DIR / record.work
    if record.exchange is not None:
        # A folder keeps its inode through an exchange: it says which of the two stands there.
        return folder.exists() and folder.stat().st_ino == record.exchange
    if record.appears is not None:
        return (root / record.appears).exists()
    if len(record.puts) + len(record.drops) > 1:
        return None
    return not any((work / staged).exists() for staged in record.puts.values()) and not any(
        (folder / name).exists() for name in record.drops
    )
