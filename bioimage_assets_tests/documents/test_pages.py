"""Every command of README.md, of the tutorials and of the how-to pages runs as it stands, in the order of the page."""

from __future__ import annotations

import pytest

from bioimage_assets_tests.documents.blocks import RUN, list_pages, read_blocks
from bioimage_assets_tests.documents.shell import Shell, split_servers

pytestmark = pytest.mark.slow

# Pages that are read from above to below. README first: it shows the demo itself.
GUIDES = ["README.md", *list_pages("docs/tutorials/*.md", "docs/how-to/*.md")]
# Of the Python API page every line is compared with what it gives: test_python_api_page.py.
REFERENCE = [
    page
    for page in list_pages("docs/*.md")
    if page != "docs/python-api.md"
    and any(block.language in RUN and not block.not_run for block in read_blocks(page))
]


def run_page(page: str, shell: Shell) -> None:
    """Type the commands of a page in their order; its Python is one session, as a reader would keep it open."""
    blocks = [block for block in read_blocks(page) if block.language in RUN and not block.not_run]
    assert blocks, f"{page}: nothing of it is run"
    session = ""
    for block in blocks:
        if block.language == "python":
            session += block.text
        if session and (block is blocks[-1] or block.language != "python"):
            shell.run_python(session, f"{page}, its Python up to line {block.line}")
            session = ""
        if block.language == "sql":
            shell.query(block.text, block.where)
        elif block.language == "sh":
            shell.type(block.text, block.where)


@pytest.mark.parametrize("page", GUIDES)
def test_a_page_that_is_followed_runs_from_its_first_command_to_its_last(page: str, shell: Shell) -> None:
    run_page(page, shell)


@pytest.mark.parametrize("page", REFERENCE)
def test_what_a_reference_page_shows_runs_on_the_demo(page: str, shell: Shell) -> None:
    run_page(page, shell)


def test_servers_are_told_from_commands_that_end() -> None:
    block = "make demo  # first\n.venv/bin/bioimage-assets browse   # look\nmake ui\nbioimage-assets status\n"
    assert list(split_servers(block)) == [
        ("make demo  # first", False),
        (".venv/bin/bioimage-assets browse   # look", True),
        ("make ui", True),
        ("bioimage-assets status", False),
    ]
