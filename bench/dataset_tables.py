"""What the tables of a dataset cost: selected features, consensus, replicate measures and the page, at any number of plates.

    python bench/dataset_tables.py --folder <scratch folder> --plates 2000 --features 300 [--step selection]

Makes a warehouse root of synthetic well profiles (384 wells a plate, 64 of them controls, five replicates of each treatment at
different positions), then runs each step in a process of its own and prints its processor seconds and its peak memory. The
limits are those for 2,000 plates, whatever the size: all steps together at most 30 CPU-minutes, none above 4 GB. Exit code 1
where one is missed. ``--step`` runs one step on what the earlier ones left.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from bioimage_assets.assets.pages import build_dataset_page
from bioimage_assets.assets.rollups import build_selection, find_selected, read_replicates
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.profiling.consensus import build_consensus
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.core.storage.step_inputs import StepInputs
from bioimage_assets.core.storage.write import replace_tables
from bioimage_assets.resources.project import ProjectResource

MAX_GB = 4.0
MAX_CPU_MINUTES = 30.0
STEPS = ("make", "selection", "consensus", "replicates", "page")
SETTINGS = DatasetSettings()
DATASET = "campaign"
WELLS, CONTROLS, REPLICATES = 384, 64, 5
DOSES = (0.1, 1.0, 10.0, 100.0)


def make_plate(number: int, features: int) -> pa.Table:
    """Wells of one plate: five plates share a layout, and every plate has its own positions."""
    random = np.random.default_rng(number)
    place = random.permutation(WELLS)
    layout, treated = number // REPLICATES, np.arange(WELLS) - CONTROLS
    names = [f"{chr(65 + p // 24)}{p % 24 + 1:02d}" for p in place]
    is_control = treated < 0
    dose = [None if c else DOSES[t % len(DOSES)] for c, t in zip(is_control, treated, strict=True)]
    compound = [None if c else f"c{layout}-{t // 4}" for c, t in zip(is_control, treated, strict=True)]
    columns: dict[str, object] = {
        "plate_key": [f"{DATASET}/P{number:05d}"] * WELLS,
        "dataset_id": [DATASET] * WELLS,
        "plate_id": [f"P{number:05d}"] * WELLS,
        "well_id": names,
        "Metadata_Plate": [f"P{number:05d}"] * WELLS,
        "Metadata_Well": names,
        "Metadata_compound": pa.array(compound, pa.string()),
        "Metadata_concentration_um": pa.array(dose, pa.float64()),
        "Metadata_control_type": pa.array(["negcon" if c else None for c in is_control], pa.string()),
        "Metadata_Object_Count": random.integers(500, 2_000, WELLS),
        "Metadata_QC_Failed_Count": random.integers(0, 50, WELLS),
        "Metadata_Normalized_To": ["controls"] * WELLS,
    }
    # A third of the treatments does something, more of it at higher doses.
    effects = np.random.default_rng(layout).normal(size=(WELLS, features)) * (treated % 3 == 0)[:, None]
    values = (
        random.normal(size=(WELLS, features)) + effects * np.asarray([d or 0.0 for d in dose])[:, None] / 50
    )
    return pa.table(columns | {f"Cells_AreaShape_F{place}": values[:, place] for place in range(features)})


def make_root(inputs: StepInputs, features: int) -> str:
    """Store all plates in one change."""
    schema = make_plate(0, features).schema

    def rows(number: int) -> Iterator[pa.RecordBatch]:
        yield from make_plate(number, features).to_batches()

    plates = {
        source.plate_key: pa.RecordBatchReader.from_batches(schema, rows(number))
        for number, source in enumerate(inputs.sources)
    }
    written = inputs.tables.warehouse.replace_partitions("pycytominer_profiles", plates, list(plates))
    return f"{written.row_count:,} wells"


def store(inputs: StepInputs, name: str, table: PlateTable) -> str:
    """Store what a step gives, as a run does."""
    stored, failures = replace_tables(
        inputs.tables, name, {DATASET: table}, run_id="bench", watch=lambda key: nullcontext()
    )
    assert not failures, failures
    return f"{stored[DATASET].row_count:,} rows" if stored[DATASET].row_count is not None else "stored"


def run_step(step: str, inputs: StepInputs, features: int) -> str:
    """One step; what it made, in words."""
    if step == "make":
        return make_root(inputs, features)
    if step == "selection":
        return store(inputs, "pycytominer_selected_features", build_selection(inputs))
    if step == "page":
        return store(inputs, "dataset_report", build_dataset_page(inputs))
    wells = find_selected(inputs)
    assert wells is not None, "the selection is stored"
    if step == "consensus":
        return store(inputs, "pycytominer_consensus", PlateTable(build_consensus(wells, SETTINGS)[0]))
    report, findings = read_replicates(wells, SETTINGS)
    assert report is not None, findings
    active = f"{report.percent_active:.0f} % of {len(report.treatments):,} treatments active"
    return "; ".join([active, *(finding.message for finding in findings)])


def open_inputs(folder: Path, plates: int) -> StepInputs:
    """The dataset as a step is given it; there are no image stores."""
    project = ProjectResource(data_dir=str(folder))
    sources = tuple(
        PlateSource(f"{DATASET}/P{n:05d}", DATASET, f"P{n:05d}", str(folder / "incoming" / DATASET), ())
        for n in range(plates)
    )
    return StepInputs(project.tables(), DATASET, sources, SETTINGS, folder / "scratch")


def measure_here(step: str, folder: Path, plates: int, features: int) -> dict[str, object]:
    """Run a step in this process."""
    made = run_step(step, open_inputs(folder, plates), features)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"made": made, "cpu_s": used.ru_utime + used.ru_stime, "peak_gb": used.ru_maxrss * 1024 / 1e9}


def measure(step: str, folder: Path, plates: int, features: int) -> dict[str, object]:
    """Run a step in a process of its own."""
    command = [sys.executable, __file__, "--folder", str(folder), "--plates", str(plates), "--here"]
    done = subprocess.run(
        [*command, "--features", str(features), "--step", step], stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def report(rows: dict[str, dict[str, object]], plates: int) -> list[str]:
    """Print a table; name the limits that are missed. The making of the plates counts for none."""
    counted = [row for step, row in rows.items() if step != "make"]
    for step, row in rows.items():
        print(f"| {plates:,} | {step} | {row['cpu_s']:.1f} | {row['peak_gb']:.2f} | {row['made']} |")
    minutes = sum(float(str(row["cpu_s"])) for row in counted) / 60
    peak = max((float(str(row["peak_gb"])) for row in counted), default=0.0)
    print(
        f"{minutes / MAX_CPU_MINUTES:.2f} of {MAX_CPU_MINUTES:g} CPU-minutes, {peak / MAX_GB:.2f} of {MAX_GB:g} GB"
    )
    failed = [f"{minutes:.1f} CPU-minutes"] if minutes > MAX_CPU_MINUTES else []
    return [*failed, f"{peak:.2f} GB"] if peak > MAX_GB else failed


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="scratch folder; default: a temporary one")
    parser.add_argument("--plates", type=int, default=20)
    parser.add_argument("--features", type=int, default=300)
    parser.add_argument("--step", choices=STEPS, help="one step only")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        print(json.dumps(measure_here(given.step, given.folder, given.plates, given.features)))
        return 0
    with nullcontext(str(given.folder)) if given.folder else tempfile.TemporaryDirectory() as folder:
        run = partial(measure, folder=Path(folder), plates=given.plates, features=given.features)
        print("| plates | step | CPU s | peak GB | made |\n|---|---|---|---|---|")
        rows = {step: run(step) for step in ([given.step] if given.step else STEPS)}
        failed = report(rows, given.plates)
    print("\n".join(f"MISSED: {line}" for line in failed) or "All limits are kept.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
