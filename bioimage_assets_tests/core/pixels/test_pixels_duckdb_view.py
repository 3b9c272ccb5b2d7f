"""The locator view: the same boxes and chunks as the locator, for a whole plate in DuckDB."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.errors import ContractError, UsageError
from bioimage_assets.core.joins.join import join_plate
from bioimage_assets.core.pixels.boxes import find_box_columns, read_box
from bioimage_assets.core.pixels.duckdb_view import build_locator_view
from bioimage_assets.core.pixels.locate import CropChoice, build_location, locate
from bioimage_assets.core.pixels.location import read_geometry
from bioimage_assets.core.scan.scanner import scan_chunk_index
from bioimage_assets_tests.core.joins.join_builders import (
    SmallPlate,
    image_row,
    image_table,
    write_small_plate,
)


@pytest.fixture(scope="module", params=[False, True], ids=["chunks", "shards"])
def plate(request, tmp_path_factory) -> SmallPlate:
    return write_small_plate(tmp_path_factory.mktemp("view"), shards=request.param)


@pytest.fixture(scope="module")
def joined(plate: SmallPlate) -> pa.Table:
    return join_plate(plate.images, plate.cells, plate_key="ds/P1", dataset_id="ds").table()


@pytest.fixture(scope="module")
def chunks(plate: SmallPlate) -> pa.Table:
    parts = []
    for site in ("0", "1"):
        for level in (0, 1):
            part = scan_chunk_index(f"{plate.store}/A/1/{site}/{level}", dataset_id="ds").read_all()
            part = part.drop_columns(["image_id", "level"])
            part = part.append_column("image_id", [[f"P1:A01:{site}"] * part.num_rows])
            parts.append(part.append_column("level", pa.array([level] * part.num_rows, pa.int32())))
    return pa.concat_tables(parts)


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("compartment", ["Cells", "Nuclei"])
def test_the_view_agrees_with_the_locator_for_every_cell(
    plate, joined, chunks, level: int, compartment: str
) -> None:
    connection = duckdb.connect()
    names = build_locator_view(
        connection,
        joined,
        plate.images,
        chunk_index=chunks,
        level=level,
        compartment=compartment,
        box_size_px=20,
    )
    assert names == ("cell_pixels", "cell_pixels_chunks")
    rows = connection.sql(
        "SELECT object_id, array_path, y_start, y_stop, x_start, x_stop, y_start_um, y_stop_um, x_start_um, x_stop_um, "
        "uri, level FROM cell_pixels ORDER BY object_id"
    ).fetchall()
    found = connection.sql(
        "SELECT object_id, array_path, chunk_key, chunk_coords FROM cell_pixels_chunks"
    ).fetchall()
    choice = CropChoice(level=level, compartment=compartment, box_size_px=20)
    expected, expected_chunks = [], []
    for row in joined.to_pylist():
        at = locate(row, image_assets=plate.images, chunk_index=chunks, choice=choice)
        expected.append(
            (at.object_id, at.array_path, *at.slices[1], *at.slices[2], *at.box_um, at.uri, level)
        )
        expected_chunks += [
            (at.object_id, at.array_path, c.chunk_key, list(c.chunk_coords)) for c in at.chunks
        ]
    assert rows == sorted(expected)
    assert sorted(found) == sorted(expected_chunks)
    assert len(found) >= 12


@pytest.mark.parametrize(("height", "width"), [(68, 9), (67, 9), (500, 7)])
def test_the_view_agrees_with_the_locator_at_odd_levels(height: int, width: int) -> None:
    levels = [
        {"level": n, "path": str(n), "shape": [1, *size]}
        for n, size in enumerate(((1080, 70), (height, width)))
    ]
    images = image_table(image_row("i", shape=[1, 1080, 70], levels=levels, array_path="0"))
    names = [f"Cells_AreaShape_BoundingBox{e}imum_{a}" for e in ("Min", "Max") for a in "YX"]
    cells = [
        {"dataset_id": "ds", "image_id": "i", **dict(zip(names, (y, x, y + 7.5, x + 3), strict=True))}
        for y in range(-3, 1079, 18)
        for x in (-2, 0, 33, 68)
    ]
    connection = duckdb.connect()
    build_locator_view(connection, pa.Table.from_pylist(cells), images, level=1)
    found = connection.execute("SELECT y_start, y_stop, x_start, x_stop FROM cell_pixels").fetchall()
    geometry, columns = read_geometry(images.to_pylist()[0]), find_box_columns(names)
    choice = CropChoice(level=1)
    wanted = [build_location(geometry, read_box(cell, columns), choice).slices[1:] for cell in cells]
    assert sorted(found) == sorted((*y, *x) for y, x in wanted)


def test_the_view_reads_parquet_files_where_they_lie(tmp_path, plate, joined) -> None:
    pq.write_table(joined, tmp_path / "it's joined.parquet")
    pq.write_table(plate.images, tmp_path / "images.parquet")
    connection = duckdb.connect()
    build_locator_view(
        connection,
        tmp_path / "it's joined.parquet",
        [str(tmp_path / "images.parquet")],
        view_name='my "view"',
    )
    assert connection.sql('SELECT count(*) FROM "my ""view"""').fetchall() == [(6,)]


def test_unlinked_rows_have_no_place(plate, joined) -> None:
    nulls = pa.table(
        {
            name: pa.nulls(1, joined.schema.field(name).type)
            for name in joined.column_names
            if name != "plate_key"
        }
    )
    connection = duckdb.connect()
    build_locator_view(
        connection, pa.concat_tables([joined.drop_columns(["plate_key"]), nulls]), plate.images
    )
    assert connection.sql("SELECT count(*) FROM cell_pixels").fetchall() == [(6,)]


def test_tables_that_cannot_be_located_are_refused(plate, joined) -> None:
    connection = duckdb.connect()
    with pytest.raises(ContractError, match="No bounding box"):
        build_locator_view(connection, joined.select(["dataset_id", "image_id"]), plate.images)
    with pytest.raises(UsageError, match="cannot be made"):
        build_locator_view(connection, joined, plate.images.drop_columns(["levels"]))
