"""Finding codes, variables and keys that pages name exist. Their commands: documents/test_blocks.py."""

import re
from pathlib import Path

import pytest

from bioimage_assets.core.finding_codes.catalogue import list_codes
from bioimage_assets.core.settings.dataset_keys import DATASET_KEYS
from bioimage_assets.core.settings.project import SETTINGS
from bioimage_assets_tests.docs_site.conftest import ROOT

PAGES = sorted(
    path for folder in ("", "tutorials", "how-to") for path in (ROOT / "docs" / folder).glob("*.md")
)
# Pages whose code words with a hyphen are finding codes, or commands and packages.
_PLAIN = [
    path for path in PAGES if path.parent.name in ("tutorials", "how-to") or path.name == "troubleshooting.md"
]
_NO_CODES = {
    "bioimage-assets",
    "init-dataset",
    "example-data",
    "dagster-daemon",
    "validate-warehouse",
    "export-anndata",
    "my-screen",
    "screen-b",
}


@pytest.mark.parametrize("page", _PLAIN, ids=lambda page: page.name)
def test_finding_codes_of_a_page_exist(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    written = set(re.findall(r"`([a-z]+(?:-[a-z0-9]+)+)`", text)) - _NO_CODES
    assert not written - set(list_codes())


def test_variables_and_keys_of_the_pages_exist() -> None:
    variables = {variable for variable, _ in SETTINGS.values()} | {
        "BIOIMAGE_EXECUTOR",
        "BIOIMAGE_CYTOTABLE_PYTHON",
    }
    keys = {(key.table, key.name) for key in DATASET_KEYS}
    for page in _PLAIN:
        text = page.read_text("utf-8")
        used = set(re.findall(r"BIOIMAGE_[A-Z]+(?:_[A-Z]+)*", text))
        assert not {name for name in used - variables if not name.startswith("BIOIMAGE_STORAGE_")}, page.name
        stated = re.findall(r"`\[([a-z_.]+)\] ([a-z_]+)(?: = [^`]*)?`", text)
        assert not [pair for pair in stated if pair not in keys], page.name
