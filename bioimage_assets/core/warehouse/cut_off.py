"""A change whose writer was killed, for readers who may not finish it: the manifest that fits the files as they lie.

A change of one table is one step, so the table's folder is as before or as after it; only the manifest may be
behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.warehouse.files import RootFiles
from bioimage_assets.core.warehouse.layout import JOURNAL_NAME, STAGING_DIR
from bioimage_assets.core.warehouse.manifest import WarehouseManifest, WarehouseTableManifestEntry
from bioimage_assets.core.warehouse.manifest_file import read_manifest


def read_cut_off(files: RootFiles, journal: bytes) -> WarehouseManifest:
    """Give the manifest of a local root with its journal taken into account; nothing is written.

    Raises
    ------
    WarehouseError
        The change was to be several steps (a conversion of the layout, or folders that cannot be exchanged
        here), so that it may be half done.
    """
    manifest, _ = read_manifest(files)
    content = orjson.loads(journal)
    is_done = None if "moves" in content else _is_done(Path(files.uri), content)
    if is_done is None:
        raise WarehouseError(
            f"A change of {files.uri} was cut off half-way, and finishing it needs the right to write there. "
            f"Let someone who has it open the root, for example with `bioimage-assets maintain` ({JOURNAL_NAME})."
        )
    entry = content.get("entry")
    if not is_done or not isinstance(entry, dict):
        return manifest
    return manifest.with_entry(WarehouseTableManifestEntry.from_dict(entry))


def _is_done(root: Path, journal: Mapping[str, object]) -> bool | None:
    """Whether the one step of a change was done; None where it has several."""
    folder, work = root / str(journal["folder"]), root / STAGING_DIR / str(journal["work"])
    puts, drops = journal["puts"], journal["drops"]
    assert isinstance(puts, Mapping)
    assert isinstance(drops, Sequence)
    if "exchange" in journal:
        return folder.stat().st_ino == journal["exchange"]
    if "appears" in journal:
        return (root / str(journal["appears"])).exists()
    if len(puts) + len(drops) > 1:
        return None
    return not any((work / str(staged)).exists() for staged in puts.values()) and not any(
        (folder / str(name)).exists() for name in drops
    )
