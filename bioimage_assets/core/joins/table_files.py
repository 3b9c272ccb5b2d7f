"""Lists table files by path, folder or glob pattern, and reads CSV files of any dialect into Arrow.

Local paths, ``file://``, object stores and every URI that fsspec knows; remote ones are opened by the project's own
clients, with the same options as image stores.
"""

from __future__ import annotations

import csv
import glob
import io
import os
import re
import stat
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from fsspec.utils import glob_translate

from bioimage_assets.core.errors import KeyMissingError, MeasurementError, StoreError, StoreNotFoundError
from bioimage_assets.core.model.file_kinds import CSV_SUFFIXES, PARQUET_SUFFIXES, compression_of, has_suffix
from bioimage_assets.core.stores.open import local_path, open_store, split_file_uri
from bioimage_assets.core.text_files.dialect import (
    MAX_COLUMNS,
    CsvLines,
    arrow_encoding,
    find_decimal_point,
    find_delimiter,
    find_encoding,
    split_record,
)
from bioimage_assets.core.text_files.missing_words import is_missing_value
from bioimage_assets.core.text_files.numbers import has_decimal_comma, is_number

# A header of 50,000 columns fits.
_HEADER_BYTES = 4 << 20
_SAMPLE_ROWS = 100  # that tell the decimal point
# A table is held whole. Numbers pack two to ten times, tables of mostly zeros fifty times; small files may be anything.
MAX_RATIO = 100
_FREE_BYTES = 256 << 20  # decompressed, whatever the ratio

StorageOptions = Mapping[str, object]


def list_table_files(location: str, storage_options: StorageOptions | None = None) -> list[str]:
    """Files of a path, folder or glob pattern, sorted; MeasurementError when there are none or they cannot be listed."""
    try:
        local = local_path(location)
        files = _list_local(local) if local is not None else _list_remote(location, storage_options)
    except StoreError as error:
        raise MeasurementError(f"Tables at '{location}' cannot be listed: {error}") from error
    if not files:
        raise MeasurementError(f"No Parquet or CSV table at '{location}'.")
    return files


def open_table_file(path: str, storage_options: StorageOptions | None = None) -> BinaryIO:
    """Open a table file for seeking reads; OSError or StoreError where it cannot be."""
    local = local_path(path)
    if local is not None:
        file = os.fdopen(os.open(local, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise OSError(f"expected a file, found something else at {local}")  # a pipe would never end
        return file
    folder, name = split_file_uri(path)
    return open_store(folder, storage_options=storage_options).open_file(name)


def is_remote(path: str) -> bool:
    """Tell whether a table file is elsewhere than on a local disk."""
    return local_path(path) is None


def _list_local(location: str) -> list[str]:
    path = Path(location)
    if path.is_file():
        return [location]
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith((".", "_")))
        return _choose_kind([str(p) for p in files])
    return sorted(p for p in glob.glob(location, recursive=True) if Path(p).is_file())


def _list_remote(location: str, storage_options: StorageOptions | None) -> list[str]:
    uri = location.rstrip("/")
    is_pattern = glob.has_magic(uri) and not uri.startswith(("http://", "https://"))
    if is_pattern and not _is_named(uri, storage_options):
        fixed = uri[: re.search(r"[*?\[]", uri).start()].rpartition("/")[0]  # type: ignore[union-attr]
        matches = re.compile(glob_translate(uri[len(fixed) + 1 :]))
        return [f"{fixed}/{key}" for key in _list_keys(fixed, storage_options) if matches.match(key)]
    if has_suffix(uri, PARQUET_SUFFIXES + CSV_SUFFIXES) and _is_there(uri, storage_options):
        return [uri]
    keys = _list_keys(uri, storage_options)
    files = [f"{uri}/{key}" for key in keys if not key.rpartition("/")[2].startswith((".", "_"))]
    return _choose_kind(files) or ([uri] if not keys and _is_there(uri, storage_options) else [])


def _is_named(uri: str, storage_options: StorageOptions | None) -> bool:
    """Tell whether a file or folder bears a pattern as its name: what is there is meant before what would match."""
    try:
        return _is_there(uri, storage_options) or bool(_list_keys(uri, storage_options))
    except (KeyMissingError, StoreNotFoundError):
        return False


def _is_there(uri: str, storage_options: StorageOptions | None) -> bool:
    """Tell whether an object of that very name exists."""
    folder, name = split_file_uri(uri)
    if not folder.rpartition("://")[2]:
        return False  # a bucket as a whole
    try:
        open_store(folder, storage_options=storage_options).head(name)
    except (KeyMissingError, StoreNotFoundError):
        return False
    return True


def _list_keys(uri: str, storage_options: StorageOptions | None) -> list[str]:
    return sorted(item.key for item in open_store(uri, storage_options=storage_options).list(""))


def _choose_kind(files: list[str]) -> list[str]:
    """The Parquet files of a folder, else its CSV files."""
    parquet = [path for path in files if has_suffix(path, PARQUET_SUFFIXES)]
    return parquet or [path for path in files if has_suffix(path, CSV_SUFFIXES)]


def read_csv_table(path: str, storage_options: StorageOptions | None = None) -> pa.Table:
    """Read a CSV of any dialect; decimal commas are understood where commas do not separate.

    ``Metadata_``, file and key columns stay text so that plate ``001`` keeps its zeros.
    """
    try:
        _check_ratio(path, storage_options)
        with _open_csv(path, storage_options) as stream:
            head = stream.read(_HEADER_BYTES)
        encoding = find_encoding(head)
        lines = CsvLines(io.StringIO(head.decode(encoding, errors="replace"), newline=""))
        header, _ = lines.read_record()
        delimiter = find_delimiter(header)
        names = split_record(header, delimiter)
        if len(names) > MAX_COLUMNS:
            raise MeasurementError(
                f"CSV table '{path}': expected at most {MAX_COLUMNS} columns, found {len(names)}."
            )
        point = "." if delimiter == "," else _find_decimal_point(lines, names, delimiter)
        convert = pa_csv.ConvertOptions(
            # ``NA`` and its like are missing numbers, but words in text: only the empty cell is missing there.
            column_types={name: pa.string() for name in names if _is_text_column(name)},
            strings_can_be_null=False,
            decimal_point=point,
        )
        with _open_csv(path, storage_options) as stream:
            return _without_empty_texts(
                pa_csv.read_csv(
                    stream,
                    read_options=pa_csv.ReadOptions(encoding=arrow_encoding(encoding)),
                    parse_options=pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                    convert_options=convert,
                )
            )
    except (OSError, pa.ArrowException, UnicodeDecodeError, csv.Error, StoreError) as error:
        raise MeasurementError(f"CSV table '{path}' cannot be read: {error}") from error


def _check_ratio(path: str, storage_options: StorageOptions | None) -> None:
    """Unpack a packed file once, in pieces; OSError where it is more than any table of so few packed bytes."""
    if compression_of(path) is None:
        return
    with open_table_file(path, storage_options) as file:
        left = max(_FREE_BYTES, MAX_RATIO * file.seek(0, io.SEEK_END))
    with _open_csv(path, storage_options) as stream:
        while piece := stream.read(1 << 20):
            left -= len(piece)
            if left < 0:
                raise OSError(
                    f"it unpacks to more than {MAX_RATIO} times its size; expected a table, which packs ten to fifty times. Unpack it "
                    "yourself if it is one"
                )


def _open_csv(path: str, storage_options: StorageOptions | None) -> pa.NativeFile:
    """Unpacked bytes of a file; a local one is read by Arrow itself, whose threads then need nothing of Python."""
    local = local_path(path)
    if local is None:
        return pa.input_stream(open_table_file(path, storage_options), compression=compression_of(path))
    open_table_file(local).close()  # OSError where it is not a file
    return pa.input_stream(local, compression=compression_of(path))


def _without_empty_texts(table: pa.Table) -> pa.Table:
    columns = [
        pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
        if pa.types.is_string(column.type)
        else column
        for column in table.columns
    ]
    return pa.table(columns, names=table.column_names)


def _find_decimal_point(lines: CsvLines, names: Sequence[str], delimiter: str) -> str:
    """Decimal point of the first rows; columns that hold words, too, do not count."""
    rows = islice(csv.reader(lines, delimiter=delimiter), _SAMPLE_ROWS)
    numbers: list[str] = []
    for name, *texts in zip(names, *(row for row in rows if len(row) == len(names)), strict=True):
        values = [text for text in texts if not is_missing_value(text)]
        if not _is_text_column(name) and all(is_number(v) or has_decimal_comma(v) for v in values):
            numbers += values
    return find_decimal_point(numbers)


def _is_text_column(name: str) -> bool:
    lowered = name.lower()
    return lowered.startswith(("metadata_", "image_metadata_")) or lowered.endswith(
        ("_id", "plate", "well", "site")
    )
