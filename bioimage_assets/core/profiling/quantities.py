"""Which platemap columns are quantities, and their numbers.

A quantity has one type on every plate: words among its numbers are null there and kept in a text column beside it,
``<column>_as_written``, so that plates still fit into one table and no treatment is lost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.text_files.missing_words import is_missing_value

AS_WRITTEN = "_as_written"
# A column is a quantity by its name, so that its type is the same on every plate; ids made of digits stay text.
_QUANTITY = re.compile(
    r"conc|dose|dosage|_(?:um|nm|mm|pm|h|hr|hrs|hours|min|ug|mg|ml|ul)$|time|volume|amount", re.IGNORECASE
)
_NUMBER = re.compile(r"[+-]?(?:[0-9]++\.?[0-9]*+|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_LIKE_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")


def is_quantity(name: str) -> bool:
    """Tell by a column's name whether it holds amounts: concentrations, doses, times, volumes."""
    return _QUANTITY.search(name) is not None


def read_quantity(text: str | None) -> float | None:
    """Number of a text, with a decimal point or comma; None where it is none."""
    if text is None:
        return None
    plain = text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text
    return float(plain) if _NUMBER.fullmatch(plain) else None


def build_column(
    name: str, values: Sequence[str | None], plate_name: str, uri: str
) -> tuple[dict[str, pa.Array], list[Finding]]:
    """One column of text or numbers, and a second one with the words of a quantity where it has any."""
    if not is_quantity(name):
        return {name: pa.array(values, pa.string())}, []
    numbers = [read_quantity(value) for value in values]
    words = [
        value if number is None and value is not None and not is_missing_value(value) else None
        for value, number in zip(values, numbers, strict=True)
    ]
    found = list(dict.fromkeys(word for word in words if word is not None))
    if not found:
        return {name: pa.array(numbers, pa.float64())}, _comma_findings(name, values, plate_name, uri)
    listed = ", ".join(repr(word) for word in found[:4])
    if all(number is None for number in numbers):
        message = (
            f"Column {name!r} of plate {plate_name!r} should hold numbers and holds none, but {listed}; it is kept as text. "
            "Write numbers, or give the column a name without a unit; two plates must agree."
        )
        return {name: pa.array(values, pa.string())}, [
            Finding("quantity-is-text", "warning", name, message, uri)
        ]
    beside = f"{name}{AS_WRITTEN}"
    toml = ", ".join(f'"{word}"' for word in found[:4])
    message = (
        f"Column {name!r} of plate {plate_name!r} holds numbers, and {sum(word is not None for word in words)} value(s) "
        f"that are none: {listed}. They are null there and kept in {beside}, which tells treatments apart. Write "
        f"numbers; or, if they mean no value, [platemaps] missing = [{toml}] in dataset.toml."
    )
    columns = {name: pa.array(numbers, pa.float64()), beside: pa.array(words, pa.string())}
    return columns, [Finding("quantity-not-a-number", "warning", name, message, uri)]


def _comma_findings(name: str, values: Sequence[str | None], plate_name: str, uri: str) -> list[Finding]:
    """A finding where every comma could stand for thousands as well as for decimals."""
    commas = [value for value in values if value is not None and "," in value]
    if not commas or not all(_LIKE_THOUSANDS.fullmatch(value) for value in commas):
        return []
    message = (
        f"{commas[0]!r} in column {name!r} of plate {plate_name!r} is read with a decimal comma, as "
        f"{read_quantity(commas[0]):g}. Write thousands without a comma if that is wrong."
    )
    return [Finding("quantity-comma", "warning", name, message, uri)]
