"""QC flags and z-scores of the cells of one plate, by calling coSMicQC with its traps closed.

https://github.com/cytomining/coSMicQC. One null in a threshold feature switches a whole condition off there
(https://github.com/cytomining/coSMicQC/issues/243), full-width tables cost twenty times the memory, and z-scores are
relative to the table given: one plate per call.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import cosmicqc
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from cosmicqc.analyze import read_thresholds_set_from_file

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.profiling.image_flags import CONDITION as IMAGE_FLAGS
from bioimage_assets.core.profiling.image_flags import judge_cells
from bioimage_assets.core.profiling.result_columns import FAILED, MISSING, OBJECT_ID
from bioimage_assets.core.profiling.sources import CellSource, open_cells, read_columns
from bioimage_assets.core.profiling.wells import build_well_column
from bioimage_assets.core.settings.dataset import DatasetSettings

KEY_COLUMNS = (
    "plate_key",
    "dataset_id",
    OBJECT_ID,
    "image_id",
    "Metadata_Plate",
    "Metadata_Well",
    "Metadata_Site",
)

# Below this a z-score says little about a population; the flags are still made, and that is said.
MIN_CELLS = 50


@dataclass(frozen=True, slots=True)
class QcThreshold:
    """One limit of a condition: cells beyond ``zscore`` (above if positive, else below) have it.

    ``mean``, ``deviation`` (population) and ``cutoff`` are on the scale of the feature.
    """

    feature: str
    zscore: float
    mean: float
    deviation: float
    cutoff: float


@dataclass(frozen=True, slots=True)
class QcCondition:
    """One condition as it was evaluated; a cell must be beyond every threshold of it.

    The condition ``image_flags`` has none: its cells are on flagged fields.
    """

    name: str
    thresholds: tuple[QcThreshold, ...]
    evaluated_count: int
    flagged_count: int


@dataclass(frozen=True, slots=True)
class SkippedCondition:
    """A condition that could not be evaluated on this plate, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class QcReport:
    """What quality control did to one plate."""

    cell_count: int
    failed_count: int
    missing_count: int
    conditions: tuple[QcCondition, ...]
    skipped: tuple[SkippedCondition, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def fail_fraction(self) -> float:
        """Failed cells of all cells; 0.0 for an empty plate."""
        return self.failed_count / self.cell_count if self.cell_count else 0.0

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON and run metadata."""
        return asdict(self) | {"fail_fraction": self.fail_fraction}


def read_default_thresholds() -> dict[str, dict[str, float]]:
    """Conditions that coSMicQC ships (nuclear shape only), ``{condition: {feature: z-score}}``."""
    loaded = read_thresholds_set_from_file(feature_thresholds_file=cosmicqc.analyze.DEFAULT_QC_THRESHOLD_FILE)
    return {str(name): {str(f): float(z) for f, z in limits.items()} for name, limits in loaded.items()}


def build_cosmicqc_profiles(
    source: CellSource, settings: DatasetSettings, image_quality: pa.Table | None = None
) -> tuple[pa.Table, QcReport]:
    """Flag the cells of one plate that coSMicQC's conditions call outliers, and those of flagged fields where asked.

    One row per cell in stored order: keys, per condition ``Metadata_cqc_<condition>_is_outlier`` and
    ``Metadata_cqc_<condition>_<feature>_zscore``, ``Metadata_cqc_failed`` (any condition) and
    ``Metadata_cqc_missing`` (a feature was null or not finite; such a cell is not flagged by that condition).
    Only keys and threshold features are read. A condition whose features are absent, no numbers or constant is
    skipped and reported. With ``image_quality`` (rows of that table) the cells of a field that is flagged in any channel
    have the condition ``image_flags``, which has no features.

    Raises
    ------
    ProfilingError
        When the cells have no ``Metadata_ObjectID``, or come from several plates.
    """
    cells = open_cells(source)
    thresholds = _thresholds(settings)
    features = sorted({feature for limits in thresholds.values() for feature in limits})
    table = read_columns(cells, [*KEY_COLUMNS, "well_id", *features])
    _check_one_plate(table)
    findings: list[Finding] = []
    values = {name: _numbers(table[name]) for name in features if name in table.column_names}
    columns = _key_columns(table)
    failed = np.zeros(table.num_rows, bool)
    missing = np.zeros(table.num_rows, bool)
    conditions: list[QcCondition] = []
    skipped: list[SkippedCondition] = []
    for name, limits in thresholds.items():
        reason = _why_not(limits, values)
        if reason is not None:
            skipped.append(SkippedCondition(name, reason))
            findings.append(
                Finding("qc-condition-skipped", "warning", name, f"Condition {name!r} is skipped: {reason}.")
            )
            continue
        frame = pd.DataFrame({feature: values[feature] for feature in limits})
        complete = np.isfinite(frame.to_numpy()).all(axis=1)
        missing |= ~complete
        flags, scores = _label(name, frame[complete], limits, complete)
        failed |= flags
        columns[f"Metadata_cqc_{name}_is_outlier"] = pa.array(flags)
        columns |= scores
        conditions.append(_describe(name, frame[complete], limits, int(flags.sum())))
    if image_quality is not None:
        verdicts = judge_cells(table, image_quality)
        failed |= verdicts.is_flagged
        columns[f"Metadata_cqc_{IMAGE_FLAGS}_is_outlier"] = pa.array(verdicts.is_flagged)
        judged, flagged = int(verdicts.is_judged.sum()), int(verdicts.is_flagged.sum())
        conditions.append(QcCondition(IMAGE_FLAGS, (), judged, flagged))
        findings += _unjudged_findings(table.num_rows - judged, table.num_rows)
    columns[FAILED] = pa.array(failed)
    columns[MISSING] = pa.array(missing)
    findings += _population_findings(
        table.num_rows, int(missing.sum()), int(failed.sum()), conditions, settings
    )
    report = QcReport(
        table.num_rows,
        int(failed.sum()),
        int(missing.sum()),
        tuple(conditions),
        tuple(skipped),
        tuple(findings),
    )
    return pa.table(columns), report


def describe_cosmicqc_profiles(qc: pa.Table, source: CellSource, settings: DatasetSettings) -> QcReport:
    """Rebuild the report of a stored QC table: counts from its flags, thresholds from the cells it was made of.

    The rows of both must be the same cells in any order. Conditions without a flag in the table, or whose features have
    no values to work a threshold out from, count as skipped.
    """
    conditions: list[QcCondition] = []
    skipped: list[SkippedCondition] = []
    thresholds = _thresholds(settings)
    features = {feature for limits in thresholds.values() for feature in limits}
    cells = read_columns(open_cells(source), sorted(features))
    values = {name: _numbers(cells[name]) for name in cells.column_names}
    for name, limits in thresholds.items():
        flag = f"Metadata_cqc_{name}_is_outlier"
        flagged = _count_flags(qc, flag)
        if flagged is None:
            skipped.append(SkippedCondition(name, "it was not evaluated on this plate"))
            continue
        with np.errstate(over="ignore", invalid="ignore"):  # of values near the largest number
            reason = _why_not(limits, values)
            if reason is not None:
                skipped.append(SkippedCondition(name, reason))
                continue
            frame = pd.DataFrame({feature: values[feature] for feature in limits})
            complete = frame[np.isfinite(frame.to_numpy()).all(axis=1)]
            conditions.append(_describe(name, complete, limits, flagged))
    of_fields = _count_flags(qc, f"Metadata_cqc_{IMAGE_FLAGS}_is_outlier")
    if of_fields is not None and IMAGE_FLAGS not in thresholds:
        conditions.append(QcCondition(IMAGE_FLAGS, (), qc.num_rows, of_fields))
    failed, missing = _count_flags(qc, FAILED) or 0, _count_flags(qc, MISSING) or 0
    return QcReport(qc.num_rows, failed, missing, tuple(conditions), tuple(skipped))


def _count_flags(qc: pa.Table, name: str) -> int | None:
    """Rows whose flag is set; None where no row has a flag of that name."""
    if name not in qc.column_names or not pa.types.is_boolean(qc[name].type):
        return None
    return None if qc[name].null_count == qc.num_rows else int(pc.sum(qc[name]).as_py() or 0)


def _thresholds(settings: DatasetSettings) -> Mapping[str, Mapping[str, float]]:
    thresholds = read_default_thresholds() if settings.qc_thresholds is None else settings.qc_thresholds
    empty = [name for name, limits in thresholds.items() if not limits]
    if empty:
        raise ProfilingError(
            f"QC condition(s) {empty} have no thresholds; give at least one feature and z-score each."
        )
    if settings.image_flags and IMAGE_FLAGS in thresholds:
        raise ProfilingError(
            f"QC condition {IMAGE_FLAGS!r} is the one of [quality_control] image_flags = true; give yours another name."
        )
    return thresholds


def _check_one_plate(table: pa.Table) -> None:
    if OBJECT_ID not in table.column_names:
        raise ProfilingError(
            f"The cells have no column {OBJECT_ID}; QC flags could not be joined back to them."
        )
    if "plate_key" in table.column_names:
        plates = pc.unique(table["plate_key"]).to_pylist()
        if len(plates) > 1:
            raise ProfilingError(
                f"QC of {count_words(len(plates), 'plate')} at once ({plates[:3]}…) hides bad cells, because z-scores are relative "
                "to all cells given; call it once per plate."
            )


def _key_columns(table: pa.Table) -> dict[str, pa.Array | pa.ChunkedArray]:
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        name: table[name] for name in KEY_COLUMNS if name in table.column_names
    }
    if "Metadata_Well" not in columns and "well_id" in table.column_names:
        columns["Metadata_Well"] = build_well_column(table)
    return columns


def _numbers(column: pa.ChunkedArray) -> np.ndarray | None:
    """Values as float64 with NaN for nulls; None where the column holds no numbers."""
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return None
    values: np.ndarray = column.cast(pa.float64()).to_numpy()
    return values


def _why_not(limits: Mapping[str, float], values: Mapping[str, np.ndarray | None]) -> str | None:
    """Say why a condition cannot be evaluated, None where it can."""
    columns = []
    for feature in limits:
        if feature not in values:
            return f"the measurements have no column {feature}"
        numbers = values[feature]
        if numbers is None:
            return f"column {feature} holds no numbers"
        columns.append(numbers)
    complete = np.isfinite(columns).all(axis=0)
    if not complete.any():
        return "no cell has a value in all of its columns"
    for feature, numbers in zip(limits, columns, strict=True):
        # scipy gives NaN for all, and coSMicQC would flag nobody in silence.
        if np.ptp(numbers[complete]) == 0:
            return f"column {feature} has one value in all cells, so that there is no z-score"
    return None


def _label(
    name: str, frame: pd.DataFrame, limits: Mapping[str, float], complete: np.ndarray
) -> tuple[np.ndarray, dict[str, pa.Array]]:
    """Call the library on complete rows and spread its answer over all rows (False, null elsewhere)."""
    flags = np.zeros(complete.size, bool)
    # coSMicQC prints how many outliers it found.
    with contextlib.redirect_stdout(io.StringIO()):
        labelled = pd.DataFrame(
            cosmicqc.identify_outliers(
                df=frame, feature_thresholds=dict(limits), condition_name=name, include_threshold_scores=True
            )
        )
    flags[complete] = labelled[f"Metadata_cqc_{name}_is_outlier"].to_numpy(dtype=bool)
    scores: dict[str, pa.Array] = {}
    for feature in limits:
        column = f"Metadata_cqc_{name}_{feature}_zscore"
        full = np.full(complete.size, np.nan)
        full[complete] = labelled[column].to_numpy(dtype=np.float64)
        scores[column] = pa.array(full, from_pandas=True)
    return flags, scores


def _describe(name: str, frame: pd.DataFrame, limits: Mapping[str, float], flagged: int) -> QcCondition:
    thresholds = []
    for feature, zscore in limits.items():
        # ddof=0, as scipy's zscore, which coSMicQC calls; pandas' default is 1.
        mean, deviation = float(frame[feature].mean()), float(frame[feature].std(ddof=0))
        thresholds.append(QcThreshold(feature, zscore, mean, deviation, mean + zscore * deviation))
    return QcCondition(name, tuple(thresholds), len(frame), flagged)


def _unjudged_findings(count: int, cell_count: int) -> list[Finding]:
    if not count:
        return []
    text = f"{count} of {count_words(cell_count, 'cell')} are on fields of which image_quality has no verdict, and are not failed for their field."
    return [Finding("qc-field-not-judged", "warning", IMAGE_FLAGS, text)]


def _population_findings(
    cell_count: int, missing: int, failed: int, conditions: list[QcCondition], settings: DatasetSettings
) -> list[Finding]:
    findings = []
    if not conditions:
        message = "No QC condition could be evaluated; every cell passes untested."
        findings.append(Finding("qc-not-evaluated", "warning", "", message))
    if 0 < cell_count < MIN_CELLS:
        message = f"{count_words(cell_count, 'cell is', 'cells are')} few for z-scores (expected {MIN_CELLS} or more)."
        findings.append(Finding("qc-few-cells", "warning", "", message))
    if missing:
        message = f"{missing} of {count_words(cell_count, 'cell')} lack a threshold feature and were not judged by that condition."
        findings.append(Finding("qc-feature-null", "warning", "", message))
    if cell_count and failed / cell_count > settings.qc_max_fail_fraction:
        message = f"{failed} of {count_words(cell_count, 'cell')} fail QC, more than {settings.qc_max_fail_fraction:.0%}."
        findings.append(Finding("qc-fail-rate", "warning", "", message))
    return findings
