"""Finds the fenced blocks of a Markdown page, with their language and the reason why a block is not run."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Languages of blocks that a reader runs; others show.
RUN = frozenset({"sh", "python", "sql"})
_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>\S*)(?P<title>.*)$")
_TITLE = re.compile(r'title="([^"]+)"')
_NOT_RUN = re.compile(r"^ *<!-- not run: (?P<reason>.+?) *-->$")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: ``line`` is that of its fence, from one; ``not_run`` is empty where it is to be run.

    ``file``: where a reader puts it, by the title of the block (``title="folder/name.py"``); empty where it is typed.
    """

    page: str
    line: int
    language: str
    text: str
    not_run: str = ""
    file: str = ""

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def read_blocks(page: str) -> list[Block]:
    """Blocks of a page in their order; ``page`` is its path below the repository."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    blocks: list[Block] = []
    number = 0
    while number < len(lines):
        opened = _FENCE.match(lines[number])
        number += 1
        if opened is None:
            continue
        start, end = number, re.compile(rf"^ *{opened['ticks']}$")
        while not end.match(lines[number]):
            number += 1
        said = _NOT_RUN.match(lines[start - 2]) if start > 1 else None
        text = textwrap.dedent("\n".join(lines[start:number])) + "\n"
        title = _TITLE.search(opened["title"])
        reason, file = (said["reason"] if said else "", title[1] if title else "")
        blocks.append(Block(page, start, opened["language"], text, reason, file))
        number += 1
    return blocks


def list_pages(*patterns: str) -> list[str]:
    """Paths of the pages that fit, as they stand below the repository."""
    found = (path for pattern in patterns for path in ROOT.glob(pattern))
    return sorted(path.relative_to(ROOT).as_posix() for path in found)
