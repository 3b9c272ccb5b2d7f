"""DuckDB reads the catalog's tables by their metadata, without a network: grown, replaced, emptied, maintained, and as of then."""

from pathlib import Path

import pyarrow as pa
import pytest
from duckdb import DuckDBPyConnection
from pyiceberg.catalog import Catalog

from bioimage_assets.core.catalog.history import list_snapshots, rollback
from bioimage_assets.core.catalog.maintain import maintain_table
from bioimage_assets.core.catalog.publish import register_store
from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.core.catalog.replace import remove_partitions, replace_partitions
from bioimage_assets.core.catalog.session import open_catalog
from bioimage_assets_tests.core.catalog.conftest import sqlite_properties
from bioimage_assets_tests.core.catalog.plates import TABLE, append_rows, build_plate, build_plates
from bioimage_assets_tests.core.catalog.stores import write_zarr_image
from bioimage_assets_tests.core.catalog.writers import ALL_WORK

A, B, C = "screen/P1", "screen/P2", "screen/P3"


def scan(duck: DuckDBPyConnection, catalog: Catalog, asked: str = "") -> list[dict[str, object]]:
    location = catalog.load_table(TABLE).metadata_location
    found = duck.sql(f"FROM iceberg_scan('{location}'{asked}) ORDER BY ALL")
    return found.to_arrow_table().to_pylist()


def ordered(table: pa.Table, names: list[str]) -> list[dict[str, object]]:
    rows = table.select(names).to_pylist()
    return sorted(rows, key=lambda row: [(value is None, value) for value in row.values()])


def check(duck: DuckDBPyConnection, catalog: Catalog) -> None:
    wanted = read_table(catalog, TABLE)
    assert scan(duck, catalog) == ordered(wanted, wanted.column_names)


def test_duckdb_sees_what_this_package_sees_after_every_kind_of_change(
    duck: DuckDBPyConnection, catalog: Catalog
) -> None:
    replace_partitions(catalog, TABLE, build_plates([A, B, C]), [A, B, C])
    check(duck, catalog)
    replace_partitions(catalog, TABLE, build_plate(A, 1, 5), [A])
    check(duck, catalog)
    wider = build_plate(B, 2).set_column(2, "row", pa.array([2**40 + i for i in range(10)]))
    replace_partitions(catalog, TABLE, wider.append_column("later", pa.array(["x"] * 10)), [B])
    check(duck, catalog)
    remove_partitions(catalog, TABLE, [C])
    check(duck, catalog)
    for generation in range(3, 6):
        append_rows(catalog, TABLE, build_plate(C, generation).cast(pa.schema(
            [field.with_type(pa.int64()) if field.name == "row" else field for field in build_plate(C).schema]
        )))  # fmt: skip
    check(duck, catalog)
    maintain_table(catalog, TABLE, options=ALL_WORK, dry_run=False)
    assert len(list_snapshots(catalog, TABLE)) == 1
    check(duck, catalog)


def test_duckdb_travels_to_a_snapshot_and_to_a_moment(duck: DuckDBPyConnection, catalog: Catalog) -> None:
    replace_partitions(catalog, TABLE, build_plate(A), [A])
    replace_partitions(catalog, TABLE, build_plate(A, 1).append_column("later", pa.array([1.5] * 10)), [A])
    remove_partitions(catalog, TABLE, [A])
    first, second, _ = list_snapshots(catalog, TABLE)
    assert scan(duck, catalog) == []
    for snapshot in (first, second):
        wanted = read_table(catalog, TABLE, as_of=snapshot.snapshot_id)
        by_id = scan(duck, catalog, f", snapshot_from_id={snapshot.snapshot_id}")
        assert [{name: row[name] for name in wanted.column_names} for row in by_id] == ordered(
            wanted, wanted.column_names
        )
        moment = snapshot.committed_at.strftime("%Y-%m-%d %H:%M:%S.%f")
        by_time = scan(duck, catalog, f", snapshot_from_timestamp=TIMESTAMP '{moment}'")
        assert by_time == by_id
    rollback(catalog, TABLE, second.snapshot_id)
    check(duck, catalog)


def test_the_example_of_the_storage_page_runs_as_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, duck: DuckDBPyConnection
) -> None:
    monkeypatch.chdir(tmp_path)
    catalog = open_catalog("embedded", sqlite_properties(tmp_path / "data" / "catalog"))
    for store in ("first", "second"):
        register_store(str(write_zarr_image(tmp_path / f"{store}.zarr")), catalog, "bioimage.cytotable")
    page = (Path(__file__).parents[3] / "docs" / "storage.md").read_text()
    section = page.partition("### The catalog in DuckDB, without a network")[2]
    example = section.partition("```python\n")[2].partition("```")[0]
    names: dict[str, object] = {}
    exec(compile(example, "docs/storage.md", "exec"), names)
    assert len(names["now"].fetchall()) == 2
    assert len(names["by_id"].fetchall()) == len(names["by_time"].fetchall()) == 1
