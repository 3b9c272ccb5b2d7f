"""Names and places of releases: one folder each, and beside it what a killed writer left of one in the making."""

from __future__ import annotations

import re
from pathlib import Path

from bioimage_assets.core.errors import UsageError

RECORD_NAME = "release.json"
CRATE_NAME = "ro-crate-metadata.json"
# The form of ``sha256sum``, which checks it without this package.
CHECKSUMS_NAME = "manifest-sha256.txt"
WAREHOUSE_DIR = "warehouse"
CATALOG_DIR = "catalog"
SETTINGS_DIR = "settings"
LOCK_NAME = ".lock"
NOW = "now"
"""Stands for the project as it is, where the name of a release is asked for."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_TAKEN = frozenset({"main", NOW})


def check_release_name(name: str) -> str:
    """The name itself; UsageError where it cannot be a folder, and a tag of Iceberg, on every system."""
    if not _NAME.fullmatch(name) or name in _TAKEN:
        raise UsageError(
            f"{name!r} cannot be the name of a release: expected letters, digits, '.', '_' and '-', at most 100, the first a "
            f"letter or digit, and neither of {', '.join(sorted(_TAKEN))}."
        )
    return name


def is_release(folder: Path) -> bool:
    """Whether a folder is a finished release."""
    return not folder.name.startswith(".") and (folder / RECORD_NAME).is_file()


def list_releases(releases_dir: Path) -> tuple[Path, ...]:
    """Folders of all finished releases, by name."""
    if not releases_dir.is_dir():
        return ()
    return tuple(sorted(folder for folder in releases_dir.iterdir() if is_release(folder)))


def staged_dir(releases_dir: Path, name: str) -> Path:
    """Folder of a release whose files are being gathered; nobody misses it."""
    return releases_dir / f".{name}.staged"


def complete_dir(releases_dir: Path, name: str) -> Path:
    """Folder of a release that is whole but for its tags in the catalog; it is finished, not made again."""
    return releases_dir / f".{name}.complete"
