"""Lengths and times of OME-XML, ImageJ and TIFF tags, converted to µm and seconds.

Source of truth: UnitsLength and UnitsTime of the OME schema 2016-06 (https://www.openmicroscopy.org/Schemas/OME/2016-06/ome.xsd).
"""

from __future__ import annotations

import math
from functools import lru_cache

from bioimage_assets.core.formats.exact_units import convert_exactly

_UM_PER = {
    "ym": 1e-18, "zm": 1e-15, "am": 1e-12, "fm": 1e-9, "pm": 1e-6, "nm": 1e-3, "µm": 1.0, "um": 1.0, "micron": 1.0,
    "microns": 1.0, "micrometer": 1.0, "micrometre": 1.0, "micrometers": 1.0, "micrometres": 1.0, "mm": 1e3, "cm": 1e4, "dm": 1e5, "m": 1e6, "dam": 1e7,
    "hm": 1e8, "km": 1e9, "in": 25400.0, "inch": 25400.0, "inches": 25400.0, "ft": 304800.0, "yd": 914400.0,
    "thou": 25.4, "li": 25400.0 / 12, "pt": 25400.0 / 72, "å": 1e-4, "angstrom": 1e-4,
}  # fmt: skip
_SECONDS_PER = {
    "as": 1e-18, "fs": 1e-15, "ps": 1e-12, "ns": 1e-9, "µs": 1e-6, "us": 1e-6, "ms": 1e-3, "cs": 1e-2, "ds": 1e-1,
    "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0, "d": 86400.0,
}  # fmt: skip
_MICRO_SPELLINGS = (("\u03bc", "µ"), ("\\u00B5", "µ"), ("\\u00b5", "µ"), ("Âµ", "µ"))


def _normalize_unit(unit: str) -> str:
    for spelling, micro in _MICRO_SPELLINGS:
        unit = unit.replace(spelling, micro)
    return unit.strip().lower() if len(unit.strip()) > 2 or unit.strip() in ("Å",) else unit.strip()


@lru_cache(maxsize=256)
def um_per(unit: str) -> float | None:
    """Micrometres that a unit of length has; None where it is none."""
    return _UM_PER.get(_normalize_unit(unit))


@lru_cache(maxsize=256)
def seconds_per(unit: str) -> float | None:
    """Seconds that a unit of time has; None where it is none."""
    return _SECONDS_PER.get(_normalize_unit(unit))


def length_um(value: float | None, unit: str | None) -> float | None:
    """Length in µm; None for no value, an unknown unit (``pixel``, ``reference frame``) or no positive number."""
    if value is None or not math.isfinite(value) or value <= 0:
        return None
    factor = um_per(unit or "µm")
    return None if factor is None else convert_exactly(value, factor)


def duration_s(value: float | None, unit: str | None) -> float | None:
    """Duration in seconds; None for no value, an unknown unit or no positive number."""
    if value is None or not math.isfinite(value) or value <= 0:
        return None
    factor = seconds_per(unit or "s")
    return None if factor is None else convert_exactly(value, factor)


def read_number(text: str | None) -> float | None:
    """Finite number of a text, None where it is none."""
    try:
        value = math.nan if text is None else float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def to_unit(value: float | None, factor: float) -> float | None:
    """A value, which may be zero or negative, times the factor of its unit; None where no number is so large."""
    if value is None or factor == 1.0:
        return value
    converted = convert_exactly(value, factor)
    return converted if math.isfinite(converted) else None


def position_um(value: float | None, unit: str | None) -> float | None:
    """Place along an axis in µm, zero and negative ones too; None for no value or a unit that is no length or missing."""
    factor = None if unit is None else um_per(unit)
    return None if factor is None else to_unit(value, factor)


def wavelength_nm(value: float | None, unit: str | None) -> float | None:
    """Wavelength in nm, the unit where none is given; None for no value, an unknown unit or no positive number."""
    factor = um_per(unit or "nm")
    if value is None or factor is None or not 0 < value < math.inf:
        return None
    return convert_exactly(value, factor, _UM_PER["nm"])
