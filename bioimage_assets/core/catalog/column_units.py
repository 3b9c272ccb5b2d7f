"""The unit of a column, told by its name: for the data dictionary in ``docs/tables.md``."""

from __future__ import annotations

import re

_BY_ENDING = (
    ("_um", "µm"),
    ("_nm", "nm"),
    ("_px", "pixels"),
    ("_bytes", "bytes"),
    ("_offset_s", "s"),
    ("_s", "s"),
    ("_count", "count"),
    ("_found", "count"),
    ("_declared", "count"),
    ("_expected", "count"),
    ("_claimed", "count"),
    ("_measured", "count"),
    ("_percent", "%"),
    ("_intensity", "0 to 1 of the pixel type"),
    ("_at", "UTC"),
    ("_seen", "UTC"),
    ("_p_value", "0 to 1"),
    ("_q_value", "0 to 1"),
    ("_correlation", "-1 to 1"),
    ("_zscore", "standard deviations"),
)
_UNITS = {
    "shape": "pixels per axis",
    "chunk_shape": "pixels per axis",
    "shard_shape": "pixels per axis",
    "stored_offset": "bytes",
    "strip_offsets": "bytes",
    "byte_length": "bytes",
    "exposures_s": "s per channel",
    "excitation_nm": "nm per channel",
    "emission_nm": "nm per channel",
    "magnification": "times",
    "percent_maximal": "%",
    "percent_minimal": "%",
    "percent_at_type_maximum": "%",
    "bright_percent": "%",
    "background": "0 to 1 of the pixel type",
    "noise": "0 to 1 of the pixel type",
    "bright_place": "0 to 1 of the pixel type",
    "snr": "times the noise",
    "contrast": "times the noise",
    "detail_ratio": "ratio",
    "bright_ratio": "ratio",
    "illumination_ratio": "ratio",
    "illumination_slope_share": "0 to 1",
    "wells_compared": "count",
    "controls_ranked": "count",
    "null_limit": "-1 to 1",
    "percentile_95": "-1 to 1",
    "low": "-1 to 1",
    "high": "-1 to 1",
    "spearman_rho": "-1 to 1",
    "p_value": "0 to 1",
    "q_value": "0 to 1",
    "mean_average_precision": "0 to 1",
    "r_squared": "up to 1",
    "strength": "ratio",
    "distance": "deviations of control wells",
    "distance_null_limit": "deviations of control wells",
    "dose": "that of the dose column",
    "doses": "that of the dose column",
    "ec50": "that of the dose column",
    "ec50_low": "that of the dose column",
    "ec50_high": "that of the dose column",
    "bottom": "deviations of control wells",
    "top": "deviations of control wells",
    "effect": "robust deviations of controls",
    "responses": "deviations of control wells",
    "control_low": "deviations of control wells",
    "control_median": "deviations of control wells",
    "control_high": "deviations of control wells",
    "mean_difference": "that of the profiles",
    "effect_size": "pooled standard deviations",
    "scale": "units of the store per pixel",
}


def find_unit(name: str) -> str | None:
    """The unit of a column; None where it holds words, switches, ranks or numbers without one.

    >>> find_unit("pixel_size_x_um"), find_unit("well_id")
    ('µm', None)
    """
    if name in _UNITS:
        return _UNITS[name]
    if re.match(r"Metadata_\w*Count$", name):
        return "count"
    return next((unit for ending, unit in _BY_ENDING if name.endswith(ending)), None)
