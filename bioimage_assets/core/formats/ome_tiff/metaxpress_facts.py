"""How a plane was taken, of the properties that MetaXpress and MetaMorph write into each TIFF.

Source of truth: PlaneInfo of the MetaSeries XML (``stage-position-x`` and ``z-position`` in µm, ``acquisition-time-local``,
``camera-binning-x``, ``wavelength`` in nm, ``_MagSetting_``, ``_MagNA_``, ``Exposure Time``), as Bio-Formats' MetamorphHandler and
tifffile's ``metaseries_metadata`` read it. The local time has no zone and is taken as UTC. A stage at (0, 0) is none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from bioimage_assets.core.formats.ome_tiff.units import read_number, seconds_per, to_unit, wavelength_nm
from bioimage_assets.core.model.acquisition import AcquisitionFacts, PlaneFacts, drop_empty

SOURCE = "metaxpress-tags"
_MOMENT = re.compile(r"(\d{8}) (\d{2}:\d{2}:\d{2})(?:\.(\d{1,6}))?$", re.ASCII)
_EXPOSURE = re.compile(r"Exposure:\s*([0-9.]{1,12})\s*([a-zµ]{1,4})")
_DURATION = re.compile(r"\s*([0-9.]{1,12})\s*([a-zµ]{1,4})?\s*$")
_POWER = re.compile(r"\s*(\d{1,3}(?:\.\d{1,3})?)\s*[xX](?![0-9])", re.ASCII)
_NO_FACTS = (None,) * (len(PlaneFacts._fields) - 3)


def build_metaxpress_facts(
    properties: Mapping[str, str],
) -> tuple[AcquisitionFacts | None, tuple[PlaneFacts, ...]]:
    """Facts of the one plane that a file holds, and of its field as far as it tells."""
    x, y, z = (
        read_number(properties.get(name)) for name in ("stage-position-x", "stage-position-y", "z-position")
    )
    if not x and not y:
        x = y = None
    plane = PlaneFacts(
        0, 0, 0, _read_moment(properties.get("acquisition-time-local", "")), None, _read_exposure(properties), x, y, z,
    )  # fmt: skip
    objective = properties.get("_MagSetting_", "").strip()[:256] or None
    power = _POWER.match(objective or "")
    sides = [properties.get(f"camera-binning-{axis}", "").strip() for axis in "xy"]
    facts = AcquisitionFacts(
        SOURCE, x, y, z, plane.acquired_at, (plane.exposure_s,), None,
        (wavelength_nm(read_number(properties.get("wavelength")), "nm"),), None, objective,
        (float(power[1]) or None) if power else None, _positive(properties.get("_MagNA_")),
        "x".join(sides) if all(side.isdecimal() and 0 < len(side) < 3 for side in sides) else None,
    )  # fmt: skip
    return drop_empty(facts), (plane,) if plane[3:] != _NO_FACTS else ()


def _read_moment(text: str) -> datetime | None:
    found = _MOMENT.match(text.strip())
    if found is None:
        return None
    # Up to three digits are milliseconds, written without leading zeros: ``42.66`` is 66 ms after 42 s.
    digits = found[3] or "0"
    microseconds = int(digits) * 1000 if len(digits) <= 3 else int(digits.ljust(6, "0"))
    try:
        moment = datetime.strptime(f"{found[1]} {found[2]}", "%Y%m%d %H:%M:%S")
    except ValueError:
        return None
    return moment.replace(microsecond=microseconds, tzinfo=UTC)


def _read_exposure(properties: Mapping[str, str]) -> float | None:
    own = _DURATION.match(properties.get("Exposure Time", ""))
    found = own or _EXPOSURE.search(properties.get("Description", "")[:4096])
    if found is None:
        return None
    factor = seconds_per(found[2] or "ms")
    return None if factor is None else to_unit(read_number(found[1]), factor)


def _positive(text: str | None) -> float | None:
    value = read_number(text)
    return value if value is not None and value > 0 else None
