"""`example-data`: a dataset that other readers open, the same each time, never over a user's files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd
import pytest
import tifffile
import zarr

from bioimage_assets.core.discovery.listing import discover_plates
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.scan.scanner import scan_store_records
from bioimage_assets.demo.example_data import write_example_data
from bioimage_assets.demo.phenotypes import COMPOUNDS, NEGATIVE_CONTROL

pytestmark = pytest.mark.slow


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_both_plates_hold_the_fields_that_their_measurements_name(example_dataset: Path):
    cells = pd.read_parquet(example_dataset / "measurements" / "EX-P1.parquet")
    store = zarr.open_group(example_dataset / "EX-P1.ome.zarr", mode="r")
    for well, site in cells[["Metadata_Well", "Metadata_Site"]].drop_duplicates().itertuples(index=False):
        assert store[f"{well[0]}/{well[1:].lstrip('0')}/{site}/0"].shape == (5, 192, 192)
    images = pd.read_csv(example_dataset / "measurements" / "EX-P2" / "Image.csv")
    assert len(images) == 48
    for name in images["FileName_DNA"]:
        assert tifffile.imread(example_dataset / "EX-P2" / name).shape == (5, 192, 192)


def test_the_platemap_of_both_plates_has_four_doses_of_each_compound(example_dataset: Path):
    barcodes = pd.read_csv(example_dataset / "platemaps" / "barcode_platemap.csv")
    assert barcodes["Assay_Plate_Barcode"].tolist() == ["EX-P1", "EX-P2"]
    (name,) = barcodes["Plate_Map_Name"].unique()
    wells = pd.read_table(example_dataset / "platemaps" / "platemap" / f"{name}.txt")
    doses = wells.groupby("compound")["concentration_um"].unique()
    assert {compound: sorted(doses[compound]) for compound in COMPOUNDS} == {
        compound: [0.1, 0.3, 1.0, 3.0] for compound in COMPOUNDS
    }
    assert (wells["control_type"].eq("negcon") == wells["compound"].eq(NEGATIVE_CONTROL)).all()


def test_a_watched_root_shows_two_plates_with_measurements_and_nothing_else(example_dataset: Path):
    found = discover_plates(str(example_dataset.parent))
    assert [source.plate_key for source in found.sources] == ["example/EX-P1", "example/EX-P2"]
    assert [Path(source.measurement_uris[0]).name for source in found.sources] == ["EX-P1.parquet", "EX-P2"]
    assert not found.findings


def test_another_folder_gets_the_same_bytes_and_no_trace_beside_it(run, project: Path, example_dataset: Path):
    done = run("example-data", "data/incoming/mine", "--plates", "1")
    assert done.code == 0
    assert [path.name for path in (project / "data" / "incoming").iterdir()] == ["mine"]
    made, expected = digests(project / "data" / "incoming" / "mine"), digests(example_dataset)
    shared = [name for name in made if "barcode_platemap" not in name and not name.endswith("dataset.toml")]
    assert len(shared) > 500
    assert {name: made[name] for name in shared} == {name: expected[name] for name in shared}
    assert done.out.splitlines()[0] == "Written: data/incoming/mine"
    assert "EX-P1.ome.zarr" in done.out
    assert done.out.split("Next:\n")[1].split("\n")[:2] == [
        "  bioimage-assets materialize",
        "  bioimage-assets browse",
    ]


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four plates with mistakes, fewer wells; tests do not change them."""
    folder = tmp_path_factory.mktemp("mistakes") / "mine"
    write_example_data(folder, with_mistakes=True, size="ci", workers=1)
    return folder


def test_the_mistakes_are_on_disk_and_nothing_else_is_wrong(spoilt: Path):
    tables = {path.stem: pd.read_parquet(path) for path in (spoilt / "measurements").glob("*.parquet")}
    assert {name: set(table["Metadata_Site"]) for name, table in tables.items()} == {
        f"MY-P{number}": {"1"} for number in (1, 2, 3, 4)
    }
    listed = pd.read_csv(spoilt / "platemaps" / "barcode_platemap.csv")["Assay_Plate_Barcode"]
    assert listed.tolist() == ["MY-P1", "MY-P3", "MY-P4"]
    names = {path.name for path in (spoilt / "MY-P3").iterdir()}
    assert len(names) == 60
    assert names >= set(tables["MY-P3"]["Image_FileName_DNA"])
    assert "DNA field 0 in A01.tif" in names
    stores = {plate: spoilt / f"{plate}.ome.zarr" for plate in ("MY-P1", "MY-P2", "MY-P4")}
    attributes = {plate: zarr.open_group(store, mode="r").attrs for plate, store in stores.items()}
    own_names = {plate: found.get("ome", found)["plate"]["name"] for plate, found in attributes.items()}
    assert own_names == {"MY-P1": "MY-P1", "MY-P2": "MY-P4", "MY-P4": "MY-P2"}


def test_the_pattern_that_the_scan_proposes_reads_the_odd_names(spoilt: Path):
    before = scan_store_records(str(spoilt / "MY-P3"))
    (found,) = [found for found in before.findings if found.code == "names-not-understood"]
    pattern = found.message.split("[images] file_pattern = '")[1].split("'")[0]
    after = scan_store_records(str(spoilt / "MY-P3"), options=ScanOptions(file_pattern=pattern))
    assert {(image.well_id, image.site_id) for image in after.images} == {
        (f"{row}0{column}", "0") for row in "ABC" for column in (1, 2, 3, 4)
    }


def test_the_number_of_plates_with_mistakes_is_not_a_choice(run, project: Path):
    done = run("example-data", "mine", "--mistakes", "--plates", "2")
    assert done.code == 2
    assert "leave out --plates" in done.err


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_folder_that_holds_something_is_left_as_it_is(run, project: Path, kind: str):
    target = project / "mine"
    if kind == "folder":
        target.mkdir()
    (target / "notes.txt" if kind == "folder" else target).write_text("mine")
    before = digests(project)
    done = run("example-data", "mine")
    assert done.code == 2
    assert str(target) in done.err
    assert "new or empty folder" in done.err
    assert digests(project) == before
    assert [path.name for path in project.iterdir() if path.name.startswith(".mine")] == []


def test_an_empty_folder_that_is_there_is_filled_and_stays_the_same_folder(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to("mine")
    before = (tmp_path / "mine").stat().st_ino
    write_example_data(tmp_path / "link", plate_count=1, size="ci", workers=1)
    assert (tmp_path / "mine").stat().st_ino == before
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == [
        "EX-P1.ome.zarr",
        "dataset.toml",
        "measurements",
        "platemaps",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "mine"]


@pytest.mark.parametrize("place", ["s3://bucket/mine", "file/mine"])
def test_a_place_that_is_no_local_folder_is_refused(run, project: Path, place: str):
    (project / "file").write_text("")
    done = run("example-data", place)
    assert (done.code, list(project.glob("s3*"))) == (2, [])
    assert "Name another" in done.err


def test_outside_the_watched_roots_the_next_commands_name_the_root(monkeypatch, tmp_path: Path, capsys):
    from bioimage_assets.cli.example_command import _list_next

    assert _list_next(tmp_path / "a b" / "mine")[0] == f"export BIOIMAGE_INCOMING='{tmp_path / 'a b'}'"
    monkeypatch.setenv("BIOIMAGE_INCOMING", str(tmp_path / "a b"))
    assert _list_next(tmp_path / "a b" / "mine")[0] == "bioimage-assets materialize"
