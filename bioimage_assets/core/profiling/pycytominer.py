"""Well profiles of one plate: QC failures dropped, normalised to controls, aggregated, annotated.

The maths is pycytominer's (https://github.com/cytomining/pycytominer), the well spelling, the left join and
the accounting are ours: ``annotate`` drops wells without platemap row in silence.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import pyarrow as pa
from pycytominer import annotate

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.profiling.cell_rows import NO_WELL, CellRows, read_cell_rows
from bioimage_assets.core.profiling.features import select_feature_columns
from bioimage_assets.core.profiling.normalization import (
    BLOCK_BYTES,
    WELL,
    NormalizationPlan,
    WellBlock,
    build_well_blocks,
)
from bioimage_assets.core.profiling.normalization_method import read_method
from bioimage_assets.core.profiling.platemap import PlateMap
from bioimage_assets.core.profiling.profiling_report import (
    ProfiledPlate,
    ProfilingReport,
    build_profiling_report,
)
from bioimage_assets.core.profiling.reference import Reference, choose_reference
from bioimage_assets.core.profiling.result_columns import FAILED_COUNT, LOW_COUNT, NORMALIZED_TO, OBJECT_COUNT
from bioimage_assets.core.profiling.sources import CellSource, open_cells
from bioimage_assets.core.profiling.strata import NO_STRATUM, stratum_sort_key
from bioimage_assets.core.profiling.wells import well_sort_key
from bioimage_assets.core.settings.dataset import DatasetSettings

__all__ = [
    "FAILED_COUNT", "LOW_COUNT", "NORMALIZED_TO", "OBJECT_COUNT", "ProfilingReport", "build_well_profiles",
]  # fmt: skip

# Names a profile while the library joins the platemap, which reorders rows.
_ROW = "Metadata_Profile_Row"


def build_well_profiles(
    joined: CellSource,
    qc: CellSource | None,
    platemap: PlateMap | None,
    settings: DatasetSettings,
    *,
    center_controls: bool | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> tuple[pa.Table, ProfilingReport]:
    """Build one profile per well of one plate, or per well and stratum (``settings.profile_group_by``).

    Every well that holds a measured cell gives one row, also where all its cells failed QC (features null) or the
    platemap does not describe it (treatment null); cells without well share one row without ``well_id``. With fewer
    than ``settings.min_controls`` control wells the whole plate is the reference, and a finding says so;
    ``Metadata_Normalized_To`` tells which of them each row is relative to. Where a time column varies within the plate,
    each well has one row per time point, relative to the controls of that time.

    Cells are scaled by the reference cells, then each well takes their median (the same numbers, in the same units, as
    scaling after aggregating: both steps are affine). ``spherize`` alone is of the medians of wells. The numbers are exactly those of ``pycytominer.normalize`` and
    ``aggregate``, except that features without spread in the reference are null; ``report.calls`` lists the calls.
    ``center_controls`` (None: as the settings say) then moves the median control well to zero.

    Raises
    ------
    ProfilingError
        When there are no cells or no features, several plates, a stratum that the plate does not have, or the QC
        table is not of these cells.
    """
    cells = open_cells(joined)
    features = select_feature_columns(cells.schema, settings)
    if not features.profiled:
        raise ProfilingError(
            "The cells have no feature column: expected numbers in Cells_*, Cytoplasm_*, Nuclei_*, *_wv1 or embeddings. "
            'Name others in dataset.toml: [features] include = ["…"] or compartments = ["…"].'
        )
    rows = read_cell_rows(cells, qc, settings, platemap)
    reference = choose_reference(rows, platemap, settings)
    is_centered = settings.center_controls if center_controls is None else center_controls
    centered_wells = reference.wells if is_centered and reference.name == "controls" else frozenset()
    plan = NormalizationPlan(read_method(settings), reference.scalings, centered_wells)
    blocks: tuple[WellBlock, ...] = ()
    if rows.passed.any():
        blocks = tuple(build_well_blocks(cells, rows, features.profiled, plan, block_bytes))
    wells = _annotate(_count_wells(rows, settings), blocks, rows, platemap)
    table = _to_arrow(wells, rows, reference, features.profiled)
    plate = ProfiledPlate(rows, reference, plan, features, blocks, platemap, qc is not None, is_centered)
    return table, build_profiling_report(table, plate, settings)


def _count_wells(rows: CellRows, settings: DatasetSettings) -> pd.DataFrame:
    """One row per well and stratum with measured cells, in plate order."""
    keys = rows.keys()
    names = list(keys.columns)
    counts = keys.assign(failed=rows.failed).groupby(names)["failed"].agg(["size", "sum"]).reset_index()
    order = sorted(
        range(len(counts)),
        key=lambda row: (
            well_sort_key(counts.at[row, WELL]),
            *(stratum_sort_key(counts.at[row, name]) for name in names[1:]),
        ),
    )
    counts = counts.loc[order].reset_index(drop=True)
    wells = counts[names].copy()
    wells[OBJECT_COUNT] = (counts["size"] - counts["sum"]).to_numpy(dtype="int64")
    wells[FAILED_COUNT] = counts["sum"].to_numpy(dtype="int64")
    wells[LOW_COUNT] = wells[OBJECT_COUNT] < settings.min_cells_per_well
    return wells


def _annotate(
    wells: pd.DataFrame, blocks: Iterable[WellBlock], rows: CellRows, platemap: PlateMap | None
) -> pd.DataFrame:
    """Attach treatments by pycytominer, whose inner join is made a left one by naming every well in the platemap."""
    keys = [WELL, *rows.strata]
    own = [*rows.strata, *rows.constants]
    medians = [block.medians.set_index(keys) for block in blocks]
    profiles = wells.join(pd.concat(medians, axis=1), on=keys).copy() if medians else wells
    if platemap is None:
        return profiles
    layout = platemap.table.to_pandas()
    layout = layout.rename(columns={name: _beside(name) for name in own})
    undescribed = [well for well in dict.fromkeys(wells[WELL]) if well not in set(layout[WELL])]
    layout = layout.reindex(range(len(layout) + len(undescribed)))
    layout.loc[len(layout) - len(undescribed) :, WELL] = undescribed
    annotated = pd.DataFrame(
        annotate(
            profiles.assign(**{_ROW: range(len(profiles))}),
            layout,
            join_on=[WELL, WELL],
            add_metadata_id_to_platemap=False,
            clean_cellprofiler=False,
        )
    )
    return annotated.sort_values(_ROW).drop(columns=_ROW).reset_index(drop=True)


def _beside(name: str) -> str:
    """Name of a platemap column that is called like a column of the cells, which keeps the name."""
    return f"Metadata_platemap_{name.removeprefix('Metadata_')}"


def _to_arrow(
    wells: pd.DataFrame, rows: CellRows, reference: Reference, features: tuple[str, ...]
) -> pa.Table:
    names = [None if well == NO_WELL else str(well) for well in wells[WELL]]
    count = len(names)
    columns: dict[str, pa.Array] = {
        "plate_key": pa.array([rows.plate_key] * count, pa.string()),
        "dataset_id": pa.array([rows.dataset_id] * count, pa.string()),
        "plate_id": pa.array([rows.plate_id] * count, pa.string()),
        "well_id": pa.array(names, pa.string()),
        "Metadata_Plate": pa.array([rows.plate_name] * count, pa.string()),
        WELL: pa.array(names, pa.string()),
    }
    for name in rows.strata:
        texts = [None if value == NO_STRATUM else str(value) for value in wells[name]]
        columns[name] = pa.array(texts, pa.string())
    columns |= {name: pa.array([value] * count, pa.string()) for name, value in rows.constants.items()}
    columns |= {
        OBJECT_COUNT: pa.array(wells[OBJECT_COUNT], pa.int64()),
        FAILED_COUNT: pa.array(wells[FAILED_COUNT], pa.int64()),
        LOW_COUNT: pa.array(wells[LOW_COUNT], pa.bool_()),
        NORMALIZED_TO: pa.array([reference.name] * count, pa.string()),
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
