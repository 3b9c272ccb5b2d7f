"""CSV files made to hurt, or merely unlucky: each costs what is wrong with it, in bounded memory, and says so."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.joins import table_files
from bioimage_assets.core.joins.table_files import read_csv_table
from bioimage_assets.core.measurements import csv_small, csv_staging
from bioimage_assets.core.measurements.columns import join_names, resolve_duplicates
from bioimage_assets.core.measurements.csv_staging import read_header
from bioimage_assets.core.measurements.limits import MeasurementLimits
from bioimage_assets.core.text_files import dialect, open_csv
from bioimage_assets_tests.builders.measurement_plates import PlateSpec, write_cellprofiler_folder
from bioimage_assets_tests.core.measurements.conftest import Reader
from bioimage_assets_tests.core.measurements.test_measurement_hostile import HEADER, read_text, zstd

ROW = "P1,A01,0,1,{},5.5\n"


def rows(count: int) -> str:
    return "".join(ROW.format(n) for n in range(4, count + 4))


@pytest.fixture(params=["small", "big"])
def any_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files are parsed by Arrow, big ones by the SQL engine: once each, with the same small file."""
    if request.param == "big":
        monkeypatch.setattr(csv_staging, "SMALL_FILE_BYTES", 0)


@pytest.mark.usefixtures("any_size")
def test_whole_numbers_beyond_64_bits_are_null_counted_and_cost_no_other_row(
    tmp_path: Path, read_plate: Reader
) -> None:
    count = 3
    odd = [str(2**63), str(2**64 - 1), "1e300", "inf", "-9223372036854775809", "9" * 5_000]
    kept = [str(2**63 - 1), "-9223372036854775808", str(2**53 + 1), "1e9"]
    body = "".join(f"P1,A01,0,1,{n},{i}e307\n" for i, n in enumerate([*odd, *kept]))
    plate = read_text(read_plate, tmp_path / "P1.csv", f"{HEADER}\n{body}{rows(count)}")
    numbers = plate.table["Metadata_ObjectNumber"].to_pylist()
    assert numbers[:10] == [None] * 6 + [2**63 - 1, -(2**63), 2**53 + 1, 10**9]
    assert plate.table.num_rows == count + 10
    assert plate.table["Cells_AreaShape_Area"].to_pylist()[:10] == [i * 1e307 for i in range(10)]
    assert "6 value(s)" in plate.finding("not-a-number").message


def test_whole_numbers_beyond_64_bits_in_an_image_table_cost_that_image_only(
    tmp_path: Path, read_plate: Reader
) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1", PlateSpec(cells={1: 3}))
    with (folder / "Image.csv").open("a") as handle:
        width = len((folder / "Image.csv").read_text().splitlines()[0].split(","))
        handle.write(",".join(["99999999999999999999"] * width) + "\n")
    plate = read_plate(folder)
    assert plate.table.num_rows == 3
    assert "not-a-number" in plate.codes("error")


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("name", ["Metadata_Plate", "Metadata_Site", "Cells_AreaShape_Area"])
def test_a_line_break_in_a_name_costs_no_row(tmp_path: Path, read_plate: Reader, name: str) -> None:
    count = 3
    header = HEADER.replace(name, f'"{name}\nof ""this"", plate"')
    for end in ("\n", "\r\n"):
        text = f"{header}\n{rows(count)}".replace("\n", end)
        plate = read_text(read_plate, tmp_path / f"{len(end)}" / "P1.csv", text)
        assert plate.table.num_rows == count
        assert f'{name}{end}of "this", plate' in plate.table.column_names
        assert plate.table["Metadata_ObjectNumber"].to_pylist() == list(range(4, count + 4))
        assert plate.codes("error") == set()


def test_a_line_break_in_a_name_of_a_cellprofiler_table_costs_no_cell(
    tmp_path: Path, read_plate: Reader
) -> None:
    folder = tmp_path / "P1"
    folder.mkdir()
    (folder / "Image.csv").write_text(
        '"a\n\nb",ImageNumber,Metadata_Well,Metadata_Site\nx,1,A01,0\nx,2,B02,1\n'
    )
    for name in ("Cells", "Nuclei", "Cytoplasm"):
        parents = ",Parent_Nuclei,Parent_Cells" if name == "Cytoplasm" else ",c,d"
        lines = "".join(f"0,{image},{number},{number},{number}\n" for image in (1, 2) for number in (1, 2, 3))
        (folder / f"{name}.csv").write_text(f'"a\n""\nb",ImageNumber,ObjectNumber{parents}\n{lines}')
    plate = read_plate(folder)
    assert plate.table.num_rows == 6
    assert plate.codes("error") == set()
    assert plate.table["Metadata_Well"].to_pylist() == ["A01"] * 3 + ["B02"] * 3


def test_a_quote_that_is_never_closed_in_a_header_is_part_of_a_name(
    tmp_path: Path, read_plate: Reader
) -> None:
    plate = read_text(
        read_plate, tmp_path / "P1.csv", f'{HEADER},"Cells_A\n' + rows(2_000).replace("5.5", "5.5,1")
    )
    assert plate.table.num_rows == 2_000


def test_the_same_table_with_a_line_break_in_a_name_is_read_by_the_join(tmp_path: Path) -> None:
    path = tmp_path / "P1.csv"
    path.write_text('"Metadata\nPlate",Metadata_Well,Cells_A\n001,A01,5\n')
    assert read_csv_table(str(path)).to_pylist() == [
        {"Metadata\nPlate": "001", "Metadata_Well": "A01", "Cells_A": 5}
    ]


def test_a_name_of_more_than_131072_characters_is_a_finding_and_the_other_file_is_read(
    tmp_path: Path, read_plate: Reader
) -> None:
    (tmp_path / "P1").mkdir()
    (tmp_path / "P1" / "a.csv").write_text(f"{HEADER}\n{rows(2)}")
    for number, header in enumerate((f"{HEADER},{'x' * 131_073}", f'{HEADER},"{"x" * 140_000}\n"')):
        (tmp_path / "P1" / "b.csv").write_text(f"{header}\n{rows(2)}")
        plate = read_plate(tmp_path / "P1")
        assert plate.table.num_rows == 2, number
        finding = plate.finding("unreadable-file")
        assert (finding.severity, finding.location) == ("error", "b.csv")
        assert "field larger than field limit" in finding.message


def test_zero_bytes_and_bytes_that_are_no_text_in_names_are_named(tmp_path: Path, read_plate: Reader) -> None:
    header = HEADER.encode() + b",Cells_\0A,Metadata_\xff\xfe,Metadata_\xed\xa0\x80"
    plate = read_text(read_plate, tmp_path / "P1.csv", header + b"\nP1,A01,0,1,1,5.5,1,x,y\n")
    assert "Cells_\ufffdA" in plate.table.column_names
    assert "3 column name(s)" in plate.finding("not-utf8").message
    plate.table["Metadata_\ufffd\ufffd"].combine_chunks().validate(full=True)


def test_more_columns_than_the_limit_are_refused_before_they_are_named_apart(
    tmp_path: Path, read_plate: Reader
) -> None:
    text = f"{HEADER}{',' * 200_000}\n{ROW.format(1).strip()}{',' * 200_000}\n"
    with pytest.raises(MeasurementError, match="expected at most 100000 columns, found 200006"):
        read_text(read_plate, tmp_path / "P1.csv", text)
    with pytest.raises(MeasurementError, match="expected at most 100000 columns"):
        read_csv_table(str(tmp_path / "P1.csv"))
    small = read_text(read_plate, tmp_path / "s" / "P1.csv", f"{HEADER}\n{rows(1)}")
    assert small.table.num_rows == 1
    with pytest.raises(MeasurementError, match="expected at most 5 columns, found 6"):
        read_plate(tmp_path / "s", limits=MeasurementLimits(max_columns=5))


def test_equal_names_are_told_apart_in_time_that_grows_with_their_number() -> None:
    names, changed = resolve_duplicates(["x"] * 30_000)  # compared with each other it took minutes
    assert names[:3] == ("x", "x_2", "x_3")
    assert (names[-1], len(changed)) == ("x_30000", 29_999)
    assert resolve_duplicates(["x", "X", "x_2", "x"])[0] == ("x", "X_3", "x_2", "x_4")


def test_a_long_name_is_shortened_in_messages() -> None:
    assert len(join_names(["x" * 100_000, "y"])) < 600


DAMAGED = {
    "cut off": lambda packed: packed[:-200],
    "garbage behind": lambda packed: packed + b"garbage" * 100,
    "another checksum": lambda packed: packed[:-8] + b"12345678",
}


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.usefixtures("any_size")
def test_a_damaged_gzip_is_never_read_in_silence(tmp_path: Path, read_plate: Reader, kind: str) -> None:
    count = 2_000
    packed = gzip.compress(f"{HEADER}\n{rows(count)}".encode(), 1)
    plate = read_text(read_plate, tmp_path / "P1.csv.gz", DAMAGED[kind](packed))
    assert plate.table.num_rows <= count
    finding = plate.finding("malformed-rows")
    assert (finding.severity, finding.store_uri) == ("error", str(tmp_path / "P1.csv.gz"))
    assert "Nothing behind the last of these lines can be read" in finding.message


@pytest.mark.usefixtures("any_size")
def test_a_cut_off_zstd_file_is_never_read_in_silence(tmp_path: Path, read_plate: Reader) -> None:
    """The SQL engine takes the rest of such a file for its end."""
    text = f"{HEADER}\n" + "".join(f"P1,A01,0,1,{n},{n * 7919 % 1_000_003}\n" for n in range(20_000))
    plate = read_text(read_plate, tmp_path / "P1.csv.zst", zstd(text)[:-10_000])
    assert "malformed-rows" in plate.codes("error")


def test_members_of_one_gzip_are_one_table(tmp_path: Path, read_plate: Reader) -> None:
    packed = gzip.compress(f"{HEADER}\n{rows(3)}".encode()) + gzip.compress(
        rows(5)[3 * len(ROW.format(1)) :].encode()
    )
    assert read_text(read_plate, tmp_path / "P1.csv.gz", packed).table.num_rows == 5


def test_a_file_that_is_small_only_while_it_is_packed_is_staged_as_a_stream(
    tmp_path: Path, read_plate: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged: list[str] = []
    whole = csv_small.pa_csv.read_csv
    monkeypatch.setattr(
        csv_small.pa_csv, "read_csv", lambda *a, **k: staged.append("whole") or whole(*a, **k)
    )
    monkeypatch.setattr(csv_small, "SMALL_TABLE_BYTES", 1 << 10)
    packed = gzip.compress(f"{HEADER}\n{rows(2_000)}".encode())
    plate = read_text(read_plate, tmp_path / "P1.csv.gz", packed)
    assert plate.table["Metadata_ObjectNumber"].to_pylist() == list(range(4, 2_004))
    assert staged == []
    assert plate.codes() == set()


def write_bomb(path: Path, head: str, megabytes: int) -> Path:
    """One cell of so many megabytes, a thousandth of that on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wb", compresslevel=1) as handle:
        handle.write(head.encode())
        for _ in range(megabytes):
            handle.write(b"x" * (1 << 20))
    return path


_READ_IN_CHILD = """
import os, resource, sys
import bioimage_assets.core.joins.table_files as tables
from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.measurements.read import read_measurements
from bioimage_assets.core.settings.dataset import DatasetSettings
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        plate = read_measurements([path], plate_key="s/P1", dataset_id="s", plate_name="P1", settings=DatasetSettings())
        print(sum(batch.num_rows for batch in plate.reader), [finding.code for finding in plate.findings])
    except MeasurementError as error:
        assert path in str(error), error
        print("refused")
    try:
        tables.read_csv_table(path)
    except MeasurementError:
        pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10, flush=True)
os._exit(0)
"""


@pytest.mark.slow
def test_a_cell_of_hundreds_of_megabytes_in_a_small_file_takes_no_memory(tmp_path: Path) -> None:
    """Before any limit, a cell of three gigabytes in three megabytes took as much memory as it had, several times."""
    start = f"{HEADER},Metadata_T\n" + ROW.format(1).strip() + ",a\n" + ROW.format(2).strip() + ","
    paths = [
        write_bomb(tmp_path / "cell" / "P1.csv.gz", start, 200),
        write_bomb(tmp_path / "head" / "P1.csv.gz", "", 200),
    ]
    done = subprocess.run(
        [sys.executable, "-c", _READ_IN_CHILD, *map(str, paths)],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    cell, head, grown_mb = done.stdout.splitlines()
    assert cell.startswith("1 ")
    assert "malformed-rows" in cell
    assert head == "refused"
    assert int(grown_mb) < 180


def test_lines_beyond_the_limit_end_the_file_with_a_finding(
    tmp_path: Path, read_plate: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialect, "MAX_LINE_CHARS", 500)
    monkeypatch.setattr(open_csv, "MAX_LINE_CHARS", 500)
    long = ROW.format(9).strip() + "x" * 1_000
    plate = read_text(read_plate, tmp_path / "P1.csv", f"{HEADER}\n{rows(2)}P1,A01\n{long}\n{rows(2)}")
    assert plate.table.num_rows == 2
    assert "expected lines of at most 500 characters" in plate.finding("malformed-rows").message
    header, findings = read_header(0, str(_write(tmp_path / "b.csv", "y" * 600)))
    assert header is None
    assert "expected lines of at most 500 characters" in findings[0].message


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_table_that_unpacks_beyond_any_real_ratio_is_refused_by_the_join(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_files, "_FREE_BYTES", 1 << 20)
    path = tmp_path / "P1.csv.gz"
    path.write_bytes(gzip.compress(f"{HEADER}\n{ROW.format(1) * 500_000}".encode()))
    with pytest.raises(MeasurementError, match="unpacks to more than 100 times its size"):
        read_csv_table(str(path))
    path.write_bytes(gzip.compress(f"{HEADER}\n{rows(100_000)}".encode()))
    assert read_csv_table(str(path)).num_rows == 100_000


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet", "sqlite", "npz", "h5ad", "csv.zst"])
@pytest.mark.parametrize("kind", ["loop", "nowhere", "pipe"])
def test_what_is_no_file_costs_itself_and_blocks_nothing(
    tmp_path: Path, read_plate: Reader, suffix: str, kind: str
) -> None:
    (tmp_path / "P1").mkdir()
    path = tmp_path / "P1" / f"a.{suffix}"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path if kind == "loop" else tmp_path / "gone")
    with pytest.raises(MeasurementError, match=rf"a\.{suffix}"):
        read_plate(tmp_path / "P1")
    if suffix == "csv":
        (tmp_path / "P1" / "b.csv").write_text(f"{HEADER}\n{rows(2)}")
        plate = read_plate(tmp_path / "P1")
        assert plate.table.num_rows == 2
        assert plate.finding("unreadable-file").location == "a.csv"


def test_a_join_wider_than_its_memory_is_refused_with_what_to_do(tmp_path: Path, read_plate: Reader) -> None:
    names = ["ImageNumber", "ObjectNumber", *(f"F{i}" for i in range(3_100))]
    (tmp_path / "P1").mkdir()
    (tmp_path / "P1" / "Cells.csv").write_text(f"{','.join(names)}\n{','.join(['1'] * len(names))}\n")
    with pytest.raises(
        MeasurementError, match=r"the join of 31.. columns needs more memory than the 32 MB it may hold"
    ):
        read_plate(tmp_path / "P1", memory_limit_bytes=32 << 20)


def test_a_library_error_over_a_file_is_the_projects_error_and_a_full_disk_stays_one(tmp_path: Path) -> None:
    from bioimage_assets.core.measurements.reader_errors import as_measurement_errors

    for error in (
        pa.ArrowInvalid("odd"),
        OverflowError("large"),
        UnicodeDecodeError("utf-8", b"", 0, 1, "no"),
        KeyError("x"),
    ):
        with (
            pytest.raises(MeasurementError, match=r"s/P1 .*P1\.csv.* cannot be read: expected"),
            as_measurement_errors(["P1.csv"], "s/P1"),
        ):
            raise error
    with pytest.raises(OSError, match="No space left"), as_measurement_errors(["P1.csv"], "s/P1"):
        raise OSError(28, "No space left on device")
