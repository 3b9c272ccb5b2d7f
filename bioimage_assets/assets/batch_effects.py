"""Well profiles of a dataset without the effects of position and batch, and what is left of these."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from bioimage_assets.core.batch_effects.calls import list_calls
from bioimage_assets.core.batch_effects.dataset import Correction, correct_wells
from bioimage_assets.core.batch_effects.describe import describe_lost
from bioimage_assets.core.batch_effects.plan import CorrectionPlan, plan_correction
from bioimage_assets.core.batch_effects.scores import (
    AFTER,
    BEFORE,
    CorrectedWells,
    Score,
    build_scores,
    measure_correction,
)
from bioimage_assets.core.batch_effects.stored import read_metadata, read_values, select_features
from bioimage_assets.core.batch_effects.table import REFERENCE, stream_profiles
from bioimage_assets.core.engines.open_engine import open_project_engine
from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.phrases import error_words
from bioimage_assets.core.profiling.dataset_wells import find_plates
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.core.storage.step_inputs import StepInputs
from bioimage_assets.metadata import build_counts_markdown, build_findings_markdown

PROFILES, SCORES = "sphered_profiles", "correction_scores"


def build_sphered_profiles(inputs: StepInputs) -> Mapping[str, PlateTable]:
    """Correct the wells of a dataset batch by batch, and measure what that did; both absent where there is nothing to fit on."""
    settings = inputs.settings
    if settings.batch_method == "none" and not settings.position_regression:
        return _absent('[batch_effects] method = "none" and position_regression = false ask for none')
    plates = find_plates(inputs.tables, inputs.sources)
    if plates is None:
        return _absent("no plate of this dataset has well profiles")
    engine = open_project_engine(inputs.project)
    metadata = read_metadata(engine, plates)
    frame = metadata.to_pandas()
    try:
        plan = plan_correction(frame, settings, _find_stored_reference(inputs))
        features = select_features(engine, plates, plan.batches.plates_of(plan.reference), settings)
    except ProfilingError as error:
        if settings.reference_batch is not None:
            raise
        return _absent(error_words(error))
    values = read_values(engine, plates, features, len(frame))
    correction = correct_wells(plan, frame, values, features, settings)
    kept = metadata.take(pa.array(correction.rows))
    batches = plan.batches.of_wells[correction.rows]
    corrected = CorrectedWells(correction, kept.to_pandas(), batches, plan.is_control[correction.rows])
    scores = measure_correction(corrected, settings)
    method = settings.batch_method
    rows = stream_profiles(kept, correction, batches, plan.reference, method)
    findings = (*correction.findings, *_describe_lost(correction, scores))
    described = _describe(correction, plan, scores, findings, method)
    steps = list_calls(correction, plan.reference, settings)
    table = build_scores(scores, inputs.partition, method, plan.reference)
    return {
        PROFILES: PlateTable(rows, described, findings=findings, steps=steps),
        SCORES: PlateTable(table, {"scores": described["scores"]}, findings=()),
    }


def _absent(note: str) -> Mapping[str, PlateTable]:
    return {name: PlateTable.absent(note) for name in (PROFILES, SCORES)}


def _find_stored_reference(inputs: StepInputs) -> str | None:
    """Reference batch of the table that is stored: it stays, whatever batches came since."""
    stored = inputs.find(PROFILES, [REFERENCE])
    if stored is None or not stored.num_rows or REFERENCE not in stored.column_names:
        return None
    return str(stored[REFERENCE][0].as_py())


def _describe_lost(correction: Correction, scores: Sequence[Score]) -> list[Finding]:
    """A finding that names treatments which the correction made inactive."""
    controls = min(report.control_count for report in correction.batches)
    kept = (score for score in scores if score.lost)
    return [
        finding
        for score in kept
        for finding in describe_lost(score.lost, str(score.note), controls, len(correction.features))
    ]


def _describe(
    correction: Correction,
    plan: CorrectionPlan,
    scores: list[Score],
    findings: Sequence[Finding],
    method: str,
) -> dict[str, object]:
    counts: dict[str, object] = {
        "method": method,
        "batches": f"{len(correction.batches)}, by {plan.batches.source or 'nothing: all plates are one'}",
        "reference batch": plan.reference,
        "wells": correction.rows.size,
        "features": len(correction.features),
        "control wells": int(plan.is_control[correction.rows].sum()),
    }
    changes: dict[str, object] = {}
    for score in scores:
        if score.batch is None and score.value is not None and score.stage in (BEFORE, AFTER):
            changes[f"{score.measure}, {score.stage}"] = f"{score.value:.3g}"
    return {
        "correction": build_counts_markdown(counts),
        "scores": build_counts_markdown(changes),
        "findings": build_findings_markdown(findings),
    }
