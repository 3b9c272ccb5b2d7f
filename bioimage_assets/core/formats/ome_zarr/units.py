"""Factors from units of NGFF axes to micrometres and seconds.

Source of truth: UDUNITS-2 names as NGFF lists them, https://ngff.openmicroscopy.org/0.5/index.html#axes-md
"""

from __future__ import annotations

from math import isfinite

from bioimage_assets.core.formats.exact_units import convert_exactly

_PREFIXES = {
    "yocto": 1e-24, "zepto": 1e-21, "atto": 1e-18, "femto": 1e-15, "pico": 1e-12, "nano": 1e-9, "micro": 1e-6,
    "milli": 1e-3, "centi": 1e-2, "deci": 1e-1, "": 1.0, "deca": 1e1, "hecto": 1e2, "kilo": 1e3, "mega": 1e6,
    "giga": 1e9, "tera": 1e12, "peta": 1e15, "exa": 1e18, "zetta": 1e21, "yotta": 1e24,
}  # fmt: skip

_LENGTH_M = {
    **{f"{prefix}{word}": factor for prefix, factor in _PREFIXES.items() for word in ("meter", "metre")},
    "angstrom": 1e-10, "foot": 0.3048, "inch": 0.0254, "mile": 1609.344, "parsec": 3.0856775814913673e16, "yard": 0.9144,
    "m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "micron": 1e-6, "nm": 1e-9, "pm": 1e-12,
}  # fmt: skip

_TIME_S = {
    **{f"{prefix}second": factor for prefix, factor in _PREFIXES.items()},
    "minute": 60.0, "hour": 3600.0, "day": 86400.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "min": 60.0, "h": 3600.0,
}  # fmt: skip


def _find(factors: dict[str, float], unit: str | None) -> float | None:
    """Factor of a unit; words may be in capitals or plural (``Micrometers``), symbols may not (``MS``)."""
    name = unit or ""
    if name not in factors and len(name) > 4:
        name = name.lower()
        name = name if name in factors else name.removesuffix("s")
    return factors.get(name)


def length_in_um(value: float, unit: str | None) -> float | None:
    """Convert a length to µm; None where the unit is missing or unknown, or the length beyond all numbers."""
    factor = _find(_LENGTH_M, unit)
    if factor is None:
        return None
    length = convert_exactly(value, factor, 1e-6)
    return length if isfinite(length) else None


def time_in_s(value: float, unit: str | None) -> float | None:
    """Convert a duration to seconds; None where the unit is missing or unknown."""
    factor = _find(_TIME_S, unit)
    return None if factor is None else convert_exactly(value, factor)
