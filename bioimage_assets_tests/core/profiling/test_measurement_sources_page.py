"""The page of measurement sources lists every source that is read, each with the case that compares it with the library."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from bioimage_assets.core.measurements.find_sources import FoundKind
from bioimage_assets.core.measurements.model import SourceKind
from bioimage_assets_tests.core.profiling.test_profiling_sources import SOURCES

PAGE = Path(__file__).resolve().parents[3] / "docs" / "measurement-sources.md"


def _rows() -> list[list[str]]:
    """Cells of the first table of the page, without its heading."""
    table = PAGE.read_text().split("|---|---|---|---|---|---|\n")[1].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_every_kind_of_source_has_a_row() -> None:
    listed = {match for row in _rows() for match in re.findall(r"\(`([\w-]+)`\)", row[0])}
    assert listed == set(get_args(SourceKind))
    assert listed >= set(get_args(FoundKind)) - {"parquet", "csv"}


def test_every_row_names_cases_that_exist_and_every_case_has_a_row() -> None:
    cases = [re.findall(r"`(\w+)`", row[-1]) for row in _rows()]
    assert all(cases)
    assert sorted(name for names in cases for name in names) == sorted(build.__name__ for build in SOURCES)
