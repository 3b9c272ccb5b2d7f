"""Counts chunks and cells per image or per well and site, one batch at a time."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.arrow_frames import TableOrStream
from bioimage_assets.core.model.compartments import COMPARTMENTS
from bioimage_assets.core.model.identity import normalize_site, normalize_well

CHUNK_SUMMARY = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("chunks_expected", pa.int64(), nullable=False),
        pa.field("chunks_found", pa.int64()),
    ]
)
CELL_SUMMARY = pa.schema(
    [
        pa.field("well_id", pa.string()),
        pa.field("site_id", pa.string()),
        pa.field("cell_count", pa.int64(), nullable=False),
    ]
)

# The image table counts one of these; the first is the one-per-cell table of a full pipeline.
COUNT_COLUMNS = tuple(f"Image_Count_{name}" for name in COMPARTMENTS)
_FLUSH_GROUPS = 1_000_000  # partial counts in memory: some ten MB


def summarize_chunks(chunks: TableOrStream) -> pa.Table:
    """Count expected and stored chunks per image over all levels; ``chunks_found`` is null where none was observed.

    A folded row of TIFF strips counts as many as it stands for. Where an index lists the stored shards
    and their inner chunks, the stored objects are counted. Reads the index once, batch by batch.
    """
    total: pa.Table | None = None
    for batch in _batches(chunks, ["image_id", "kind", "strip_count", "is_present"]):
        count = pc.coalesce(batch["strip_count"].cast(pa.int64()), 1)
        observed = batch["is_present"].is_valid()
        found = pc.if_else(pc.fill_null(batch["is_present"], False), count, 0)
        part = pa.table(
            {
                "image_id": batch["image_id"],
                "kind": batch["kind"],
                "expected": count,
                "found": found,
                "observed": observed.cast(pa.int64()),
            }
        )
        part = _sum(part, ["image_id", "kind"])
        total = part if total is None else pa.concat_tables([total, part])
        if total.num_rows > _FLUSH_GROUPS:
            total = _sum(total, ["image_id", "kind"])
    if total is None:
        return CHUNK_SUMMARY.empty_table()
    total = _sum(total, ["image_id", "kind"])
    stored = pc.not_equal(total["kind"], "inner")
    has_stored = pc.is_in(total["image_id"], value_set=pc.unique(total.filter(stored)["image_id"]))
    total = _sum(total.filter(pc.or_(stored, pc.invert(has_stored))).drop_columns(["kind"]), ["image_id"])
    found = pc.if_else(pc.greater(total["observed"], 0), total["found"], pa.scalar(None, pa.int64()))
    return pa.table([total["image_id"], total["expected"], found], schema=CHUNK_SUMMARY).sort_by("image_id")


def summarize_cells(cells: TableOrStream) -> pa.Table:
    """Count rows of a single-cell table per normalised well and site; reads two columns, batch by batch."""
    counts: dict[tuple[str | None, str | None], int] = {}
    names: dict[tuple[object, object], tuple[str | None, str | None]] = {}
    for batch in _batches(cells, ["Metadata_Well", "Metadata_Site"]):
        grouped = batch.append_column("n", pa.array([1] * batch.num_rows, pa.int64()))
        grouped = grouped.group_by(["Metadata_Well", "Metadata_Site"]).aggregate([("n", "sum")])
        for row in grouped.to_pylist():
            raw = (row["Metadata_Well"], row["Metadata_Site"])
            key = names.setdefault(raw, (normalize_well(raw[0]), normalize_site(raw[1])))
            counts[key] = counts.get(key, 0) + row["n_sum"]
    return _cell_table(counts)


def count_linked(cells: TableOrStream) -> dict[str, int]:
    """Joined cells that are linked to an image, per well of any of them; those of no known well are left out."""
    counts: dict[str, int] = {}
    for batch in _batches(cells, ["Metadata_Well", "image_id"]):
        linked = batch["image_id"].is_valid().cast(pa.int64())
        grouped = pa.table({"well": batch["Metadata_Well"], "linked": linked}).group_by("well")
        for row in grouped.aggregate([("linked", "sum")]).to_pylist():
            well = normalize_well(row["well"])
            if well is not None:
                counts[well] = counts.get(well, 0) + row["linked_sum"]
    return counts


def summarize_image_table(image_table: pa.Table, *, count_column: str | None = None) -> pa.Table:
    """Sum the cells that an image table promises per well and site; zero where it counts none of the compartments."""
    column = count_column or next((name for name in COUNT_COLUMNS if name in image_table.column_names), None)
    wells, sites = image_table["Metadata_Well"].to_pylist(), image_table["Metadata_Site"].to_pylist()
    numbers = image_table[column].to_pylist() if column else [0] * image_table.num_rows
    counts: dict[tuple[str | None, str | None], int] = {}
    for well, site, number in zip(wells, sites, numbers, strict=True):
        key = (normalize_well(well), normalize_site(site))
        counts[key] = counts.get(key, 0) + int(number or 0)
    return _cell_table(counts)


def _cell_table(counts: dict[tuple[str | None, str | None], int]) -> pa.Table:
    rows = sorted(counts.items(), key=lambda item: (item[0][0] or "", item[0][1] or ""))
    columns = [[key[0] for key, _ in rows], [key[1] for key, _ in rows], [count for _, count in rows]]
    return pa.table(
        [pa.array(c, f.type) for c, f in zip(columns, CELL_SUMMARY, strict=True)], schema=CELL_SUMMARY
    )


def _batches(data: TableOrStream, names: list[str]) -> Iterable[pa.Table]:
    """The named columns of each batch; a column that is not there is null text."""
    batches = data.to_batches() if isinstance(data, pa.Table) else data
    for batch in batches:
        columns = {
            name: batch.column(name) if name in batch.schema.names else pa.nulls(batch.num_rows, pa.string())
            for name in names
        }
        yield pa.table(columns)


def _sum(table: pa.Table, keys: list[str]) -> pa.Table:
    numbers = [name for name in table.column_names if name not in keys]
    grouped = table.group_by(keys).aggregate([(name, "sum") for name in numbers])
    return grouped.select([*keys, *(f"{name}_sum" for name in numbers)]).rename_columns([*keys, *numbers])
