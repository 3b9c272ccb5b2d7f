"""The pages that name tests as their proof name tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
_NAMED = re.compile(r"`(?:(?P<file>test_\w+\.py)|…)::(?P<test>test_\w+)`")


@pytest.mark.parametrize("page", ["stores.md", "security.md", "measurement-sources.md"])
def test_every_test_that_a_page_names_is_in_its_file(page: str) -> None:
    files = {path.name: path.read_text() for path in (ROOT / "bioimage_assets_tests").rglob("test_*.py")}
    current, missing, count = "", [], 0
    for match in _NAMED.finditer((ROOT / "docs" / page).read_text()):
        current, count = match["file"] or current, count + 1
        if f"def {match['test']}(" not in files.get(current, ""):
            missing.append(f"{current}::{match['test']}")
    assert count > 10
    assert missing == []
