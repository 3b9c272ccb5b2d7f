"""Blocks of the pages say what they are; what is not run says why; settings can be read."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterator

import click
import pytest

from bioimage_assets.cli.main import PROGRAM, program
from bioimage_assets.core.discovery.campaigns import parse_campaigns
from bioimage_assets.core.discovery.dataset_file import parse_dataset_settings
from bioimage_assets.core.findings import Finding
from bioimage_assets_tests.documents.blocks import RUN, Block, list_pages, read_blocks

PAGES = list_pages(
    "README.md",
    "CONTRIBUTING.md",
    "deploy/**/*.md",
    "docs/*.md",
    "docs/tutorials/*.md",
    "docs/how-to/*.md",
    "docs/explanation/*.md",
)
BLOCKS = [block for page in PAGES for block in read_blocks(page)]
SHOWN = {"text", "toml", "yaml", "csv"}


def in_language(*names: str) -> list[object]:
    return [pytest.param(block, id=block.where) for block in BLOCKS if block.language in names]


def test_every_block_says_its_language():
    assert len(BLOCKS) > 150
    assert [block.where for block in BLOCKS if block.language not in RUN | SHOWN] == []


def test_a_block_that_is_not_run_says_why_in_words():
    left_out = [block for block in BLOCKS if block.not_run]
    print("\n".join(f"{block.where}: {block.not_run}" for block in left_out))
    assert [block.where for block in left_out if len(block.not_run.split()) < 2] == []
    assert [block.where for block in left_out if block.language not in RUN] == []


@pytest.mark.parametrize("block", in_language("toml"))
def test_settings_that_a_page_shows_are_accepted(block: Block):
    tables = tomllib.loads(block.text)
    if "campaigns" in tables:
        found = list(parse_campaigns(block.text, block.where))
        assert found
        assert [one.message for one in found if isinstance(one, Finding)] == []
    else:
        parse_dataset_settings(block.text, block.where)


def join_lines(text: str) -> Iterator[str]:
    """Lines as a shell takes them: one that ends in a backslash, or within quotes, goes on in the next."""
    waiting = ""
    for line in text.replace("\\\n", " ").splitlines():
        waiting = f"{waiting}\n{line}" if waiting else line
        if has_even_quotes(waiting):
            yield waiting
            waiting = ""
    assert not waiting, f"a quote that is not closed: {waiting}"


def has_even_quotes(text: str) -> bool:
    """Whether what is begun in quotes ends in them."""
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return False
    return True


def list_commands(block: Block) -> list[list[str]]:
    """Words of each `bioimage-assets` call of a block; what a shell puts in place of a variable stands for itself."""
    calls = []
    for line in join_lines(block.text):
        words = shlex.split(line, comments=True)
        if words and words[0].rpartition("/")[2] == PROGRAM:
            ends = (n for n, word in enumerate(words) if word in ("|", ">", "&&", "&"))
            calls.append(words[1 : next(ends, None)])
    return calls


@pytest.mark.parametrize("block", in_language("sh"))
def test_commands_that_a_page_shows_exist_with_their_options(block: Block):
    for name, *words in (words for words in list_commands(block) if not words[0].startswith("-")):
        command = program.get_command(click.Context(program), name)
        assert command is not None, f"{block.where}: there is no command {name}"
        if "--help" not in words:
            command.make_context(name, words)  # refuses what is no option of it; nothing is run
