"""An analyst starts DuckDB with the root's own script and finds every table, and a README of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets_tests.core.warehouse.tables import cells

A, B = "screen/BR1", "screen/BR2"


def start(root: Path) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute((root / "views.sql").read_text())
    return connection


@pytest.mark.parametrize(
    ("layout", "view"), [("flat", "single_cells"), ("namespaced", "profiles.single_cells")]
)
def test_views_show_every_table_and_follow_new_plates(tmp_path, layout, view):
    warehouse = open_warehouse(tmp_path / "it's a root", layout=layout)
    warehouse.replace_partitions("single_cells", cells(A), [A])
    warehouse.append("cosmicqc_profiles", cells(A, 2))
    connection = start(Path(warehouse.root))
    assert connection.sql(f"select count(*) from {view}").fetchall() == [(3,)]
    warehouse.replace_partitions("single_cells", cells(B, 4, new=pa.array([1, 2, 3, 4])), [B])
    assert connection.sql(f"select count(*), count(*) filter (plate_key = '{B}') from {view}").fetchall() == [
        (7, 4)
    ]
    rows = (
        start(Path(warehouse.root))
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
