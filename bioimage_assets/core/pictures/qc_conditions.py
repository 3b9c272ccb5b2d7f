"""Which condition of quality control the cells of a well fail: one plate map per condition, and the counts of each well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.pictures.browse_links import NO_LINKS, BrowseLinks
from bioimage_assets.core.pictures.drawing import Drawing, NotDrawn
from bioimage_assets.core.pictures.geometry import PlateGeometry
from bioimage_assets.core.pictures.page_parts import ReportTable
from bioimage_assets.core.pictures.plate_map import WellValues, draw_plate_heatmaps
from bioimage_assets.core.pictures.style import build_label
from bioimage_assets.core.pictures.well_numbers import read_column
from bioimage_assets.core.pictures.worst_cells import PER_CONDITION, find_worst_cells
from bioimage_assets.core.profiling.cosmicqc import QcCondition, QcReport
from bioimage_assets.core.profiling.result_columns import FAILED, OBJECT_ID

_MAX_MAPS = 9
_MAX_COLUMNS = 12
_WELL_COLUMNS = ("well_id", "Metadata_Well")


@dataclass(frozen=True, slots=True)
class WellFlags:
    """Cells of each well that have a flag: ``cells`` of each of ``wells``, and how many of them each name flags."""

    wells: tuple[str, ...]
    cells: np.ndarray
    flagged: dict[str, np.ndarray]

    def fractions(self, name: str) -> dict[str, float | None]:
        """Share of each well's cells that have a flag."""
        shares = self.flagged[name] / self.cells
        return {well: float(share) for well, share in zip(self.wells, shares, strict=True) if well}


def count_flags(qc: pa.Table, flags: dict[str, str]) -> WellFlags:
    """Count flags per well; ``flags`` are columns by the name that they get. Cells without a well share one without name."""
    column = next((name for name in _WELL_COLUMNS if name in qc.column_names), None)
    if column is None or not qc.num_rows:
        return WellFlags((), np.empty(0, np.int64), {name: np.empty(0, np.int64) for name in flags})
    coded = qc[column].cast(pa.string()).combine_chunks().dictionary_encode()
    names = [*coded.dictionary.to_pylist(), ""]
    codes = coded.indices.fill_null(len(names) - 1).to_numpy(zero_copy_only=False)
    used, inverse = np.unique(codes, return_inverse=True)
    wells = tuple(str(names[code]) for code in used)
    counted = {
        name: np.bincount(inverse, read_column(qc, flag) == 1, len(wells)).astype(np.int64)
        for name, flag in flags.items()
    }
    return WellFlags(wells, np.bincount(inverse, minlength=len(wells)), counted)


def draw_qc_conditions(
    qc: pa.Table, report: QcReport, title: str, *, geometry: PlateGeometry | None = None
) -> Drawing:
    """Draw the share of each well's cells that each condition flags; not drawn where no condition was evaluated."""
    shown = _worst_first(report)[:_MAX_MAPS]
    if not shown:
        return NotDrawn(title, "no condition of quality control was evaluated on this plate")
    counts = count_flags(qc, {condition.name: _flag(condition) for condition in shown})
    panels = [
        WellValues(
            f"{build_label(condition.name, max_characters=40).replace('_', ' ')}: {count_words(condition.flagged_count, 'cell')}",
            counts.fractions(condition.name),
            "fraction",
        )
        for condition in shown
    ]
    left_out = len(report.conditions) - len(shown)
    more = f" {count_words(left_out, 'condition')} with fewer cells left out." if left_out else ""
    caption = (
        "Cells of each well that have the condition (%), on one scale; a cell may have several conditions."
        + more
    )
    columns = 2 if len(panels) in (1, 2, 4) else 3
    return draw_plate_heatmaps(
        "qc_conditions", title, caption, panels, geometry=geometry, columns=columns, is_one_scale=True
    )


def build_well_flags_table(
    qc: pa.Table | None, report: QcReport | None, links: BrowseLinks = NO_LINKS
) -> ReportTable | None:
    """Cells of each well, those that fail and those of each condition, the worst well first; None without conditions."""
    if qc is None or report is None or not report.conditions:
        return None
    shown = _worst_first(report)[:_MAX_COLUMNS]
    counts = count_flags(qc, {"": FAILED, **{condition.name: _flag(condition) for condition in shown}})
    failed = counts.flagged.pop("")
    order = np.argsort(-failed / np.maximum(counts.cells, 1), kind="stable")
    rows = tuple(
        (
            links.well(counts.wells[row]) or "no well", int(counts.cells[row]), int(failed[row]),
            f"{failed[row] / counts.cells[row]:.0%}", *(int(flags[row]) for flags in counts.flagged.values()),
        )
        for row in order
    )  # fmt: skip
    header = ("well", "cells", "failed", "share", *(condition.name for condition in shown))
    return ReportTable("Cells of each well by condition", header, rows, is_folded=True)


def build_worst_cells_table(
    qc: pa.Table | None, report: QcReport | None, links: BrowseLinks
) -> ReportTable | None:
    """The worst cells of each condition with their wells and images, each a link to its pixels; None where no cell fails."""
    if qc is None or report is None or OBJECT_ID not in qc.column_names:
        return None
    rows = tuple(
        (
            condition.name.replace("_", " "),
            links.cell(str(row[OBJECT_ID])),
            links.well(row.get("well_id") or row.get("Metadata_Well")),
            links.image(row.get("image_id")),
        )
        for condition in report.conditions
        for row in find_worst_cells(qc, condition, PER_CONDITION)
    )
    header = ("condition", "cell", "well", "image")
    return ReportTable("Worst cells of each condition", header, rows, is_folded=True) if rows else None


def _flag(condition: QcCondition) -> str:
    return f"Metadata_cqc_{condition.name}_is_outlier"


def _worst_first(report: QcReport) -> Sequence[QcCondition]:
    return sorted(report.conditions, key=lambda condition: -condition.flagged_count)
