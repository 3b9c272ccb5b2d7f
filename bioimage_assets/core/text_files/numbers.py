"""What numbers look like in a text table: with a decimal point or comma, whole ones that 64 bits hold."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bioimage_assets.core.text_files.missing_words import is_missing

_WHOLE_NUMBER = re.compile(r"[+-]?\d{1,19}")
_INT64 = range(-(2**63), 2**63)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")


def is_number(text: str, decimal_point: str = ".") -> bool:
    """Tell whether a text is a number, NaN and infinities included."""
    return parse_number(text, decimal_point) is not None


def parse_number(text: str, decimal_point: str = ".") -> float | None:
    """Value of a text, None where it is not a number."""
    try:
        return float(text.replace(decimal_point, ".") if decimal_point != "." else text)
    except ValueError:
        return None


def parse_wholes(texts: Iterable[str], decimal_point: str = ".") -> tuple[list[int | None], int]:
    """Whole numbers of texts (``7``, ``7.0``), and how many texts are neither missing, NaN included, nor whole.

    A half becomes null, and a number beyond 64 bits: it must not become another number.
    """
    values: list[int | None] = []
    failures = 0
    for text in texts:
        values.append(None if is_missing(text) else _parse_whole(text, decimal_point))
        failures += values[-1] is None and not is_missing(text) and text.strip().lower() != "nan"
    return values, failures


def _parse_whole(text: str, decimal_point: str) -> int | None:
    """A whole number that a column of 64 bits holds; digits are read as they are, since a float keeps sixteen of them."""
    if _WHOLE_NUMBER.fullmatch(text.strip()):
        whole = int(text)
    else:
        number = parse_number(text, decimal_point)
        if number is None or not number.is_integer():
            return None
        whole = int(number)
    return whole if whole in _INT64 else None


def has_decimal_comma(text: str) -> bool:
    """Tell a number as Central European spreadsheets write it: ``12,5``."""
    return _DECIMAL_COMMA.fullmatch(text.strip()) is not None
