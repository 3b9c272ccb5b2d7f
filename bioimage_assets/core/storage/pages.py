"""Pages of plates and datasets beside the warehouse: one HTML file and its pictures each, replaced by rename.

A page ends with a comment that says what it was made from, so that a page of older tables is known.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.storage.plate_table import Page

_MARK = re.compile(rb"<!-- fingerprint (\w+) -->\n\Z")
_MARK_BYTES = 200


def locate_page(reports_dir: Path, partition: str) -> Path:
    """Where the page of a plate (``dataset/plate``) or of a dataset is."""
    return reports_dir / ("plates" if "/" in partition else "datasets") / f"{partition}.html"


def locate_pictures(page: Path) -> Path:
    """The folder of a page's pictures, beside it."""
    return page.parent / f"{page.stem}_pictures"


def link_page(partition: str, target: str) -> str:
    """Quoted link from the page of one plate or dataset to that of another; nothing is looked for."""
    here, there = (locate_page(Path(), key) for key in (partition, target))
    return quote(os.path.relpath(there, here.parent))


def read_page_fingerprint(reports_dir: Path, partition: str) -> str | None:
    """What a page was made from, None where there is no whole page."""
    try:
        with locate_page(reports_dir, partition).open("rb") as handle:
            handle.seek(max(0, handle.seek(0, os.SEEK_END) - _MARK_BYTES))
            found = _MARK.search(handle.read())
    except OSError:
        return None
    return found.group(1).decode() if found else None


def write_page(reports_dir: Path, partition: str, page: Page, fingerprint: str) -> Path:
    """Write page and pictures by rename, pictures first: a page never points at half a file.

    Pictures of an older page that this one could not draw are removed: a reader would take them for those of this plate now.

    Raises
    ------
    BioimageError
        The folder cannot be written, or the disk is full.
    """
    path = locate_page(reports_dir, partition)
    folder = locate_pictures(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, png in page.pictures.items():
            _write_file(folder / f"{name}.png", png)
        mark = f"<!-- fingerprint {fingerprint} -->\n"
        _write_file(path, (page.html + mark).encode("utf-8", "replace"))
        for name in page.picture_names - page.pictures.keys():
            (folder / f"{name}.png").unlink(missing_ok=True)
    except OSError as error:
        raise BioimageError(
            f"The page {path} cannot be written: {error.strerror or error}. Free space there, or name another folder of "
            "pages in BIOIMAGE_REPORTS, and run again; the tables are stored."
        ) from error
    return path


def _write_file(path: Path, payload: bytes) -> None:
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        staged.write_bytes(payload)
        os.replace(staged, path)
    except OSError:
        with suppress(OSError):
            staged.unlink()
        raise
