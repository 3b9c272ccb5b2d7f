"""The Python reference has every public name, and its docstrings are on the page of the site."""

import html
import re
from pathlib import Path

import pytest

from bioimage_assets import PUBLIC_NAMES
from bioimage_assets_tests.docs_site.conftest import ROOT

PAGE = ROOT / "docs" / "reference" / "python.md"


def test_every_public_name_is_on_the_page_once() -> None:
    written = re.findall(r"^::: (\S+)$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert sorted(written) == sorted(f"{module}.{name}" for name, module in PUBLIC_NAMES.items())


@pytest.mark.slow
def test_the_page_of_the_site_shows_what_the_docstrings_say(site: Path) -> None:
    page = (site / "reference" / "python.html").read_text("utf-8")
    shown = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())
    assert "pixel data are never read" in shown
    silent = [name for name in PUBLIC_NAMES if f" {name} (" not in shown and f" {name} " not in shown]
    assert not silent
