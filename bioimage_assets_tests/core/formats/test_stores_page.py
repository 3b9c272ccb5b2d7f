"""The pages that name tests as their proof name tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bioimage_assets.core.formats.plate_folders.patterns import parse_name

ROOT = Path(__file__).resolve().parents[3]
_NAMED = re.compile(r"`(?:(?P<file>test_\w+\.py)|…)::(?P<test>test_\w+)`")


@pytest.mark.parametrize("page", ["broken-stores.md", "security.md", "measurement-sources.md"])
def test_every_test_that_a_page_names_is_in_its_file(page: str) -> None:
    files = {path.name: path.read_text() for path in (ROOT / "bioimage_assets_tests").rglob("test_*.py")}
    current, missing, count = "", [], 0
    for match in _NAMED.finditer((ROOT / "docs" / page).read_text()):
        current, count = match["file"] or current, count + 1
        if f"def {match['test']}(" not in files.get(current, ""):
            missing.append(f"{current}::{match['test']}")
    assert count > 10
    assert missing == []


def _instruments() -> list[tuple[str, str]]:
    """Names and what they are read as, in the first table of the page, where both are written out."""
    rows = (ROOT / "docs" / "stores.md").read_text().split("## Layouts")[0].splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows if row.startswith("| ")]
    return [(cell[1].split("`")[1], cell[2]) for cell in cells if cell[2].startswith("well ")]


def test_the_page_names_enough_instruments() -> None:
    assert len(_instruments()) >= 15


@pytest.mark.parametrize(("name", "meaning"), _instruments())
def test_each_name_of_the_table_of_instruments_is_read_as_the_table_says(name: str, meaning: str) -> None:
    if meaning.startswith("well, "):
        assert parse_name(name) is not None
        return
    parts = parse_name(name)
    assert parts is not None
    said = {
        "well": parts.well_id,
        "site": parts.site_id,
        "channel": parts.channel,
        "z": parts.z,
        "t": parts.t,
    }
    words = [part.removesuffix(" (minutes)").split(" ", 1) for part in meaning.split(", ")]
    assert words == [[key, str(value)] for key, value in said.items() if value is not None]
