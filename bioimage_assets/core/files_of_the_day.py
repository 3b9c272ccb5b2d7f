"""Which of many files are looked at on a given day, so that each is looked at once in a number of days."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Generic, TypeVar
from zlib import crc32

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Share(Generic[T]):
    """The files of one day; ``left_out`` are those that would have passed the limit of bytes."""

    chosen: tuple[T, ...]
    left_out: tuple[T, ...]
    size_bytes: int


def choose_share(
    files: Iterable[T],
    name_of: Callable[[T], str],
    size_of: Callable[[T], int],
    day: date,
    *,
    nights: int,
    max_bytes: int,
) -> Share[T]:
    """Files whose turn it is, by their names and the date alone, whatever files come or go meanwhile."""
    turn = day.toordinal() % max(1, nights)
    due = [file for file in files if crc32(name_of(file).encode()) % max(1, nights) == turn]
    chosen: list[T] = []
    left_out: list[T] = []
    total = 0
    for file in due:
        # One file is always read, however large: else it never would be.
        if chosen and total + size_of(file) > max_bytes:
            left_out.append(file)
            continue
        chosen.append(file)
        total += size_of(file)
    return Share(tuple(chosen), tuple(left_out), total)
