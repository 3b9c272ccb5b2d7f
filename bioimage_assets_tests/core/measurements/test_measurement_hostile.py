"""Measurements as they come from spreadsheets, databases and other people: every number right, or a finding."""

from __future__ import annotations

import bz2
import gzip
import math
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.joins.join import JoinResult, join_plate
from bioimage_assets.core.measurements import csv_staging
from bioimage_assets_tests.core.joins.join_builders import plate_images
from bioimage_assets_tests.core.measurements.conftest import Reader, ReadPlate

HEADER = "Metadata_Plate,Metadata_Well,Metadata_Site,ImageNumber,ObjectNumber,Cells_AreaShape_Area"
ROWS = "P1,A01,0,1,1,5.5\nP1,B02,1,2,1,-6.25e1\n"


def join(plate: ReadPlate) -> JoinResult:
    cells = plate.table.drop_columns(["plate_key", "dataset_id"])  # the images are of another dataset
    return join_plate(plate_images(), cells, plate_key="ds/P1", dataset_id="ds")


def read_text(read_plate: Reader, path: Path, text: str | bytes) -> ReadPlate:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_plate(path)


def zstd(text: str) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(text.encode())
    return sink.getvalue().to_pybytes()


PLAIN = f"{HEADER}\n{ROWS}"


@pytest.mark.parametrize("small_file_bytes", [csv_staging.SMALL_FILE_BYTES, 0])
@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("bom-crlf.csv", b"\xef\xbb\xbf" + PLAIN.replace("\n", "\r\n").encode()),
        ("semicolons.csv", PLAIN.replace(",", ";")),
        ("decimal-comma.csv", PLAIN.replace(",", ";").replace("5.5", "5,5").replace("6.25", "6,25")),
        ("tabs.tsv", PLAIN.replace(",", "\t")),
        ("pipes.csv", PLAIN.replace(",", "|")),
        ("utf-16.csv", PLAIN.encode("utf-16")),
        ("utf-16.tsv.gz", gzip.compress(PLAIN.replace(",", "\t").encode("utf-16"), mtime=0)),
        ("other-delimiters-in-quotes.csv", PLAIN.replace("ImageNumber", '"ImageNumber"').replace("\n", ',"x"\n').replace(',"x"', ',"a;b;c|d|e|f|g;h;i;j"', 1)),
        ("packed.csv.gz", gzip.compress(PLAIN.encode(), mtime=0)),
        ("packed.csv.zst", zstd(PLAIN)),
        ("packed.tsv.bz2", bz2.compress(PLAIN.replace(",", "\t").encode())),
        ("shouting.csv", PLAIN.replace(HEADER, HEADER.upper().replace("CELLS_AREASHAPE_AREA", "Cells_AreaShape_Area"))),
        ("whispering.csv", PLAIN.replace(HEADER, HEADER.lower().replace("cells_areashape_area", "Cells_AreaShape_Area"))),
    ],
)  # fmt: skip
def test_the_same_cells_come_out_of_every_dialect(
    tmp_path: Path, read_plate: Reader, name: str, payload: str | bytes, small_file_bytes: int, monkeypatch
) -> None:
    monkeypatch.setattr(csv_staging, "SMALL_FILE_BYTES", small_file_bytes)
    plate = read_text(read_plate, tmp_path / name, payload)
    rows = plate.table.select(
        ["Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_ImageNumber", "Metadata_ObjectNumber"]
    ).to_pylist()
    assert [tuple(row.values()) for row in rows] == [("P1", "A01", "0", 1, 1), ("P1", "B02", "1", 2, 1)]
    assert plate.table["Cells_AreaShape_Area"].to_pylist() == [5.5, -62.5]
    assert plate.codes() == set()
    assert join(plate).report.matched_rows == 2


def test_decimal_commas_of_big_and_broken_files_are_read_too(tmp_path: Path, read_plate: Reader) -> None:
    body = "".join(f"P1;A01;0;1;{n};{n},5\n" for n in range(1, 200_001))
    plate = read_text(read_plate, tmp_path / "big.csv", f"{HEADER.replace(',', ';')}\n{body}")
    assert plate.table["Cells_AreaShape_Area"].to_pylist() == [n + 0.5 for n in range(1, 200_001)]
    broken = read_text(
        read_plate, tmp_path / "b.csv", f"{HEADER.replace(',', ';')}\nP1;A01;0;1;1;2,5\nP1;A01\n"
    )
    assert broken.table["Cells_AreaShape_Area"].to_pylist() == [2.5]
    assert broken.codes() == {"malformed-rows"}


def test_missing_words_are_null_and_nonsense_is_counted(tmp_path: Path, read_plate: Reader) -> None:
    values = ["1.5", "NA", "n/a", "", "nan", "-inf", "#DIV/0!", "None", "high"]
    body = "".join(f"P1,A01,0,1,{n},{value}\n" for n, value in enumerate(values, start=1))
    plate = read_text(read_plate, tmp_path / "P1.csv", f"{HEADER}\n{body}")
    found = plate.table["Cells_AreaShape_Area"].to_pylist()
    assert found[:4] == [1.5, None, None, None]
    assert math.isnan(found[4])
    assert found[5:] == [-math.inf, None, None, None]
    assert "1 value(s)" in plate.finding("not-a-number").message


def test_a_feature_of_words_is_kept_and_named(tmp_path: Path, read_plate: Reader) -> None:
    plate = read_text(read_plate, tmp_path / "P1.csv", f"{HEADER}\nP1,A01,0,1,1,large\nP1,A01,0,1,2,small\n")
    assert plate.table["Cells_AreaShape_Area"].to_pylist() == ["large", "small"]
    assert "Cells_AreaShape_Area" in plate.finding("text-features").message


def test_a_cellprofiler_folder_in_another_case_keeps_parents_positions_and_counts(
    tmp_path: Path, read_plate: Reader
) -> None:
    folder = tmp_path / "P1"
    folder.mkdir()
    (folder / "Image.csv").write_text("imagenumber,METADATA_WELL,Metadata_SITE,count_cells\n1,A01,0,2\n")
    (folder / "Cells.csv").write_text("IMAGENUMBER,objectnumber,AreaShape_Area,parent_nuclei\n1,1,5.5,2\n")
    (folder / "Nuclei.csv").write_text("ImageNumber,ObjectNumber,AreaShape_Area\n1,1,1\n1,2,2\n")
    plate = read_plate(folder)
    (row,) = plate.table.to_pylist()
    assert (row["Metadata_Well"], row["Metadata_Site"], row["Nuclei_AreaShape_Area"]) == ("A01", "0", 2.0)
    assert "cells-missing" in plate.codes("error")
    assert "no-parent-column" not in plate.codes()
    assert join(plate).report.matched_rows == 1


def test_wells_and_sites_in_any_spelling_find_their_image_and_others_are_named(
    tmp_path: Path, read_plate: Reader
) -> None:
    places = [
        ("a1", "0"),
        ("A01", "1.0"),
        ("b-02", "01"),
        ("B - 2", "0"),
        ("r02c02", "1"),
        ("1-1", "0"),
        ("H12", "0"),
    ]
    body = "".join(f"P1,{well},{site},1,{n},5\n" for n, (well, site) in enumerate(places, start=1))
    plate = read_text(read_plate, tmp_path / "P1.csv", f"{HEADER}\n{body}")
    result = join(plate)
    assert [row["image_id"] for row in result.table().select(["image_id"]).to_pylist()] == [
        "P1:A01:0", "P1:A01:1", "P1:B02:1", "P1:B02:0", "P1:B02:1", None, None
    ]  # fmt: skip
    findings = {finding.code: finding.message for finding in result.report.findings}
    assert set(findings) == {"unreadable-well", "unknown-well", "rows-without-key"}
    assert "'1-1'" in findings["unreadable-well"]
    assert "H12" in findings["unknown-well"]


def test_rows_of_another_plate_are_an_error_and_stay_without_image(
    tmp_path: Path, read_plate: Reader
) -> None:
    plate = read_text(read_plate, tmp_path / "P1.csv", f"{HEADER}\n{ROWS}P2,A01,0,3,1,7\n")
    assert "P2" in plate.finding("several-plates").message
    result = join(plate)
    assert (result.report.matched_rows, result.report.profile_rows) == (2, 3)
    assert "unknown-plate" in {finding.code for finding in result.report.findings}


def test_numeric_plates_keep_their_zeros_and_whole_floats_become_numbers(
    tmp_path: Path, read_plate: Reader
) -> None:
    text = read_text(read_plate, tmp_path / "P1.csv", f"{HEADER}\n{ROWS.replace('P1', '001')}")
    assert set(text.table["Metadata_Plate"].to_pylist()) == {"001"}
    numbers = {"Metadata_Plate": [7], "Metadata_Well": ["A1"], "Metadata_Site": [1.0], "ImageNumber": [3.0],
               "ObjectNumber": pa.array([2], pa.int32()), "Cells_AreaShape_Area": pa.array([4], pa.int8())}  # fmt: skip
    pq.write_table(pa.table(numbers), tmp_path / "n.parquet")
    (row,) = read_plate(tmp_path / "n.parquet").table.to_pylist()
    assert (row["Metadata_Plate"], row["Metadata_Site"], row["Metadata_ImageNumber"]) == ("7", "1", 3)
    assert row["Cells_AreaShape_Area"] == 4.0


IMAGE_TABLES = {
    "decimal commas": (b"ImageNumber;Count_Cells;Threshold_X;Metadata_Well;Metadata_Site\n1;2,0;0,25;A01;0\n", set(), 2),
    "infinite counts": (b"ImageNumber,Count_Cells,Metadata_Well,Metadata_Site\n1,inf,A01,0\n", {"not-a-number"}, 2),
    "unknown counts": (b"ImageNumber,Count_Cells,Metadata_Well,Metadata_Site\n1.0,nan,A01,0\n", set(), 2),
    "half a number": (b"ImageNumber,Count_Cells,Metadata_Well,Metadata_Site\n1.5,2,A01,0\n",
                      {"not-a-number", "cells-missing", "image-not-listed"}, 0),
    "only a header": (b"ImageNumber,Count_Cells,Metadata_Well,Metadata_Site\n", {"image-not-listed"}, 0),
    "empty": (b"", {"empty-file"}, 0),
    "utf-32": ("ImageNumber,Count_Cells\n1,2\n".encode("utf-32"), {"unreadable-file"}, 0),
    "utf-16": ("ImageNumber,FileName_DNA,Metadata_Well,Metadata_Site\n1,Z\xfcrich.tif,A01,0\n".encode("utf-16"), set(), 2),
    "latin-1": ("ImageNumber,FileName_DNA,Metadata_Well,Metadata_Site\n1,Z\xfcrich.tif,A01,0\n".encode("latin-1"),
                {"not-utf8"}, 2),
    "row and column": (b"ImageNumber,Count_Cells,Metadata_Row,Metadata_Col,Metadata_Site\n1,2,1,01,0\n", set(), 2),
    "quotes and CRLF": (b'\xef\xbb\xbf"ImageNumber","FileName_DNA","Metadata_Well","Metadata_Site"\r\n'
                        b'"1","a, ""b"".tif","a1","0"\r\n', set(), 2),
}  # fmt: skip


@pytest.mark.parametrize("kind", IMAGE_TABLES)
def test_an_odd_image_table_costs_no_cell_and_says_what_is_wrong(
    tmp_path: Path, read_plate: Reader, kind: str
) -> None:
    payload, codes, linked = IMAGE_TABLES[kind]
    folder = tmp_path / "P1"
    folder.mkdir()
    (folder / "Image.csv").write_bytes(payload)
    (folder / "Cells.csv").write_text(
        "ImageNumber,ObjectNumber,AreaShape_Area,Parent_Nuclei\n1,7,1.5,3\n1.0,9,2.5,nan\n"
    )
    (folder / "Nuclei.csv").write_text("ImageNumber,ObjectNumber,AreaShape_Area\n1,3,30\n1,4,40\n")
    plate = read_plate(folder)
    assert plate.table["Metadata_ObjectNumber"].to_pylist() == [7, 9]
    assert plate.table["Nuclei_AreaShape_Area"].to_pylist() == [30.0, None]
    known = {"missing-compartment", "missing-parent", "unjoined-objects"}  # Cytoplasm; a cell without nucleus
    assert plate.codes() - known == codes
    result = join(plate)
    assert (result.report.matched_rows, result.table().num_rows) == (linked, 2)
    assert linked or {f.code for f in result.report.findings} == {"rows-without-key", "nothing-linked"}


@pytest.mark.slow
def test_half_an_object_number_is_no_number_in_small_and_in_big_files(
    tmp_path: Path, read_plate: Reader
) -> None:
    for count in (3, 150_000):
        body = "".join(f"P1,A01,0,1,{n}{'.5' if n == 2 else '.0'},{n}.25\n" for n in range(1, count + 1))
        plate = read_text(read_plate, tmp_path / f"{count}.csv", f"{HEADER}\n{body}")
        numbers = plate.table["Metadata_ObjectNumber"].to_pylist()
        assert numbers == [1, None, *range(3, count + 1)]
        assert plate.codes() == {"not-a-number", "rows-without-key"}


def test_wells_in_a_row_and_a_column_are_wells_of_tables_and_joins(
    tmp_path: Path, read_plate: Reader
) -> None:
    body = "Metadata_Plate,Row,Column,Field,ObjectNumber,Cells_A\nP1,A,1,0,1,5\nP1,2,02,1,2,6\nP1,0,1,0,3,7\n"
    plate = read_text(read_plate, tmp_path / "P1.csv", body)
    assert plate.table["Metadata_Well"].to_pylist() == ["A01", "B02", None]
    assert len(set(plate.table["Metadata_ObjectID"].to_pylist())) == 3
    rows = [
        {"Metadata_Row": 2, "Metadata_Column": 2.0, "Metadata_Site": 1},
        {"Metadata_Row": 9, "Metadata_Column": None},
    ]
    linked = join_plate(plate_images(), rows, plate_key="ds/P1", dataset_id="ds")
    assert linked.table()["image_id"].to_pylist() == ["P1:B02:1", None]
    assert [finding.code for finding in linked.report.findings] == ["rows-without-key"]


@pytest.mark.slow
def test_ten_thousand_columns_are_read_and_joined_in_little_time(tmp_path: Path, read_plate: Reader) -> None:
    names = [f"Cells_F{i}" for i in range(10_000)]
    lines = [
        f"P1,A01,{n % 2},1,{n}," + ",".join(str(n + i / 8) for i in range(10_000)) for n in range(1, 121)
    ]
    header = ",".join([*HEADER.split(",")[:5], *names])
    started = time.process_time()
    plate = read_text(read_plate, tmp_path / "P1.csv", "\n".join([header, *lines]))
    joined = join(plate).table()
    assert time.process_time() - started < 20  # a quadratic step over the columns took fifty seconds
    assert joined["Cells_F9999"].to_pylist() == [n + 9_999 / 8 for n in range(1, 121)]
    assert plate.codes() == set()
