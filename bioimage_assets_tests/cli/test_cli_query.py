"""`query` sees every table of catalog and warehouse, gives what other readers read, and opens only what is named."""

from __future__ import annotations

import csv
import io
import json
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bioimage_assets.cli.project_tables import StoredTable
from bioimage_assets.cli.query_views import choose_tables
from bioimage_assets.core.browse_link import build_browse_url
from bioimage_assets.core.catalog.browse import catalog_table_to_arrow
from bioimage_assets.core.settings.project import DEFAULT_BROWSE_URL
from bioimage_assets.core.warehouse.root import open_warehouse


@pytest.fixture
def filled(stores, run):
    """Three stores in the catalog, one of them in the warehouse with four cells."""
    assert (
        run(
            "ingest",
            *(str(stores / f"{name}.zarr") for name in ("experiment", "experiment-a", "experiment-b")),
        ).code
        == 0
    )
    flags = ("--profiles", "data/profiles.parquet", "--profile-dataset-id", "experiment")
    assert run("export-cytomining", *flags, "data/experiment.zarr").code == 0
    return stores


def test_a_bare_name_is_the_catalogs_table_and_a_prefix_says_which(filled, run):
    counts = [
        run("query", f"SELECT count(*) AS n FROM {name}", "--json").json[0]["n"]
        for name in ("image_assets", "catalog.image_assets", "warehouse.image_assets")
    ]
    assert counts == [3, 3, 1]


def test_a_root_that_is_not_the_projects_is_read_without_its_catalog_unless_one_is_named(filled, run):
    """Two projects may have plates of one key: the cells of one must not be given the images of the other."""
    assert run("export-cytomining", "--warehouse-root", "other", "data/experiment-a.zarr").code == 0
    sql = ("query", "SELECT image_id FROM image_assets ORDER BY 1", "--json", "--warehouse-root")
    three = [{"image_id": name} for name in ("experiment", "experiment-a", "experiment-b")]
    assert run(*sql, "other").json == [{"image_id": "experiment-a"}]
    assert run(*sql, "other", "--catalog", "embedded").json == three
    assert run(*sql, "./data//warehouse/").json == three


def test_tables_of_catalog_and_warehouse_join(filled, run):
    sql = (
        "SELECT i.image_id, count(*) AS cells, any_value(c.n) AS chunks FROM joined_profiles j "
        "JOIN image_assets i USING (dataset_id, image_id) "
        "JOIN (SELECT image_id, count(*) AS n FROM chunk_index GROUP BY ALL) c ON c.image_id = i.image_id GROUP BY ALL"
    )
    assert run("query", sql, "--json").json == [{"image_id": "experiment", "cells": 4, "chunks": 6}]


def test_a_table_may_be_named_twice(filled, run):
    sql = "SELECT count(*) AS n FROM chunk_index a JOIN chunk_index b USING (image_id, level, chunk_key)"
    assert run("query", sql, "--json").json == [{"n": 18}]


def test_names_in_a_namespaced_root(filled, run):
    assert run("convert-layout", "data/warehouse", "namespaced").code == 0
    for name in ("images.image_assets", "warehouse.image_assets"):
        assert run("query", f"SELECT image_id FROM {name}", "--json").json == [{"image_id": "experiment"}]
    assert run("query", "SELECT count(*) AS n FROM profiles.joined_profiles", "--json").json == [{"n": 4}]


def test_rows_equal_what_pyiceberg_gives(filled, run):
    columns = ["chunk_key", "chunk_coords", "stored_bytes", "is_present", "plate_key"]
    run("query", f"SELECT {', '.join(columns)} FROM chunk_index", "--output", "out.parquet")
    found = pq.read_table("out.parquet").to_pylist()
    expected = (
        catalog_table_to_arrow("embedded", "bioimage.cytotable", "chunk_index").select(columns).to_pylist()
    )
    assert sorted(map(str, found)) == sorted(map(str, expected))
    assert len(found) == 18


def test_a_catalog_table_that_grew_a_column_is_read_whole(project, run):
    pq.write_table(pa.table({"a": [1, 2]}), "one.parquet")
    pq.write_table(pa.table({"a": [3], "b": ["x"]}), "two.parquet")
    for name in ("one.parquet", "two.parquet"):
        assert run("register-profiles", name).code == 0
    rows = run("query", "SELECT a, b FROM profiles ORDER BY a", "--json").json
    assert rows == [{"a": 1, "b": None}, {"a": 2, "b": None}, {"a": 3, "b": "x"}]


@pytest.mark.slow
def test_a_replaced_store_shows_its_newest_rows_only(filled, run):
    for _ in range(2):
        run("register", "--publish-chunks", "data/experiment.zarr")
    assert run("query", "SELECT count(*) AS n FROM chunk_index", "--json").json == [{"n": 18}]


def test_csv_and_parquet_output_agree(filled, run):
    sql = "SELECT image_id, level, chunk_key FROM chunk_index ORDER BY ALL"
    printed = list(csv.reader(io.StringIO(run("query", sql, "--csv").out)))
    run("query", sql, "--output", "out.csv")
    with open("out.csv", newline="") as file:
        assert list(csv.reader(file)) == printed
    run("query", sql, "--output", "out.parquet")
    table = pq.read_table("out.parquet")
    assert [table.column_names, *([str(v) for v in row.values()] for row in table.to_pylist())] == printed


def test_text_shows_so_many_rows_and_says_that_there_are_more(filled, run):
    outcome = run("query", "SELECT chunk_key FROM chunk_index", "--limit", "2")
    assert len(outcome.out.splitlines()) == 3
    assert "first 2 rows" in outcome.err
    whole = run("query", "SELECT chunk_key FROM chunk_index", "--limit", "0")
    assert len(whole.out.splitlines()) == 19
    assert whole.err == ""


def test_json_is_one_array_whatever_the_rows(filled, run):
    assert run("query", "SELECT 1 AS a WHERE false", "--json").json == []
    sql = "SELECT i AS a, [1, NULL] AS b, {'c': 'µ'} AS d FROM range(5000) t(i)"
    rows = run("query", sql, "--json").json
    assert len(rows) == 5000
    assert rows[4999] == {"a": 4999, "b": [1, None], "d": {"c": "µ"}}


def test_a_statement_comes_from_standard_input(filled, run, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 7 AS seven"))
    assert run("query", "-", "--json").json == [{"seven": 7}]


@pytest.mark.parametrize("sql", ["SHOW TABLES", "SUMMARIZE chunk_index", "DESCRIBE image_assets", "EXPLAIN FROM image_assets",
                                 "PIVOT (SELECT level, dataset_id FROM chunk_index) ON level USING count(*)",
                                 "WITH t AS (FROM image_assets) SELECT count(*) FROM t"])  # fmt: skip
def test_other_reading_statements_work(filled, run, sql):
    outcome = run("query", sql)
    assert outcome.code == 0, outcome.err
    assert outcome.out.strip()


def test_show_tables_lists_all(filled, run):
    names = {row["name"] for row in run("query", "SHOW TABLES", "--json").json}
    assert names == {"image_assets", "chunk_index", "joined_profiles"}


def test_only_named_tables_are_opened(filled, run):
    """A damaged table is no obstacle to a query about another one."""
    for part in (filled / "warehouse" / "joined_profiles").glob("*.parquet"):
        part.write_bytes(b"broken")
    assert run("query", "SELECT count(*) FROM image_assets").code == 0
    damaged = run("query", "SELECT count(*) FROM joined_profiles")
    assert damaged.code == 2
    assert "Traceback" not in damaged.err


def test_names_are_matched_as_words():
    tables = [StoredTable("catalog", "cells"), StoredTable("warehouse", "profiles.cells_qc")]
    assert choose_tables("select * from CELLS", tables) == tables[:1]
    assert choose_tables('from profiles."cells_qc"', tables) == tables[1:]
    assert choose_tables("show tables", tables) == []


def test_a_project_without_tables_still_calculates(project, run):
    assert json.loads(run("query", "SELECT 6 * 7 AS n", "--json").out) == [{"n": 42}]
    assert not (project / "data" / "catalog").exists()
    assert open_warehouse("data/warehouse").tables() == ()


FORMULAS = ("=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "\uff20x")
HARMLESS = ("plain", "a=1", "", "'=1", " =1", "1-2")


def formula_sql() -> str:
    quoted = ", ".join("('" + text.replace("'", "''") + "')" for text in (*FORMULAS, *HARMLESS))
    return (
        'SELECT t, -1.5::DOUBLE AS d, -2 AS i, -3.25::DECIMAL(9, 2) AS m, [-1, -2] AS l, t AS "=name", '
        f"NULL::VARCHAR AS n FROM (VALUES {quoted}) AS v(t)"
    )


def read_csv_rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def test_csv_says_what_is_stored_unless_it_is_asked_for_a_spreadsheet(project, run):
    sql = formula_sql()
    header, *plain = read_csv_rows(run("query", sql, "--csv").out)
    assert header[5] == "=name"
    assert [row[0] for row in plain] == [*FORMULAS, *HARMLESS]
    header, *guarded = read_csv_rows(run("query", sql, "--csv", "--spreadsheet").out)
    assert header == ["t", "d", "i", "m", "l", "'=name", "n"]
    assert [row[0] for row in guarded] == [*(f"'{text}" for text in FORMULAS), *HARMLESS]
    assert [row[5] for row in guarded] == [row[0] for row in guarded]
    assert {tuple(row[1:5]) for row in guarded} == {("-1.5", "-2", "-3.25", "[-1, -2]")}
    assert {row[6] for row in guarded} == {""}


def test_a_csv_file_for_a_spreadsheet_has_no_formula_either(project, run):
    assert run("query", formula_sql(), "--spreadsheet", "--output", "out.csv").code == 0
    with open("out.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    assert [row[0] for row in rows] == [*(f"'{text}" for text in FORMULAS), *HARMLESS]
    assert {row[1] for row in rows} == {"-1.5"}


@pytest.mark.parametrize("flags", [(), ("--json",), ("--output", "out.parquet")])
def test_only_csv_is_changed_for_a_spreadsheet(project, run, flags):
    refused = run("query", "SELECT '=1' AS a", "--spreadsheet", *flags)
    assert refused.code == 2
    assert "--csv" in refused.err


HOSTILE = ("ds/P1/1/7", "ds/P 1&/ü\"<>'%2F", "ds/P1/\n\t;:@$,[]=?#", "javascript:alert(1)", "ds/P1/../..")


def test_the_address_of_a_cell_is_the_one_that_pages_have(project, run):
    for name in HOSTILE:
        sql = "SELECT browse_url('ds/P1', well := 'A01', cell := '" + name.replace("'", "''") + "') AS url"
        (row,) = run("query", sql, "--json").json
        assert row["url"] == build_browse_url(DEFAULT_BROWSE_URL, "ds/P1", well_id="A01", object_id=name)
        assert parse_qs(urlsplit(row["url"]).query)["cell"] == [name]


def test_links_stand_beside_the_rows_in_their_order(filled, run, monkeypatch):
    monkeypatch.setenv("BIOIMAGE_BROWSE_URL", "https://hub.lab.example/user/ada/proxy/8765/")
    sql = "SELECT Metadata_ObjectID, image_id FROM joined_profiles ORDER BY 1 DESC"
    rows = run("query", sql, "--links", "--json").json
    assert [row["Metadata_ObjectID"] for row in rows] == [f"experiment/{number}" for number in (3, 2, 1, 0)]
    for row in rows:
        assert row["browse_url"].startswith("https://hub.lab.example/user/ada/proxy/8765/go?")
        asked = parse_qs(urlsplit(row["browse_url"]).query)
        assert asked == {"cell": [row["Metadata_ObjectID"]], "image": [row["image_id"]]}
    (first, *_) = run("query", "SELECT plate_key, image_id FROM image_assets", "--links", "--json").json
    assert parse_qs(urlsplit(first["browse_url"]).query)["plate"] == [first["plate_key"].partition("/")[2]]


def test_links_are_shown_whole(filled, run):
    sql = "SELECT plate_key, image_id FROM image_assets"
    links = [row["browse_url"] for row in run("query", sql, "--links", "--json").json]
    assert max(map(len, links)) > 60
    text = run("query", sql, "--links").out
    assert [link for link in links if link not in text] == []


def test_links_of_rows_that_name_no_plate_are_refused(filled, run):
    outcome = run("query", "SELECT count(*) AS n FROM image_assets", "--links")
    assert outcome.code == 2
    assert "plate_key or Metadata_ObjectID" in outcome.err
