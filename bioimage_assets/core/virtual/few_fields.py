"""All fields of a plate in, the few that stand for them out, where pixels are read to look at a plate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Field = TypeVar("Field")


def choose_few_fields(fields: Sequence[Field]) -> list[Field]:
    """The first, the middle and the last; fewer where there are no three.

    >>> choose_few_fields("ABCDE"), choose_few_fields("AB"), choose_few_fields("")
    (['A', 'C', 'E'], ['A', 'B'], [])
    """
    last = len(fields) - 1
    return [fields[number] for number in sorted({0, last // 2, last})] if fields else []
