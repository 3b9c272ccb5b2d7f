"""Checks, joins and opens the staged object tables of one plate as one stream of cells, whatever the tool."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.columns import join_names
from bioimage_assets.core.measurements.csv_staging import StagedTable
from bioimage_assets.core.measurements.duckdb_engine import window_rows
from bioimage_assets.core.measurements.image_table import ImageTable, public_image_table
from bioimage_assets.core.measurements.join_plan import JoinPlan, plan_join
from bioimage_assets.core.measurements.model import PlateContext, PlateMeasurements, SourceKind
from bioimage_assets.core.measurements.object_images import (
    ImageKey,
    ObjectImages,
    find_relisted,
    keep_one_analysis,
)
from bioimage_assets.core.measurements.object_join import build_cell_stream, plan_windows, stream_cells
from bioimage_assets.core.measurements.object_keys import (
    RepeatedRows,
    build_keys,
    check_counts,
    check_images,
    check_parents,
    count_objects,
)
from bioimage_assets.core.model.compartments import COMPARTMENTS


@dataclass(frozen=True, slots=True)
class ObjectSources:
    """Staged object tables, their image table, and the names of the folders (or table numbers) they came from.

    ``wanted`` names the compartments of one cell, the one-per-cell table first; empty for the usual ones.
    ``with_unit`` puts the folder's name into the table and the object ids.
    """

    tables: tuple[StagedTable, ...]
    images: ImageTable | None
    units: tuple[str, ...]
    files: tuple[str, ...]
    kind: SourceKind
    wanted: tuple[str, ...] = ()
    with_unit: bool = False


def read_objects(
    connection: duckdb.DuckDBPyConnection,
    sources: ObjectSources,
    context: PlateContext,
    findings: Sequence[Finding],
) -> PlateMeasurements:
    """Check the tables against each other and the image table by their keys, and open the stream of cells.

    Only keys are read here; the measured columns are read window by window while the stream is consumed.
    """
    odd = list(findings)
    keyed, more = _key_tables(connection, sources, context)
    odd += more
    plan, _ = plan_join(keyed.tables, sources.wanted)
    keyed, more = keep_one_analysis(connection, keyed, plan.driver, context)
    odd += more
    images = keyed.images
    plan, more = plan_join(keyed.tables, sources.wanted)
    odd += more
    plan, more = check_parents(connection, plan)
    odd += more
    found = count_objects(connection, plan.driver.name)
    if images is not None:
        odd += check_against_images(connection, plan, images, sources.units, [t.name for t in keyed.tables])
    with_unit = sources.with_unit or len(sources.units) > 1
    stream, changed = build_cell_stream(plan, images, sources.units, with_unit, context)
    if changed:
        text = f"Columns of one name; the later ones are now {join_names(changed)}."
        odd.append(Finding("duplicate-columns", "warning", plan.driver.name, text))
    windows = plan_windows(found, window_rows(len(stream.schema)))
    batches = _count(stream_cells(connection, stream, windows), sum(found.values()), context)
    reader = pa.RecordBatchReader.from_batches(stream.schema, batches)
    image_table = public_image_table(images, sources.units, context) if images is not None else None
    return PlateMeasurements(
        reader, sum(found.values()), tuple(odd), image_table, sources.files, sources.kind
    )


def _count(
    batches: Iterator[pa.RecordBatch], expected: int, context: PlateContext
) -> Iterator[pa.RecordBatch]:
    """The same batches; an error at their end where rows went lost on the way, whatever the reason."""
    rows = 0
    for batch in batches:
        rows += batch.num_rows
        yield batch
    if rows != expected:
        raise MeasurementError(
            f"{context.plate_key}: the tables hold {expected} cells, {rows} came out of their join. Nothing of the plate is "
            "replaced; look at its image and object numbers, and report this."
        )


def _key_tables(
    connection: duckdb.DuckDBPyConnection, sources: ObjectSources, context: PlateContext
) -> tuple[ObjectImages, list[Finding]]:
    """Load the keys of all tables; what a table holds more than once is in the result."""
    with_copies = context.settings.duplicate_cells == "keep"
    relisted = find_relisted(sources.images)
    tables: list[StagedTable] = []
    repeats: dict[str, RepeatedRows] = {}
    findings: list[Finding] = []
    for table in sources.tables:
        checked, repeats[table.name], odd = build_keys(
            connection, table, context.staging_dir, with_copies=with_copies, relisted=relisted
        )
        tables.append(checked)
        findings += odd
    label = "TableNumber " if sources.kind == "cellprofiler-sqlite" else "folder "
    return ObjectImages(tuple(tables), repeats, sources.images, sources.units, label), findings


def check_against_images(
    connection: duckdb.DuckDBPyConnection,
    plan: JoinPlan,
    images: ImageTable,
    units: Sequence[str],
    present: Sequence[str],
) -> Iterator[Finding]:
    """Compare the image table with the objects: counts per image, unlisted images, compartments promised but absent."""
    keys = images.image_keys()
    for table in plan.joined:
        promised = _promised(images, keys, table.name)
        if promised is not None:
            yield from check_counts(promised, count_objects(connection, table.name), table.name, units)
    for name in COMPARTMENTS:
        promised = (
            _promised(images, keys, name)
            if name not in present and plan.driver.name in COMPARTMENTS
            else None
        )
        if promised and any(promised.values()) and len(present) > 1:
            text = f"The image table counts {sum(promised.values())} {name}, but there is no table of them."
            yield Finding("missing-compartment", "error", name, text)
    yield from check_images(set(keys), count_objects(connection, plan.driver.name), plan.driver.name, units)


def _promised(images: ImageTable, keys: Sequence[ImageKey], name: str) -> dict[ImageKey, int] | None:
    """Objects of a compartment that each image promises, None where the image table does not count them."""
    column = f"Image_Count_{name}"
    if column not in images.table.column_names:
        return None
    counts = images.table[column].to_pylist()
    return {key: count for key, count in zip(keys, counts, strict=True) if count is not None}
