"""Cells of one plate become well profiles: QC failures dropped, normalised to controls, aggregated, annotated.

The maths is pycytominer's (https://github.com/cytomining/pycytominer), the well spelling, the left join and
the accounting are ours: ``annotate`` drops wells without platemap row in silence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from pycytominer import annotate

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.profiling.cell_rows import NO_WELL, CellRows, read_cell_rows
from bioimage_assets.core.profiling.features import FeatureColumns, select_feature_columns
from bioimage_assets.core.profiling.normalization import (
    BLOCK_BYTES,
    WELL,
    WellBlock,
    build_well_blocks,
    center_on_controls,
)
from bioimage_assets.core.profiling.platemap import PlateMap
from bioimage_assets.core.profiling.sources import CellSource, open_cells
from bioimage_assets.core.profiling.wells import well_sort_key
from bioimage_assets.core.settings.dataset import DatasetSettings

OBJECT_COUNT = "Metadata_Object_Count"
FAILED_COUNT = "Metadata_QC_Failed_Count"
LOW_COUNT = "Metadata_Low_Cell_Count"

# Fewer control cells give no mean and deviation worth dividing by.
MIN_CONTROL_CELLS = 10
# Profiles beyond this come from a reference with almost no spread.
EXTREME_VALUE = 1e6


@dataclass(frozen=True, slots=True)
class ProfilingReport:
    """What became of the cells of one plate on their way to well profiles.

    ``reference`` is ``controls`` or ``plate``. ``unscaled_features`` have no spread in the reference and are null
    in every well; ``place_columns`` are the columns that say where a cell lies and were left out.
    """

    cell_count: int
    qc_failed_count: int
    qc_missing_count: int
    profiled_cell_count: int
    cells_without_well: int
    well_count: int
    reference: str
    control_well_count: int
    reference_cell_count: int
    method: str
    feature_count: int
    place_columns: tuple[str, ...]
    unscaled_features: tuple[str, ...]
    nonfinite_value_count: int
    wells_without_platemap: tuple[str, ...]
    platemap_wells_without_cells: tuple[str, ...]
    low_count_wells: tuple[str, ...]
    findings: tuple[Finding, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON and run metadata."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Reference:
    """Cells that define zero and unit of the plate."""

    name: str
    rows: np.ndarray
    wells: frozenset[str]
    findings: tuple[Finding, ...]


def build_well_profiles(
    joined: CellSource,
    qc: CellSource | None,
    platemap: PlateMap | None,
    settings: DatasetSettings,
    *,
    center_controls: bool = True,
    block_bytes: int = BLOCK_BYTES,
) -> tuple[pa.Table, ProfilingReport]:
    """Build one profile per well of one plate.

    Every well that holds a measured cell gives one row, also where all its cells failed QC (features null) or the
    platemap does not describe it (treatment null); cells without well share one row without ``well_id``. With fewer
    than ``settings.min_controls`` control wells the whole plate is the reference, and a finding says so.

    Cells are scaled by the reference cells, then each well takes their median (the same numbers, in the same units, as
    scaling after aggregating: both steps are affine). ``center_controls`` then moves the median control well to zero;
    without it, or without controls, the numbers are exactly those of ``pycytominer.normalize`` and ``aggregate``.

    Raises
    ------
    ProfilingError
        When there are no cells or no features, several plates, or the QC table is not of these cells.
    """
    cells = open_cells(joined)
    features = select_feature_columns(cells.schema, settings)
    if not features.profiled:
        raise ProfilingError(
            "The cells have no feature column: expected numbers in Cells_*, Cytoplasm_*, Nuclei_*, *_wv1 or embeddings. "
            'Name others in dataset.toml: [features] include = ["…"] or compartments = ["…"].'
        )
    rows = read_cell_rows(cells, qc)
    reference = _choose_reference(rows, platemap, settings)
    blocks: tuple[WellBlock, ...] = ()
    if rows.passed.any():
        made = build_well_blocks(
            cells, rows, reference.rows, features.profiled, settings.normalization_method, block_bytes
        )
        is_centered = center_controls and reference.name == "controls"
        blocks = tuple(center_on_controls(block, reference.wells) if is_centered else block for block in made)
    wells = _annotate(_count_wells(rows, settings), blocks, platemap)
    table = _to_arrow(wells, rows, features.profiled)
    return table, _build_report(table, rows, reference, features, blocks, platemap, settings)


def _choose_reference(rows: CellRows, platemap: PlateMap | None, settings: DatasetSettings) -> _Reference:
    """Take the passing cells of the control wells, or all passing cells where there are too few of them."""
    is_control = rows.passed & np.isin(rows.wells.astype(str), list(_control_wells(platemap, settings)))
    wells = frozenset(str(well) for well in rows.wells[is_control])
    cells = int(is_control.sum())
    if len(wells) >= max(settings.min_controls, 1) and cells >= MIN_CONTROL_CELLS:
        return _Reference("controls", is_control, wells, ())
    if platemap is None:
        why = "the dataset has no platemap"
    else:
        why = f"{len(wells)} control wells with {cells} cells were found ({settings.control_column} in {list(settings.control_values)})"
    message = (
        f"Normalised to the whole plate, because {why}; "
        f"expected at least {settings.min_controls} wells with {MIN_CONTROL_CELLS} cells."
    )
    finding = Finding("normalised-to-plate", "warning", settings.control_column, message)
    return _Reference("plate", rows.passed, wells, (finding,))


def _control_wells(platemap: PlateMap | None, settings: DatasetSettings) -> tuple[str, ...]:
    if platemap is None or settings.control_column not in platemap.table.column_names:
        return ()
    kinds = platemap.table[settings.control_column].to_pylist()
    wanted = set(settings.control_values)
    return tuple(
        well
        for well, kind in zip(platemap.wells, kinds, strict=True)
        if kind is not None and str(kind) in wanted
    )


def _count_wells(rows: CellRows, settings: DatasetSettings) -> pd.DataFrame:
    """One row per well with measured cells, in plate order."""
    frame = pd.DataFrame({WELL: rows.wells, "failed": rows.failed})
    counts = frame.groupby(WELL)["failed"].agg(["size", "sum"])
    counts = counts.loc[sorted(counts.index, key=well_sort_key)]
    passed = (counts["size"] - counts["sum"]).astype("int64")
    wells = pd.DataFrame({WELL: counts.index, OBJECT_COUNT: passed.to_numpy()})
    wells[FAILED_COUNT] = counts["sum"].to_numpy(dtype="int64")
    wells[LOW_COUNT] = wells[OBJECT_COUNT] < settings.min_cells_per_well
    return wells


def _annotate(wells: pd.DataFrame, blocks: Iterable[WellBlock], platemap: PlateMap | None) -> pd.DataFrame:
    """Attach treatments by pycytominer, whose inner join is made a left one by naming every well in the platemap."""
    medians = [block.medians.set_index(WELL) for block in blocks]
    profiles = wells.join(pd.concat(medians, axis=1), on=WELL).copy() if medians else wells
    if platemap is None:
        return profiles
    layout = platemap.table.to_pandas()
    undescribed = [well for well in wells[WELL] if well not in set(layout[WELL])]
    layout = layout.reindex(range(len(layout) + len(undescribed)))
    layout.loc[len(layout) - len(undescribed) :, WELL] = undescribed
    annotated = pd.DataFrame(
        annotate(
            profiles,
            layout,
            join_on=[WELL, WELL],
            add_metadata_id_to_platemap=False,
            clean_cellprofiler=False,
        )
    )
    return annotated.set_index(WELL).loc[list(wells[WELL])].reset_index()


def _to_arrow(wells: pd.DataFrame, rows: CellRows, features: tuple[str, ...]) -> pa.Table:
    names = [None if well == NO_WELL else str(well) for well in wells[WELL]]
    count = len(names)
    columns: dict[str, pa.Array] = {
        "plate_key": pa.array([rows.plate_key] * count, pa.string()),
        "dataset_id": pa.array([rows.dataset_id] * count, pa.string()),
        "plate_id": pa.array([rows.plate_id] * count, pa.string()),
        "well_id": pa.array(names, pa.string()),
        "Metadata_Plate": pa.array([rows.plate_name] * count, pa.string()),
        WELL: pa.array(names, pa.string()),
        OBJECT_COUNT: pa.array(wells[OBJECT_COUNT], pa.int64()),
        FAILED_COUNT: pa.array(wells[FAILED_COUNT], pa.int64()),
        LOW_COUNT: pa.array(wells[LOW_COUNT], pa.bool_()),
    }
    profiled = set(features)
    for name in wells.columns:
        if name not in columns and name not in profiled:
            kind = pa.float64() if pd.api.types.is_numeric_dtype(wells[name]) else pa.string()
            columns[name] = pa.array(wells[name], kind, from_pandas=True)
    for name in features:
        values = wells[name] if name in wells.columns else [None] * count
        columns[name] = pa.array(values, pa.float64(), from_pandas=True)
    return pa.table(columns)


def _build_report(
    table: pa.Table,
    rows: CellRows,
    reference: _Reference,
    features: FeatureColumns,
    blocks: tuple[WellBlock, ...],
    platemap: PlateMap | None,
    settings: DatasetSettings,
) -> ProfilingReport:
    wells = [well for well in table["well_id"].to_pylist() if well is not None]
    described = set(platemap.wells) if platemap is not None else set()
    low = table.filter(table[LOW_COUNT])["well_id"].to_pylist()
    report = ProfilingReport(
        cell_count=rows.wells.size,
        qc_failed_count=int(rows.failed.sum()),
        qc_missing_count=rows.missing_count,
        profiled_cell_count=int(rows.passed.sum()),
        cells_without_well=rows.without_well_count,
        well_count=table.num_rows,
        reference=reference.name,
        control_well_count=len(reference.wells),
        reference_cell_count=int(reference.rows.sum()),
        method=settings.normalization_method,
        feature_count=len(features.profiled),
        place_columns=features.places,
        unscaled_features=tuple(name for block in blocks for name in block.unscaled),
        nonfinite_value_count=sum(block.nonfinite_count for block in blocks),
        wells_without_platemap=tuple(well for well in wells if well not in described),
        platemap_wells_without_cells=tuple(sorted(described - set(wells), key=well_sort_key)),
        low_count_wells=tuple(NO_WELL if well is None else well for well in low),
    )
    findings = (*(platemap.findings if platemap else ()), *rows.findings, *reference.findings)
    return _with_findings(report, (*findings, *_report_findings(report, table, features)))


def _with_findings(report: ProfilingReport, findings: tuple[Finding, ...]) -> ProfilingReport:
    values = {name: getattr(report, name) for name in ProfilingReport.__slots__}
    return ProfilingReport(**(values | {"findings": findings}))


def _report_findings(report: ProfilingReport, table: pa.Table, features: FeatureColumns) -> list[Finding]:
    found = []
    if report.cells_without_well:
        found.append(
            (
                "cells-without-well",
                "Metadata_Well",
                f"{report.cells_without_well} cells have no well; they share one row.",
            )
        )
    if report.wells_without_platemap:
        some = ", ".join(report.wells_without_platemap[:8])
        found.append(
            ("well-without-platemap", some, f"{len(report.wells_without_platemap)} wells are in no platemap.")
        )
    if report.unscaled_features:
        some = ", ".join(report.unscaled_features[:4])
        message = (
            f"{len(report.unscaled_features)} features do not vary in the reference and are null: {some}."
        )
        found.append(("feature-unscaled", some, message))
    if report.nonfinite_value_count:
        message = f"{report.nonfinite_value_count} infinite values were taken for missing."
        found.append(("value-not-finite", "", message))
    if report.low_count_wells:
        some = ", ".join(report.low_count_wells[:8])
        found.append(
            ("well-few-cells", some, f"{len(report.low_count_wells)} wells have too few cells: {some}.")
        )
    extreme = [name for name in features.profiled if _largest(table[name]) > EXTREME_VALUE]
    if extreme:
        message = (
            f"{len(extreme)} features exceed {EXTREME_VALUE:g} after normalisation: {', '.join(extreme[:4])}."
        )
        found.append(("value-extreme", ", ".join(extreme[:4]), message))
    return [Finding(code, "warning", location, message) for code, location, message in found]


def _largest(column: pa.ChunkedArray) -> float:
    values = column.to_numpy()
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else 0.0
