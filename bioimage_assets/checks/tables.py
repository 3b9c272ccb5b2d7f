"""What the plate checks compute on stored tables."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.checks.inputs import CheckInputs
from bioimage_assets.checks.verdict import ERROR, WARN, Verdict
from bioimage_assets.core.joins.report import COLUMN_OUTCOMES, ROW_OUTCOMES
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.profiling.features import drop_empty_features, list_profile_features
from bioimage_assets.core.tables.completeness_reasons import WHOLE
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest

MIN_MATCHED_FRACTION = 0.95
MAX_QC_FAIL_FRACTION = 0.5
NO_CELLS = "no measured cells"


def check_unique_ids(inputs: CheckInputs) -> Verdict:
    """Image ids of a plate are distinct."""
    rows = inputs.read("image_assets", ["image_id"])
    counts = pc.value_counts(rows["image_id"])
    twice = [row["values"] for row in counts.to_pylist() if row["counts"] > 1]
    text = (
        f"{count_words(rows.num_rows, 'image')}, all ids distinct"
        if not twice
        else f"{len(twice)} ids are given twice: {twice[:5]}"
    )
    return Verdict(not twice, text, {"images": rows.num_rows, "ids_given_twice": twice[:20]})


def check_findings(inputs: CheckInputs) -> Verdict:
    """No finding of a plate says that data are missing."""
    rows = inputs.read("scan_findings")
    errors = rows.filter(pc.equal(rows["severity"], "error")).to_pylist()
    text = (
        f"{len(errors)} of {rows.num_rows} findings are errors"
        if errors
        else f"{rows.num_rows} findings, no error"
    )
    examples = [f"{row['code']}: {row['message']}" for row in errors[:5]]
    return Verdict(not errors, text, {"errors": examples}, WARN)


def check_completeness(inputs: CheckInputs) -> Verdict:
    """Every well of a plate is complete."""
    rows = inputs.find("plate_completeness")
    if rows is None or rows.num_rows == 0:
        return Verdict.not_checked("neither images nor measurements name a well of the plate")
    verdicts = {row["values"]: row["counts"] for row in pc.value_counts(rows["verdict"]).to_pylist()}
    bad = rows.filter(pc.invert(pc.is_in(rows["verdict"], pa.array(WHOLE))))
    reasons = [f"{row['well_id']}: {'; '.join(row['reasons'] or [])}" for row in bad.slice(0, 10).to_pylist()]
    text = f"{count_words(rows.num_rows, 'well')}: " + ", ".join(
        f"{count} {name}" for name, count in sorted(verdicts.items())
    )
    return Verdict(bad.num_rows == 0, text, {"wells_with_gaps": reasons}, WARN)


def check_row_accounting(inputs: CheckInputs) -> Verdict:
    """As many joined rows as the join read, counted in the stored files."""
    tables, key = inputs.tables, inputs.plate_key
    joined, stored = tables.count("joined_profiles", key), tables.count("single_cells", key)
    report = inputs.find("join_report")
    if report is None:
        nothing = not (joined or stored)
        return (
            Verdict.not_checked(NO_CELLS) if nothing else Verdict(False, f"no join report; {joined} rows out")
        )
    came_in = sum(row["row_count"] for row in report.to_pylist() if row["outcome"] in ROW_OUTCOMES)
    passed = joined == came_in and (not stored or stored == joined)
    text = f"{came_in} cells in, {joined} rows out" + (f", {stored} stored cells" if stored else "")
    if passed and not joined:
        return Verdict.not_checked(NO_CELLS)
    return Verdict(passed, text, {"cells_in": came_in, "rows_out": joined})


def check_join_coverage(inputs: CheckInputs) -> Verdict:
    """Enough cells of a plate found their image, and the rules agree; where there are no images by design it says so."""
    counts: dict[str, int] = {}
    rows = inputs.find("join_report")
    for row in rows.to_pylist() if rows is not None else ():
        if row["outcome"] in COLUMN_OUTCOMES:
            continue
        counts[row["outcome"]] = counts.get(row["outcome"], 0) + row["row_count"]
    total = sum(counts.get(name, 0) for name in ROW_OUTCOMES)
    if "no-images" in counts:
        return Verdict.not_checked(f"the plate has no images, by design; {total} cells", counts)
    if not total:
        return Verdict.not_checked(NO_CELLS, counts)
    matched, conflicts = counts.get("matched", 0), counts.get("conflicting-rules", 0)
    fraction = matched / total
    text = f"{matched} of {total} cells ({fraction:.1%}) have an image; {conflicts} cells on which two rules disagree"
    return Verdict(
        fraction >= MIN_MATCHED_FRACTION and not conflicts,
        text,
        {"matched_fraction": fraction, **counts},
        ERROR,
    )


def check_qc_fail_rate(inputs: CheckInputs) -> Verdict:
    """Not too many cells of a plate fail quality control."""
    flags = inputs.find("cosmicqc_profiles", ["Metadata_cqc_failed"])
    if flags is None or flags.num_rows == 0:
        return Verdict.not_checked(NO_CELLS)
    failed = pc.sum(flags["Metadata_cqc_failed"].cast(pa.int64())).as_py() or 0
    fraction = failed / flags.num_rows
    warn_at = inputs.settings.qc_max_fail_fraction
    severity = ERROR if fraction > MAX_QC_FAIL_FRACTION else WARN
    text = f"{failed} of {count_words(flags.num_rows, 'cell')} fail ({fraction:.1%}); warning above {warn_at:.0%}"
    return Verdict(fraction <= warn_at, text, {"fail_fraction": fraction}, severity)


def check_normalization(inputs: CheckInputs) -> Verdict:
    """Finite features, none beyond all measure."""
    wells = inputs.find("pycytominer_profiles")
    if wells is None or wells.num_rows == 0:
        return Verdict.not_checked(NO_CELLS)
    (wells,) = drop_empty_features([wells])
    features = list_profile_features(wells.schema)
    numeric = [name for name in features if pa.types.is_floating(wells.schema.field(name).type)]
    if not numeric:
        return Verdict.not_checked("no feature of the wells is a number")
    values = np.column_stack([wells[name].to_numpy() for name in numeric])
    infinite = int(np.isinf(values).sum())
    largest = float(np.nanmax(np.abs(values))) if values.size and not np.isnan(values).all() else 0.0
    text = f"{count_words(len(numeric), 'feature')}, {infinite} infinite values, largest |z| {largest:.3g}"
    return Verdict(infinite == 0 and largest < 1e6, text, {"largest_absolute_value": largest}, WARN)


def check_catalog_equals_warehouse(inputs: CheckInputs) -> Verdict:
    """Catalog and warehouse hold equally many rows of a plate."""
    tables, key = inputs.tables, inputs.plate_key
    counts = {
        name: (tables.count(name, key), tables.count_in_warehouse(name, key))
        for name in ("image_assets", "chunk_index")
        if tables.is_in_catalog(name)
    }
    if not counts:  # true by itself: there is one copy
        return Verdict(True, "the tables are kept in the warehouse only")
    passed = all(rows == copied for rows, copied in counts.values())
    text = ", ".join(
        f"{name}: {rows} in the catalog, {copied} in the warehouse" for name, (rows, copied) in counts.items()
    )
    return Verdict(passed, text)


def check_manifest(inputs: CheckInputs) -> Verdict:
    """Everything that the warehouse manifest claims is true of the files."""
    result = validate_warehouse_manifest(inputs.project.settings.warehouse_uri)
    text = "; ".join(result.errors[:5]) or "valid"
    return Verdict(result.is_valid, text, {"warnings": result.warnings[:20]}, WARN)
