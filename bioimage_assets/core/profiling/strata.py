"""Columns that keep profiles of one well apart: those the settings name, or time points found by name and values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from bioimage_assets.core.findings import Finding

# Stands for a value that is not there while profiles are built; null in the table.
NO_STRATUM = "(none)"

_PREFIXES = ("image_metadata_", "metadata_")
# ``Metadata_T``, ``Image_Metadata_Timepoint``, ``Metadata_Time_h``, ``Metadata_TimePoint_Index``, ``Metadata_Hours`` …
_TIME = re.compile(
    r"t|hours?|time(?:_?point)?s?(?:_?(?:index|idx|id|no|nr|number|h|hr|hrs|hours?|m|min|mins|minutes?|s|sec|seconds?"
    r"|d|days?))?",
    re.IGNORECASE,
)
# Clock times, dates and seconds since an epoch.
_STAMP = re.compile(r"\d:\d{2}|\d{4}-\d{2}-\d{2}|\d{8,}")
_NUMBERS = re.compile(r"(\d+(?:\.\d+)?)")
_SHOWN = 6  # a message names so many, and counts the others


def is_time_column(name: str) -> bool:
    """Tell by its name whether a metadata column holds time points; the case does not matter."""
    prefix = next((prefix for prefix in _PREFIXES if name.lower().startswith(prefix)), None)
    if prefix is None:
        return False
    return _TIME.fullmatch(name[len(prefix) :]) is not None


def list_time_columns(names: Sequence[str]) -> list[str]:
    """Columns that may hold time points, those without the prefix of images first."""
    found = [name for name in names if is_time_column(name)]
    return sorted(found, key=lambda name: name.lower().startswith("image_"))


def find_time_strata(
    columns: Mapping[str, np.ndarray], units: np.ndarray
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns whose values are time points, and columns that look like clock times of each unit by itself.

    ``columns`` hold text (None where missing), ``units`` the well of each row. Time points recur: at least half of
    them in more than one unit. A column that splits nothing further than those before it is left out.
    """
    chosen: list[str] = []
    refused: list[str] = []
    groups = np.zeros(len(units), dtype=np.int64)
    for name in list_time_columns(list(columns)):
        codes, values = pd.factorize(np.asarray(columns[name], dtype=object))
        if len(values) < 2:
            continue
        joint, _ = pd.factorize(pd.MultiIndex.from_arrays([groups, codes]))
        if joint.max() == groups.max():
            continue
        if _recurs(codes, values, units):
            chosen.append(name)
            groups = joint
        elif _varies_within_units(codes, units):
            refused.append(name)
    return tuple(chosen), tuple(refused)


def _recurs(codes: np.ndarray, values: np.ndarray, units: np.ndarray) -> bool:
    pairs = pd.DataFrame({"value": codes, "unit": units})[codes >= 0].drop_duplicates()
    if pairs["unit"].nunique() == 1:
        return not _are_stamps(values)
    counts = pairs["value"].value_counts()
    return bool((counts > 1).sum() * 2 >= len(values))


def find_dataset_strata(columns: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Time columns that vary over the wells of a dataset; dates and clock times are not time points of an experiment."""
    chosen: list[str] = []
    groups = np.zeros(len(next(iter(columns.values()), [])), dtype=np.int64)
    for name in list_time_columns(list(columns)):
        codes, values = pd.factorize(np.asarray(columns[name], dtype=object))
        joint, _ = pd.factorize(pd.MultiIndex.from_arrays([groups, codes]))
        if len(values) > 1 and joint.max() > groups.max() and not _are_stamps(values):
            chosen.append(name)
            groups = joint
    return tuple(chosen)


def find_constant_times(columns: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Time columns with one and the same value in all rows: the plate is one time point among others."""
    return tuple(
        name
        for name, values in columns.items()
        if is_time_column(name) and len(values) and len(set(values)) == 1 and values[0] is not None
    )


def _are_stamps(values: Iterable[object]) -> bool:
    return all(_STAMP.search(str(value)) for value in values)


def _varies_within_units(codes: np.ndarray, units: np.ndarray) -> bool:
    pairs = pd.DataFrame({"value": codes, "unit": units})[codes >= 0].drop_duplicates()
    return bool(pairs["unit"].duplicated().any())


def describe_time_strata(
    chosen: Sequence[str], refused: Sequence[str], columns: Mapping[str, np.ndarray], plate_name: str
) -> list[Finding]:
    """Say which columns split the profiles of a plate without being asked for, and which do not."""
    findings = []
    if chosen:
        shown = "; ".join(f"{name}: {list_values(columns[name])}" for name in chosen)
        toml = ", ".join(f'"{name}"' for name in chosen)
        message = (
            f"Plate {plate_name!r} has several time points ({shown}): each well has one profile per value, relative to the "
            f"controls of the same value. Write [profiles] group_by = [{toml}] in dataset.toml to keep it so, "
            "group_by = [] to pool them."
        )
        findings.append(Finding("profiles-by-time", "warning", ", ".join(chosen), message))
    for name in refused:
        message = (
            f"{name} varies within wells of plate {plate_name!r}, but its values ({list_values(columns[name])}) hardly recur "
            "between wells, as clock times do; they are pooled. If they are time points, write [profiles] "
            f'group_by = ["{name}"] in dataset.toml; group_by = [] says that pooling is right.'
        )
        findings.append(Finding("time-column-pooled", "warning", name, message))
    return findings


def stratum_sort_key(text: str | None) -> tuple[object, ...]:
    """Order values as people do: ``6h`` before ``24h``, ``2`` before ``10``, missing ones last."""
    if text is None or text == NO_STRATUM:
        return (1,)
    parts = _NUMBERS.split(text)
    return (0, *(float(part) if index % 2 else part for index, part in enumerate(parts)))


def list_values(column: np.ndarray) -> str:
    """Some distinct values of a column of text, in their order."""
    values = sorted((str(value) for value in pd.unique(column) if value is not None), key=stratum_sort_key)
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return ", ".join(values[:_SHOWN]) + more
