"""QC flags and well profiles of one plate, read from and handed back to the warehouse."""

from dataclasses import replace

import dagster as dg
import pyarrow as pa

from bioimage_assets.core.browse_link import build_browse_url
from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.pictures.worst_cells import list_worst_cells
from bioimage_assets.core.profiling.cosmicqc import QcReport, build_cosmicqc_profiles
from bioimage_assets.core.profiling.gallery_batch import add_batch
from bioimage_assets.core.profiling.image_flags import COLUMNS as IMAGE_FLAG_COLUMNS
from bioimage_assets.core.profiling.library_calls import list_qc_calls
from bioimage_assets.core.profiling.platemap import PlateMap, read_platemap
from bioimage_assets.core.profiling.pycytominer import ProfilingReport, build_well_profiles
from bioimage_assets.core.profiling.sources import open_cells
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.core.storage.step_inputs import StepInputs
from bioimage_assets.metadata import (
    build_browse_metadata,
    build_cell_links_metadata,
    build_column_lineage,
    build_counts_markdown,
    build_findings_markdown,
    build_plate_tile,
    build_table_schema,
)

# Each link is stored with every event.
_LINKED_CONDITIONS, _LINKED_CELLS = 3, 2


def build_qc(inputs: StepInputs) -> PlateTable:
    """Flag the plate's outlier cells; a plate without measured cells has no such table."""
    files = inputs.find_cells("joined_profiles")
    if files is None:
        return PlateTable.absent("no measured cells")
    table, report = build_cosmicqc_profiles(files, inputs.settings, _read_image_flags(inputs))
    steps = [call.to_dict() for call in list_qc_calls(report)]
    metadata = _qc_metadata(table, report) | _pixels_metadata(inputs, table, report)
    return PlateTable(table, metadata, findings=report.findings, steps=steps)


def _read_image_flags(inputs: StepInputs) -> pa.Table | None:
    """Verdicts on the plate's fields, where the dataset asks that their cells fail."""
    if not inputs.settings.image_flags:
        return None
    rows = inputs.find("image_quality", list(IMAGE_FLAG_COLUMNS))
    if rows is None:
        raise ProfilingError(
            f"No image_quality of plate {inputs.partition!r}, which [quality_control] image_flags = true asks for; materialise "
            "that table first."
        )
    return rows


def _pixels_metadata(inputs: StepInputs, table: pa.Table, report: QcReport) -> dict[str, object]:
    """Links to the plate and to its worst cells."""
    base, key = inputs.project.browse_url, inputs.partition
    names = {
        condition.name: list_worst_cells(table, condition, _LINKED_CELLS)
        for condition in report.conditions[:_LINKED_CONDITIONS]
    }
    links = {
        name: [(cell, build_browse_url(base, key, object_id=cell)) for cell in cells]
        for name, cells in names.items()
    }
    return build_browse_metadata(base, key) | build_cell_links_metadata(links)


def _qc_metadata(table: pa.Table, report: QcReport) -> dict[str, object]:
    counts: dict[str, object] = {
        "cells": report.cell_count,
        "failed": f"{report.failed_count} ({report.fail_fraction:.1%})",
        "without a value": report.missing_count,
    }
    counts.update({f"condition {c.name}": c.flagged_count for c in report.conditions})
    counts.update({f"condition {s.name}": f"skipped: {s.reason}" for s in report.skipped})
    return {
        "quality_control": build_counts_markdown(counts),
        "failing_per_well": build_plate_tile(_failing_fractions(table), "fraction of cells that fail"),
        "cells": report.cell_count,
        "failed_cells": report.failed_count,
        "fail_fraction": report.fail_fraction,
        "findings": build_findings_markdown(report.findings),
        "dagster/column_schema": build_table_schema(table.schema),
        "dagster/column_lineage": build_column_lineage(
            table.schema, {"joined_profiles": [n for n in table.schema.names if "_cqc_" not in n]}
        ),
    }


def _failing_fractions(table: pa.Table) -> dict[str, float]:
    """Fraction of cells per well that quality control fails; empty where wells are not known."""
    if "Metadata_Well" not in table.schema.names:
        return {}
    flags = pa.table(
        {"well": table["Metadata_Well"], "failed": table["Metadata_cqc_failed"].cast(pa.float64())}
    )
    rows = flags.group_by("well").aggregate([("failed", "mean")]).to_pylist()
    return {str(row["well"]): row["failed_mean"] for row in rows if row["well"] is not None}


def cells_per_well(wells: pa.Table) -> dict[str, float]:
    """Profiled cells per well of one plate's well profiles, over all time points of the well."""
    counts: dict[str, float] = {}
    for row in wells.select(["well_id", "Metadata_Object_Count"]).to_pylist():
        if row["well_id"] is not None:
            counts[row["well_id"]] = counts.get(row["well_id"], 0) + row["Metadata_Object_Count"]
    return counts


def find_judged_cells(inputs: StepInputs) -> tuple[list[str] | pa.Table, list[str] | pa.Table] | PlateTable:
    """The plate's joined cells and their QC rows; the absent table, with the reason, where there is no cell.

    Raises
    ------
    ProfilingError
        The cells have no QC rows yet.
    """
    joined = inputs.find_cells("joined_profiles")
    if joined is None:
        return PlateTable.absent("no measured cells")
    qc = inputs.find_cells("cosmicqc_profiles")
    if qc is None:
        raise ProfilingError(
            f"No cosmicqc_profiles of plate {inputs.partition!r}; materialise that table first."
        )
    if open_cells(joined).count_rows() == 0:
        return PlateTable.absent("the measurements of this plate hold no cell")
    return joined, qc


def build_wells(inputs: StepInputs) -> PlateTable:
    """Aggregate the plate's passing cells to normalised wells; a plate without cells has no such table."""
    cells = find_judged_cells(inputs)
    if isinstance(cells, PlateTable):
        return cells
    joined, qc = cells
    platemap = read_plate_platemap(inputs)
    table, report = build_well_profiles(joined, qc, platemap, inputs.settings)
    gallery = inputs.source.gallery
    if gallery is not None:
        table = add_batch(table, gallery.batch)
    steps = [call.to_dict() for call in report.calls]
    if platemap is None:
        report = replace(report, findings=(_note_no_platemap(inputs), *report.findings))
    return PlateTable(table, _wells_metadata(table, report), findings=report.findings, steps=steps)


def read_plate_platemap(inputs: StepInputs) -> PlateMap | None:
    """Platemap of the plate; in a gallery that of its batch, unless dataset.toml names another folder."""
    source, settings = inputs.source, inputs.settings
    name, external = source.plate_name, ""
    if source.gallery is not None and settings.platemap_dir == DatasetSettings().platemap_dir:
        if not source.gallery.platemap_dir:
            return None
        settings = replace(settings, platemap_dir=source.gallery.platemap_dir)
        name, external = source.gallery.plate, source.gallery.external_metadata_dir
    return read_platemap(
        source.dataset_uri,
        name,
        settings,
        external_metadata_dir=external,
        storage_options=inputs.storage_options,
    )


def _note_no_platemap(inputs: StepInputs) -> Finding:
    folder = f"{inputs.source.dataset_uri.rstrip('/')}/{inputs.settings.platemap_dir}"
    text = (
        f"There is no folder {folder}, so no well has a treatment and none is a control. Expected there: "
        f"barcode_platemap.csv and platemap/*.txt, or a table named {inputs.source.plate_name!r}. Where it is another folder "
        "of the dataset, name it."
    )
    return Finding("platemap-missing", "warning", folder, text, setting='[platemaps] dir = "…"')


def _wells_metadata(table: pa.Table, report: ProfilingReport) -> dict[str, object]:
    counts: dict[str, object] = {
        "cells": report.cell_count,
        "failed QC": report.qc_failed_count,
        "profiled cells": report.profiled_cell_count,
        "cells without well": report.cells_without_well,
        "wells": report.well_count,
        "normalised to": report.reference,
        "control wells": report.control_well_count,
        "features": report.feature_count,
    }
    if report.strata:
        counts[f"profiles by {', '.join(report.strata)}"] = report.profile_count
    if report.is_centered:
        counts["centred"] = "the median control well is zero"
    return {
        "profiles": build_counts_markdown(counts),
        "cells_per_well": build_plate_tile(cells_per_well(table), "profiled cells"),
        "reference": report.reference,
        "findings": build_findings_markdown(report.findings),
        "dagster/column_schema": build_table_schema(table.schema),
        "dagster/column_lineage": build_column_lineage(
            table.schema, {"joined_profiles": ("plate_key", "dataset_id", "plate_id", "well_id")}
        ),
        "wells": dg.MetadataValue.int(report.well_count),
    }
