"""Names of features in; compartment, category, measurement, channels and parameters of each out, as ``var`` lists them.

CellProfiler's names: https://cellprofiler-manual.s3.amazonaws.com/CellProfiler-4.2.6/modules/measurement.html. A name that follows
no rule is its own measurement, with all else empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields

import pandas as pd

_CELLPROFILER = re.compile(
    r"(?P<compartment>[^_]+)_(?P<category>AreaShape|Intensity|Texture|Granularity|RadialDistribution|Correlation|Neighbors|Location"
    r"|Number|ObjectSkeleton)_(?P<rest>.+)"
)
# Of these no measure is of a channel.
_OF_SHAPE = ("AreaShape", "Neighbors", "Number", "ObjectSkeleton")
# ``3_00_256`` (scale, angle, grey levels), ``1of4``, ``Overflow``, ``2_0`` (degrees of Zernike moments).
_PARAMETERS = re.compile(r"(?:_(?:\d+of\d+|Overflow|\d+))+\Z")
_IN_LOCATION = re.compile(r"(?P<measurement>\w+?_[XYZ])_(?P<channel>.+)")
_WAVELENGTH = re.compile(r"(?P<measurement>.+)_(?P<channel>wv\d+)")
_NUMBERED = re.compile(r"(?P<category>.+)_(?P<measurement>\d+)")


@dataclass(frozen=True, slots=True)
class FeatureName:
    """The parts of a feature's name; what it does not tell is empty. ``second_channel`` is that of a correlation."""

    compartment: str = ""
    category: str = ""
    measurement: str = ""
    channel: str = ""
    second_channel: str = ""
    parameters: str = ""


def parse_feature_name(name: str, channels: Sequence[str] = ()) -> FeatureName:
    """Take a name apart; ``channels`` tell where the first of two channels ends, where their names have underscores.

    >>> parse_feature_name("Cells_Texture_Contrast_ER_3_00_256").channel
    'ER'
    """
    match = _CELLPROFILER.fullmatch(name)
    if match is None:
        return _parse_other(name)
    compartment, category, rest = match["compartment"], match["category"], match["rest"]
    if category in _OF_SHAPE:
        return FeatureName(compartment, category, rest)
    if category == "Location":
        place = _IN_LOCATION.fullmatch(rest)
        channel = place["channel"] if place else ""
        return FeatureName(compartment, category, place["measurement"] if place else rest, channel)
    measurement, _, behind = rest.partition("_")
    if category == "Correlation":
        first, second = _split_channels(behind, channels)
        return FeatureName(compartment, category, measurement, first, second)
    found = _PARAMETERS.search(f"_{behind}") if category in ("Texture", "RadialDistribution") else None
    parameters = found.group()[1:] if found else ""
    channel = behind[: len(behind) - len(parameters)].rstrip("_") if parameters else behind
    return FeatureName(compartment, category, measurement, channel, "", parameters)


def build_var(features: Iterable[str], channels: Sequence[str] = ()) -> pd.DataFrame:
    """One row per feature, indexed by its name."""
    names = list(features)
    rows = [astuple(parse_feature_name(name, channels)) for name in names]
    return pd.DataFrame(
        rows,
        columns=[field.name for field in fields(FeatureName)],
        index=pd.Index(names, dtype=object),
        dtype=object,
    )


def _parse_other(name: str) -> FeatureName:
    """IN Carta's measures end with the wavelength; embeddings are numbered columns of one stem."""
    if match := _WAVELENGTH.fullmatch(name):
        return FeatureName(measurement=match["measurement"], channel=match["channel"])
    if match := _NUMBERED.fullmatch(name):
        return FeatureName(category=match["category"], measurement=match["measurement"])
    return FeatureName(measurement=name)


def _split_channels(text: str, channels: Sequence[str]) -> tuple[str, str]:
    """Two channels with an underscore between them: known ones, else the halves of the only underscore."""
    for first in sorted(channels, key=len, reverse=True):
        if text.startswith(f"{first}_"):
            return first, text[len(first) + 1 :]
    first, _, second = text.partition("_")
    return (first, second) if "_" not in second else (text, "")
