"""Whatever a file, folder or column is called, each reader gets exactly that one and never what a pattern would match."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import duckdb
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import bioimage_assets
from bioimage_assets.core.catalog.session import sqlite_path
from bioimage_assets.core.discovery.listing import discover_plates
from bioimage_assets.core.errors import SettingsError
from bioimage_assets.core.joins.sources import open_profiles
from bioimage_assets.core.joins.table_files import list_table_files
from bioimage_assets.core.measurements import csv_staging
from bioimage_assets.core.measurements.join_plan import quote_toml
from bioimage_assets.core.measurements.read import read_measurements
from bioimage_assets.core.model.file_kinds import IGNORED_PREFIXES
from bioimage_assets.core.model.identity import build_plate_key
from bioimage_assets.core.scan.scanner import scan_image_assets
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.settings.project import read_project_settings
from bioimage_assets.core.sql import quote_literal
from bioimage_assets.core.sql_files import file_literal, parquet_relation, plain_path
from bioimage_assets.core.stores.fsspec_path import url_to_filesystem
from bioimage_assets.core.stores.open import open_store
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets_tests.builders.hostile_names import NAMES, file_names
from bioimage_assets_tests.builders.measurement_plates import (
    FEATURES,
    PlateSpec,
    feature_value,
    write_cellprofiler_folder,
)
from bioimage_assets_tests.builders.tiff_plates import write_plane
from bioimage_assets_tests.core.warehouse.tables import cells

# SQLAlchemy before 2.1 takes a question mark for the end of a path.
DECODES_PATHS = tuple(map(int, version("sqlalchemy").split(".")[:2])) >= (2, 1)
NEIGHBOURS = ("P1", "a", "a b", "say no", "n", "1")


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def write_rows(path: Path, value: str, table_format: str = "parquet") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if table_format == "parquet":
        pq.write_table(pa.table({"a": [value]}), path)
    else:
        path.write_text(f"a\n{value}\n")
    return path


@pytest.mark.slow
@settings(max_examples=30)
@given(name=file_names(), other=file_names())
@example(name="P\\1[2]", other="s3:")
@example(name="a=1[2]", other="hive=7")
def test_duckdb_reads_the_file_that_is_named(name, other):
    with folder() as root:
        for neighbour in {*NEIGHBOURS, other} - {name}:
            write_rows(root / neighbour / "t.parquet", "neighbour")
            write_rows(root / neighbour / "t.csv", "neighbour", "csv")
        parquet = write_rows(root / name / "t.parquet", "own")
        csv = write_rows(root / name / "t.csv", "own", "csv")
        found = duckdb.sql(f"FROM {parquet_relation([parquet, str(root / 'P1' / 't.parquet')])}")
        assert found.columns == ["a"]
        assert found.fetchall() == [("own",), ("own" if name == "P1" else "neighbour",)]
        assert duckdb.sql(f"FROM read_csv({file_literal(csv)}, hive_partitioning = false)").fetchall() == [
            ("own",)
        ]


def test_a_temporary_folder_with_a_pattern_for_a_name_is_passed_over(tmp_path, monkeypatch):
    table = write_rows(tmp_path / "[x]" / "t.parquet", "own")
    (tmp_path / "t[1]").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t[1]"))
    monkeypatch.setattr("bioimage_assets.core.sql_files._folders", {})
    link = Path(plain_path(table))
    try:
        assert not re.search(r"[*?\[]", str(link))
        assert duckdb.sql(f"FROM {parquet_relation([table])}").fetchall() == [("own",)]
    finally:
        shutil.rmtree(link.parent)


def test_links_of_a_process_are_gone_when_it_ends(tmp_path):
    (tmp_path / "scratch").mkdir()
    code = (
        f"from bioimage_assets.core.sql_files import plain_path; print(plain_path({str(tmp_path / '[x]')!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TMPDIR": str(tmp_path / "scratch")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith(str(tmp_path / "scratch"))
    assert [path for path in (tmp_path / "scratch").rglob("*") if not path.is_dir()] == []


def test_sql_reads_files_by_one_door_only():
    package = Path(bioimage_assets.__file__).parent
    doors = {"core/sql_files.py", "core/warehouse/manifest/views.py", "core/measurements/csv_staging.py"}
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if re.search(
            r"\b(read_parquet|read_csv|read_text|read_blob|read_json)\s*\((?=\s*[\[{'\"])", path.read_text()
        )
    }
    assert found <= doors


@pytest.mark.parametrize("name", ["P[1]", "P*", "P?", "P\\[1]", "unit=5", "c0=7"])
def test_big_tables_of_a_plate_are_its_own_and_not_those_of_a_neighbour(tmp_path, monkeypatch, name):
    monkeypatch.setattr(csv_staging, "SMALL_FILE_BYTES", 0)  # the engine's way, which big files take
    for seed, plate in enumerate(("P1", name), start=1):
        write_cellprofiler_folder(
            tmp_path / plate, PlateSpec(cells={1: 3 * seed, 2: 2}, plate=plate, seed=seed)
        )
    for seed, plate in enumerate(("P1", name), start=1):
        read = read_measurements(
            [str(tmp_path / plate)],
            plate_key="s/x",
            dataset_id="s",
            plate_name=plate,
            settings=DatasetSettings(),
        )
        rows = read.reader.read_all()
        assert rows.num_rows == 3 * seed + 2
        assert min(rows["Cells_AreaShape_Area"].to_pylist()) == feature_value("Cells", 1, 1, 0, seed)


@pytest.mark.slow
@settings(max_examples=12)
@given(name=file_names(12))
def test_a_csv_column_of_any_name_arrives_under_it(name):
    column = f"AreaShape_{name.strip()}x"
    with folder() as root:
        spec = PlateSpec(features=(*FEATURES, column))
        write_cellprofiler_folder(root / "p", spec, compartments=("Cells",))
        read = read_measurements(
            [str(root / "p")], plate_key="s/p", dataset_id="s", plate_name="p", settings=DatasetSettings()
        )
        rows = read.reader.read_all()
        assert rows[f"Cells_{column}"].to_pylist()[0] == feature_value("Cells", 1, 1, 3)


@pytest.mark.slow
@settings(max_examples=30)
@given(name=file_names())
def test_a_plate_folder_of_any_name_is_found_and_scanned_as_itself(name):
    with folder() as root:
        for neighbour in {"P1", name}:
            write_plane(root / "set" / neighbour / "A01_s1_w1.tif", 7, (2, 2))
            write_cellprofiler_folder(
                root / "set" / "measurements" / neighbour, PlateSpec({1: 1}), compartments=("Cells",)
            )
        found = discover_plates(str(root))
        keys = {source.plate_key: source for source in found.sources}
        if name.startswith(IGNORED_PREFIXES):  # what copying tools leave behind
            assert set(keys) == {"set/P1"}
            return
        source = keys[build_plate_key("set", name)]
        assert source.plate_name == name
        assert [uri.rpartition("/")[2] for uri in source.measurement_uris] == [name]
        table = scan_image_assets(source.store_uris[0], dataset_id="set")
        assert {Path(uri).name for uri in table["uri"].to_pylist()} == {name}


@pytest.mark.slow
@settings(max_examples=10)
@given(name=file_names())
def test_a_warehouse_root_and_its_views_are_those_of_the_folder_that_is_named(name):
    with folder() as base:
        for neighbour in {"w1", name}:
            warehouse = open_warehouse(base / neighbour)
            warehouse.append("single_cells", cells(f"set/{'own' if neighbour == name else 'other'}"))
        connection = duckdb.connect()
        here = os.getcwd()
        os.chdir(base / name)
        try:
            connection.execute(Path("views.sql").read_text())
            seen = connection.sql("SELECT DISTINCT plate_key FROM single_cells").fetchall()
        finally:
            os.chdir(here)
        assert seen == [("set/own",)]
        assert open_warehouse(base / name).read("single_cells")["plate_key"].unique().to_pylist() == [
            "set/own"
        ]
        listed = duckdb.sql(
            f"SELECT DISTINCT plate_key FROM {parquet_relation([*(base / name / 'single_cells').iterdir()])}"
        )
        assert listed.fetchall() == [("set/own",)]


@settings(max_examples=40)
@given(name=file_names())
@example(name="a,b")
@example(name="a?b")
@example(name="a%20b")
def test_a_project_keeps_its_catalog_and_roots_below_its_own_folder(name):
    from pyiceberg.io.pyarrow import PyArrowFileIO

    env = {"BIOIMAGE_DATA_DIR": f"/lab/{name}"}
    if "?" in name and not DECODES_PATHS:
        with pytest.raises(SettingsError, match="question mark in the path"):
            _ = read_project_settings(env).catalog_properties["uri"]
        return
    chosen = read_project_settings(env)
    assert chosen.incoming_uris == (f"/lab/{name}/incoming",)
    assert sqlite_path(chosen.catalog_properties["uri"]) == Path(f"/lab/{name}/catalog/catalog.db")
    assert (
        PyArrowFileIO.parse_location(chosen.catalog_properties["warehouse"])[2]
        == f"/lab/{name}/catalog/tables"
    )


@pytest.mark.parametrize("name", ["P[1]", "P*", "a#b?c", "a%20b"])
def test_objects_of_a_bucket_are_read_by_their_very_names(name):
    files = fsspec.filesystem("memory")
    for neighbour in ("P1", "a", "a b", name):
        with files.open(f"/hostile/{neighbour}/t.parquet", "wb") as target:
            pq.write_table(pa.table({"a": [neighbour]}), target)
    try:
        for location in (f"memory://hostile/{name}", f"memory://hostile/{name}/t.parquet"):
            assert list_table_files(location) == [f"memory://hostile/{name}/t.parquet"]
        assert [item.key for item in open_store(f"memory://hostile/{name}").list("")] == ["t.parquet"]
        assert open_profiles(f"memory://hostile/{name}").schema.names == ["a"]
    finally:
        files.rm("/hostile", recursive=True)


@pytest.mark.parametrize("name", ["a::file", "a::memory", "::"])
def test_two_colons_in_a_name_open_no_other_file_system(name):
    filesystem, path = url_to_filesystem(f"memory://bucket/{name}", {})
    assert isinstance(filesystem, type(fsspec.filesystem("memory")))
    assert path.endswith(f"bucket/{name}")
    chained, _ = url_to_filesystem("filecache://x.csv::memory://bucket/x.csv", {})
    assert isinstance(chained, fsspec.get_filesystem_class("filecache"))


def test_a_pattern_that_is_no_name_in_a_bucket_still_matches():
    files = fsspec.filesystem("memory")
    for name in ("P1", "P2"):
        files.pipe_file(f"/patterns/{name}.csv", b"a\n1\n")
    try:
        assert list_table_files("memory://patterns/P[1].csv") == ["memory://patterns/P1.csv"]
        assert len(list_table_files("memory://patterns/P*.csv")) == 2
    finally:
        files.rm("/patterns", recursive=True)


@settings(max_examples=100)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(NAMES))
@example(text='\x7f\x00\n"\\')
def test_a_name_in_toml_that_is_proposed_reads_back_as_itself(text):
    assert tomllib.loads(f"name = {quote_toml(text)}") == {"name": text}


@pytest.mark.slow
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20))
@settings(max_examples=100)
def test_a_text_in_sql_reads_back_as_itself(text):
    assert duckdb.sql(f"SELECT {quote_literal(text)}").fetchall() == [(text,)]


def test_two_names_that_are_one_key_are_refused_and_both_are_named(tmp_path):
    for name in ("a b", "a%20b", "P1"):
        write_plane(tmp_path / "set" / name / "A01_s1_w1.tif", 7, (2, 2))
        write_cellprofiler_folder(tmp_path / "set" / "measurements" / name, compartments=("Cells",))
    for wanted in (None, ["set/P1"]):
        found = discover_plates(str(tmp_path), plate_keys=wanted)
        assert "set/P1" in {source.plate_key for source in found.sources}
        (clash,) = [finding for finding in found.findings if finding.code == "plate-name-clash"]
        assert "a b" in clash.message
        assert "a%20b" in clash.message
