"""Folders below a measurement source, in a fixed order, without descending into image stores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_STORE_SUFFIXES = (".zarr", ".ozx", ".n5")
_STORE_FILES = frozenset({".zattrs", ".zgroup", "zarr.json"})


def walk_folders(source: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Give every folder at or below ``source`` with its files, both sorted; hidden folders and Zarr stores are left out."""
    for folder, folders, files in os.walk(source):
        if _STORE_FILES & set(files):
            folders.clear()
            continue
        kept = [
            name
            for name in folders
            if not name.startswith(".") and not name.lower().endswith(_STORE_SUFFIXES)
        ]
        folders[:] = sorted(kept)
        yield Path(folder), [Path(folder, name) for name in sorted(files) if not name.startswith(".")]


def walk_files(source: Path) -> list[Path]:
    """All files at or below ``source``, sorted by path."""
    return sorted(path for _, files in walk_folders(source) for path in files)
