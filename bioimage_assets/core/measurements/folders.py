"""Folders below a measurement source, in a fixed order, without descending into image stores."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.model.file_kinds import (
    COMPRESSIONS,
    MEASUREMENT_SUFFIXES,
    PLATEMAP_SUFFIXES,
    STORE_FOLDER_SUFFIXES,
    ZARR_ROOT_DOCUMENTS,
    has_suffix,
)

# Images are not opened by these readers, and there may be many: only names of tables are looked at.
_TABLE_SUFFIXES = (*MEASUREMENT_SUFFIXES, *PLATEMAP_SUFFIXES, ".gz", ".json")

_TOLD_SUFFIXES = (".csv", *COMPRESSIONS)


def walk_folders(source: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Give every folder at or below ``source`` with its files, both sorted; hidden folders and Zarr stores are left out."""
    for folder, folders, files in os.walk(source):
        if not set(ZARR_ROOT_DOCUMENTS).isdisjoint(files):
            folders.clear()
            continue
        kept = [
            name
            for name in folders
            if not name.startswith(".") and not has_suffix(name, STORE_FOLDER_SUFFIXES)
        ]
        folders[:] = sorted(kept)
        found = [Path(folder, name) for name in sorted(files) if not name.startswith(".")]
        # Those that a finding tells, so that the others are read, are looked at by their readers.
        refuse_pipes(path for path in found if not has_suffix(path.name, _TOLD_SUFFIXES))
        yield Path(folder), found


def refuse_pipes(paths: Iterable[Path]) -> None:
    """MeasurementError for a table that is a pipe, socket or device: whoever opens one may wait without end."""
    for path in paths:
        if (
            has_suffix(path.name, _TABLE_SUFFIXES)
            and not path.is_file()
            and path.exists()
            and not path.is_dir()
        ):
            raise MeasurementError(
                f"{path}: expected a file, found a pipe, socket or device. Put the table in its place, or remove it."
            )


def walk_files(source: Path) -> list[Path]:
    """All files at or below ``source``, sorted by path."""
    return sorted(path for _, files in walk_folders(source) for path in files)
