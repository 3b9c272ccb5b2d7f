"""Pages of plates, datasets and campaigns beside the warehouse: one HTML file, its pictures and a summary each, replaced by rename.

A page ends with a comment that says what it was made from, so that a page of older tables is known.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from urllib.parse import quote

from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.model.identity import campaign_name, dimension_of
from bioimage_assets.core.page_html import MADE_HERE
from bioimage_assets.core.storage.page_files import write_file
from bioimage_assets.core.storage.plate_table import Page, PageSummary

_MARK = re.compile(rb"<!-- fingerprint (\w+) -->\n\Z")
_MARK_BYTES = 200
PAGE_FOLDERS = {"plate": "plates", "dataset": "datasets", "campaign": "campaigns"}
INDEX = "index.html"
"""The page of all pages, in the folder of reports."""


def locate_page(reports_dir: Path, partition: str) -> Path:
    """Where the page of a plate (``dataset/plate``), of a dataset or of a campaign (``campaign:name``) is."""
    return reports_dir / PAGE_FOLDERS[dimension_of(partition)] / f"{campaign_name(partition)}.html"


def locate_pictures(page: Path) -> Path:
    """The folder of a page's pictures, beside it."""
    return page.parent / f"{page.stem}_pictures"


def locate_summary(page: Path) -> Path:
    """The few numbers of a page as JSON, beside it: for the index of all pages, and for scripts."""
    return page.with_suffix(".json")


def link_page(partition: str, target: str) -> str:
    """Quoted link from the page of one plate or dataset to that of another; nothing is looked for."""
    here, there = (locate_page(Path(), key) for key in (partition, target))
    return quote(os.path.relpath(there, here.parent))


def link_index(partition: str) -> str:
    """Link from the page of a plate or dataset to the index of all pages."""
    return quote(os.path.relpath(INDEX, locate_page(Path(), partition).parent))


def read_page_fingerprint(reports_dir: Path, partition: str) -> str | None:
    """What a page was made from, None where there is no whole page."""
    try:
        with locate_page(reports_dir, partition).open("rb") as handle:
            handle.seek(max(0, handle.seek(0, os.SEEK_END) - _MARK_BYTES))
            found = _MARK.search(handle.read())
    except OSError:
        return None
    return found.group(1).decode() if found else None


def write_page(reports_dir: Path, partition: str, page: Page, fingerprint: str, run_id: str) -> Path:
    """Write page, pictures and summary by rename, the page last: it never points at half a file.

    Pictures of an older page that this one could not draw are removed: a reader would take them for those of this plate now.

    Raises
    ------
    BioimageError
        The folder cannot be written, or the disk is full.
    """
    path = locate_page(reports_dir, partition)
    folder = locate_pictures(path)
    made_at = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    with page_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        for name, png in page.pictures.items():
            write_file(folder / f"{name}.png", png)
        write_file(locate_summary(path), _write_summary(partition, page.summary, made_at, run_id))
        html = page.html.replace(MADE_HERE, _describe_making(made_at, run_id), 1)
        mark = f"<!-- fingerprint {fingerprint} -->\n"
        write_file(path, (html + mark).encode("utf-8", "replace"))
        for name in page.picture_names - page.pictures.keys():
            (folder / f"{name}.png").unlink(missing_ok=True)
    return path


def remove_page(reports_dir: Path, partition: str) -> None:
    """Remove a page with its pictures and summary; what is not there is no error."""
    path = locate_page(reports_dir, partition)
    folder = locate_pictures(path)
    with page_errors(path):
        path.unlink(missing_ok=True)
        locate_summary(path).unlink(missing_ok=True)
        for picture in folder.glob("*.png"):
            picture.unlink(missing_ok=True)
        with suppress(OSError):  # somebody's own files stay
            folder.rmdir()


@contextmanager
def page_errors(path: Path) -> Iterator[None]:
    """Turn what the disk refuses into an error that says what to do."""
    try:
        yield
    except OSError as error:
        raise BioimageError(
            f"The page {path} cannot be written: {error.strerror or error}. Free space there, or name another folder of "
            "pages in BIOIMAGE_REPORTS, and run again; the tables are stored."
        ) from error


def _write_summary(partition: str, summary: PageSummary, made_at: str, run_id: str) -> bytes:
    content = {"partition": partition, **asdict(summary), "made_at": made_at, "run_id": run_id}
    return (json.dumps(content, indent=1) + "\n").encode()


def _describe_making(made_at: str, run_id: str) -> str:
    return f'<p class="made">Made {escape(made_at)} by run {escape(run_id)}.</p>'
