"""Versions of what a release was made with."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from bioimage_assets.core.release.record import ReleasedTable

_OWN = ("bioimage_assets", "pyarrow", "pyiceberg", "rocrate")


def read_software(tables: Iterable[ReleasedTable]) -> dict[str, str]:
    """Versions of Python, of this package and of what it writes with, and of the libraries behind tables where all agree.

    Libraries that made rows in several versions are told table by table only.
    """
    found = {"python": platform.python_version()}
    for name in _OWN:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    behind: dict[str, set[str]] = {}
    for table in tables:
        for name, versions in table.libraries.items():
            behind.setdefault(name, set()).update(versions)
    found |= {name: next(iter(versions)) for name, versions in behind.items() if len(versions) == 1}
    return dict(sorted(found.items()))
