"""Writes the ``dataset.toml`` and platemap files of a screen."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bioimage_assets.core.settings.dataset import DATASET_FILE
from bioimage_assets.demo.sizes import WellTreatment

PLATEMAP_HEADER = ("well_position", "compound", "concentration_um", "control_type")

DATASET_TOML = """\
# Settings of this screen; every key is optional. Made by the demo generator.

# coSMicQC conditions: a cell fails a condition when all of its z-scores (within the plate) pass.
[qc.thresholds.blurry_cells]
Cells_Granularity_1_AGP = -2.0
Nuclei_Granularity_1_Mito = -1.8

[qc.thresholds.saturated_nuclei]
Nuclei_Intensity_MeanIntensity_DNA = 1.5

[qc.thresholds.debris]
Cells_AreaShape_Area = -2.5
Nuclei_AreaShape_Area = -2.5

[qc.thresholds.merged_cells]
Cells_AreaShape_Area = 1.0
Nuclei_AreaShape_Extent = -3.0
"""


def write_dataset_files(dataset_dir: Path, wells: Sequence[WellTreatment], plates: Sequence[str]) -> None:
    """Write settings and platemaps; files that already say the same are left alone, so nothing looks changed."""
    platemap_name = f"{dataset_dir.name}-layout"
    rows = [_platemap_row(well) for well in wells]
    platemap = "".join("\t".join(row) + "\n" for row in (PLATEMAP_HEADER, *rows))
    barcodes = "Assay_Plate_Barcode,Plate_Map_Name\n" + "".join(
        f"{plate},{platemap_name}\n" for plate in plates
    )
    write_if_changed(dataset_dir / DATASET_FILE, DATASET_TOML)
    write_if_changed(dataset_dir / "platemaps" / "platemap" / f"{platemap_name}.txt", platemap)
    write_if_changed(dataset_dir / "platemaps" / "barcode_platemap.csv", barcodes)


def _platemap_row(well: WellTreatment) -> tuple[str, ...]:
    return (well.well_id, well.compound, f"{well.concentration_um:g}", "negcon" if well.is_control else "")


def write_if_changed(path: Path, text: str) -> None:
    """Replace a text file in one step, unless it has that content already."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    temporary.write_text(text, encoding="utf-8", newline="\n")
    os.replace(temporary, path)
