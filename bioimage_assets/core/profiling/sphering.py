"""Sphered well profiles of a dataset, in which controls vary by one in every direction.

pycytominer's ``spherize`` (ZCA-cor), fitted on the controls of all plates: correlated directions in which controls differ
anyway, as by their place on the plate, stop dominating distances. It is done on the full dataset, never per plate.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from pycytominer import normalize

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.profiling.treatments import build_treatments
from bioimage_assets.core.profiling.well_groups import describe_references, find_well_groups
from bioimage_assets.core.settings.dataset import DatasetSettings

_REFERENCE = "Metadata_Is_Reference"


@dataclass(frozen=True, slots=True)
class SpheringReport:
    """How a dataset was sphered; ``constant_features`` do not vary among the controls and were left out."""

    control_well_count: int
    feature_count: int
    constant_features: tuple[str, ...]
    findings: tuple[Finding, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON and run metadata."""
        return asdict(self)


def build_sphered_profiles(
    wells: pa.Table, settings: DatasetSettings, *, epsilon: float = 1e-6
) -> tuple[pa.Table, SpheringReport]:
    """Sphere selected well profiles by the negative controls of all plates.

    Raises
    ------
    ProfilingError
        With fewer control wells than ``settings.min_controls``, null features, or linearly dependent controls.
    """
    features = list_profile_features(wells.schema)
    frame = wells.to_pandas()
    control = build_treatments(frame, settings).is_control
    count = int(control.sum())
    if count < max(settings.min_controls, 2):
        raise ProfilingError(
            f"Sphering needs at least {max(settings.min_controls, 2)} control wells, found {count}."
        )
    values = frame[features].to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        raise ProfilingError("Sphering needs profiles without nulls; select features first.")
    spread = values[control].std(axis=0)
    constant = tuple(name for name, one in zip(features, spread, strict=True) if one <= 1e-12)
    kept = [name for name in features if name not in set(constant)]
    clean = frame[kept].assign(**{_REFERENCE: control})
    try:
        sphered = normalize(
            clean,
            features=kept,
            meta_features=[_REFERENCE],
            samples=f"{_REFERENCE} == True",
            method="spherize",
            spherize_method="ZCA-cor",
            spherize_epsilon=epsilon,
        )
    except ValueError as error:
        raise ProfilingError(f"pycytominer could not sphere {count} control wells: {error}") from error
    groups = find_well_groups(frame, settings)
    consequence = "Controls of both define the sphere, although their numbers are not the same quantity."
    findings = describe_references(frame, groups, "sphering-mixed-references", consequence)
    report = SpheringReport(count, len(kept), constant, tuple(findings))
    return _replace(wells, pd.DataFrame(sphered), features, kept), report


def _replace(wells: pa.Table, sphered: pd.DataFrame, features: list[str], kept: list[str]) -> pa.Table:
    table = wells.select([name for name in wells.column_names if name not in set(features)])
    for name in kept:
        table = table.append_column(name, pa.array(sphered[name], pa.float64()))
    return table
