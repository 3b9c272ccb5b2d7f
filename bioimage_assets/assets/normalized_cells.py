"""Normalised single cells: joined cells, QC flags and platemap in, one stream of rows out."""

import dagster as dg

from bioimage_assets.assets.wells import find_judged_cells, read_plate_platemap
from bioimage_assets.core.profiling.normalized_cells import NormalizedCells, normalize_cells
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.core.storage.step_inputs import StepInputs
from bioimage_assets.metadata import build_counts_markdown, build_findings_markdown

_NOT_ASKED = (
    "not asked for: [normalized_cells] write = true in dataset.toml asks for normalised cells of each plate"
)


def build_normalized_cells(inputs: StepInputs) -> PlateTable:
    """The plate's cells in deviations of its reference cells, where the dataset asks for them."""
    if not inputs.settings.write_normalized_cells:
        return PlateTable.absent(_NOT_ASKED)
    stored = find_judged_cells(inputs)
    if isinstance(stored, PlateTable):
        return stored
    joined, qc = stored
    cells = normalize_cells(joined, qc, read_plate_platemap(inputs), inputs.settings)
    return PlateTable(
        cells.rows,
        _describe(cells),
        findings=cells.findings,
        steps=[call.to_dict() for call in cells.calls],
    )


def _describe(cells: NormalizedCells) -> dict[str, object]:
    counts: dict[str, object] = {
        "cells": cells.cell_count,
        "features": cells.feature_count,
        "normalised to": cells.reference.name,
        "reference cells": cells.reference.cell_count,
        "without spread": len(cells.unscaled),
    }
    return {
        "normalized_cells": build_counts_markdown(counts),
        "cells": dg.MetadataValue.int(cells.cell_count),
        "reference": cells.reference.name,
        "findings": build_findings_markdown(cells.findings),
    }
