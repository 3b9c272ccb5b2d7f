"""Paths and names inside a store: which are safe, which are text, how they are joined and shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

_SAFE_PATH = re.compile(r"(?!\.{1,2}(?:/|\Z))[^/\\\0]+(?:/(?!\.{1,2}(?:/|\Z))[^/\\\0]+)*")
# How Python spells bytes of a file name that are not UTF-8 (PEP 383), and half characters of JSON escapes.
_SURROGATE = re.compile("[\ud800-\udfff]")


def is_safe_path(path: str) -> bool:
    """Tell whether a path taken from metadata stays below its folder: relative, no empty, ``.`` or ``..`` part."""
    return _SAFE_PATH.fullmatch(path) is not None


def is_text(name: str) -> bool:
    r"""Tell whether a name is UTF-8 text; a disk may hold any bytes, a table only text.

    >>> is_text("pl\udce4te.tif")
    False
    """
    return name.isascii() or not _SURROGATE.search(name)


def show_name(name: str) -> str:
    """Give a name as text, with � for bytes that are none."""
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", name)


def join_path(*parts: str) -> str:
    """Join paths inside a store; empty parts vanish."""
    return "/".join(part for part in parts if part)


def count_shared_tail(first: Sequence[str], second: Sequence[str]) -> int:
    """Parts that two paths share at their ends."""
    pairs = zip(reversed(first), reversed(second), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
