"""PyIceberg row filters for partition keys, and for conditions given as text."""

from __future__ import annotations

from collections.abc import Sequence

import pyparsing
from pyiceberg.expressions import AlwaysFalse, BooleanExpression, EqualTo, In, parser

from bioimage_assets.core.errors import UsageError


def partition_filter(column: str, keys: Sequence[str]) -> BooleanExpression:
    """Rows of these partitions; one ``In`` plans thousands of keys ten times faster than a chain of ``Or``."""
    distinct = set(keys)
    if not distinct:
        return AlwaysFalse()
    if len(distinct) == 1:
        return EqualTo(column, next(iter(distinct)))  # type: ignore[call-arg,arg-type]
    return In(column, distinct)  # type: ignore[call-arg,arg-type]


def parse_filter(text: str | BooleanExpression) -> BooleanExpression:
    """Read a filter such as ``"well_id = 'A01' and level_count > 1"``; UsageError where it cannot be read."""
    if not isinstance(text, str):
        return text
    try:
        return parser.parse(text)
    except (pyparsing.ParseBaseException, ValueError, TypeError) as error:
        raise UsageError(f"Row filter {text!r} cannot be read: {error}") from error
