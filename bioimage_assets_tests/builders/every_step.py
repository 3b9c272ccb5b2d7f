"""Work that ends before its first step, its second, … or is refused one, without waiting for chance.

What a step is, says who watches: a change of the disk, a request to a bucket, a commit.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

Before = Callable[[int, str], None]
"""Called before each step with its number and name; it may raise in its place."""


class Killed(BaseException):
    """The process ends here: no clean-up of its own reaches the disk any more."""


class Steps:
    """Counts the steps that a block takes; ``before`` may raise in place of one."""

    def __init__(self, before: Before) -> None:
        self.names: list[str] = []
        self._before = before

    def take(self, name: str) -> None:
        """Note one step."""
        self.names.append(name)
        self._before(len(self.names), name)


def kill_at(number: int) -> Before:
    """End the process before a step: that one and all that would follow do not happen."""

    def before(count: int, name: str) -> None:
        if count >= number:
            raise Killed(name)

    return before


Watch = Callable[[Before], AbstractContextManager[Steps]]


@dataclass(frozen=True)
class Trial:
    """The same work done once more: the step that it was stopped before, or refused, and what it was done to.

    ``said`` is the error that it ended with.
    """

    number: int
    steps: list[str]
    place: Any
    said: str = ""

    @property
    def step(self) -> str:
        """What did not happen; empty where the work came through."""
        return "".join(self.steps[self.number - 1 : self.number])

    @contextmanager
    def told(self) -> Iterator[None]:
        """Say with a failure where it was met."""
        try:
            yield
        except AssertionError as error:
            raise AssertionError(f"step {self.number}: {self.step}, said {self.said!r}") from error


def _let_go() -> None:
    """Close what a stopped process would have held: Python 3.12 and newer keep its frames until they are collected."""
    if sys.version_info >= (3, 12):
        gc.collect()


def stop_at_each(watch: Watch, begin: Callable[[], Any], act: Callable[[Any], object]) -> Iterator[Trial]:
    """Do the same work on a new place again and again, ended before its first step, its second, … until it comes through."""
    number, is_stopped = 0, True
    while is_stopped:
        number += 1
        place = begin()
        with watch(kill_at(number)) as steps:
            try:
                act(place)
                is_stopped = False
            except Killed:
                pass
        _let_go()
        yield Trial(number, steps.names, place)


def refuse_each(
    watch: Watch,
    refuse: Callable[[int], Before],
    begin: Callable[[], Any],
    act: Callable[[Any], object],
    error: type[Exception],
) -> Iterator[Trial]:
    """Do the same work on a new place again and again, refused its first step, its second, … until there is none to refuse.

    ``error`` is what the work may say of it.
    """
    number, steps = 0, None
    while steps is None or len(steps.names) >= number:
        number += 1
        place, said = begin(), ""
        with watch(refuse(number)) as steps:
            try:
                act(place)
            except error as answer:
                said = str(answer)
        yield Trial(number, steps.names, place, said)
