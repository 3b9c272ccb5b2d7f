"""An error becomes the words of the screen: its message and, in brackets, the code that ``bioimage-assets explain`` knows."""

from __future__ import annotations

import re

from bioimage_assets.core import errors
from bioimage_assets.core.errors import BioimageError

CODES_BY_CLASS = {
    name: value.code
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, BioimageError)
}
"""Code by the name of the class; empty for classes that only gather others."""
_KNOWN = frozenset(filter(None, CODES_BY_CLASS.values()))
_AT_END = re.compile(r"\s*\(([a-z]+(?:-[a-z]+)+)\)$")


def say_error(error: BaseException) -> str:
    """The message of an error, with the code of its class where it has one."""
    return add_codes(str(error), error.code if isinstance(error, BioimageError) else "")


def add_codes(message: str, *codes: str) -> str:
    """A message with codes in one pair of brackets at its end, after the code of an error that stands there already."""
    text, own = split_code(message)
    named = ", ".join(dict.fromkeys(code for code in (own, *codes) if code))
    return f"{text} ({named})" if named else text


def split_code(message: str) -> tuple[str, str]:
    """A message without the code of an error at its end, and the code; empty where it ends with none."""
    found = _AT_END.search(message)
    if found is None or found[1] not in _KNOWN:
        return message, ""
    return message[: found.start()], found[1]
