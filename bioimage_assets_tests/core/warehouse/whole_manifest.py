"""The manifest with the entries of all partitions, as versions before wrote it in one file, and the files beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.maintain_entries import list_entries_files
from bioimage_assets.core.warehouse.manifest.layout import MANIFEST_NAME, PARTITIONS_DIR
from bioimage_assets.core.warehouse.manifest.manifest_file import read_manifest
from bioimage_assets.core.warehouse.root import open_warehouse

Document = dict[str, object]


def read_whole(root: Path | str) -> dict:
    """All that a root's manifest says, with the entries that stand beside it."""
    return open_warehouse(root).manifest().to_dict()


def rewrite_whole(root: Path, edit: Callable[[dict], object]) -> None:
    """Change a manifest and write it in one file."""
    content = read_whole(root)
    edit(content)
    (root / MANIFEST_NAME).write_text(json.dumps(content))


def without_digests(text: str) -> str:
    """Names of files of entries without what no two runs share."""
    return re.sub(r"((?:bucket-[01]*|index)-)[0-9a-f]{20}\.json", r"\1.json", text)


def manifest_facts(files: RootFiles) -> Document:
    """What a manifest says of all partitions, without what no two runs share."""
    manifest = read_manifest(files)[0].to_dict()
    for name in ("generation", "warehouse_root"):
        manifest.pop(name)
    for entry in manifest["tables"]:  # type: ignore[attr-defined]
        entry.pop("updated_at", None)
        for part in entry["partitions"].values():
            part.pop("updated_at", None)
    return manifest


def leave_out_entries(files: RootFiles, names: list[str]) -> list[str]:
    """Names of a root's files without those of entries, each of which the manifest names or keeps for older ones."""
    used = list_entries_files(read_manifest(files)[0])
    entries = [name for name in names if name.startswith(f"{PARTITIONS_DIR}/")]
    assert {name for name in entries if name.endswith(".json")} <= used
    # A table keeps the folder of its entries when it gets another name.
    return [name for name in names if name not in entries]
