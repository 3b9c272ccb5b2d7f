"""Whether the pipeline finds the biology that the demo generator put in: QC recall, quiet controls, rising doses.

    python bench/biology.py [--plates 3]

Makes one dataset at the standard size (60 wells x 2 sites x 540 px per plate, about a minute per plate and core),
takes it through scan, join, QC, normalisation and feature selection, and compares with the generator's ground truth.
Controls are centred (``[normalization] center_controls``): pycytominer's own numbers leave an offset that all wells share.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from bioimage_assets.core.discovery.dataset_file import read_dataset_settings
from bioimage_assets.core.discovery.roots import discover_roots
from bioimage_assets.core.joins.join import join_plate
from bioimage_assets.core.measurements.read import read_measurements
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.profiling.cosmicqc import FAILED, build_cosmicqc_profiles
from bioimage_assets.core.profiling.dataset import build_selected_features
from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.profiling.platemap import read_platemap
from bioimage_assets.core.profiling.pycytominer import build_well_profiles
from bioimage_assets.core.profiling.replicates import TreatmentReplicates, measure_replicates
from bioimage_assets.core.scan.scanner import scan_plate_source
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.demo.screens import build_screens

DATASET = "screen-a"
TRUTH = "Metadata_truth_artefact"
INERT = "inert_A"

MIN_SATURATED_RECALL = 1.0
MIN_BLURRED_RECALL = 0.8
MAX_FALSE_ALARMS = 0.05
MAX_CONTROL_CORRELATION = 0.15
MAX_CONTROL_OFFSET = 0.1  # deviations of the control cells


@dataclass(frozen=True, slots=True)
class BiologyScores:
    """What the pipeline found, against what was put in; ``strengths`` by compound in order of dose."""

    cell_count: int
    matched_count: int
    saturated_recall: float
    blurred_recall: float
    false_alarms: float
    control_correlation: float
    control_offset: float
    strengths: dict[str, tuple[float, ...]]
    active_treatments: tuple[str, ...]
    seconds: float


def measure_biology(root: Path, datasets: Sequence[str] = (DATASET,)) -> BiologyScores:
    """Run the pipeline on the dataset below a watched root and score it."""
    start = time.perf_counter()
    settings = replace(read_dataset_settings(str(root / DATASET)), center_controls=True)
    truths, flags, wells, matched = [], [], [], 0
    for source in discover_roots([str(root)], datasets=datasets).sources:
        joined, matched_here = _join(source, settings)
        qc, _ = build_cosmicqc_profiles(joined, settings)
        platemap = read_platemap(source.dataset_uri, source.plate_name, settings)
        wells.append(build_well_profiles(joined, qc, platemap, settings)[0])
        truths += joined[TRUTH].to_pylist()
        flags += qc[FAILED].to_pylist()
        matched += matched_here
    selected, _ = build_selected_features(wells, settings)
    replicates = measure_replicates(selected, settings)
    truth, flagged = np.asarray(truths), np.asarray(flags)
    return BiologyScores(
        cell_count=len(truths),
        matched_count=matched,
        saturated_recall=float(flagged[truth == "saturation"].mean()),
        blurred_recall=float(flagged[truth == "blur"].mean()),
        false_alarms=float(flagged[truth == "clean"].mean()),
        control_correlation=replicates.control_correlation or 0.0,
        control_offset=_control_offset(selected, settings),
        strengths=_strengths(selected, settings, replicates.treatments),
        active_treatments=tuple(row.treatment for row in replicates.treatments if row.is_active),
        seconds=time.perf_counter() - start,
    )


def _join(source: PlateSource, settings: DatasetSettings) -> tuple[pa.Table, int]:
    images = scan_plate_source(source, with_chunks=False).images
    cells = read_measurements(
        source.measurement_uris,
        plate_key=source.plate_key,
        dataset_id=source.dataset_name,
        plate_name=source.plate_name,
        settings=settings,
    ).reader.read_all()
    result = join_plate(
        images, cells, settings=settings, plate_key=source.plate_key, dataset_id=source.dataset_name
    )
    table = result.table()
    return table, result.report.matched_rows


def _control_offset(wells: pa.Table, settings: DatasetSettings) -> float:
    """Mean absolute value, over the features, of the mean control well."""
    features = list_profile_features(wells.schema)
    frame = wells.to_pandas()
    controls = frame.loc[frame[settings.control_column].isin(settings.control_values), features]
    return float(controls.mean().abs().mean())


def _strengths(
    wells: pa.Table, settings: DatasetSettings, rows: Sequence[TreatmentReplicates]
) -> dict[str, tuple[float, ...]]:
    compound, dose = settings.treatment_columns
    frame = wells.to_pandas()
    treated = frame[~frame[settings.control_column].isin(settings.control_values)]
    strength = {row.treatment: row.strength or 0.0 for row in rows}
    return {
        str(name): tuple(round(strength[f"{name} {value:g}"], 3) for value in sorted(set(group[dose])))
        for name, group in treated.groupby(compound)
    }


def check_biology(scores: BiologyScores) -> list[str]:
    """Name every criterion that is not met."""
    failed = []
    if scores.matched_count != scores.cell_count:
        failed.append(f"{scores.cell_count - scores.matched_count} cells are joined to no image")
    if scores.saturated_recall < MIN_SATURATED_RECALL:
        failed.append(f"saturated cells found: {scores.saturated_recall:.1%}")
    if scores.blurred_recall <= MIN_BLURRED_RECALL:
        failed.append(f"blurred cells found: {scores.blurred_recall:.1%}")
    if scores.false_alarms >= MAX_FALSE_ALARMS:
        failed.append(f"clean cells flagged: {scores.false_alarms:.1%}")
    if abs(scores.control_correlation) > MAX_CONTROL_CORRELATION:
        failed.append(f"control wells correlate: {scores.control_correlation:.2f}")
    if scores.control_offset > MAX_CONTROL_OFFSET:
        failed.append(f"control wells lie off zero: {scores.control_offset:.2f}")
    failed += [f"{name} is called active" for name in scores.active_treatments if name.startswith(INERT)]
    for name, strengths in scores.strengths.items():
        if name == INERT or name == "DMSO":
            continue
        if strengths[-1] < 1.5 * strengths[0] or not _is_rising(strengths):
            failed.append(f"{name} does not rise with dose: {strengths}")
        if not any(label.startswith(name) for label in scores.active_treatments):
            failed.append(f"{name} is active at no dose")
    return failed


def _is_rising(strengths: Sequence[float], slack: float = 0.25) -> bool:
    """Each dose is as strong as the one before, but for saturation of the response at the top."""
    return all(later > (1 - slack) * earlier for earlier, later in itertools.pairwise(strengths))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="scratch folder; default: a temporary one")
    parser.add_argument("--plates", type=int, default=3)
    parser.add_argument("--size", default="standard")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    with nullcontext(given.folder) if given.folder else TemporaryDirectory() as scratch:
        folder = Path(scratch)
        build_screens(
            folder, size=given.size, datasets=[DATASET], n_plates=given.plates, workers=given.workers
        )
        scores = measure_biology(folder)
    print(json.dumps(asdict(scores), indent=2))
    failed = check_biology(scores)
    print("\n".join(f"FAILED: {line}" for line in failed) or "All criteria are met.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
