"""Columns of well profiles that keep wells of a dataset apart although they got the same treatment.

Time points: a treatment at 24 h is not a replicate of the same at 48 h. References: plates with controls are relative to
them, plates without are relative to themselves, and the numbers of both are not the same quantity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.profiling.result_columns import NORMALIZED_TO
from bioimage_assets.core.profiling.strata import find_dataset_strata, list_time_columns, list_values
from bioimage_assets.core.settings.dataset import DatasetSettings

MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class WellGroups:
    """``strata`` are time points and the like, ``references`` what the wells are normalised to, where it is known."""

    strata: tuple[str, ...]
    references: tuple[str, ...]
    is_reference_kept: bool
    findings: tuple[Finding, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that split treatments."""
        is_split = self.is_reference_kept and len(self.references) > 1
        return (*self.strata, *([NORMALIZED_TO] if is_split else []))


def find_well_groups(wells: pd.DataFrame, settings: DatasetSettings) -> WellGroups:
    """Find what splits treatments, by the settings or by the columns of the wells; findings say what was found."""
    findings: list[Finding] = []
    if settings.profile_group_by is not None:
        strata = tuple(name for name in settings.profile_group_by if name in wells.columns)
    else:
        columns = {name: _texts(wells[name]) for name in list_time_columns(list(wells.columns))}
        strata = find_dataset_strata(columns)
        findings += _time_findings(strata, columns, settings)
    references: tuple[str, ...] = ()
    if NORMALIZED_TO in wells.columns:
        references = tuple(sorted(wells[NORMALIZED_TO].dropna().unique()))
    return WellGroups(strata, references, not settings.mix_references, tuple(findings))


def describe_references(
    wells: pd.DataFrame, groups: WellGroups, code: str, consequence: str
) -> list[Finding]:
    """A finding where some plates are normalised to controls and others to themselves; ``consequence`` says what of it."""
    if len(groups.references) < 2:
        return []
    plates = "plate_key" if "plate_key" in wells.columns else "Metadata_Plate"
    shown = []
    for reference, part in wells.groupby(NORMALIZED_TO):
        names = sorted(map(str, part[plates].dropna().unique())) if plates in part else []
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        shown.append(
            f"{count_words(len(part), 'well')} relative to {_spell(str(reference))} ({', '.join(names[:4])}{more})"
        )
    message = f"{'; '.join(shown)}. {consequence}"
    return [Finding(code, "warning", NORMALIZED_TO, message)]


def _spell(reference: str) -> str:
    return "their whole plate" if reference == "plate" else reference


def _texts(column: pd.Series) -> np.ndarray:
    values = [None if pd.isna(v) else f"{v:g}" if isinstance(v, float) else str(v) for v in column]
    return np.asarray(values, dtype=object)


def _time_findings(
    strata: tuple[str, ...], columns: dict[str, np.ndarray], settings: DatasetSettings
) -> list[Finding]:
    new = [name for name in strata if name not in settings.treatment_columns]
    if not new:
        return []
    shown = "; ".join(f"{name}: {list_values(columns[name])}" for name in new)
    toml = ", ".join(f'"{name}"' for name in new)
    message = (
        f"Wells of several time points ({shown}) are no replicates of each other: treatments are told apart by them. Write "
        f"[profiles] group_by = [{toml}] in dataset.toml to keep it so, group_by = [] to combine them."
    )
    return [Finding("consensus-by-time", "warning", ", ".join(new), message)]
