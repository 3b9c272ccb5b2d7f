"""Values that a key of a settings file may take: each parser gives the value, or says what was expected and what was found."""

from __future__ import annotations

import math
from collections.abc import Callable


class ValueRefusedError(Exception):
    """Raised by a value's parser with what was expected; the reader adds file and key."""


def parse_text(value: object) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueRefusedError(f"expected a text that is not empty, found {value!r}")
    return value


def parse_texts(value: object) -> tuple[str, ...]:
    """A list of texts, or one."""
    if isinstance(value, str):
        return (parse_text(value),)
    if not isinstance(value, list):
        raise ValueRefusedError(f"expected a list of texts, found {value!r}")
    return tuple(parse_text(item) for item in value)


def parse_some_texts(value: object) -> tuple[str, ...]:
    """The same, not empty."""
    texts = parse_texts(value)
    if not texts:
        raise ValueRefusedError("expected at least one text, found an empty list")
    return texts


def parse_flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueRefusedError(f"expected true or false, found {value!r}")
    return value


def parse_integer(value: object) -> int:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueRefusedError(f"expected a whole number, found {value!r}")
    return value


def parse_count(value: object) -> int:
    """A whole number from 0 on."""
    number = parse_integer(value)
    if number < 0:
        raise ValueRefusedError(f"expected 0 or more, found {number}")
    return number


def parse_above_two(value: object) -> int:
    """A whole number from 3 on."""
    number = parse_integer(value)
    if number < 3:
        raise ValueRefusedError(f"expected 3 or more, found {number}")
    return number


def parse_number(value: object, expected: str = "a number") -> float:
    """A number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueRefusedError(f"expected {expected}, found {value!r}")
    try:
        return float(value)
    except OverflowError as error:  # a whole number of hundreds of digits
        raise ValueRefusedError(f"expected {expected}, found {value!r}") from error


def parse_fraction(value: object) -> float:
    """A number from 0 to 1."""
    expected = "a number from 0 to 1"
    number = parse_number(value, expected)
    if not 0 <= number <= 1:
        raise ValueRefusedError(f"expected {expected}, found {value!r}")
    return number


def parse_from_zero(value: object) -> float:
    """A number from 0 on."""
    expected = "a number, 0 or more"
    number = parse_number(value, expected)
    if not 0 <= number < math.inf:
        raise ValueRefusedError(f"expected {expected}, found {value!r}")
    return number


def parse_above_zero(value: object) -> float:
    """A number above 0."""
    expected = "a number above 0"
    number = parse_number(value, expected)
    if not number > 0:
        raise ValueRefusedError(f"expected {expected}, found {value!r}")
    return number


def parse_one_of(*choices: str) -> Callable[[object], object]:
    """A parser of one of some words."""

    def parse(value: object) -> str:
        if value not in choices:
            raise ValueRefusedError(f"expected one of {', '.join(choices)}, found {value!r}")
        return str(value)

    return parse
