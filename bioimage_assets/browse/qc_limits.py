"""The limits that quality control was done with, as the warehouse notes them beside the table, in z-scores and in the feature's units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bioimage_assets.browse.project import BrowsedProject

_CALL = "cosmicqc.identify_outliers"
_QC = "cosmicqc_profiles"


def read_limits(project: BrowsedProject, plate_key: str) -> dict[str, dict[str, float]]:
    """z-score of each feature by condition, from the calls behind the stored table; empty where they are not noted."""
    return project.keep(("limits", plate_key), lambda: _read(project, plate_key))


def _read(project: BrowsedProject, plate_key: str) -> dict[str, dict[str, float]]:
    if project.tables.is_in_catalog(_QC):
        return {}
    listed = project.tables.warehouse.listed(_QC, [plate_key])
    entry = listed.partitions.get(plate_key)
    calls = listed.steps.get(entry.steps or "", ()) if entry is not None else ()
    found: dict[str, dict[str, float]] = {}
    for call in calls:
        arguments = call.get("arguments")
        if call.get("call") == _CALL and isinstance(arguments, Mapping):
            limits = arguments.get("feature_thresholds")
            if isinstance(limits, Mapping):
                found[str(arguments.get("condition_name"))] = {str(f): float(z) for f, z in limits.items()}
    return found


def find_cutoff(pairs: Iterable[tuple[float | None, float | None]], zscore: float) -> float | None:
    """The value of a feature that has a z-score, from (value, z-score) of some cells: a z-score is a straight line in the value.

    None where fewer than two of them differ.

    >>> find_cutoff([(10.0, -1.0), (20.0, 0.0), (40.0, 2.0)], 3.0)
    50.0
    """
    known = [(z, value) for value, z in pairs if value is not None and z is not None]
    if not known:
        return None
    (low, low_value), (high, high_value) = min(known), max(known)
    if high == low:
        return None
    return low_value + (zscore - low) * (high_value - low_value) / (high - low)
