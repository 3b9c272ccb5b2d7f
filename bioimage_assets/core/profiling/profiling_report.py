"""How many cells of a plate reached its well profiles, by which library calls, with which findings."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
import pyarrow as pa

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.profiling.cell_rows import NO_WELL, CellRows
from bioimage_assets.core.profiling.features import FeatureColumns
from bioimage_assets.core.profiling.library_calls import LibraryCall
from bioimage_assets.core.profiling.normalization import NormalizationPlan, WellBlock
from bioimage_assets.core.profiling.platemap import PlateMap
from bioimage_assets.core.profiling.profile_calls import CENTER_SETTING, list_profile_calls
from bioimage_assets.core.profiling.reference import Reference
from bioimage_assets.core.profiling.result_columns import LOW_COUNT
from bioimage_assets.core.profiling.wells import well_sort_key
from bioimage_assets.core.settings.dataset import DatasetSettings

# Profiles beyond this come from a reference with almost no spread.
EXTREME_VALUE = 1e6


@dataclass(frozen=True, slots=True)
class ProfilingReport:
    """What became of the cells of one plate on their way to well profiles.

    ``reference`` is ``controls`` or ``plate``. ``unscaled_features`` have no spread in the reference and are null
    in every well (of a stratum); ``place_columns`` are the columns that say where a cell is and were left out.
    ``profile_count`` is larger than ``well_count`` where ``strata`` split wells. ``calls`` are the library calls behind
    the numbers, ``incomplete_features`` those that ``spherize`` left out because some well has no value.
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
    profile_count: int = 0
    strata: tuple[str, ...] = ()
    is_centered: bool = False
    calls: tuple[LibraryCall, ...] = ()
    incomplete_features: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON and run metadata."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ProfiledPlate:
    """Everything that went into the profiles of one plate; ``is_centering_asked`` is the setting."""

    rows: CellRows
    reference: Reference
    plan: NormalizationPlan
    features: FeatureColumns
    blocks: tuple[WellBlock, ...]
    platemap: PlateMap | None
    has_qc: bool
    is_centering_asked: bool


def build_profiling_report(
    table: pa.Table, plate: ProfiledPlate, settings: DatasetSettings
) -> ProfilingReport:
    """Account for the cells of a plate whose profiles are ``table``."""
    rows, reference, platemap = plate.rows, plate.reference, plate.platemap
    wells = list(dict.fromkeys(table["well_id"].to_pylist()))
    named = [well for well in wells if well is not None]
    described = set(platemap.wells) if platemap is not None else set()
    nonfinite_count = sum(block.nonfinite_count for block in plate.blocks)
    report = ProfilingReport(
        cell_count=rows.wells.size,
        qc_failed_count=int(rows.failed.sum()),
        qc_missing_count=rows.missing_count,
        profiled_cell_count=int(rows.passed.sum()),
        cells_without_well=rows.without_well_count,
        well_count=len(wells),
        reference=reference.name,
        control_well_count=len(reference.wells),
        reference_cell_count=reference.cell_count,
        method=settings.normalization_method,
        feature_count=len(plate.features.profiled),
        place_columns=plate.features.places,
        unscaled_features=tuple(name for block in plate.blocks for name in block.unscaled),
        nonfinite_value_count=nonfinite_count,
        wells_without_platemap=tuple(well for well in named if well not in described),
        platemap_wells_without_cells=tuple(sorted(described - set(named), key=well_sort_key)),
        low_count_wells=_name_low_counts(table, tuple(rows.strata)),
        profile_count=table.num_rows,
        strata=tuple(rows.strata),
        is_centered=bool(plate.plan.centered_wells),
        calls=_list_calls(table, plate, nonfinite_count) if plate.blocks else (),
        incomplete_features=tuple(name for block in plate.blocks for name in block.incomplete),
    )
    findings = (*(platemap.findings if platemap else ()), *rows.findings, *reference.findings)
    findings += _center_findings(plate)
    return replace(report, findings=(*findings, *_report_findings(report, table, plate.features)))


def _list_calls(table: pa.Table, plate: ProfiledPlate, nonfinite_count: int) -> tuple[LibraryCall, ...]:
    scaled = [name for name in plate.features.profiled if table[name].null_count < table.num_rows]
    return list_profile_calls(
        plate.plan,
        list(plate.rows.strata),
        scaled,
        plate.platemap,
        has_qc=plate.has_qc,
        nonfinite_count=nonfinite_count,
    )


def _name_low_counts(table: pa.Table, strata: tuple[str, ...]) -> tuple[str, ...]:
    """Wells with too few cells, with the value of each stratum."""
    low = table.filter(table[LOW_COUNT])
    columns = [low[name].to_pylist() for name in strata]
    wells = [NO_WELL if well is None else well for well in low["well_id"].to_pylist()]
    return tuple(" ".join([well, *map(str, rest)]) for well, *rest in zip(wells, *columns, strict=True))


def _center_findings(plate: ProfiledPlate) -> tuple[Finding, ...]:
    if not plate.is_centering_asked:
        return ()
    wells = len(plate.plan.centered_wells)
    if wells:
        message = (
            f"After pycytominer's own steps the median of the {wells} control wells was moved to zero "
            f"({CENTER_SETTING}); without it profiles are pycytominer's own numbers."
        )
    else:
        message = (
            f"Nothing was centred ({CENTER_SETTING}): this plate is relative to itself, not to controls."
        )
    return (Finding("controls-centered", "info", "center_controls", message),)


def _report_findings(report: ProfilingReport, table: pa.Table, features: FeatureColumns) -> list[Finding]:
    found = []
    if report.cells_without_well:
        found.append(
            (
                "cells-without-well",
                "Metadata_Well",
                f"{count_words(report.cells_without_well, 'cell has', 'cells have')} no well; one row is for all of them.",
            )
        )
    if report.wells_without_platemap:
        some = ", ".join(report.wells_without_platemap[:8])
        found.append(
            (
                "well-without-platemap",
                some,
                f"{count_words(len(report.wells_without_platemap), 'well is', 'wells are')} in no platemap.",
            )
        )
    if report.platemap_wells_without_cells and report.cells_without_well < report.cell_count:
        found.append(_name_unused_wells(report.platemap_wells_without_cells))
    if report.unscaled_features:
        some = ", ".join(report.unscaled_features[:4])
        count = len(report.unscaled_features)
        verb = "is" if count == 1 else "are"
        varies = count_words(count, "feature does not vary", "features do not vary")
        message = f"{varies} in the reference{_of_strata(report)} and {verb} null: {some}."
        found.append(("feature-unscaled", some, message))
    if report.incomplete_features:
        some = ", ".join(report.incomplete_features[:4])
        message = (
            f"{count_words(len(report.incomplete_features), 'feature has', 'features have')} no value in some well; spherize needs "
            f"all of them, so that they are null in every well: {some}."
        )
        found.append(("feature-not-sphered", some, message))
    if report.nonfinite_value_count:
        message = f"{count_words(report.nonfinite_value_count, 'infinite value was', 'infinite values were')} taken for missing."
        found.append(("value-not-finite", "", message))
    if report.low_count_wells:
        some = ", ".join(report.low_count_wells[:8])
        found.append(
            (
                "well-few-cells",
                some,
                f"{count_words(len(report.low_count_wells), 'well has', 'wells have')} too few cells: {some}.",
            )
        )
    extreme = [name for name in features.profiled if _largest(table[name]) > EXTREME_VALUE]
    if extreme:
        message = (
            f"{count_words(len(extreme), 'feature exceeds', 'features exceed')} {EXTREME_VALUE:g} after normalisation: "
            f"{', '.join(extreme[:4])}."
        )
        found.append(("value-extreme", ", ".join(extreme[:4]), message))
    return [Finding(code, "warning", location, message) for code, location, message in found]


def _name_unused_wells(wells: tuple[str, ...]) -> tuple[str, str, str]:
    some = ", ".join(wells[:8])
    message = (
        f"{len(wells)} well(s) of the platemap have no cells on this plate: {some}. Either they were not imaged, no cell is "
        "left in them, or the platemap is another plate's."
    )
    return "platemap-well-without-cells", some, message


def _of_strata(report: ProfilingReport) -> str:
    return f" of some {', '.join(report.strata)}" if report.strata else ""


def _largest(column: pa.ChunkedArray) -> float:
    values = column.to_numpy()
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else 0.0
