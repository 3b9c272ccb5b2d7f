"""What the plate checks compute on stored tables."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.assets.placed import find_rows, read_rows
from bioimage_assets.assets.stored import partition_files
from bioimage_assets.checks.verdict import ERROR, WARN, Verdict
from bioimage_assets.core.joins.report import ROW_OUTCOMES
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.profiling.features import drop_empty_features, list_profile_features
from bioimage_assets.core.tables.completeness_reasons import WHOLE
from bioimage_assets.resources.project import ProjectResource


def _of_plate(table: pa.Table, plate_key: str) -> pa.Table:
    return table.filter(pc.equal(table["plate_key"], plate_key))


def check_unique_ids(image_assets: pa.Table, plate_key: str) -> Verdict:
    """Image ids of a plate are distinct."""
    rows = _of_plate(image_assets, plate_key)
    counts = pc.value_counts(rows["image_id"])
    twice = [row["values"] for row in counts.to_pylist() if row["counts"] > 1]
    text = (
        f"{rows.num_rows} images, all ids distinct"
        if not twice
        else f"{len(twice)} ids are given twice: {twice[:5]}"
    )
    return Verdict(not twice, text, {"images": rows.num_rows, "ids_given_twice": twice[:20]})


def check_findings(scan_findings: pa.Table, plate_key: str) -> Verdict:
    """No finding of a plate says that data are missing."""
    rows = _of_plate(scan_findings, plate_key)
    errors = rows.filter(pc.equal(rows["severity"], "error")).to_pylist()
    text = (
        f"{len(errors)} of {rows.num_rows} findings are errors"
        if errors
        else f"{rows.num_rows} findings, no error"
    )
    examples = [f"{row['code']}: {row['message']}" for row in errors[:5]]
    return Verdict(not errors, text, {"errors": examples}, WARN)


def check_completeness(project: ProjectResource, plate_key: str) -> Verdict:
    """Every well of a plate is complete."""
    rows = find_rows(project, "plate_completeness", plate_key)
    if rows is None:
        return Verdict(True, "no wells")
    verdicts = {row["values"]: row["counts"] for row in pc.value_counts(rows["verdict"]).to_pylist()}
    bad = rows.filter(pc.invert(pc.is_in(rows["verdict"], pa.array(WHOLE))))
    reasons = [f"{row['well_id']}: {'; '.join(row['reasons'] or [])}" for row in bad.slice(0, 10).to_pylist()]
    text = f"{rows.num_rows} wells: " + ", ".join(
        f"{count} {name}" for name, count in sorted(verdicts.items())
    )
    return Verdict(bad.num_rows == 0, text, {"wells_with_gaps": reasons}, WARN)


def count_rows(warehouse: Any, table_name: str, plate_key: str) -> int:
    """Rows of a plate in a warehouse table as the files' footers say, 0 where there is no such table."""
    if not partition_files(warehouse, table_name, plate_key):
        return 0
    return warehouse.scanner(table_name, plate_keys=[plate_key]).count_rows()


def count_placed(project: ProjectResource, table_name: str, plate_key: str) -> int:
    """Rows of a plate in a table, wherever it lies."""
    if not project.settings.is_in_catalog(table_name):
        return count_rows(project.warehouse(), table_name, plate_key)
    rows = find_rows(project, table_name, plate_key, ["plate_key"])
    return 0 if rows is None else rows.num_rows


def check_row_accounting(project: ProjectResource, plate_key: str) -> Verdict:
    """As many joined rows as the join read, counted in the stored files."""
    joined = count_placed(project, "joined_profiles", plate_key)
    report = find_rows(project, "join_report", plate_key)
    if report is None:
        return Verdict(joined == 0, f"no join report; {joined} rows out")
    came_in = sum(row["row_count"] for row in report.to_pylist() if row["outcome"] in ROW_OUTCOMES)
    stored = count_placed(project, "single_cells", plate_key)
    passed = joined == came_in and (not stored or stored == joined)
    text = f"{came_in} cells in, {joined} rows out" + (f", {stored} stored cells" if stored else "")
    return Verdict(passed, text, {"cells_in": came_in, "rows_out": joined})


def check_join_coverage(project: ProjectResource, plate_key: str, min_fraction: float) -> Verdict:
    """Enough cells of a plate found their image, and the rules agree; where there are no images by design it says so."""
    rows = find_rows(project, "join_report", plate_key)
    if rows is None:
        return Verdict(True, "no measured cells")
    counts: dict[str, int] = {}
    for row in rows.to_pylist():
        counts[row["outcome"]] = counts.get(row["outcome"], 0) + row["row_count"]
    total = sum(counts.get(name, 0) for name in ROW_OUTCOMES)
    if "no-images" in counts:
        return Verdict(True, f"not checked: the plate has no images, by design; {total} cells", counts)
    fraction = counts.get("matched", 0) / total if total else 1.0
    conflicts = counts.get("conflicting-rules", 0)
    text = f"{fraction:.1%} of {total} cells have an image; {conflicts} cells on which two rules disagree"
    return Verdict(
        fraction >= min_fraction and not conflicts, text, {"matched_fraction": fraction, **counts}, WARN
    )


def check_qc_fail_rate(
    project: ProjectResource, plate_key: str, source: PlateSource | None, max_fraction: float
) -> Verdict:
    """Not too many cells of a plate fail quality control."""
    flags = find_rows(project, "cosmicqc_profiles", plate_key, ["Metadata_cqc_failed"])
    if flags is None or flags.num_rows == 0:
        return Verdict(True, "no measured cells")
    failed = pc.sum(flags["Metadata_cqc_failed"].cast(pa.int64())).as_py() or 0
    fraction = failed / flags.num_rows
    warn_at = project.dataset_settings(source.dataset_uri).qc_max_fail_fraction if source else 0.2
    severity = ERROR if fraction > max_fraction else WARN
    text = f"{failed} of {flags.num_rows} cells fail ({fraction:.1%}); warning above {warn_at:.0%}"
    return Verdict(fraction <= warn_at, text, {"fail_fraction": fraction}, severity)


def check_normalization(project: ProjectResource, plate_key: str) -> Verdict:
    """Finite features, none beyond all measure."""
    wells = find_rows(project, "pycytominer_profiles", plate_key)
    if wells is None or wells.num_rows == 0:
        return Verdict(True, "no measured cells")
    (wells,) = drop_empty_features([wells])
    features = list_profile_features(wells.schema)
    numeric = [name for name in features if pa.types.is_floating(wells.schema.field(name).type)]
    values = np.column_stack([wells[name].to_numpy() for name in numeric]) if numeric else np.zeros((0, 0))
    infinite = int(np.isinf(values).sum())
    largest = float(np.nanmax(np.abs(values))) if values.size and not np.isnan(values).all() else 0.0
    text = f"{len(numeric)} features, {infinite} infinite values, largest |z| {largest:.3g}"
    return Verdict(infinite == 0 and largest < 1e6, text, {"largest_absolute_value": largest}, WARN)


def check_catalog_equals_warehouse(project: ProjectResource, plate_key: str) -> Verdict:
    """Catalog and warehouse hold equally many rows of a plate."""
    warehouse, settings = project.warehouse(), project.settings
    counts = {
        name: (
            read_rows(project, name, plate_key, ["plate_key"]).num_rows,
            count_rows(warehouse, name, plate_key),
        )
        for name in ("image_assets", "chunk_index")
        if settings.is_in_catalog(name)
    }
    if not counts:
        return Verdict(True, "the tables lie in the warehouse only")
    passed = all(rows == copied for rows, copied in counts.values())
    text = ", ".join(
        f"{name}: {rows} in the catalog, {copied} in the warehouse" for name, (rows, copied) in counts.items()
    )
    return Verdict(passed, text)
