"""``docs/settings.md`` is what the settings say, and leaves no variable out."""

import re
from pathlib import Path

from bioimage_assets.cli.settings_reference import build_settings_page

ROOT = Path(__file__).resolve().parents[2]
# Set by the shell's completion, not by a person.
_INTERNAL = {"BIOIMAGE_ASSETS_COMPLETE"}


def test_the_page_is_up_to_date() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    assert page == build_settings_page(), (
        "python -m bioimage_assets.cli.settings_reference > docs/settings.md"
    )


def test_every_variable_that_the_package_reads_is_on_the_page() -> None:
    page = build_settings_page()
    names = {
        name
        for path in (ROOT / "bioimage_assets").rglob("*.py")
        for name in re.findall(r"BIOIMAGE_[A-Z]+(?:_[A-Z]+)*", path.read_text())
    }
    assert len(names) > 20
    options = {name for name in names if name.startswith("BIOIMAGE_STORAGE")}  # one line for all of them
    assert not [name for name in names - options - _INTERNAL if f"`{name}`" not in page]
