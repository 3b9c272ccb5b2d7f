"""CellProfiler's combined object CSV (object names above measurement names) is read as pandas reads its two header rows."""

from __future__ import annotations

import csv
import gzip
import math
from pathlib import Path

import pandas as pd
import pytest

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.measurements import csv_staging
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.builders.measurement_plates import (
    PlateSpec,
    image_rows,
    write_cellprofiler_folder,
    write_csv,
)
from bioimage_assets_tests.core.measurements.conftest import Reader, ReadPlate

KEYS = {"Metadata_ImageNumber": ("Image", "ImageNumber"), "Metadata_ObjectNumber": ("Nuclei", "ObjectNumber")}


def combined(
    spec: PlateSpec,
    objects: tuple[str, ...] = ("Nuclei", "Cells", "Mito"),
    *,
    lost: int = 0,
    swapped: bool = False,
) -> list[list[object]]:
    """Rows as ExportToSpreadsheet writes them: objects of equal number side by side, ``nan`` where an object has fewer.

    ``lost`` of the last objects are not there in the last table; ``swapped`` gives each cell the nucleus of another.
    """
    measures = ("AreaShape_Area", "Location_Center_X", "Number_Object_Number")
    top = ["Image", objects[0], "Image", "Image", "Image", "Image"]
    below = [
        "ImageNumber",
        "ObjectNumber",
        "FileName_DNA",
        "Metadata_Plate",
        "Metadata_Site",
        "Metadata_Well",
    ]
    for name in objects:
        extra = ("Parent_Nuclei",) if name == "Cells" else ()
        top += [name] * (len(measures) + len(extra))
        below += [*measures, *extra]
    rows: list[list[object]] = [top, below]
    for image, count in spec.cells.items():
        for number in range(1, count + 1):
            row: list[object] = [
                image,
                number,
                f"{spec.well(image)}_s{image}.tif",
                spec.plate,
                image,
                spec.well(image),
            ]
            for name in objects:
                is_there = name != objects[-1] or number <= count - lost
                area = (objects.index(name) + 1) * 1000 + image * 100 + number + spec.seed / 10
                values: list[object] = [area, number * 1.5, number]
                values += [count + 1 - number if swapped else number] if name == "Cells" else []
                row += values if is_there else ["nan"] * len(values)
            rows.append(row)
    return rows


def write(path: Path, rows: list[list[object]], delimiter: str = ",") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as handle:
        csv.writer(handle, delimiter=delimiter).writerows(rows)
    return path


def assert_equal_to_pandas(plate: ReadPlate, path: Path, separator: str = ",") -> None:
    expected = pd.read_csv(path, header=[0, 1], sep=separator)
    assert plate.table.num_rows == len(expected)
    found = plate.table.to_pandas()
    for (name, measure), values in expected.items():
        if (name, measure) in KEYS.values():
            continue
        ours = f"{name}_{measure}" if not measure.startswith("Metadata_") else measure
        if measure.startswith("Parent_"):
            ours = f"Metadata_{name}_{measure}"
        if measure.startswith(("Metadata_", "FileName_")):
            assert found[ours].tolist() == values.astype(str).tolist()
        else:
            assert all(
                a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(found[ours], values, strict=True)
            ), ours
    for ours, theirs in KEYS.items():
        assert found[ours].tolist() == expected[theirs].tolist()


@pytest.mark.parametrize("small_file_bytes", [0, 1 << 20])
@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_a_lone_combined_table_is_one_row_per_cell_with_the_values_of_pandas(
    tmp_path: Path, read_plate: Reader, monkeypatch: pytest.MonkeyPatch, small_file_bytes: int, delimiter: str
) -> None:
    monkeypatch.setattr(csv_staging, "SMALL_FILE_BYTES", small_file_bytes)
    path = write(tmp_path / "P1.csv", combined(PlateSpec(cells={1: 3, 2: 4}), lost=1), delimiter)
    plate = read_plate(path)
    assert_equal_to_pandas(plate, path, delimiter)
    assert plate.table["Metadata_Well"].to_pylist() == ["A01"] * 3 + ["A02"] * 4
    assert plate.table["Metadata_ObjectID"].to_pylist()[3] == "screen/P1/2/1"
    assert plate.table["Image_FileName_DNA"].to_pylist()[0] == "A01_s1.tif"
    assert plate.codes() - {"numbers-not-features"} == {"missing-image-table"}


def test_more_columns_than_sql_parses_and_packed_files_are_read_alike(
    tmp_path: Path, read_plate: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "P1.csv", combined(PlateSpec(cells={1: 3})))
    plain = read_plate(path).table
    monkeypatch.setattr(csv_staging, "SMALL_FILE_BYTES", 0)
    monkeypatch.setattr(csv_staging, "WIDE_COLUMNS", 2)
    assert read_plate(path).table.equals(plain)
    (tmp_path / "P1.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert read_plate(tmp_path / "P1.csv.gz").table.equals(plain)


def test_a_broken_row_of_a_combined_table_is_left_out_and_located(tmp_path: Path, read_plate: Reader) -> None:
    path = write(tmp_path / "P1.csv", combined(PlateSpec(cells={1: 3})))
    path.write_text(path.read_text() + "1,4,cut off\n")
    plate = read_plate(path)
    assert plate.table["Metadata_ObjectNumber"].to_pylist() == [1, 2, 3]
    assert plate.finding("malformed-rows").location == "P1.csv:6"


def test_a_combined_table_beside_its_image_table_has_the_facts_of_both(
    tmp_path: Path, read_plate: Reader
) -> None:
    spec = PlateSpec(cells={1: 3, 2: 2})
    path = write(tmp_path / "P1" / "DATA.csv", combined(spec))
    write_csv(tmp_path / "P1" / "Image.csv", *image_rows(spec))
    plate = read_plate(tmp_path / "P1")
    found = plate.table.to_pandas()
    expected = pd.read_csv(path, header=[0, 1])
    assert found["Mito_AreaShape_Area"].tolist() == expected[("Mito", "AreaShape_Area")].tolist()
    assert found["Image_FileName_DNA"].tolist() == ["A01_s1_DNA.tif"] * 3 + ["A02_s2_DNA.tif"] * 2
    assert plate.result.image_table.num_rows == 2
    assert plate.codes("warning") | plate.codes("error") == set()
    (tmp_path / "P1" / "Image.csv").unlink()
    assert_equal_to_pandas(read_plate(tmp_path / "P1"), path)


def test_combined_tables_of_several_sites_are_kept_apart(tmp_path: Path, read_plate: Reader) -> None:
    for site in range(3):
        spec = PlateSpec(cells={1: 2}, wells=(f"B0{site + 1}",), seed=site)
        write(tmp_path / "P1" / f"site-{site}" / "DATA.csv", combined(spec))
    table = read_plate(tmp_path / "P1").table
    assert len(set(table["Metadata_ObjectID"].to_pylist())) == table.num_rows == 6
    assert table["Metadata_Well"].to_pylist() == ["B01"] * 2 + ["B02"] * 2 + ["B03"] * 2
    again = write(
        tmp_path / "P1" / "site-9" / "DATA.csv", combined(PlateSpec(cells={1: 2}, wells=("B01",), seed=7))
    )
    with pytest.raises(MeasurementError, match=r"B01/1 \(folder site-0 ImageNumber 1"):
        read_plate(tmp_path / "P1")
    last = read_plate(tmp_path / "P1", settings=DatasetSettings(duplicate_cells="last")).table
    assert last.num_rows == 6
    assert again.parent.name in last["Metadata_TableNumber"].to_pylist()


def test_a_combined_table_beside_the_tables_it_repeats_adds_no_cell(
    tmp_path: Path, read_plate: Reader
) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1")
    plain = read_plate(folder).table
    write(folder / "All.csv", combined(PlateSpec()))
    assert read_plate(folder).table.equals(plain)


def test_cells_beside_the_nucleus_of_another_cell_are_an_error_finding(
    tmp_path: Path, read_plate: Reader
) -> None:
    path = write(tmp_path / "P1.csv", combined(PlateSpec(cells={1: 4}), swapped=True))
    plate = read_plate(path)
    assert plate.finding("objects-side-by-side").severity == "error"
    assert "4 of 4 row(s)" in plate.finding("objects-side-by-side").message


def test_the_compartments_of_the_settings_do_not_hide_a_combined_table(
    tmp_path: Path, read_plate: Reader
) -> None:
    path = write(tmp_path / "P1.csv", combined(PlateSpec(cells={1: 3})))
    plate = read_plate(path, settings=DatasetSettings(compartments=("Cells", "Mito")))
    assert plate.table.num_rows == 3


@pytest.mark.parametrize(
    "text",
    [
        "Image,Nuclei\nImageNumber,Area\n",  # no object number
        "Image,Cells_A\n1,2\n",
        "ImageNumber,Image,ObjectNumber\n1,ImageNumber,ObjectNumber\n",
    ],
)
def test_a_heading_called_image_makes_no_second_header_row(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.csv").write_text(text)
    header, _ = csv_staging.read_header(0, str(tmp_path / "x.csv"))
    assert header is not None
    assert (header.header_rows, header.objects) == (1, ())


def test_the_real_cells_combined_with_their_nuclei_keep_every_value(
    tmp_path: Path, example_human: Path, read_plate: Reader
) -> None:
    """The nuclei and cells of ExampleHuman, combined as CellProfiler combines them."""
    frames = {name: pd.read_csv(example_human / f"{name}.csv", dtype=str) for name in ("Nuclei", "Cells")}
    columns = [("Image", "ImageNumber"), ("Nuclei", "ObjectNumber")]
    series = [frames["Nuclei"]["ImageNumber"], frames["Nuclei"]["ObjectNumber"]]
    for name, frame in frames.items():
        for measure in sorted(set(frame.columns) - {"ImageNumber", "ObjectNumber"}):
            columns.append((name, measure))
            series.append(frame[measure])
    table = pd.concat(series, axis=1).fillna("nan")
    path = write(tmp_path / "ExampleHuman.csv", [*zip(*columns, strict=True), *table.to_numpy().tolist()])
    plate = read_plate(path, plate="ExampleHuman")
    expected = pd.read_csv(path, header=[0, 1], float_precision="round_trip")
    found = plate.table.to_pandas()
    assert len(found) == len(expected) == len(frames["Nuclei"])
    compared = 0
    for (name, measure), values in expected.items():
        ours = f"{name}_{measure}"
        if ours in found and values.dtype.kind == "f":
            pd.testing.assert_series_equal(found[ours], values, check_names=False, check_exact=True)
            compared += 1
    assert compared > 150
