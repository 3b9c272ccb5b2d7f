"""Commands, options, finding codes and variables that pages name exist; and tables of what is done name no made-up word."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bioimage_assets.cli.main import program
from bioimage_assets.core.finding_codes.catalogue import list_codes
from bioimage_assets.core.settings.dataset_keys import DATASET_KEYS
from bioimage_assets.core.settings.project import SETTINGS
from bioimage_assets_tests.docs_site.conftest import ROOT

PAGES = sorted(
    path
    for folder in ("", "tutorials", "how-to", "explanation")
    for path in (ROOT / "docs" / folder).glob("*.md")
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


def _commands(text: str) -> Iterator[list[str]]:
    """Words of each call of the program in blocks of shell code."""
    for block in re.findall(r"```(?:sh|bash)\n(.*?)```", text, re.DOTALL):
        lines = iter(block.replace("\\\n", " ").splitlines())
        for line in lines:
            found = re.match(r"\s*(?:\S*/)?bioimage-assets\s+(.*)", line)
            if found:
                words = found[1]
                while words.count('"') % 2:  # a query goes on in the next line
                    words = f"{words}\n{next(lines)}"
                yield shlex.split(words.split(" | ")[0], comments=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_of_a_page_exist(page: Path) -> None:
    for words in _commands(page.read_text("utf-8")):
        command: click.Command | None = program
        context = click.Context(program)
        rest = list(words)
        while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            command = command.get_command(context, rest.pop(0))
        assert command is not None, words
        known = {name for parameter in command.params for name in parameter.opts} | {
            "--help",
            "-h",
            "--version",
        }
        used = [word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
        assert not [word for word in used if word not in known], words


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
