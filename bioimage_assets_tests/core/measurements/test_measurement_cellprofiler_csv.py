"""CellProfiler CSV folders: one row per cell, parents followed, nothing multiplied, nothing lost in silence."""

from __future__ import annotations

import csv
import gzip
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.measurements import csv_staging
from bioimage_assets.core.measurements.columns import is_feature
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.builders.measurement_plates import (
    PlateSpec,
    feature_value,
    image_rows,
    object_rows,
    write_cellprofiler_folder,
    write_csv,
)
from bioimage_assets_tests.core.measurements.conftest import Reader


def test_each_cell_has_the_features_of_its_own_parents(tmp_path: Path, read_plate: Reader) -> None:
    spec = PlateSpec(cells={1: 3, 2: 2, 7: 4})
    plate = read_plate(write_cellprofiler_folder(tmp_path / "P1", spec))
    assert plate.table.num_rows == 9
    for row in plate.table.to_pylist():
        image, number = row["Metadata_ImageNumber"], row["Metadata_ObjectNumber"]
        nucleus = spec.cells[image] + 1 - number
        for i, name in enumerate(spec.features):
            assert row[f"Cytoplasm_{name}"] == feature_value("Cytoplasm", image, number, i)
            assert row[f"Cells_{name}"] == feature_value("Cells", image, number, i)
            assert row[f"Nuclei_{name}"] == feature_value("Nuclei", image, nucleus, i)
        assert row["Metadata_Cytoplasm_Parent_Nuclei"] == nucleus
    assert plate.codes() == set()


def test_key_columns_come_first_and_image_facts_are_carried(tmp_path: Path, read_plate: Reader) -> None:
    plate = read_plate(write_cellprofiler_folder(tmp_path / "P1"))
    names = plate.table.schema.names
    assert names[:8] == [
        "plate_key", "dataset_id", "Metadata_ObjectID", "Metadata_Plate", "Metadata_Well", "Metadata_Site",
        "Metadata_ImageNumber", "Metadata_ObjectNumber",
    ]  # fmt: skip
    first = plate.table.slice(0, 1).to_pylist()[0]
    assert first["Metadata_ObjectID"] == "screen/P1/1/1"
    assert (first["Metadata_Plate"], first["Metadata_Well"], first["Metadata_Site"]) == ("P1", "A01", "1")
    assert first["Image_FileName_DNA"] == "A01_s1_DNA.tif"
    assert first["Image_PathName_DNA"] == "/images/P1"
    assert first["Image_MD5Digest_DNA"] == f"{1:032x}"
    assert first["Image_Count_Cells"] == 3


def test_the_image_table_is_kept_whole_with_typed_counts(tmp_path: Path, read_plate: Reader) -> None:
    images = read_plate(write_cellprofiler_folder(tmp_path / "P1")).result.image_table
    assert images is not None
    assert images.schema.field("Image_Count_Cells").type == pa.int64()
    assert images.schema.field("Metadata_Site").type == pa.string()
    assert images["Image_Count_Nuclei"].to_pylist() == [3, 2]
    assert images["Metadata_Well"].to_pylist() == ["A01", "A02"]


def test_features_are_float64_and_numbers_of_objects_are_integers(tmp_path: Path, read_plate: Reader) -> None:
    header, rows = object_rows(PlateSpec(), "Cells")
    rows = [[*row[:2], 7, *row[3:]] for row in rows]  # an area without decimals
    folder = write_cellprofiler_folder(tmp_path / "P1")
    write_csv(folder / "Cells.csv", [*header, "Empty_Column"], [[*row, ""] for row in rows])
    schema = read_plate(folder).table.schema
    assert all(schema.field(name).type == pa.float64() for name in schema.names if is_feature(name))
    assert schema.field("Cells_Empty_Column").type == pa.float64()
    for name in ("Metadata_ImageNumber", "Metadata_ObjectNumber", "Metadata_Cells_Parent_Nuclei"):
        assert schema.field(name).type == pa.int64()


def test_plate_names_keep_their_leading_zeros(tmp_path: Path, read_plate: Reader) -> None:
    folder = write_cellprofiler_folder(tmp_path / "x", PlateSpec(plate="001"))
    assert set(read_plate(folder, plate="001").table["Metadata_Plate"].to_pylist()) == {"001"}


def test_a_file_prefix_of_cellprofiler_is_understood(tmp_path: Path, read_plate: Reader) -> None:
    plain = read_plate(write_cellprofiler_folder(tmp_path / "a" / "P1")).table
    prefixed = read_plate(write_cellprofiler_folder(tmp_path / "b" / "P1", prefix="MyExpt_")).table
    assert prefixed.equals(plain)


def test_gzipped_tables_give_the_same_rows(tmp_path: Path, read_plate: Reader) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1")
    plain = read_plate(folder).table
    for path in list(folder.glob("*.csv")):
        with gzip.open(f"{path}.gz", "wb") as handle:
            handle.write(path.read_bytes())
        path.unlink()
    assert read_plate(folder).table.equals(plain)


def test_sites_with_the_same_image_numbers_are_kept_apart(tmp_path: Path, read_plate: Reader) -> None:
    for site in range(3):
        spec = PlateSpec(cells={1: 4}, wells=(f"B0{site + 1}",), seed=site)
        write_cellprofiler_folder(tmp_path / "P1" / f"site-{site}", spec)
    plate = read_plate(tmp_path / "P1")
    assert plate.table.num_rows == 12
    assert len(set(plate.table["Metadata_ObjectID"].to_pylist())) == 12
    for row in plate.table.to_pylist():
        site = int(row["Metadata_TableNumber"].removeprefix("site-"))
        assert row["Metadata_Well"] == f"B0{site + 1}"
        nucleus = 5 - row["Metadata_ObjectNumber"]
        assert row["Nuclei_AreaShape_Area"] == feature_value("Nuclei", 1, nucleus, 0, seed=site)
    assert plate.codes("error") == set()


def test_folders_of_one_name_below_two_sources_get_different_object_ids(
    tmp_path: Path, read_plate: Reader
) -> None:
    for batch, well in {"a": "A01", "b": "A02"}.items():
        write_cellprofiler_folder(tmp_path / batch / "site-1", PlateSpec(cells={1: 2}, wells=(well,)))
    plate = read_plate(tmp_path / "a", tmp_path / "b")
    assert len(set(plate.table["Metadata_ObjectID"].to_pylist())) == plate.table.num_rows == 4


def test_an_image_number_that_starts_again_in_one_file_is_never_joined_crosswise(
    tmp_path: Path, read_plate: Reader
) -> None:
    folder = tmp_path / "P1"
    for compartment in ("Cells", "Cytoplasm", "Nuclei", "Image"):
        both = []
        for seed in (0, 1):
            spec = PlateSpec(cells={1: 3}, seed=seed, wells=(f"A0{seed + 1}",))
            header, rows = image_rows(spec) if compartment == "Image" else object_rows(spec, compartment)
            both += rows
        write_csv(folder / f"{compartment}.csv", header, both)
    plate = read_plate(folder)
    assert plate.table.num_rows == 6
    assert len(set(plate.table["Metadata_ObjectID"].to_pylist())) == 6
    for i, row in enumerate(plate.table.to_pylist()):
        number = row["Metadata_ObjectNumber"]
        assert row["Cells_AreaShape_Area"] == feature_value("Cells", 1, number, 0, seed=i // 3)
        assert row["Nuclei_AreaShape_Area"] == feature_value("Nuclei", 1, 4 - number, 0, seed=i // 3)
    assert plate.codes("error") == {"duplicated-image-numbers"}
    assert sum(finding.code == "duplicated-image-numbers" for finding in plate.result.findings) == 1
    assert "Image, Cells, Cytoplasm, Nuclei" in plate.finding("duplicated-image-numbers").message


def test_cells_that_the_image_table_promised_are_missed_by_number(tmp_path: Path, read_plate: Reader) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1")
    for compartment in ("Cells", "Cytoplasm", "Nuclei"):
        path = folder / f"{compartment}.csv"
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if not line.startswith("2,")))
    plate = read_plate(folder)
    assert plate.table.num_rows == 3
    assert "2 missing" in plate.finding("cells-missing").message
    assert plate.finding("cells-missing").severity == "error"


def test_cells_of_an_image_that_is_not_listed_stay_and_are_said(tmp_path: Path, read_plate: Reader) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1")
    header, rows = image_rows(PlateSpec())
    write_csv(folder / "Image.csv", header, rows[:1])
    plate = read_plate(folder)
    assert plate.table.num_rows == 5
    assert "image-not-listed" in plate.codes("error")
    assert plate.table["Metadata_Well"].to_pylist() == ["A01"] * 3 + [None] * 2


def test_a_cell_without_its_parent_keeps_its_row_with_nulls(tmp_path: Path, read_plate: Reader) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1")
    header, rows = object_rows(PlateSpec(), "Nuclei")
    write_csv(folder / "Nuclei.csv", header, [row for row in rows if row[:2] != [1, 3]])
    plate = read_plate(folder)
    assert plate.table.num_rows == 5
    lost = [row for row in plate.table.to_pylist() if row["Nuclei_AreaShape_Area"] is None]
    assert [(row["Metadata_ImageNumber"], row["Metadata_ObjectNumber"]) for row in lost] == [(1, 1)]
    assert plate.finding("missing-parent").message.startswith("1 of 5 Cytoplasm have no Nuclei")


def test_nuclei_that_no_cell_points_to_are_counted(tmp_path: Path, read_plate: Reader) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1")
    header, rows = object_rows(PlateSpec(), "Nuclei")
    write_csv(folder / "Nuclei.csv", header, [*rows, [2, 99, 1.0, 2.0, 3.0, 99]])
    plate = read_plate(folder)
    assert plate.table.num_rows == 5
    assert plate.finding("unjoined-objects").message.startswith("1 of 6 Nuclei")


def test_without_cytoplasm_the_cells_lead_to_their_nuclei(tmp_path: Path, read_plate: Reader) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1", compartments=("Cells", "Nuclei"))
    plate = read_plate(folder)
    assert plate.table.num_rows == 5
    for row in plate.table.to_pylist():
        assert row["Nuclei_AreaShape_Area"] == feature_value(
            "Nuclei", row["Metadata_ImageNumber"], row["Metadata_Cells_Parent_Nuclei"], 0
        )
    missing = [f for f in plate.result.findings if f.code == "missing-compartment"]
    assert {f.severity for f in missing} == {"warning", "error"}  # Image.csv promised Cytoplasm


def test_nuclei_alone_are_a_plate_of_nuclei(tmp_path: Path, read_plate: Reader) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1", compartments=("Nuclei",))
    plate = read_plate(folder)
    assert plate.table.num_rows == 5
    assert not any(name.startswith("Cells_") for name in plate.table.schema.names)


def test_a_site_that_lacks_a_compartment_is_named(tmp_path: Path, read_plate: Reader) -> None:
    write_cellprofiler_folder(tmp_path / "P1" / "good", PlateSpec(cells={1: 2}))
    other = PlateSpec(cells={1: 2}, wells=("A02",))
    write_cellprofiler_folder(tmp_path / "P1" / "bad", other, compartments=("Cells", "Cytoplasm"))
    plate = read_plate(tmp_path / "P1")
    assert plate.table.num_rows == 4
    assert plate.finding("missing-compartment").location == "bad"
    assert "missing-parent" in plate.codes("error")


def test_objects_that_are_not_one_per_cell_never_multiply_cells(tmp_path: Path, read_plate: Reader) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1")
    speckles = [[1, n, float(n), 1 + n % 3] for n in range(1, 21)]
    write_csv(
        folder / "Speckles.csv", ["ImageNumber", "ObjectNumber", "AreaShape_Area", "Parent_Nuclei"], speckles
    )
    plate = read_plate(folder)
    assert plate.table.num_rows == 5
    assert "Speckles (20 objects)" in plate.finding("compartment-not-joined").message


def test_the_settings_choose_the_compartments(tmp_path: Path, read_plate: Reader) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1")
    plate = read_plate(folder, settings=DatasetSettings(compartments=("Nuclei",)))
    assert plate.table.num_rows == 5
    assert not any(name.startswith(("Cells_", "Cytoplasm_")) for name in plate.table.schema.names)
    with pytest.raises(MeasurementError, match="Vesicles"):
        read_plate(folder, settings=DatasetSettings(compartments=("Vesicles",)))


def test_a_cut_off_file_loses_only_its_broken_row_and_says_the_line(
    tmp_path: Path, read_plate: Reader
) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1")
    path = folder / "Cells.csv"
    text = path.read_text()
    path.write_text(text[: text.rindex(",") - 12])
    plate = read_plate(folder)
    assert plate.table.num_rows == 5
    assert plate.finding("malformed-rows").location == "Cells.csv:6"
    assert plate.table["Cells_AreaShape_Area"].null_count == 1
    assert {"missing-parent", "cells-missing"} <= plate.codes("error")


@pytest.mark.parametrize("small_file_bytes", [0, 1 << 20])
def test_big_and_small_files_are_read_alike_broken_ones_too(
    tmp_path: Path, read_plate: Reader, monkeypatch: pytest.MonkeyPatch, small_file_bytes: int
) -> None:
    monkeypatch.setattr(csv_staging, "SMALL_FILE_BYTES", small_file_bytes)
    for site in range(4):
        spec = PlateSpec(cells={1: 3}, seed=site, wells=(f"A0{site + 1}",))
        write_cellprofiler_folder(tmp_path / "P1" / f"s{site}", spec)
    broken = tmp_path / "P1" / "s2" / "Cells.csv"
    broken.write_text(broken.read_text() + '9,9,"no end\n')
    plate = read_plate(tmp_path / "P1")
    assert plate.table["Metadata_TableNumber"].to_pylist() == [
        f"s{site}" for site in range(4) for _ in range(3)
    ]
    for row in plate.table.to_pylist():
        seed = int(row["Metadata_TableNumber"][1:])
        assert row["Cells_AreaShape_Area"] == feature_value(
            "Cells", 1, row["Metadata_ObjectNumber"], 0, seed=seed
        )
    assert plate.finding("malformed-rows").location == "Cells.csv:5"


def test_a_half_copied_gzip_gives_its_readable_rows_and_an_error(tmp_path: Path, read_plate: Reader) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1", PlateSpec(cells={1: 400}))
    packed = gzip.compress((folder / "Cells.csv").read_bytes())
    (folder / "Cells.csv").unlink()
    (folder / "Cells.csv.gz").write_bytes(packed[: len(packed) // 2])
    plate = read_plate(folder)
    assert plate.table.num_rows == 400
    assert {"malformed-rows", "missing-parent", "cells-missing"} <= plate.codes("error")
    assert 0 < plate.table["Cells_AreaShape_Area"].null_count < 400


def test_tables_without_a_row_are_a_plate_without_cells(tmp_path: Path, read_plate: Reader) -> None:
    plate = read_plate(write_cellprofiler_folder(tmp_path / "P1", PlateSpec(cells={1: 0})))
    assert plate.table.num_rows == 0
    assert plate.table.schema.field("Cells_AreaShape_Area").type == pa.float64()
    assert plate.codes("error") == set()


def test_a_word_in_a_number_column_becomes_null_and_is_counted(tmp_path: Path, read_plate: Reader) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1")
    path = folder / "Cells.csv"
    value = str(feature_value("Cells", 1, 2, 1))
    path.write_text(path.read_text().replace(value, "oops"))
    plate = read_plate(folder)
    assert plate.table.num_rows == 5
    assert "1 value(s)" in plate.finding("not-a-number").message
    assert plate.table["Cells_Intensity_MeanIntensity_DNA"].null_count == 1


def test_a_broken_site_does_not_touch_the_other_sites(tmp_path: Path, read_plate: Reader) -> None:
    for site in range(3):
        spec = PlateSpec(cells={1: 2}, wells=(f"A0{site + 1}",))
        write_cellprofiler_folder(tmp_path / "P1" / f"s{site}", spec)
    (tmp_path / "P1" / "s1" / "Cells.csv").write_text("ImageNumber,ObjectNumber,AreaShape_Area\n1,2\n")
    plate = read_plate(tmp_path / "P1")
    assert plate.table.num_rows == 6
    good = [r for r in plate.table.to_pylist() if r["Metadata_TableNumber"] != "s1"]
    assert all(row["Cells_AreaShape_Area"] is not None for row in good)
    assert "malformed-rows" in plate.codes("error")


def test_an_empty_table_of_one_compartment_is_an_error_finding(tmp_path: Path, read_plate: Reader) -> None:
    for site in range(2):
        spec = PlateSpec(cells={1: 2}, wells=(f"A0{site + 1}",))
        write_cellprofiler_folder(tmp_path / "P1" / f"s{site}", spec)
    (tmp_path / "P1" / "s0" / "Nuclei.csv").write_text("")
    plate = read_plate(tmp_path / "P1")
    assert plate.table.num_rows == 4
    assert plate.finding("empty-file").location == "Nuclei.csv"


def test_column_names_that_occur_twice_are_numbered(tmp_path: Path, read_plate: Reader) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1", PlateSpec(cells={1: 1}))
    write_csv(
        folder / "Nuclei.csv",
        ["ImageNumber", "ObjectNumber", "AreaShape_Area", "AreaShape_Area", "AREASHAPE_AREA"],
        [[1, 1, 10.0, 20.0, 30.0]],
    )
    plate = read_plate(folder)
    row = plate.table.to_pylist()[0]
    assert (row["Nuclei_AreaShape_Area"], row["Nuclei_AreaShape_Area_2"]) == (10.0, 20.0)
    assert row["Nuclei_AREASHAPE_AREA_3"] == 30.0
    assert "duplicate-columns" in plate.codes("warning")


def test_hostile_channel_names_pass_through(tmp_path: Path, read_plate: Reader) -> None:
    hostile = ('Intensity_Mean_"DNA"', "Intensity_Mean_'; DROP TABLE x;--", "Intensity_Mean_µ🔬", "select")
    spec = PlateSpec(cells={1: 2}, features=hostile)
    plate = read_plate(write_cellprofiler_folder(tmp_path / "P1", spec))
    for i, name in enumerate(hostile):
        assert plate.table[f"Cells_{name}"].to_pylist() == [feature_value("Cells", 1, n, i) for n in (1, 2)]


def test_an_image_table_without_objects_is_refused(tmp_path: Path, read_plate: Reader) -> None:
    write_csv(tmp_path / "P1" / "Image.csv", *image_rows(PlateSpec()))
    with pytest.raises(MeasurementError, match="P1"):
        read_plate(tmp_path / "P1")


def test_without_an_image_table_the_cells_are_there_and_the_gap_is_said(
    tmp_path: Path, read_plate: Reader
) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1")
    (folder / "Image.csv").unlink()
    plate = read_plate(folder)
    assert plate.table.num_rows == 5
    assert plate.result.image_table is None
    assert "missing-image-table" in plate.codes("warning")
    assert set(plate.table["Metadata_Plate"].to_pylist()) == {"P1"}


def test_positions_of_the_object_table_stand_in_where_no_image_table_has_them(
    tmp_path: Path, read_plate: Reader
) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1")
    header, rows = object_rows(PlateSpec(), "Cytoplasm")
    write_csv(
        folder / "Cytoplasm.csv", [*header, "Metadata_Well", "Metadata_Dose"], [[*r, "C6", "3"] for r in rows]
    )
    assert read_plate(folder).table["Metadata_Well"].to_pylist() == ["A01"] * 3 + ["A02"] * 2
    (folder / "Image.csv").unlink()
    table = read_plate(folder).table
    assert set(table["Metadata_Well"].to_pylist()) == {"C6"}
    assert set(table["Metadata_Dose"].to_pylist()) == {"3"}
    assert set(table["Metadata_Plate"].to_pylist()) == {"P1"}


def test_example_human_gives_its_289_cells_and_303_features(example_human: Path, read_plate: Reader) -> None:
    plate = read_plate(example_human, plate="ExampleHuman")
    assert plate.table.num_rows == 289
    assert sum(is_feature(name) for name in plate.table.schema.names) == 303
    position = {name: set(plate.table[f"Metadata_{name}"].to_pylist()) for name in ("Plate", "Well", "Site")}
    assert position == {"Plate": {"AS_09125_050116030001"}, "Well": {"D03"}, "Site": {"0"}}
    assert plate.codes("error") == set()
    with (example_human / "Nuclei.csv").open() as handle:
        nuclei = {int(row["ObjectNumber"]): row for row in csv.DictReader(handle)}
    for row in plate.table.to_pylist():
        nucleus = nuclei[row["Metadata_Cytoplasm_Parent_Nuclei"]]
        assert row["Nuclei_AreaShape_Area"] == float(nucleus["AreaShape_Area"])


@pytest.mark.slow
def test_two_copies_of_example_human_are_578_rows(
    tmp_path: Path, example_human: Path, read_plate: Reader
) -> None:
    for copy in ("one", "two"):
        (tmp_path / copy).mkdir()
        for path in example_human.glob("*.csv"):
            shutil.copy(path, tmp_path / copy)
    separate = [read_plate(tmp_path / copy, plate=copy).table for copy in ("one", "two")]
    assert sum(table.num_rows for table in separate) == 578
    ids = {value for table in separate for value in table["Metadata_ObjectID"].to_pylist()}
    assert len(ids) == 578
    with pytest.raises(MeasurementError, match="289 cell"):
        read_plate(tmp_path, plate="both")
    together = read_plate(tmp_path, plate="both", settings=DatasetSettings(duplicate_cells="keep")).table
    assert together.num_rows == len(set(together["Metadata_ObjectID"].to_pylist())) == 578


def test_staged_files_are_gone_after_reading_and_after_dropping(tmp_path: Path, read_plate: Reader) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1")
    staging = tmp_path / "staging"
    staging.mkdir()
    read_plate(folder, staging_root=str(staging))
    assert list(staging.iterdir()) == []
