"""Small plates of rows for the catalog tests."""

from collections.abc import Iterator

import pyarrow as pa
from pyiceberg.catalog import Catalog

from bioimage_assets.core.catalog.replace import replace_table
from bioimage_assets.core.catalog.session import table_exists

TABLE = "bioimage.cytotable.rows"

ROWS = pa.schema(
    [
        pa.field("plate_key", pa.string(), nullable=False),
        pa.field("generation", pa.int64(), nullable=False),
        pa.field("row", pa.int32()),
        pa.field("value", pa.float64()),
    ]
)


def build_plate(plate_key: str, generation: int = 0, rows: int = 10) -> pa.Table:
    """A plate whose every row tells the generation it was written in."""
    return pa.table(
        {
            "plate_key": pa.array([plate_key] * rows, pa.string()),
            "generation": pa.array([generation] * rows, pa.int64()),
            "row": pa.array(range(rows), pa.int32()),
            "value": pa.array([generation + i / 10 for i in range(rows)], pa.float64()),
        },
        schema=ROWS,
    )


def build_plates(keys: list[str], generation: int = 0, rows: int = 10) -> pa.Table:
    return pa.concat_tables([build_plate(key, generation, rows) for key in keys])


def stream(table: pa.Table, batch_rows: int = 3) -> pa.RecordBatchReader:
    """The same rows as a reader that can be consumed once."""

    def batches() -> Iterator[pa.RecordBatch]:
        yield from table.to_batches(max_chunksize=batch_rows)

    return pa.RecordBatchReader.from_batches(table.schema, batches())


def row_counts(table: pa.Table) -> dict[str, int]:
    counts = table.group_by("plate_key").aggregate([([], "count_all")]).to_pydict()
    return dict(zip(counts["plate_key"], counts["count_all"], strict=True))


def append_rows(catalog: Catalog, identifier: str, rows: pa.Table) -> None:
    """Add rows as further files, as another program may."""
    if not table_exists(catalog, tuple(identifier.split("."))):
        replace_table(catalog, identifier, rows.slice(0, 0))
    catalog.load_table(identifier).append(rows)
