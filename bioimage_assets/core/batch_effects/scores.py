"""How much of position and batch stands in well profiles, and how well treatments are told, before and after a correction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from bioimage_assets.core.batch_effects.dataset import Correction
from bioimage_assets.core.batch_effects.mixing import measure_lisi, measure_silhouette
from bioimage_assets.core.batch_effects.plate_positions import find_positions
from bioimage_assets.core.batch_effects.position_share import measure_position_share
from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.profiling.replicate_wells import draw_rows
from bioimage_assets.core.profiling.replicates import ReplicateReport, measure_profiles
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.tables.schemas import CORRECTION_SCORES

BEFORE, PLACED, AFTER = "before", "position", "after"
MAX_CONTROLS = 2_000  # of all batches, drawn: distances of more take seconds and say the same


@dataclass(frozen=True, slots=True)
class Score:
    """One number: a measure at a stage, of a batch or of all; ``note`` says why there is none, or what it is of.

    ``lost`` of ``actives_kept`` are the treatments that are no longer active.
    """

    measure: str
    stage: str
    value: float | None
    well_count: int
    batch: str | None = None
    note: str | None = None
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CorrectedWells:
    """A correction with what is known of its wells; ``batches`` and ``is_control`` are row by row, as the metadata ``frame``."""

    correction: Correction
    frame: pd.DataFrame
    batches: np.ndarray
    is_control: np.ndarray

    def stages(self) -> tuple[tuple[str, np.ndarray], ...]:
        """Profiles at every stage."""
        found = self.correction
        return (BEFORE, found.before), (PLACED, found.placed), (AFTER, found.after)


def measure_correction(wells: CorrectedWells, settings: DatasetSettings) -> list[Score]:
    """Measure a correction at every stage."""
    return [
        *_score_positions(wells),
        *_score_mixing(wells),
        *_score_replicates(wells, settings),
    ]


def build_scores(scores: Sequence[Score], dataset_id: str, method: str, reference: str) -> pa.Table:
    """One row per score."""
    words = {"dataset_id": dataset_id, "method": method, "reference_batch": reference}
    rows = [
        {
            **words,
            "measure": score.measure,
            "stage": score.stage,
            "batch": score.batch,
            "value": score.value,
            "well_count": score.well_count,
            "note": score.note,
        }
        for score in scores
    ]
    return pa.Table.from_pylist(rows, schema=CORRECTION_SCORES)


def _score_positions(wells: CorrectedWells) -> Iterator[Score]:
    """Share of the variance of controls that their rows and columns explain, batch by batch, and over all."""
    names = wells.frame["well_id" if "well_id" in wells.frame else "Metadata_Well"]
    positions = find_positions(names)
    plates = pd.factorize(wells.frame["plate_key"])[0]
    for stage, values in wells.stages():
        found: list[tuple[float, int]] = []
        for batch in sorted(set(wells.batches)):
            own = np.flatnonzero(wells.is_control & (wells.batches == batch))
            share = measure_position_share(values[own], plates[own], positions.take(own))
            note = None if share is not None else "fewer controls than rows, columns and plates to tell apart"
            yield Score("position_variance", stage, share, int(own.size), str(batch), note)
            found += [] if share is None else [(share, int(own.size))]
        count = sum(size for _, size in found)
        mean = sum(share * size for share, size in found) / count if count else None
        note = None if count else "no batch has enough controls"
        yield Score("position_variance", stage, mean, count, None, note)


def _score_mixing(wells: CorrectedWells) -> Iterator[Score]:
    """How far the control wells of batches lie among each other; treatments may differ between batches, controls do not."""
    chosen = draw_rows(np.flatnonzero(wells.is_control), MAX_CONTROLS)
    batches = wells.batches[chosen]
    for stage, values in wells.stages():
        for name, measure in (("batch_silhouette", measure_silhouette), ("batch_lisi", measure_lisi)):
            value = measure(values[chosen], batches)
            note = None if value is not None else "one batch"
            yield Score(name, stage, value, int(chosen.size), None, note)


def _score_replicates(wells: CorrectedWells, settings: DatasetSettings) -> Iterator[Score]:
    """Replicate measures before and after, and which treatments stayed active."""
    reports: dict[str, ReplicateReport] = {}
    for stage, values in wells.stages():
        if stage == PLACED:
            continue
        try:
            reports[stage] = measure_profiles(wells.frame, values, settings)
        except (ProfilingError, MemoryError) as error:
            note = "short of memory" if isinstance(error, MemoryError) else str(error)
            yield Score("percent_active", stage, None, 0, None, note)
            continue
        yield from _describe_report(stage, reports[stage])
    if len(reports) == 2:
        yield _score_kept(reports[BEFORE], reports[AFTER])


def _describe_report(stage: str, report: ReplicateReport) -> Iterator[Score]:
    alike = [row.replicate_correlation for row in report.treatments if row.replicate_correlation is not None]
    count = sum(row.replicate_count for row in report.treatments)
    values = {
        "replicate_correlation": float(np.median(alike)) if alike else None,
        "percent_replicating": report.percent_replicating,
        "percent_active": report.percent_active,
    }
    for name, value in values.items():
        note = None if value is not None else "no treatment has enough wells"
        yield Score(name, stage, value, count, None, note)
    control = report.control_correlation
    note = None if control is not None else "fewer than two controls"
    yield Score("control_correlation", stage, control, report.control_well_count, None, note)


def _score_kept(before: ReplicateReport, after: ReplicateReport) -> Score:
    active = {row.treatment for row in before.treatments if row.is_active}
    kept = {row.treatment for row in after.treatments if row.is_active} & active
    wells = sum(row.replicate_count for row in before.treatments if row.is_active)
    if not active:
        return Score("actives_kept", AFTER, None, 0, None, "no treatment was active before")
    note = f"{len(kept)} of {len(active)} treatments"
    lost = tuple(sorted(active - kept))
    return Score("actives_kept", AFTER, 100.0 * len(kept) / len(active), wells, None, note, lost)
