"""Whether every cell of a plate is there once: rows that repeat an id, and what the measurements lack or give twice."""

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.checks.inputs import CheckInputs
from bioimage_assets.checks.tables import NO_CELLS
from bioimage_assets.checks.verdict import Verdict
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.storage.standing_findings import read_findings_of_step

MEASURED = ("single_cells", "measured_images")
TWICE = frozenset(
    {"cells-unexpected", "duplicate-objects", "duplicated-image-numbers", "field-measured-twice"}
)
MISSING = frozenset({"cells-missing", "empty-file", "malformed-rows", "row-count-differs", "unreadable-file"})
"""Findings of the measurements that say so, where they are errors: what ``dataset.toml`` chose is none."""
SHOWN_IDS = 5


def check_every_cell(inputs: CheckInputs) -> Verdict:
    """No two joined rows are one cell, and the measurements neither lack cells nor give a field twice."""
    cells = inputs.find("joined_profiles", ["Metadata_ObjectID"])
    if cells is None or not cells.num_rows:
        return Verdict.not_checked(NO_CELLS)
    repeated = _find_repeated(cells.column(0)) if cells.column_names else pa.array([])
    if len(repeated):
        text = f"{count_words(len(repeated), 'cell has', 'cells have')} several of {count_words(cells.num_rows, 'row')}"
        return Verdict(False, text, {"rows": cells.num_rows, "examples": repeated[:SHOWN_IDS].to_pylist()})
    found = [
        group
        for group in read_findings_of_step(inputs.tables, inputs.plate_key, MEASURED)
        if group.severity == "error" and group.code in TWICE | MISSING
    ]
    text = "; ".join(f"{group.code}: {group.message}" for group in found)
    return Verdict(
        not found,
        text or f"{count_words(cells.num_rows, 'row')}, each another cell",
        {"rows": cells.num_rows},
    )


def _find_repeated(ids: pa.ChunkedArray) -> pa.Array:
    """Ids that several rows have."""
    counts = pc.value_counts(ids.drop_null())
    return counts.filter(pc.greater(pc.struct_field(counts, "counts"), 1)).field(0)
