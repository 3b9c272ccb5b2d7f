"""Turns the image quality of the plates of a dataset into a board: what is usual on each plate of a batch, and which plates drift.

Plates have a common illumination and stain per batch. The unit of a plate's distance from its batch is how far fields of one plate
usually are from each other, so that two plates suffice, and few fields of a plate do not make it an outlier.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bioimage_assets.core.findings import Finding

Values = npt.NDArray[np.float64]

# Columns and their words; those that CellProfiler measured take the place of those that it has not.
DRIFT_MEASURES: Mapping[str, str] = {
    "detail_ratio": "focus (detail ratio)",
    "power_log_log_slope": "focus (power slope)",
    "background": "background",
    "median_intensity": "median intensity",
    "percent_maximal": "saturation (% of pixels)",
    "snr": "signal to noise",
}
_OF_PIXELS = ("detail_ratio", "background", "percent_maximal", "snr")
_AS_MEASURED = ("power_log_log_slope", "median_intensity", "percent_maximal")
# Ratios and brightnesses are compared as logarithms.
_IN_LOGARITHMS = ("detail_ratio", "background", "median_intensity", "snr")
COLUMNS = (
    "plate_key", "channel", "source", "detail_ratio", "power_log_log_slope", "background", "median_intensity", "percent_maximal",
    "snr", "flag_blank",
)  # fmt: skip
# Of fewer fields on a plate the median says little.
MIN_FIELDS = 4
MIN_PLATES = 3
_SIGMA_OF_MAD = 1.4826
# Beyond it two numbers cannot be averaged.
_LARGEST = 1e150
# Fields of one plate differ by this much at least in the unit, or the most equal plates would drift by nothing.
_LEAST_SPREAD = {"power_log_log_slope": 0.1, "percent_maximal": 0.02}
_LEAST_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class PlateLevel:
    """One measure of one channel on one plate: median and spread (robust deviation) of its fields.

    ``distance`` is from the median of the batch's plates, in spreads of fields; None where the batch has too few plates.
    """

    batch: str
    channel: str
    measure: str
    plate_key: str
    field_count: int
    median: float
    spread: float
    distance: float | None
    is_drifting: bool


def build_drift_board(
    plates: Sequence[pa.Table], batches: Mapping[str, str], limit: float
) -> tuple[PlateLevel, ...]:
    """Levels of each plate, in the order of plates, by batch, channel and measure.

    ``plates`` are rows of ``image_quality`` (:data:`COLUMNS`), ``batches`` the batch by plate key. A plate drifts where its
    median is more than ``limit`` spreads from that of its batch. Blank fields have no part in it.
    """
    groups: dict[tuple[str, str, str], list[tuple[str, Values]]] = defaultdict(list)
    for table in plates:
        for (key, channel, measure), values in _read_values(table).items():
            groups[batches.get(key, ""), channel, measure].append((key, values))
    levels: list[PlateLevel] = []
    for (batch, channel, measure), own in sorted(groups.items(), key=lambda item: item[0][:2]):
        levels += _compare(batch, channel, measure, own, limit)
    return tuple(levels)


def _read_values(table: pa.Table) -> dict[tuple[str, str, str], Values]:
    """Values of a plate by plate, channel and measure, of the source that most rows of a channel have."""
    frame = table.select(list(COLUMNS)).filter(
        pa.array([
            source != "not_read" and not blank
            for source, blank in zip(table["source"].to_pylist(), table["flag_blank"].to_pylist(), strict=True)
        ], pa.bool_())
    )  # fmt: skip
    found: dict[tuple[str, str, str], Values] = {}
    channels = np.array([channel or "" for channel in frame["channel"].to_pylist()], object)
    keys = frame["plate_key"].to_pylist()
    is_read = np.array([source == "pixels" for source in frame["source"].to_pylist()], bool)
    for channel in sorted(set(channels)):
        chosen = channels == channel
        chosen &= is_read == (2 * np.count_nonzero(is_read & chosen) >= np.count_nonzero(chosen))
        for name in _OF_PIXELS if is_read[chosen].any() else _AS_MEASURED:
            values = np.asarray(frame[name].to_numpy(), np.float64)[chosen]
            values = values[np.isfinite(values)].clip(-_LARGEST, _LARGEST)
            if values.size:
                found[str(keys[int(np.flatnonzero(chosen)[0])]), channel, name] = values
    return found


def _compare(
    batch: str, channel: str, measure: str, plates: Sequence[tuple[str, Values]], limit: float
) -> list[PlateLevel]:
    scaled = [_scale(values, measure) for _, values in plates]
    centres = np.array([np.median(values) for values in scaled])
    counted = [number for number, values in enumerate(scaled) if values.size >= MIN_FIELDS]
    is_known = len(counted) >= MIN_PLATES
    usual = float(np.median(centres[counted])) if is_known else np.nan
    unit = max(
        float(np.median([_spread(scaled[number]) for number in counted])) if is_known else 0.0,
        _LEAST_SPREAD.get(measure, _LEAST_SHARE),
    )
    levels = []
    for number, (key, values) in enumerate(plates):
        distance = float((centres[number] - usual) / unit) if is_known and number in counted else None
        levels.append(
            PlateLevel(
                batch, channel, measure, key, int(values.size), float(np.median(values)), _spread(values), distance,
                distance is not None and abs(distance) > limit,
            )
        )  # fmt: skip
    return levels


def _scale(values: Values, measure: str) -> Values:
    """Logarithms of ratios and brightnesses, other values as they are."""
    return np.asarray(np.log(np.maximum(values, 1e-6)), np.float64) if measure in _IN_LOGARITHMS else values


def _spread(values: Values) -> float:
    return _SIGMA_OF_MAD * float(np.median(np.abs(values - np.median(values))))


def list_drift_findings(levels: Sequence[PlateLevel]) -> tuple[Finding, ...]:
    """One warning per plate that drifts, naming channels and measures."""
    drifting: dict[str, list[PlateLevel]] = defaultdict(list)
    for level in levels:
        if level.is_drifting:
            drifting[level.plate_key].append(level)
    return tuple(
        Finding("plate-drifts", "warning", key, f"Plate {key} differs from its batch in {_name_all(own)}.")
        for key, own in drifting.items()
    )


def _name_all(levels: Sequence[PlateLevel]) -> str:
    return ", ".join(
        f"{DRIFT_MEASURES[level.measure]} of {level.channel or 'its channel'} ({level.distance:+.1f} spreads of fields)"
        for level in sorted(levels, key=lambda one: -abs(one.distance or 0.0))[:6]
    )
