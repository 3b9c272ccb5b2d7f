"""An analyst starts DuckDB with the root's own script and finds every table, and a README of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from bioimage_assets.core.sql import quote_literal
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets_tests.core.warehouse.tables import cells

A, B = "screen/BR1", "screen/BR2"


def start(root: Path, *, named: str | None = None) -> duckdb.DuckDBPyConnection:
    """DuckDB as ``duckdb -init views.sql`` starts it; ``named`` is said before, as from another folder."""
    connection = duckdb.connect()
    if named is not None:
        connection.execute(f"SET VARIABLE warehouse = {quote_literal(named)}")
    connection.execute((root / "views.sql").read_text())
    return connection


def shown(connection: duckdb.DuckDBPyConnection, view: str = "single_cells") -> list[tuple[str, int]]:
    return connection.sql(f"SELECT plate_key, count(*) FROM {view} GROUP BY ALL ORDER BY ALL").fetchall()


@pytest.mark.parametrize(
    ("layout", "view"), [("flat", "single_cells"), ("namespaced", "profiles.single_cells")]
)
def test_views_show_every_table_and_follow_new_plates(tmp_path, layout, view):
    warehouse = open_warehouse(tmp_path / "it's a root", layout=layout)
    warehouse.replace_partitions("single_cells", cells(A), [A])
    warehouse.append("cosmicqc_profiles", cells(A, 2))
    connection = start(Path(warehouse.root), named=warehouse.root)
    assert connection.sql(f"select count(*) from {view}").fetchall() == [(3,)]
    warehouse.replace_partitions("single_cells", cells(B, 4, new=pa.array([1, 2, 3, 4])), [B])
    assert connection.sql(f"select count(*), count(*) filter (plate_key = '{B}') from {view}").fetchall() == [
        (7, 4)
    ]
    rows = (
        start(Path(warehouse.root), named=warehouse.root)
        .sql("select table_name, role, one_row_is, row_count from README order by 1")
        .fetchall()
    )
    names = {name.rsplit(".", 1)[-1]: rest for name, *rest in rows}
    assert names == {
        "single_cells": ["profiles", "one segmented cell", 7],
        "cosmicqc_profiles": ["quality_control", "one cell with its QC flags and scores", 2],
    }


def test_the_readme_file_lists_the_tables(tmp_path):
    open_warehouse(tmp_path).append("cosmicqc_profiles", cells(A))
    assert "| `cosmicqc_profiles` | quality_control |" in (tmp_path / "README.md").read_text()


def test_a_moved_root_is_found_when_duckdb_starts_in_its_folder(tmp_path, monkeypatch):
    open_warehouse(tmp_path / "old").append("single_cells", cells(A))
    shutil.move(tmp_path / "old", tmp_path / "new")
    monkeypatch.chdir(tmp_path / "new")
    assert start(tmp_path / "new").sql("select count(*) from single_cells").fetchall() == [(3,)]


def test_views_of_a_copied_root_show_the_copy_while_the_original_goes_on(tmp_path, monkeypatch):
    warehouse = open_warehouse(tmp_path / "root")
    warehouse.append("single_cells", cells(A))
    shutil.copytree(tmp_path / "root", tmp_path / "backup")
    warehouse.replace_partitions("single_cells", cells(B, 5), [B])
    monkeypatch.chdir(tmp_path / "backup")
    assert shown(start(tmp_path / "backup")) == [(A, 3)]
    monkeypatch.chdir(tmp_path)
    assert shown(start(tmp_path / "backup", named="backup")) == [(A, 3)]
    assert shown(start(tmp_path / "backup", named=str(tmp_path / "root"))) == [(A, 3), (B, 5)]


def test_views_started_elsewhere_show_no_root_and_say_how_to_name_one(tmp_path, monkeypatch):
    open_warehouse(tmp_path / "root").append("single_cells", cells(A))
    shutil.copytree(tmp_path / "root", tmp_path / "backup")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(duckdb.Error, match="SET VARIABLE warehouse"):
        start(tmp_path / "backup")
    connection = start(tmp_path / "root", named="root")
    with pytest.raises(duckdb.Error, match="No warehouse root here"):  # what was named counts once
        connection.execute((tmp_path / "backup" / "views.sql").read_text())


@pytest.mark.parametrize("name", ["w[1]", "w*", "w?", "single=cells", 'it\'s; "a" $HOME %20 #', "é\n-w"])
def test_views_of_a_root_whose_name_is_a_pattern_show_that_root(tmp_path, monkeypatch, name):
    open_warehouse(tmp_path / "w1").append("single_cells", cells(A))
    open_warehouse(tmp_path / name).append("single_cells", cells(B, 5))
    monkeypatch.chdir(tmp_path / name)
    connection = start(tmp_path / name)
    assert shown(connection) == [(B, 5)]
    assert connection.sql("FROM single_cells").columns == cells(B).column_names
    monkeypatch.chdir("/")
    assert shown(start(tmp_path / name, named=str(tmp_path / name))) == [(B, 5)]


def test_views_of_an_earlier_version_are_written_anew_with_the_next_change(tmp_path, monkeypatch):
    warehouse = open_warehouse(tmp_path / "root")
    warehouse.append("single_cells", cells(A))
    (tmp_path / "root" / "views.sql").write_text("SET VARIABLE warehouse_root = '/elsewhere';")
    warehouse.replace_partitions("single_cells", cells(B, 5), [B])
    monkeypatch.chdir(tmp_path / "root")
    assert shown(start(tmp_path / "root")) == [(A, 3), (B, 5)]
