"""A field that was analysed twice is counted once or named, whatever wrote the measurements; other fields never are."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.measurements.measured_twice import MeasuredImage, choose_images
from bioimage_assets.core.measurements.model import PlateContext
from bioimage_assets.core.settings.dataset import DatasetSettings, DuplicateRule
from bioimage_assets_tests.builders.measurement_plates import (
    PlateSpec,
    image_rows,
    object_rows,
    write_cellprofiler_folder,
    write_csv,
    write_npz,
    write_sqlite,
    write_warehouse,
)
from bioimage_assets_tests.core.measurements.conftest import Reader

pytestmark = pytest.mark.slow

CODE = "field-measured-twice"
# Two analyses of A01/1 (three and four cells) and one of A02/2; `seed` tells the analyses apart.
FIRST = PlateSpec(cells={1: 3, 2: 2}, seed=0)
SECOND = PlateSpec(cells={1: 4}, seed=1)


def rule(name: DuplicateRule) -> DatasetSettings:
    return DatasetSettings(duplicate_cells=name)


def flat(spec: PlateSpec, table: object, image: int = 0) -> pd.DataFrame:
    """The cells of an analysis as one flat table; ``image`` is added to the image numbers."""
    header, rows = object_rows(spec, "Cytoplasm")
    frame = pd.DataFrame(rows, columns=header)
    frame = frame.rename(columns={name: f"Cytoplasm_{name}" for name in spec.features})
    wells = [spec.well(number) for number in frame["ImageNumber"]]
    frame.insert(0, "Metadata_Well", wells)
    frame.insert(1, "Metadata_Site", frame["ImageNumber"])
    frame.insert(2, "Metadata_TableNumber", table)
    frame["ImageNumber"] += image
    frame.insert(0, "Metadata_Plate", spec.plate)
    return frame.drop(columns=["Number_Object_Number", "Parent_Cells", "Parent_Nuclei"])


def write_folders(root: Path) -> Path:
    write_cellprofiler_folder(root / "P1" / "run-1", FIRST)
    write_cellprofiler_folder(root / "P1" / "run-2", SECOND)
    return root / "P1"


def write_one_folder(root: Path) -> Path:
    """One export whose Image.csv has two image numbers at the same place."""
    folder = root / "P1"
    for name in ("Cells", "Cytoplasm", "Nuclei", "Image"):
        build = image_rows if name == "Image" else lambda spec, name=name: object_rows(spec, name)
        header, rows = build(FIRST)
        at = header.index("ImageNumber")
        again = [[*row[:at], row[at] + 7, *row[at + 1 :]] for row in build(SECOND)[1]]
        write_csv(folder / f"{name}.csv", header, [*rows, *again])
    return folder


def write_run_again(root: Path) -> Path:
    """One export appended to another: image numbers start again in every file."""
    folder = root / "P1"
    for name in ("Cells", "Cytoplasm", "Nuclei", "Image"):
        build = image_rows if name == "Image" else lambda spec, name=name: object_rows(spec, name)
        header, rows = build(FIRST)
        write_csv(folder / f"{name}.csv", header, [*rows, *build(SECOND)[1]])
    return folder


def write_run_again_listed_once(root: Path) -> Path:
    folder = write_run_again(root)
    write_csv(folder / "Image.csv", *image_rows(FIRST))
    return folder


def write_without_image_table(root: Path) -> Path:
    """Positions stand in the object tables only."""
    for run, spec in {"run-1": FIRST, "run-2": SECOND}.items():
        header, rows = object_rows(spec, "Cytoplasm")
        places = [[spec.plate, spec.well(int(row[0])), row[0]] for row in rows]
        write_csv(
            root / "P1" / run / "Cytoplasm.csv",
            [*header, "Metadata_Plate", "Metadata_Well", "Metadata_Site"],
            [[*row, *place] for row, place in zip(rows, places, strict=True)],
        )
    return root / "P1"


def write_backend(root: Path) -> Path:
    return write_sqlite(root / "P1.sqlite", {11: FIRST, 22: SECOND})


def write_parquet(root: Path) -> Path:
    pd.concat([flat(FIRST, 11), flat(SECOND, 22)]).to_parquet(root / "P1.parquet")
    return root / "P1.parquet"


def write_parquet_other_images(root: Path) -> Path:
    both = pd.concat([flat(FIRST, 1), flat(SECOND, 1, image=70)]).drop(columns="Metadata_TableNumber")
    both["Metadata_Site"] = both["Metadata_Site"].map("{:02d}".format)
    both.to_parquet(root / "P1.parquet")
    return root / "P1.parquet"


def write_csv_table(root: Path) -> Path:
    pd.concat([flat(FIRST, "a"), flat(SECOND, "b")]).to_csv(root / "P1.csv", index=False)
    return root / "P1.csv"


def write_parquet_files(root: Path) -> Path:
    """Two files with equal image and object numbers, as two conversions of one plate leave them."""
    (root / "P1").mkdir()
    for name, spec in {"a": FIRST, "b": SECOND}.items():
        flat(spec, 1).drop(columns="Metadata_TableNumber").to_parquet(root / "P1" / f"{name}.parquet")
    return root / "P1"


def write_cytotable_warehouse(root: Path) -> Path:
    table = pa.Table.from_pandas(pd.concat([flat(FIRST, 11), flat(SECOND, 22)]), preserve_index=False)
    return write_warehouse(root / "P1", table)


def write_in_carta(root: Path) -> Path:
    header = ["Plate ID", "WELL LABEL", "FOV", "Z", "T", "OBJECT ID", "Cytoplasm AreaShape Area"]
    for name, spec in {"a": FIRST, "b": SECOND}.items():
        frame = flat(spec, 1)
        rows = [
            ["P1", f"{well[0]} - {int(well[1:])}", site, 1, 1, number, area]
            for well, site, number, area in zip(
                frame["Metadata_Well"], frame["Metadata_Site"], frame["ObjectNumber"],
                frame["Cytoplasm_AreaShape_Area"], strict=True,
            )
        ]  # fmt: skip
        write_csv(root / "P1" / f"{name}.csv", header, rows)
    return root / "P1"


SOURCES: dict[str, Callable[[Path], Path]] = {
    "two folders": write_folders,
    "two image numbers of one export": write_one_folder,
    "image numbers that start again": write_run_again,
    "image numbers that start again, listed once": write_run_again_listed_once,
    "places in the object tables only": write_without_image_table,
    "table numbers of a backend": write_backend,
    "table numbers in Parquet": write_parquet,
    "image numbers in Parquet": write_parquet_other_images,
    "table numbers in CSV": write_csv_table,
    "two Parquet files of equal numbers": write_parquet_files,
    "a CytoTable warehouse": write_cytotable_warehouse,
    "two IN Carta exports": write_in_carta,
}
AREAS = {
    spec.seed: [row[2] for row in object_rows(spec, "Cytoplasm")[1]] for spec in (FIRST, SECOND)
}  # of the image numbers 1 and 2


@pytest.mark.parametrize("kind", SOURCES)
def test_a_site_analysed_twice_fails_the_plate_and_names_the_place_and_what_to_write(
    tmp_path: Path, read_plate: Reader, kind: str
) -> None:
    source = SOURCES[kind](tmp_path)
    with pytest.raises(MeasurementError) as failure:
        read_plate(source)
    text = str(failure.value)
    assert text.startswith("screen/P1: 1 site(s) were measured more than once: A01/1")
    assert "3 cells, " in text
    assert text.index("A01/1") < text.index("3 cells, ") < text.index("4 cells)")
    assert "4 cells)" in text
    assert "4 cell(s) would count twice" in text
    assert '`[measurements] duplicates = "first"`' in text
    assert "screen/dataset.toml" in text
    found = [finding for finding in failure.value.findings if finding.code == CODE]
    assert [finding.severity for finding in found] == ["error"]
    assert found[0].location == ("A01/1 Z 1 T 1" if "IN Carta" in kind else "A01/1")


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("name", ["first", "last", "keep"])
def test_the_rule_of_the_dataset_chooses_the_analysis_whose_cells_are_kept(
    tmp_path: Path, read_plate: Reader, kind: str, name: DuplicateRule
) -> None:
    source = SOURCES[kind](tmp_path)
    plate = read_plate(source, settings=rule(name))
    areas = plate.table.sort_by("Metadata_ObjectID")["Cytoplasm_AreaShape_Area"].to_pylist()
    expected = {
        "first": AREAS[0],
        "last": [*AREAS[1], *AREAS[0][3:]],
        "keep": [*AREAS[0], *AREAS[1]],
    }[name]
    assert sorted(areas) == sorted(expected)
    assert len(set(plate.table["Metadata_ObjectID"].to_pylist())) == len(expected)
    found = [finding for finding in plate.result.findings if finding.code == CODE]
    assert [finding.severity for finding in found] == ["warning"]
    assert f'duplicates = "{name}"' in found[0].message
    assert {
        "first": "the 4 cell(s) of later",
        "last": "the 3 cell(s) of earlier",
        "keep": "4 cell(s) count twice",
    }[name] in found[0].message
    assert plate.codes() & {"duplicated-image-numbers", "duplicate-objects"} == set()
    assert read_plate(source, settings=rule(name)).table.equals(plate.table)


@pytest.mark.parametrize("kind", [*list(SOURCES)[:4], "table numbers of a backend"])
@pytest.mark.parametrize("name", ["first", "last"])
def test_the_image_table_lists_the_images_whose_cells_are_kept(
    tmp_path: Path, read_plate: Reader, kind: str, name: DuplicateRule
) -> None:
    plate = read_plate(SOURCES[kind](tmp_path), settings=rule(name))
    images = plate.result.image_table
    places = list(zip(images["Metadata_Well"].to_pylist(), images["Metadata_Site"].to_pylist(), strict=True))
    assert sorted(places) == [("A01", "1"), ("A02", "2")]
    if kind != "image numbers that start again, listed once":
        assert sum(images["Image_Count_Cytoplasm"].to_pylist()) == plate.table.num_rows
        assert plate.codes("error") == set()


def test_the_parents_of_kept_cells_are_those_of_their_own_analysis(
    tmp_path: Path, read_plate: Reader
) -> None:
    folder = write_run_again(tmp_path)
    plate = read_plate(folder, settings=rule("last"))
    nuclei = pd.read_csv(folder / "Nuclei.csv")
    nuclei["run"] = (nuclei["ObjectNumber"].diff() < 0).cumsum()
    last = nuclei[(nuclei["ImageNumber"] == 1) & (nuclei["AreaShape_Area"] >= 3_100_000)].set_index(
        "ObjectNumber"
    )
    for row in plate.table.to_pylist():
        if row["Metadata_ImageNumber"] == 1:
            parent = row["Metadata_Cytoplasm_Parent_Nuclei"]
            assert row["Nuclei_AreaShape_Area"] == last.loc[parent, "AreaShape_Area"]
    assert plate.codes("error") == set()


def test_two_npz_of_one_site_are_one_field(tmp_path: Path, read_plate: Reader) -> None:
    def metadata(site: int) -> dict[str, object]:
        return {"Metadata_Plate": "P1", "Metadata_Well": "a1", "Metadata_Site": site}

    write_npz(tmp_path / "P1" / "m1" / "A01_1.npz", cells=3, metadata=metadata(1), seed=1)
    write_npz(tmp_path / "P1" / "m2" / "A01_1.npz", cells=2, metadata=metadata(1), seed=2)
    write_npz(tmp_path / "P1" / "m1" / "A01_2.npz", cells=2, metadata=metadata(2), seed=3)
    with pytest.raises(MeasurementError, match=r"A01/1 \(m1/A01_1\.npz: 3 cells, m2/A01_1\.npz: 2 cells\)"):
        read_plate(tmp_path / "P1")
    for name, seeds in {
        "first": [1, 1, 1, 3, 3],
        "last": [3, 3, 2, 2],
        "keep": [1, 1, 1, 3, 3, 2, 2],
    }.items():
        plate = read_plate(tmp_path / "P1", settings=rule(name))
        assert [value // 1000 for value in plate.table["DeepProfiler_0"].to_pylist()] == seeds
        assert plate.finding(CODE).severity == "warning"
        assert sum(plate.result.image_table["Image_Count_Nuclei"].to_pylist()) == len(seeds)


# What is no field analysed twice, however alike it looks: changes of two flat analyses of one place.
OTHERS: dict[str, Callable[[pd.DataFrame], None]] = {
    "another time point": lambda second: second.insert(0, "Metadata_T", 2),
    "another plane": lambda second: second.insert(0, "Image_Metadata_ZPlane", "p2"),
    "another acquisition": lambda second: second.insert(0, "Metadata_AcquisitionID", "after wash"),
    "another channel": lambda second: second.insert(0, "Metadata_Channel", "ER"),
    "another tile": lambda second: second.insert(0, "Metadata_Tile", 2),
    "another plate": lambda second: second.__setitem__("Metadata_Plate", "P2"),
    "another well": lambda second: second.__setitem__("Metadata_Well", "A03"),
    "another site": lambda second: second.__setitem__("Metadata_Site", 9),
    "no well": lambda second: second.__setitem__("Metadata_Well", None),
    "no site": lambda second: second.__setitem__("Metadata_Site", None),
    "other image files": lambda second: second.insert(0, "Image_FileName_DNA", "b.tif"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_images_of_one_place_are_never_a_duplicate(
    tmp_path: Path, read_plate: Reader, kind: str
) -> None:
    first, second = flat(PlateSpec(cells={1: 3}), 11), flat(SECOND, 22)
    OTHERS[kind](second)
    for name in set(second.columns) - set(first.columns):
        first[name] = "a.tif" if name.startswith("Image_FileName") else "1"
        second[name] = second[name].astype(str)
    pd.concat([first, second]).to_parquet(tmp_path / "P1.parquet")
    plate = read_plate(tmp_path / "P1.parquet")
    assert plate.table.num_rows == 7
    assert CODE not in plate.codes()
    assert ("several-images-of-a-site" in plate.codes("warning")) == (kind == "other image files")


def test_a_stratum_that_the_dataset_names_tells_images_of_a_site_apart(
    tmp_path: Path, read_plate: Reader
) -> None:
    both = pd.concat([flat(FIRST, 11).assign(Metadata_Dose=1), flat(SECOND, 22).assign(Metadata_Dose=2)])
    both.to_parquet(tmp_path / "P1.parquet")
    with pytest.raises(MeasurementError, match="A01/1"):
        read_plate(tmp_path / "P1.parquet")
    settings = DatasetSettings(profile_group_by=("Metadata_Dose",))
    assert read_plate(tmp_path / "P1.parquet", settings=settings).table.num_rows == 9


def test_plates_that_the_dataset_does_not_compare_are_one_plate(tmp_path: Path, read_plate: Reader) -> None:
    pd.concat([flat(FIRST, 11), flat(SECOND, 22).assign(Metadata_Plate="P1 again")]).to_parquet(
        tmp_path / "P1.parquet"
    )
    assert read_plate(tmp_path / "P1.parquet").table.num_rows == 9
    with pytest.raises(MeasurementError, match="A01/1"):
        read_plate(tmp_path / "P1.parquet", settings=DatasetSettings(ignore_profile_plate=True))


def test_tables_of_wells_and_of_images_may_repeat_their_places(tmp_path: Path, read_plate: Reader) -> None:
    wells = pd.DataFrame({"Metadata_Plate": ["P1"] * 2, "Metadata_Well": ["A01"] * 2, "Cells_A": [1.0, 1.0]})
    wells.to_parquet(tmp_path / "wells.parquet")
    assert read_plate(tmp_path / "wells.parquet").table.num_rows == 2
    wells.assign(Metadata_Site=1, ImageNumber=[1, 2]).to_parquet(tmp_path / "images.parquet")
    assert read_plate(tmp_path / "images.parquet").table.num_rows == 2


def test_embeddings_without_object_numbers_are_cells_of_their_images(
    tmp_path: Path, read_plate: Reader
) -> None:
    both = pd.concat([flat(FIRST, 1), flat(SECOND, 1, image=70)]).drop(
        columns=["Metadata_TableNumber", "ObjectNumber"]
    )
    both.to_parquet(tmp_path / "P1.parquet")
    with pytest.raises(MeasurementError, match=r"A01/1 \(ImageNumber 1: 3 cells, ImageNumber 71: 4 cells\)"):
        read_plate(tmp_path / "P1.parquet")
    assert read_plate(tmp_path / "P1.parquet", settings=rule("last")).table.num_rows == 6


def test_an_illumination_file_of_the_whole_plate_makes_no_two_images_one(
    tmp_path: Path, read_plate: Reader
) -> None:
    header, rows = image_rows(PlateSpec(cells={1: 2, 2: 2}, wells=("A01",)))
    at = header.index("Metadata_Site")
    rows = [[*row[:at], 5, *row[at + 1 :], "P1_IllumDNA.npy"] for row in rows]
    folder = write_cellprofiler_folder(tmp_path / "P1", PlateSpec(cells={1: 2, 2: 2}))
    write_csv(folder / "Image.csv", [*header, "FileName_IllumDNA"], rows)
    plate = read_plate(folder)
    assert plate.table.num_rows == 4
    assert "A01/5" in plate.finding("several-images-of-a-site").message


def test_the_same_image_file_under_another_number_is_the_same_image(
    tmp_path: Path, read_plate: Reader
) -> None:
    header, rows = image_rows(PlateSpec(cells={1: 2, 2: 2}, wells=("A01",)))
    site, digest = header.index("Metadata_Site"), header.index("MD5Digest_DNA")
    for row in rows:
        row[site], row[digest] = 5, "d" * 32
    folder = write_cellprofiler_folder(tmp_path / "P1", PlateSpec(cells={1: 2, 2: 2}))
    write_csv(folder / "Image.csv", header, rows)
    with pytest.raises(MeasurementError, match=r"A01/5 \(ImageNumber 1: 2 cells, ImageNumber 2: 2 cells\)"):
        read_plate(folder)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_rows_that_are_there_again_are_counted_once(tmp_path: Path, read_plate: Reader, suffix: str) -> None:
    """Some rows of a table, and whole tables, equal in every column; pandas' drop_duplicates is the witness."""
    table = pd.concat([flat(FIRST, 11), flat(FIRST, 11).iloc[[1, 3]]], ignore_index=True)
    path = tmp_path / f"P1.{suffix}"
    table.to_parquet(path) if suffix == "parquet" else table.to_csv(path, index=False)
    with pytest.raises(MeasurementError, match=r"2 row\(s\) are there again, equal in every column: A01/1"):
        read_plate(path)
    for name in ("first", "last"):
        plate = read_plate(path, settings=rule(name))
        areas = plate.table["Cytoplasm_AreaShape_Area"].to_pylist()
        assert areas == table.drop_duplicates()["Cytoplasm_AreaShape_Area"].tolist()
        assert plate.codes() == {CODE}
    assert read_plate(path, settings=rule("keep")).table.num_rows == 7


def test_copied_rows_without_a_place_are_copies_all_the_same(tmp_path: Path, read_plate: Reader) -> None:
    table = flat(FIRST, 11).drop(columns=["Metadata_Well", "Metadata_Site", "Metadata_Plate"])
    pd.concat([table, table]).to_parquet(tmp_path / "P1.parquet")
    with pytest.raises(MeasurementError, match=r"5 row\(s\) are there again"):
        read_plate(tmp_path / "P1.parquet")
    assert read_plate(tmp_path / "P1.parquet", settings=rule("first")).table.num_rows == 5


def test_a_copied_row_of_one_compartment_costs_no_other_cell_its_parents(
    tmp_path: Path, read_plate: Reader
) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1", FIRST)
    header, rows = object_rows(FIRST, "Cytoplasm")
    write_csv(folder / "Cytoplasm.csv", header, [*rows[:2], rows[1], *rows[2:]])
    with pytest.raises(MeasurementError, match=r"1 row\(s\) are there again.*A01/1"):
        read_plate(folder)
    plate = read_plate(folder, settings=rule("first"))
    assert plate.table.equals(read_plate(write_cellprofiler_folder(tmp_path / "x" / "P1", FIRST)).table)
    assert plate.codes() == {CODE}


def test_rows_in_any_order_are_told_apart_by_their_second_occurrence(
    tmp_path: Path, read_plate: Reader
) -> None:
    again = flat(FIRST, 11)
    again["Cytoplasm_AreaShape_Area"] += 0.5
    both = pd.concat([flat(FIRST, 11), again]).sample(frac=1, random_state=4)
    both.to_parquet(tmp_path / "P1.parquet")
    keys = ["Metadata_Well", "Metadata_Site", "ObjectNumber"]
    for name in ("first", "last"):
        plate = read_plate(tmp_path / "P1.parquet", settings=rule(name))
        expected = both.drop_duplicates(keys, keep=name)["Cytoplasm_AreaShape_Area"]
        assert sorted(plate.table["Cytoplasm_AreaShape_Area"].to_pylist()) == sorted(expected)


def test_a_backend_counts_as_many_cells_as_duckdb_finds_fields(tmp_path: Path, read_plate: Reader) -> None:
    """Five hundred sites, every third one analysed twice, in one flat table and in a SQLite file."""
    sites = np.repeat(np.arange(500), 4)
    frame = pd.DataFrame(
        {
            "Metadata_Plate": "P1", "Metadata_Well": "B02", "Metadata_Site": sites, "Metadata_TableNumber": 1,
            "Metadata_ImageNumber": sites + 1, "Metadata_ObjectNumber": np.tile(np.arange(1, 5), 500),
            "Cells_A": np.arange(2000) * 0.5,
        }
    )  # fmt: skip
    second = frame[frame["Metadata_Site"] % 3 == 0].assign(Metadata_TableNumber=2)
    pd.concat([frame, second]).to_parquet(tmp_path / "P1.parquet")
    with pytest.raises(MeasurementError, match=r"167 site\(s\).*668 cell\(s\)"):
        read_plate(tmp_path / "P1.parquet")
    plate = read_plate(tmp_path / "P1.parquet", settings=rule("last"))
    kept = plate.table
    counted = duckdb.sql(
        "SELECT count(*), count(DISTINCT (Metadata_Site, Metadata_TableNumber)), sum(Cells_A) FROM kept"
    ).fetchall()[0]
    assert counted == (2000, 500, frame["Cells_A"].sum())
    assert set(kept.filter(pc.equal(kept["Metadata_Site"], "3"))["Metadata_TableNumber"].to_pylist()) == {2}


def test_the_order_of_a_sqlite_image_table_is_the_order_of_its_analyses(
    tmp_path: Path, read_plate: Reader
) -> None:
    path = write_sqlite(tmp_path / "P1.sqlite", {99: FIRST, 5: SECOND})
    plate = read_plate(path, settings=rule("first"))
    assert plate.table["Metadata_TableNumber"].to_pylist() == ["99"] * 5
    with closing(sqlite3.connect(path)) as database:
        stored = dict(database.execute("SELECT TableNumber, count(*) FROM Cytoplasm GROUP BY 1").fetchall())
    assert stored == {99: 5, 5: 4}


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_file_that_is_there_as_a_copy_is_read_once_whatever_its_columns(
    tmp_path: Path, read_plate: Reader, suffix: str
) -> None:
    """Embeddings without any number of image or object, and a file without a row."""
    (tmp_path / "P1").mkdir()
    cells = pd.DataFrame({"Metadata_Well": ["A01", "A02"] * 3, "embedding_0": np.arange(6) * 0.5})
    parts = {
        "a": cells,
        "b": cells,
        "c": cells.assign(embedding_0=7.0),
        "d": cells.iloc[:0],
        "e": cells.iloc[:0],
    }
    for name, part in parts.items():
        path = tmp_path / "P1" / f"{name}.{suffix}"
        part.to_parquet(path) if suffix == "parquet" else part.to_csv(path, index=False)
    with pytest.raises(
        MeasurementError, match=rf"6 row\(s\) are there again.*b\.{suffix}, the same as a\.{suffix}"
    ):
        read_plate(tmp_path / "P1")
    for name in ("first", "last"):
        plate = read_plate(tmp_path / "P1", settings=rule(name))
        assert plate.table["embedding_0"].to_pylist() == [*cells["embedding_0"], *[7.0] * 6]
        assert plate.finding(CODE).severity == "warning"
    assert read_plate(tmp_path / "P1", settings=rule("keep")).table.num_rows == 18


def test_a_source_that_is_given_twice_is_read_once(tmp_path: Path, read_plate: Reader) -> None:
    flat(FIRST, 1).to_parquet(tmp_path / "P1.parquet")
    write_npz(tmp_path / "P1.npz", cells=2)
    folder = write_cellprofiler_folder(tmp_path / "P1", FIRST)
    link = tmp_path / "link"
    link.symlink_to(folder)
    for source, again in ((tmp_path / "P1.parquet",) * 2, (tmp_path / "P1.npz",) * 2, (folder, link)):
        alone = read_plate(source)
        with pytest.raises(MeasurementError, match="the same as"):
            read_plate(source, again)
        once = read_plate(source, again, settings=rule("first")).table
        assert once.num_rows == alone.table.num_rows
        twice = read_plate(source, again, settings=rule("keep")).table
        assert len(set(twice["Metadata_ObjectID"].to_pylist())) == twice.num_rows == 2 * once.num_rows


def test_copied_folders_without_places_are_one_analysis_and_equal_ones_of_named_places_are_not(
    tmp_path: Path, read_plate: Reader
) -> None:
    for name in ("one", "two"):
        (write_cellprofiler_folder(tmp_path / "P1" / name, FIRST) / "Image.csv").unlink()
    with pytest.raises(MeasurementError, match="two, the same as one"):
        read_plate(tmp_path / "P1")
    assert read_plate(tmp_path / "P1", settings=rule("last")).table.num_rows == 5
    for name in ("P2-A01-1", "P2-A01-2"):
        (write_cellprofiler_folder(tmp_path / "P2" / name, SECOND) / "Image.csv").unlink()
    assert read_plate(tmp_path / "P2", plate="P2").table.num_rows == 8


def test_a_whole_export_appended_to_itself_is_counted_once_in_one_finding(
    tmp_path: Path, read_plate: Reader
) -> None:
    """Every table but the image table holds every row twice; pandas' drop_duplicates is the witness."""
    folder = write_cellprofiler_folder(tmp_path / "P1", FIRST)
    alone = read_plate(folder).table
    for name in ("Cells", "Cytoplasm", "Nuclei"):
        table = pd.read_csv(folder / f"{name}.csv")
        pd.concat([table, table]).to_csv(folder / f"{name}.csv", index=False)
        assert len(pd.read_csv(folder / f"{name}.csv").drop_duplicates()) == alone.num_rows
    with pytest.raises(MeasurementError, match=r"5 row\(s\) are there again.*5 cell\(s\) would count twice"):
        read_plate(folder)
    for name, rows in {"first": 5, "last": 5, "keep": 10}.items():
        plate = read_plate(folder, settings=rule(name))
        assert plate.table.num_rows == rows
        assert "5 cell(s)" in plate.finding(CODE).message
        assert sum(finding.code == CODE for finding in plate.result.findings) == 1
        assert plate.codes("error") == set()
        if rows == 5:
            assert plate.table.equals(alone)


IMAGES = st.lists(
    st.builds(
        MeasuredImage,
        st.one_of(
            st.none(), st.tuples(st.just("P1"), st.sampled_from(["A01", "A02"]), st.sampled_from(["1", "2"]))
        ),
        st.text(max_size=3),
        st.integers(0, 5),
        st.frozensets(st.sampled_from(["a.tif", "b.tif"]), max_size=1),
        st.booleans(),
    ),
    max_size=12,
)


@given(images=IMAGES, name=st.sampled_from(["first", "last", "keep"]))
def test_whatever_was_measured_each_field_keeps_one_analysis_and_nothing_else_is_lost(
    images: list[MeasuredImage], name: DuplicateRule
) -> None:
    context = PlateContext("s/P1", "s", "P1", rule(name), Path(), 0)
    choice = choose_images(images, context)
    assert len(choice.kept) == len(images)
    if name == "keep":
        assert all(choice.kept)
    for image, stays in zip(images, choice.kept, strict=True):
        alone = sum(other.place == image.place for other in images) == 1 or image.place is None
        assert stays or image.is_copy or not alone
    kept = [image for image, stays in zip(images, choice.kept, strict=True) if stays]
    again = choose_images(kept, context)
    assert all(again.kept)
    if name != "keep":
        assert [finding.code for finding in again.findings if finding.code == CODE] == []
    assert {image.place for image in images if not image.is_copy} == {
        image.place for image in kept if not image.is_copy
    }
