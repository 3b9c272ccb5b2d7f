"""`biofile-finder` lists all images of a warehouse root as BioFile Finder expects a data source to be."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import duckdb
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from PIL import Image

from bioimage_assets.core.tables.biofile_finder import COLUMNS
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets_tests.dagster.conftest import built, screens_root

__all__ = ["built", "screens_root"]  # fixtures

pytestmark = pytest.mark.slow

# https://github.com/AllenInstitute/biofile-finder: packages/core/services/DatabaseService
PREDEFINED = ("File ID", "File Path", "File Name", "File Size", "Thumbnail", "Uploaded")
UPLOADED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+[+-]\d\d:\d\d")


@pytest.fixture
def root(built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the built warehouse root, whose plates' images lie where they were scanned."""
    monkeypatch.setenv("BIOIMAGE_DATA_DIR", str(built.data_dir))
    shutil.copytree(built.data_dir / "warehouse", tmp_path / "root")
    return tmp_path / "root"


def check_data_source(path: Path) -> None:
    """What BioFile Finder checks before it takes a file: columns, blanks, and ids that come twice."""
    reader = "read_parquet" if path.suffix == ".parquet" else "read_csv"
    source = f"(SELECT * FROM {reader}('{path}'))"
    names = duckdb.sql(f"DESCRIBE SELECT * FROM {source}").df()["column_name"].tolist()
    simple = [re.sub(r"\s|-|_", "", name.lower()) for name in names]
    for name in PREDEFINED:
        assert simple.count(name.lower().replace(" ", "")) == 1
        assert name in names
    blank = f"SELECT count(*) FROM {source} WHERE coalesce(trim(\"File Path\"), '') = '' OR coalesce(trim(\"File ID\"), '') = ''"
    assert duckdb.sql(blank).fetchone() == (0,)
    count, ids = duckdb.sql(f'SELECT count(*), count(DISTINCT "File ID") FROM {source}').fetchone()
    assert count == ids > 0


def test_every_image_is_listed_as_the_format_asks(built, root, run, tmp_path):
    outcome = run("biofile-finder", tmp_path / "bff", "--warehouse-root", root, "--json")
    assert outcome.code == 0, outcome.err
    for name in ("biofile_finder.parquet", "biofile_finder.csv"):
        check_data_source(tmp_path / "bff" / name)
    rows = pd.read_parquet(tmp_path / "bff" / "biofile_finder.parquet")
    text = pd.read_csv(tmp_path / "bff" / "biofile_finder.csv", dtype={"Site": str, "Acquisition": object})
    assert outcome.json["rows"] == len(rows) == len(text)
    assert list(rows.columns) == list(text.columns)
    assert rows["File ID"].tolist() == text["File ID"].tolist()
    stored = open_warehouse(root).read("image_assets").to_pandas()
    fields = stored[stored["image_kind"] != "label"]
    assert set(rows["Image"]) == set(fields["image_id"])
    assert outcome.json["plates"] == fields["plate_key"].nunique() == rows["Plate"].nunique() > 1
    for row in rows.to_dict("records"):
        path = Path(row["File Path"])
        assert path.exists()
        if path.is_file():
            assert row["File Size"] == path.stat().st_size
            assert UPLOADED.fullmatch(row["Uploaded"])
        asked = parse_qs(urlsplit(row["Open in browser"]).query)
        assert (asked["image"], asked["dataset"]) == ([row["Image"]], [row["Dataset"]])
    described = pd.read_csv(tmp_path / "bff" / "biofile_finder_columns.csv")
    assert list(described.columns) == ["Column Name", "Description"]
    assert described["Column Name"].tolist() == list(rows.columns)


def test_counts_verdicts_and_platemaps_are_those_of_the_tables(built, root, run, tmp_path):
    assert run("biofile-finder", tmp_path / "bff", "--warehouse-root", root).code == 0
    rows = pd.read_parquet(tmp_path / "bff" / "biofile_finder.parquet").drop_duplicates(["Dataset", "Image"])
    warehouse = open_warehouse(root)
    cells = warehouse.read("joined_profiles", columns=["dataset_id", "image_id"]).to_pandas()
    counts = cells.dropna().groupby(["dataset_id", "image_id"]).size()
    found = rows.dropna(subset=["Cell Count"]).set_index(["Dataset", "Image"])["Cell Count"]
    assert found.astype(int).to_dict() == counts.to_dict()
    qc = warehouse.read(
        "cosmicqc_profiles", columns=["dataset_id", "image_id", "Metadata_cqc_failed"]
    ).to_pandas()
    passed = 1 - qc.dropna().groupby(["dataset_id", "image_id"])["Metadata_cqc_failed"].mean()
    fractions = rows.dropna(subset=["QC Passed Fraction"]).set_index(["Dataset", "Image"])[
        "QC Passed Fraction"
    ]
    pd.testing.assert_series_equal(
        fractions.sort_index(), passed.sort_index(), check_names=False, check_dtype=False
    )
    further = [name for name in rows.columns if name not in COLUMNS]
    wells = warehouse.read("pycytominer_profiles").to_pandas()
    assert "compound" in further
    by_well = wells.set_index(["plate_key", "well_id"])["Metadata_compound"].to_dict()
    keys = rows["Dataset"] + "/" + rows["File ID"].str.split("/").str[1]
    expected = [by_well.get(key) for key in zip(keys, rows["Well"], strict=True)]
    assert rows["compound"].where(rows["compound"].notna(), None).tolist() == expected


def test_the_same_root_gives_the_same_bytes_and_a_plate_that_left_is_gone(built, root, run, tmp_path):
    folder = tmp_path / "bff"
    call = ("biofile-finder", folder, "--warehouse-root", root)
    assert run(*call).code == 0
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert run(*call).code == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    warehouse = open_warehouse(root)
    gone, *others = warehouse.partitions("image_assets")
    warehouse.remove_partitions("image_assets", [gone])
    assert run(*call).code == 0
    keys = {
        "/".join(one.split("/")[:2])
        for one in pq.read_table(folder / "biofile_finder.parquet")["File ID"].to_pylist()
    }
    assert keys == set(others)
    check_data_source(folder / "biofile_finder.csv")


def test_thumbnails_are_files_that_stay_and_go_with_their_plate(built, root, run, tmp_path):
    folder = tmp_path / "bff"
    call = ("biofile-finder", folder, "--warehouse-root", root, "--thumbnails")
    assert run(*call, "--thumbnails-url", "https://lab.example/bff/").code == 0
    made = {path.name: path.stat().st_mtime_ns for path in (folder / "thumbnails").iterdir()}
    rows = pd.read_parquet(folder / "biofile_finder.parquet")
    assert set(rows["Thumbnail"]) == {f"https://lab.example/bff/thumbnails/{name}" for name in made}
    assert run(*call).code == 0
    rows = pd.read_parquet(folder / "biofile_finder.parquet")
    assert {path.name: path.stat().st_mtime_ns for path in (folder / "thumbnails").iterdir()} == made
    for path in set(rows["Thumbnail"]):
        with Image.open(path) as picture:
            assert max(picture.size) <= 256
    warehouse = open_warehouse(root)
    warehouse.remove_partitions("image_assets", warehouse.partitions("image_assets")[1:])
    assert run(*call).code == 0
    left = pd.read_parquet(folder / "biofile_finder.parquet")
    assert {Path(path).name for path in left["Thumbnail"]} == {
        path.name for path in (folder / "thumbnails").iterdir()
    }
    assert len(left) < len(rows)


def test_an_export_lists_the_images_that_it_wrote(built, run, tmp_path):
    store = next((built.data_dir / "incoming" / "screen-a").glob("SA-P1*"))
    call = (
        "export-cytomining",
        store,
        "--warehouse-root",
        tmp_path / "root",
        "--biofile-finder",
        tmp_path / "bff",
    )
    outcome = run(*call)
    assert outcome.code == 0
    rows = pq.read_table(tmp_path / "bff" / "biofile_finder.parquet")
    images = pq.read_table(tmp_path / "root" / "image_assets").filter(pc.field("image_kind") == "image")
    assert rows.num_rows == images.num_rows > 0
    check_data_source(tmp_path / "bff" / "biofile_finder.parquet")


def test_a_root_without_images_is_refused_in_one_line(run, tmp_path):
    (tmp_path / "root").mkdir()
    outcome = run("biofile-finder", tmp_path / "bff", "--warehouse-root", tmp_path / "root")
    assert outcome.code == 2
    assert "image_assets" in outcome.err
    assert not (tmp_path / "bff").exists()


def test_a_plate_without_an_image_is_not_counted(built, root, run, tmp_path):
    warehouse = open_warehouse(root)
    (first, *rest) = warehouse.partitions("image_assets")
    none = warehouse.read("image_assets", plate_keys=[first]).slice(0, 0)
    warehouse.replace_partitions("image_assets", none, [first])
    outcome = run("biofile-finder", tmp_path / "bff", "--warehouse-root", root, "--json")
    assert (outcome.code, outcome.json["plates"]) == (0, len(rest))
