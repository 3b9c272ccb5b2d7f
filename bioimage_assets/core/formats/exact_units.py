"""Conversion between units without the rounding of binary fractions: 1.3e-4 mm are 0.13 µm, not 0.12999999999999998."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache


def convert_exactly(value: float, unit: float, target: float = 1.0) -> float:
    """Multiply a value by the ratio of two units as the decimal numbers that they were written as.

    >>> convert_exactly(2.99e-07, 1.0, 1e-06)
    0.299
    """
    return float(value) if unit == target else _convert(value, unit, target)


@lru_cache(maxsize=1024)
def _convert(value: float, unit: float, target: float) -> float:
    return float(Decimal(repr(value)) * Decimal(repr(unit)) / Decimal(repr(target)))
