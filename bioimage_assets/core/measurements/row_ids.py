"""One id per row of a flat profile table from its key columns, unique and the same every time."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.flat_table_columns import TableLayout
from bioimage_assets.core.measurements.model import PlateContext
from bioimage_assets.core.measurements.positions import text_column


def build_row_ids(
    keys: pa.Table, layout: TableLayout, context: PlateContext, known_repeats: int = 0
) -> tuple[pa.ChunkedArray, list[Finding]]:
    """Ids of all rows: plate key, then what names the row (image and object number, else well and site).

    Where that is missing or not unique, the row's number completes it (``r12``), and that is a finding, unless no more
    than ``known_repeats`` rows repeat an object.
    """
    rows = keys.num_rows
    if layout.has_own_ids:
        return pa.chunked_array([keys.column(0).combine_chunks().cast(pa.string())]), []
    prefix = pa.scalar(context.plate_key)
    number = pc.binary_join_element_wise("r", pa.array(range(rows), pa.int64()).cast(pa.string()), "")
    count = len(layout.id_sources)
    if not count:
        ids = pc.binary_join_element_wise(prefix, number, "/")
        return pa.chunked_array([ids]), []
    parts = [whole_array(text_column(keys.column(i))) for i in range(count)]
    complete = parts[0].is_valid()
    for part in parts[1:]:
        complete = pc.and_(complete, part.is_valid())
    named = pc.binary_join_element_wise(prefix, *parts, "/")
    ids = pc.if_else(complete, named, pc.binary_join_element_wise(prefix, number, "/"))
    findings = []
    lost = rows - (pc.sum(complete).as_py() or 0)
    if lost:
        text = f"{lost} row(s) have no image or object number; they are named by their row number."
        findings.append(Finding("rows-without-key", "warning", "", text))
    if len(ids.unique()) < rows:
        is_known = rows - len(ids.unique()) <= known_repeats
        ids, odd = _number_equal_ids(ids, layout)
        findings += [] if is_known else odd
    return pa.chunked_array([ids]), findings


def _number_equal_ids(ids: pa.Array, layout: TableLayout) -> tuple[pa.Array, list[Finding]]:
    """Number the rows of equal ids; a finding where an object number should have made them unique."""
    seen: Counter[str] = Counter()
    result = []
    for name in ids.to_pylist():
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name}~{seen[name]}")
    repeated = sum(count > 1 for count in seen.values())
    if not layout.has_object_number:
        return pa.array(result, pa.string()), []
    text = (
        f"{repeated} object(s) occur more than once (same image and object number); kept, and told apart by their order. "
        "Two runs in one file? Give each a TableNumber, or all rows a well and a site, so that `[measurements] duplicates` in "
        "dataset.toml can choose between them."
    )
    return pa.array(result, pa.string()), [
        Finding("duplicate-objects", "error", "Metadata_ObjectNumber", text)
    ]


def whole_array(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The array in one piece."""
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
