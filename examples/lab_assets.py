"""Assets, checks and a sensor of a lab's own, made from the project's tables; copy this file to ``bioimage_assets/defs/``.

Each asset takes a plate's rows as another library has them, since Dagster gives what the parameter is annotated with.
docs/your-assets.md explains.
"""

from collections.abc import Iterator

import dagster as dg
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.extend import (
    PLATES,
    ProjectResource,
    Verdict,
    evaluate_plates,
    follow_changes,
    plate_changes,
)

AREA = "Nuclei_AreaShape_Area"
ONE_RUN = dg.BackfillPolicy.single_run()


@dg.asset(
    partitions_def=PLATES,
    io_manager_key="warehouse_io",
    metadata={"role": "reports"},
    # Only these columns are read: a plate has thousands.
    ins={"joined_profiles": dg.AssetIn(metadata={"columns": ["plate_key", "well_id", AREA]})},
    automation_condition=follow_changes(),
    backfill_policy=ONE_RUN,
    group_name="my_lab",
)
def well_areas(joined_profiles: pd.DataFrame) -> pd.DataFrame:
    """Mean nuclear area of every well; made again by itself when the cells change. All of a plate is in memory."""
    return joined_profiles.groupby(["plate_key", "well_id"], as_index=False).mean()


@dg.asset(partitions_def=PLATES, io_manager_key="iceberg_io", backfill_policy=ONE_RUN, group_name="my_lab")
def cells_per_well(joined_profiles: pl.LazyFrame) -> pl.LazyFrame:
    """Cells of every well, in the Iceberg catalog; polars reads the two columns that it uses, some rows at a time."""
    return joined_profiles.group_by("plate_key", "well_id").len("cells")


@dg.asset(
    partitions_def=PLATES,
    io_manager_key="warehouse_io",
    metadata={"role": "reports"},
    backfill_policy=ONE_RUN,
    group_name="my_lab",
)
def cells_per_image(
    joined_profiles: duckdb.DuckDBPyRelation, image_assets: pa.Table
) -> duckdb.DuckDBPyRelation:
    """Cells of every image, images without any among them; a table of the warehouse joined with one of the catalog."""
    # DuckDB finds `image_assets`, the parameter, by its name.
    return joined_profiles.query(
        "cells",
        "SELECT plate_key, image_id, count(cells.image_id) AS cell_count FROM image_assets "
        "LEFT JOIN cells USING (plate_key, image_id) GROUP BY ALL",
    )


@dg.asset(
    partitions_def=PLATES,
    io_manager_key="warehouse_io",
    metadata={"role": "profiles", "analysis_level": "object"},
    backfill_policy=ONE_RUN,
    group_name="my_lab",
)
def large_cells(joined_profiles: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """The cells of more than a hundred square pixels, all columns; a stream in, a stream out."""

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in joined_profiles:
            yield batch.filter(pc.greater(batch[AREA], 100))

    return pa.RecordBatchReader.from_batches(joined_profiles.schema, batches())


@dg.asset_check(asset="joined_profiles", partitions_def=PLATES)
def nuclei_have_a_size(
    context: dg.AssetCheckExecutionContext, project: ProjectResource
) -> dg.AssetCheckResult:
    """No nucleus of the plate has an area of zero. A run of many plates gives a verdict for each of them."""
    tables = project.tables()

    def check_plate(plate_key: str) -> Verdict:
        areas = tables.read("joined_profiles", plate_key, [AREA])
        if not areas.num_rows or AREA not in areas.column_names:
            return Verdict.not_checked("no nucleus is measured")
        empty = pc.sum(pc.less_equal(areas[AREA], 0)).as_py()
        return Verdict(
            not empty, f"{empty} of {areas.num_rows} nuclei have no area.", {"cells": areas.num_rows}
        )

    return evaluate_plates(context, check_plate)


@dg.asset_check(asset="well_areas", partitions_def=PLATES)
def wells_are_alike(context: dg.AssetCheckExecutionContext, project: ProjectResource) -> dg.AssetCheckResult:
    """No well's mean area is ten times another's."""
    warehouse = project.warehouse()

    def check_plate(plate_key: str) -> Verdict:
        areas = warehouse.read("well_areas", plate_keys=[plate_key])[AREA].drop_null()
        if not len(areas):
            return Verdict.not_checked("no well has cells")
        ends = pc.min_max(areas).as_py()
        return Verdict(
            ends["max"] < 10 * ends["min"], f"{ends['min']:.1f} to {ends['max']:.1f} square pixels."
        )

    return evaluate_plates(context, check_plate)


lab_job = dg.define_asset_job(
    "lab_job",
    selection=["cells_per_well", "cells_per_image", "large_cells"],
    executor_def=dg.in_process_executor,
)


@dg.sensor(job=lab_job, minimum_interval_seconds=30)
def when_joined(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Run the lab's job for every plate with other cells than before, those of runs of fifty plates, too."""
    found = plate_changes(context, "joined_profiles", limit=50)
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(run_key=change.run_key, partition_key=change.plate_key) for change in found.changes
        ],
        skip_reason=None if found.changes else "No plate has other cells.",
        cursor=found.cursor,
    )
