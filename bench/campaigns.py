"""Time and memory of a campaign's tables by the number of its plates: ``python bench/campaigns.py [plates ...]``.

Synthetic wells of two datasets, 384 per plate with 300 features, are stored; then each step of a campaign is built in a process of its own, so
that its peak of memory is its own. Each line has CPU-seconds and the peak, less that of a process that only loaded the code.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from bioimage_assets.core.discovery.campaigns import read_campaigns, take_over_settings
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.model.table_specs import list_steps
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.storage.step_inputs import StepInputs
from bioimage_assets.resources.project import ProjectResource

WELLS, FEATURES, TREATMENTS = 384, 300, 80
BATCH = 50
STEPS = ("nothing", "campaign_features", "campaign_consensus")


def list_plates(count: int) -> list[str]:
    return [f"day-{number % 2}/P{number:05d}" for number in range(count)]


def make_wells(key: str, seed: int) -> pa.Table:
    """Wells with four of each treatment and 64 controls; every tenth feature is a copy of the one before."""
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(WELLS, FEATURES))
    treatments = np.arange(WELLS) % (TREATMENTS + 16)
    answers = np.random.default_rng(0).normal(size=(TREATMENTS + 16, FEATURES))
    values += answers[treatments]
    values[:, 9::10] = values[:, 8::10]
    is_control = treatments >= TREATMENTS
    columns: dict[str, object] = {
        "plate_key": [key] * WELLS,
        "dataset_id": [key.split("/")[0]] * WELLS,
        "Metadata_Well": [f"{chr(65 + i // 24)}{i % 24 + 1:02d}" for i in range(WELLS)],
        "Metadata_compound": [
            "DMSO" if c else f"drug-{t:03d}" for c, t in zip(is_control, treatments, strict=True)
        ],
        "Metadata_control_type": pa.array(["negcon" if c else None for c in is_control], pa.string()),
        "Metadata_Object_Count": draw.integers(50, 500, WELLS),
        "Metadata_Normalized_To": ["controls"] * WELLS,
    }
    columns |= {f"Cells_Intensity_F{place:04d}": values[:, place] for place in range(FEATURES)}
    return pa.table(columns)


def fill(folder: Path, count: int) -> None:
    """Store the wells of all plates."""
    (folder / "incoming").mkdir(parents=True)
    (folder / "incoming" / "campaign.toml").write_text('[campaigns.c]\ndatasets = ["day-0", "day-1"]\n')
    warehouse = ProjectResource(data_dir=str(folder)).warehouse()
    keys = list_plates(count)
    for start in range(0, count, BATCH):
        chosen = keys[start : start + BATCH]
        data = {key: make_wells(key, start + place) for place, key in enumerate(chosen)}
        warehouse.replace_partitions(
            "pycytominer_profiles", data, chosen, source_type="bench", source_ref="bench"
        )


def build(folder: Path, count: int, name: str) -> dict[str, float]:
    """Build the step of a table in this process; its CPU-seconds and the peak of memory."""
    project = ProjectResource(data_dir=str(folder))
    (campaign,) = read_campaigns(project.settings.incoming_uris).campaigns.values()
    settings = take_over_settings(campaign, dict.fromkeys(campaign.datasets, DatasetSettings()))
    sources = tuple(
        PlateSource(key, key.split("/")[0], key.split("/")[1], str(folder / "incoming"), ())
        for key in list_plates(count)
    )
    began = time.process_time()
    from bioimage_assets.assets import campaigns
    from bioimage_assets.io_managers.plate_batch import build_step

    assert campaigns
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        inputs = StepInputs(project.tables(), campaign.key, sources, settings, Path(scratch))
        for step in list_steps("campaign"):
            if name in step.names:
                for table, made in build_step(step, inputs).items():
                    rows = made.rows()
                    assert isinstance(rows, pa.Table), table
                    project.warehouse().replace_partitions(
                        table, rows, [campaign.key], source_type="bench", source_ref="bench"
                    )
    return {
        "cpu_s": time.process_time() - began,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def main(counts: list[int]) -> None:
    """Print a line per number of plates and step."""
    for count in counts:
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
            folder = Path(name)
            fill(folder, count)
            base = 0.0
            for step in STEPS:
                command = [sys.executable, __file__, "--build", str(folder), str(count), step]
                found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                base = base or found["peak_gb"]
                print(
                    f"{count:6,} plates, {count * WELLS:9,} wells  {step:20} {found['cpu_s']:8.1f} CPU-s "
                    f"{found['peak_gb'] - base:6.2f} GB above {base:.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--build"]:
        print(json.dumps(build(Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])))
    else:
        main([int(word) for word in sys.argv[1:]] or [20, 200])
