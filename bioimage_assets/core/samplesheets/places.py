"""Whole places of files in, how a samplesheet names them out: folder and name on a disk, a URL anywhere else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from urllib.parse import quote


def rewrite_place(uri: str, rewrites: Sequence[tuple[str, str]]) -> str:
    """Place of a file as another machine sees it; as it is where no beginning fits.

    >>> rewrite_place("/data/P1/a.tif", [("/data", "s3://lab/raw")]), rewrite_place("s3://lab/raw/a.tif", [("s3://lab", "/mnt")])
    ('s3://lab/raw/P1/a.tif', '/mnt/raw/a.tif')
    """
    for old, new in rewrites:
        start = old.rstrip("/")
        if uri == start or uri.startswith(f"{start}/"):
            return f"{new.rstrip('/')}{uri[len(start) :]}"
    return uri


def is_on_disk(place: str) -> bool:
    """Tell a path from a URL."""
    return "://" not in place


def split_place(place: str) -> tuple[str, str]:
    """Folder and name of a path."""
    folder, _, name = place.rpartition("/")
    return folder or "/", name


def as_url(place: str) -> str:
    """A URL as it is, a path as a file's."""
    return place if not is_on_disk(place) else f"file://{quote(str(PurePosixPath(place)))}"
