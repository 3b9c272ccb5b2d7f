"""Small delimited files keep every word as it is written, as pandas does with ``dtype=str, keep_default_na=False``."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.stores.open import open_store
from bioimage_assets.core.text_files.text_table import TextTable, read_text_table

WORDS = (
    "NA", "N/A", "n/a", "#n", "None", "none", "null", "Null", "NULL", "NaN", "nan", "-nan", "<NA>", "?", "missing",
    "TRUE", "true", "False", "1e3", "1E-3", "007", "0.10", "1,5", "1_000", "inf", "2024-01-31", "31/01/2024", "1:30",
    "SEPT2", "MARCH1", "-", "'", "=A1", "µM", "β-catenin", "10 mg/ml", "a b",
)  # fmt: skip


def read(path: Path, missing: tuple[str, ...] = ()) -> TextTable:
    store = open_store(str(path.parent))
    try:
        return read_text_table(store, path.name, missing)
    finally:
        store.close()


def expected(path: Path, delimiter: str = "\t", encoding: str = "utf-8") -> list[tuple[str | None, ...]]:
    frame = pd.read_csv(path, sep=delimiter, dtype=str, keep_default_na=False, encoding=encoding)
    return [tuple(value or None for value in row) for row in frame.itertuples(index=False)]


@pytest.mark.parametrize("delimiter", ["\t", ",", ";", "|"])
def test_words_are_what_pandas_reads_as_plain_text(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "map.txt"
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, delimiter=delimiter)
        writer.writerow(["well", "word", "empty"])
        writer.writerows([f"A{number:02d}", word, ""] for number, word in enumerate(WORDS, start=1))
    table = read(path)
    assert list(table.rows) == expected(path, delimiter)
    assert [row[1] for row in table.rows] == list(WORDS)
    assert table.findings == ()


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff\x1e"), max_size=12).map(str.strip)


@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6), delimiter=st.sampled_from("\t,;|"))
def test_any_text_comes_back_whatever_delimiters_quotes_and_line_breaks_it_holds(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], delimiter: str
) -> None:
    path = tmp_path_factory.mktemp("text") / "map.txt"
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerow(["well", "first", "second"])
    writer.writerows(("A01", *row) for row in rows)
    path.write_bytes(buffer.getvalue().encode())
    assert [row[1:] for row in read(path).rows] == [tuple(cell or None for cell in row) for row in rows]


def test_a_quoted_line_break_is_part_of_its_cell(tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    path.write_bytes(b'well,note\r\nA01,"two\r\nlines"\r\nA02,plain\r\n')
    assert read(path).rows == (("A01", "two\r\nlines"), ("A02", "plain")) == tuple(expected(path, ","))


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_lines_end_as_on_any_system_and_blank_ones_are_nothing(tmp_path: Path, line_end: str) -> None:
    path = tmp_path / "map.txt"
    path.write_bytes(line_end.join(["", "well\tword", "A01\tx", "\t", "A02\ty"]).encode())
    assert read(path).rows == (("A01", "x"), ("A02", "y"))


def test_failed_formulas_of_a_spreadsheet_are_missing_and_words_like_them_are_not(tmp_path: Path) -> None:
    errors = ["#N/A", "#NAME?", "#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NULL!"]
    path = tmp_path / "map.txt"
    path.write_text("well\tword\n" + "".join(f"A01\t{word}\n" for word in [*errors, "#1", "N/A", "Null"]))
    assert read(path).column(1) == [*[None] * len(errors), "#1", "N/A", "Null"]


def test_delimiters_inside_of_quoted_names_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "map.txt"
    path.write_text('"name; with; many"|well|\n'.replace("|\n", "\n") + "x|A01\n")
    assert read(path).names == ("name; with; many", "well")
    path.write_text('5" plate\twell\nx\tA01\n')
    assert read(path).names == ('5" plate', "well")
    path.write_text('"a;\nb";well;dose\nx;A01;1,5\n')
    assert read(path).names == ("a;\nb", "well", "dose")


def test_declared_words_are_missing_as_they_are_written_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "map.txt"
    path.write_text("well\tword\nA01\tNA\nA02\t NA \nA03\tna\nA04\tn/a\nA05\tNAD\n")
    assert read(path, ("NA", "n/a")).column(1) == [None, None, "na", None, "NAD"]
    assert read(path).column(1) == ["NA", "NA", "na", "n/a", "NAD"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings_that_name_themselves_are_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "map.txt"
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    path.write_bytes(f"{mark}well\tdose (µM)\nA01\tβ\n".encode(encoding))
    table = read(path)
    assert (table.names, table.rows, table.findings) == (("well", "dose (µM)"), (("A01", "β"),), ())


def test_western_text_of_spreadsheets_is_read_and_the_guess_is_said(tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    path.write_bytes("well;unit\nA01;µM\nA02;Müller\n".encode("latin-1"))
    table = read(path)
    assert list(table.rows) == expected(path, ";", "latin-1")
    (finding,) = table.findings
    assert (finding.code, finding.severity) == ("text-not-utf8", "warning")
    assert str(path) in finding.location
    assert "µM" in finding.message
    assert "Windows-1252" in finding.message


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        ("well\tx\nA01\ty\n".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        (b"\xff\xfeA", "begins as UTF-16 and is none"),
        (b"well\tx\nA01\t\x81\x8d\n", "neither UTF-8 nor UTF-16 nor Windows-1252"),
        (b'well\tx\nA01\t"open\nA02\ty\nA03\tz\n', r"row 2: a quote is opened and never closed"),
        (b"well\tx\nA01\ty\tz\n", r"row 2: 3 values, the header has 2"),
        (b'well\tx\n"A\n01"\ty\nA02\n', r"row 4: 1 values"),
    ],
)
def test_what_cannot_be_read_as_a_table_is_refused_with_file_and_place(
    tmp_path: Path, raw: bytes, words: str
) -> None:
    path = tmp_path / "map.txt"
    path.write_bytes(raw)
    with pytest.raises(ProfilingError, match=words) as caught:
        read(path)
    assert str(path) in str(caught.value)
