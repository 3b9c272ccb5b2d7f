"""The rows of one plate before any feature is read: the well and time point of each cell, and whether it passed QC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.positions import text_column
from bioimage_assets.core.model.identity import PlateKey
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.profiling.platemap import PlateMap
from bioimage_assets.core.profiling.result_columns import FAILED, MISSING, OBJECT_ID
from bioimage_assets.core.profiling.sources import CellSource, open_cells, read_columns
from bioimage_assets.core.profiling.strata import (
    NO_STRATUM,
    describe_time_strata,
    find_constant_times,
    find_time_strata,
    is_time_column,
    list_time_columns,
)
from bioimage_assets.core.profiling.wells import build_well_column, count_well_conflicts
from bioimage_assets.core.settings.dataset import DatasetSettings

NO_WELL = "(no well)"
_IDENTITY = ("plate_key", "dataset_id", "plate_id", "Metadata_Plate")


@dataclass(frozen=True, slots=True)
class CellRows:
    """Row-wise facts of a plate's cells, in stored order; ``wells`` holds ``NO_WELL`` where a cell has none.

    ``strata`` are the columns that tell profiles of one well apart, as text; ``NO_STRATUM`` where a cell has no value.
    ``constants`` are time columns with one value on the whole plate, which may differ on others.
    """

    plate_key: str | None
    dataset_id: str | None
    plate_id: str | None
    plate_name: str | None
    wells: np.ndarray
    failed: np.ndarray
    missing_count: int
    findings: tuple[Finding, ...]
    strata: Mapping[str, np.ndarray] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> np.ndarray:
        """Cells that no QC condition flagged."""
        return ~self.failed

    @property
    def without_well_count(self) -> int:
        """Cells of which neither image nor measurements name a well."""
        return int((self.wells == NO_WELL).sum())

    def keys(self) -> pd.DataFrame:
        """What names the profile of each cell: its well and its strata."""
        return pd.DataFrame({"Metadata_Well": self.wells, **self.strata})


def read_cell_rows(
    cells: ds.Dataset,
    qc: CellSource | None,
    settings: DatasetSettings | None = None,
    platemap: PlateMap | None = None,
) -> CellRows:
    """Read keys and QC flags of one plate; a stratum that the cells do not have is that of their well in the platemap.

    Raises
    ------
    ProfilingError
        When there are no cells, several plates, the QC table does not cover these cells one to one, or
        nothing has a column that ``settings.profile_group_by`` names.
    """
    settings = settings or DatasetSettings()
    keys = read_columns(cells, [*_IDENTITY, "well_id", "Metadata_Well", OBJECT_ID])
    rows = cells.count_rows()
    if rows == 0:
        raise ProfilingError("There are no cells on this plate, hence no profiles.")
    identity = {name: _only_value(keys, name) for name in _IDENTITY}
    findings: list[Finding] = []
    wells = (
        build_well_column(keys) if keys.num_columns else pa.chunked_array([pa.nulls(rows, pa.string())])
    ).fill_null(NO_WELL)
    if conflicts := count_well_conflicts(keys):
        message = f"{count_words(conflicts, 'cell lies', 'cells lie')} in another well than the measurements say; the image's well is used."
        findings.append(Finding("well-conflict", "warning", "Metadata_Well", message))
    failed, missing_count = _qc_flags(keys, rows, qc, findings)
    plate_id = identity["plate_id"] or identity["Metadata_Plate"]
    if plate_id is None and identity["plate_key"] is not None:
        plate_id = PlateKey.parse(identity["plate_key"]).plate
    well_names = np.asarray(wells.to_pylist(), dtype=object)
    where = identity["plate_key"] or plate_id or ""
    constants: dict[str, str] = {}
    if settings.profile_group_by is None:
        strata, constants, odd = _find_strata(cells, well_names, where)
        findings += odd
    else:
        strata = _read_strata(cells, well_names, settings.profile_group_by, platemap, where)
    return CellRows(
        plate_key=identity["plate_key"],
        dataset_id=identity["dataset_id"],
        plate_id=plate_id,
        plate_name=identity["Metadata_Plate"] or plate_id,
        wells=well_names,
        failed=failed,
        missing_count=missing_count,
        findings=tuple(findings),
        strata={name: np.where(pd.isna(values), NO_STRATUM, values) for name, values in strata.items()},
        constants=constants,
    )


def _find_strata(
    cells: ds.Dataset, wells: np.ndarray, plate: str
) -> tuple[dict[str, np.ndarray], dict[str, str], list[Finding]]:
    """Time columns that vary within the plate, those that do not, and what is to be said about them."""
    columns = _text_columns(cells, list_time_columns(cells.schema.names))
    chosen, refused = find_time_strata(columns, wells)
    constants = {name: str(columns[name][0]) for name in find_constant_times(columns)}
    findings = describe_time_strata(chosen, refused, columns, plate)
    return {name: columns[name] for name in chosen}, constants, findings


def _read_strata(
    cells: ds.Dataset, wells: np.ndarray, names: tuple[str, ...], platemap: PlateMap | None, plate: str
) -> dict[str, np.ndarray]:
    """Columns that the settings name, of the cells or else of the platemap; ProfilingError where one is nowhere."""
    found = _text_columns(cells, names)
    for name in names:
        if name in found:
            continue
        if platemap is None or name not in platemap.table.column_names:
            known = [*cells.schema.names, *(platemap.table.column_names if platemap else ())]
            similar = [other for other in dict.fromkeys(known) if is_time_column(other)]
            raise ProfilingError(
                f"[profiles] group_by in dataset.toml names {name!r}, which neither the cells of plate {plate!r} nor its "
                f"platemap have; columns of time points found: {similar or 'none'}. Write a column that every plate of the "
                "dataset has, or [] to pool."
            )
        values = np.asarray(text_column(platemap.table[name]).to_pylist(), dtype=object)
        of_well = dict(zip(platemap.wells, values, strict=True))
        found[name] = np.asarray([of_well.get(well) for well in wells], dtype=object)
    return {name: found[name] for name in names}


def _text_columns(cells: ds.Dataset, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Columns as text, whole numbers without decimals."""
    table = read_columns(cells, names)
    return {
        name: np.asarray(text_column(table[name]).to_pylist(), dtype=object) for name in table.column_names
    }


def _only_value(keys: pa.Table, name: str) -> str | None:
    """Value of a column that is the same in the whole plate; unmatched rows may leave it null."""
    if name not in keys.column_names:
        return None
    values = [value for value in pc.unique(keys[name]).to_pylist() if value is not None]
    if len(values) > 1:
        raise ProfilingError(
            f"The cells come from several plates ({name}: {values[:3]}…); normalisation is done plate by plate."
        )
    return str(values[0]) if values else None


def _qc_flags(
    keys: pa.Table, rows: int, qc: CellSource | None, findings: list[Finding]
) -> tuple[np.ndarray, int]:
    if qc is None:
        findings.append(
            Finding("profiles-without-qc", "info", "", "No QC table was given; no cell is dropped.")
        )
        return np.zeros(rows, bool), 0
    flags = read_columns(open_cells(qc), [OBJECT_ID, FAILED, MISSING])
    for name in (OBJECT_ID, FAILED):
        if name not in flags.column_names:
            raise ProfilingError(
                f"The QC table has no column {name}; build it with build_cosmicqc_profiles()."
            )
    if OBJECT_ID not in keys.column_names:
        raise ProfilingError(
            f"The cells have no column {OBJECT_ID}, so that QC flags cannot be matched to them."
        )
    # index_in would take the first of several and drop a flag in silence.
    if pc.count_distinct(flags[OBJECT_ID]).as_py() != flags.num_rows:
        raise ProfilingError(f"The QC table names the same cell ({OBJECT_ID}) more than once.")
    position = pc.index_in(keys[OBJECT_ID], value_set=flags[OBJECT_ID].combine_chunks())
    if position.null_count:
        raise ProfilingError(
            f"{position.null_count} of {count_words(rows, 'cell')} have no row in the QC table; it was built from other measurements. "
            "Run quality control on this plate again."
        )
    if flags.num_rows > rows:
        message = f"The QC table holds {count_words(flags.num_rows - rows, 'cell that is', 'cells that are')} not among the joined profiles."
        findings.append(Finding("qc-extra-cells", "warning", OBJECT_ID, message))
    # Not judged is not failed.
    failed = flags[FAILED].take(position).fill_null(False).to_numpy()
    if MISSING not in flags.column_names:
        return np.asarray(failed, bool), 0
    missing = flags[MISSING].take(position).fill_null(False).to_numpy()
    return np.asarray(failed, bool), int(missing.sum())
