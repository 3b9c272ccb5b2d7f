"""Numbers of wells that a plate can be painted with: counts, quality control, completeness, features of well profiles."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from bioimage_assets.browse.answers import NotThereError
from bioimage_assets.browse.project import BrowsedProject
from bioimage_assets.core.model.identity import normalize_well
from bioimage_assets.core.pictures.well_numbers import (
    fail_fractions,
    list_features,
    median_per_well,
    sum_per_well,
)
from bioimage_assets.core.profiling.result_columns import FAILED_COUNT, OBJECT_COUNT

PROFILES, COMPLETENESS = "pycytominer_profiles", "plate_completeness"
_COUNTS = {
    "cells": "Cells that passed quality control",
    "cells_failed": "Cells that failed quality control",
    "qc_pass": "Share of cells that passed quality control",
}
_FOUND = {
    "cells_found": "Cells that were measured",
    "fields": "Fields with images",
    "chunks": "Share of the promised pieces of pixels that are stored",
}


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number of each well: the name that asks for it, and what it is in words."""

    name: str
    label: str


@dataclass(frozen=True, slots=True)
class WellNumbers:
    """Values by well, and the smallest and largest of them; a well without value is left out."""

    name: str
    wells: dict[str, float]
    min: float | None
    max: float | None


def list_measurements(project: BrowsedProject, plate_key: str) -> tuple[Measurement, ...]:
    """What the wells of a plate can be painted with; empty where nothing of it is known but its images."""
    wells, complete = _find_profiles(project, plate_key), _find_completeness(project, plate_key)
    names: dict[str, str] = {}
    if complete is not None and complete.num_rows:
        names |= _FOUND
    if wells is not None and wells.num_rows:
        names |= {name: text for name, text in _COUNTS.items() if OBJECT_COUNT in wells.column_names}
        names |= {name: name.replace("_", " ") for name in list_features(wells)}
    return tuple(Measurement(name, label) for name, label in names.items())


def read_well_numbers(project: BrowsedProject, plate_key: str, name: str) -> WellNumbers:
    """One number of every well; of a feature with several rows a well (time points) the median. NotThereError where there is none."""
    found = _read_values(project, plate_key, name)
    if found is None:
        raise NotThereError(f"Plate {plate_key} has no measurement {name!r:.200} of wells.")
    wells = {
        normalize_well(well) or well: value
        for well, value in found.items()
        if well and value is not None and math.isfinite(value)
    }
    values = wells.values()
    return WellNumbers(name, wells, min(values, default=None), max(values, default=None))


def _read_values(project: BrowsedProject, plate_key: str, name: str) -> Mapping[str, float | None] | None:
    if name in _FOUND:
        complete = _find_completeness(project, plate_key)
        return None if complete is None else _count_found(complete, name)
    wells = _find_profiles(project, plate_key)
    if wells is None:
        return None
    if name == "cells":
        return sum_per_well(wells, OBJECT_COUNT)
    if name == "cells_failed":
        return sum_per_well(wells, FAILED_COUNT)
    if name == "qc_pass":
        failed = fail_fractions(wells)
        return {well: None if share is None else 1 - share for well, share in failed.items()}
    return median_per_well(wells, name) if name in list_features(wells) else None


def _count_found(complete: pa.Table, name: str) -> dict[str, float | None]:
    wells = complete["well_id"].to_pylist()
    if name == "chunks":
        pairs = zip(
            complete["chunks_found"].to_pylist(), complete["chunks_expected"].to_pylist(), strict=True
        )
        shares = (found / expected if found is not None and expected else None for found, expected in pairs)
        return dict(zip(wells, shares, strict=True))
    column = {"cells_found": "cells_found", "fields": "fields_found"}[name]
    values = (None if value is None else float(value) for value in complete[column].to_pylist())
    return dict(zip(wells, values, strict=True))


def _find_profiles(project: BrowsedProject, plate_key: str) -> pa.Table | None:
    return project.keep(("profiles", plate_key), lambda: project.find(PROFILES, plate_key))


def _find_completeness(project: BrowsedProject, plate_key: str) -> pa.Table | None:
    return project.keep(("completeness", plate_key), lambda: project.find(COMPLETENESS, plate_key))
