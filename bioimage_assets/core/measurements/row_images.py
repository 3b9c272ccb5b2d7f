"""Which image each row of a flat profile table is of; fields that were measured before are left out.

Only key columns are read; what is held of all rows is a few numbers each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.duckdb_engine import window_rows
from bioimage_assets.core.measurements.flat_table_columns import (
    IMAGE_NUMBER_NAMES,
    OBJECT_NUMBER_NAMES,
    TABLE_NUMBER_NAMES,
    TableColumn,
    TableLayout,
)
from bioimage_assets.core.measurements.flat_table_files import TableFile
from bioimage_assets.core.measurements.measured_twice import (
    MeasuredImage,
    Place,
    build_place,
    choose_images,
    image_files,
    is_file_column,
    is_image_identity_column,
)
from bioimage_assets.core.measurements.model import PlateContext
from bioimage_assets.core.measurements.positions import (
    expect_names,
    first_column,
    parse_position,
    text_column,
)
from bioimage_assets.core.measurements.row_repeats import find_copies, number_runs
from bioimage_assets.core.model.well_columns import join_well

_POSITION = ("Metadata_Plate", "Metadata_Well", "Metadata_Site")
_NO_OBJECT = int(np.iinfo(np.int64).min)
_NULL, _BETWEEN = "\0", "\x1f"


@dataclass(frozen=True, slots=True)
class _ImageKey:
    """What the key columns of a row say: its place, else what they hold, and the numbers of its analysis and image."""

    place: Place | None
    raw: tuple[str | None, ...]
    numbers: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class _KeyColumns:
    """Where a table says which image a row is of: positions as the layout builds them, all else by column name."""

    positions: tuple[TableColumn | None, ...]
    apart: tuple[str, ...]
    numbers: tuple[str, ...]
    object_number: str | None
    names: tuple[str, ...]

    def wanted(self) -> list[str]:
        """Source columns to read."""
        places = [at for one in self.positions if one for at in (one.source, one.other) if at is not None]
        number = () if self.object_number is None else (self.object_number,)
        return list(dict.fromkeys((*(self.names[at] for at in places), *self.apart, *self.numbers, *number)))


@dataclass(slots=True)
class _Rows:
    """Each row's image as an index into ``images`` (its key columns as text), its object number, and where files begin."""

    images: dict[_ImageKey, int] = field(default_factory=dict)
    codes: list[np.ndarray] = field(default_factory=list)
    objects: list[np.ndarray] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class KeptRows:
    """Rows that are kept (None: all), and how many of these repeat an object for a reason that a finding tells."""

    mask: pa.BooleanArray | None = None
    known_repeats: int = 0

    def filter(self, keys: pa.Table) -> pa.Table:
        """The kept rows of a table of all rows."""
        return keys if self.mask is None else keys.filter(self.mask)

    def filter_batch(self, batch: pa.RecordBatch, first_row: int) -> pa.RecordBatch:
        """The kept rows of a batch that begins at a row of the table."""
        return batch if self.mask is None else batch.filter(self.mask.slice(first_row, batch.num_rows))


def keep_one_analysis_of_rows(
    files: Sequence[TableFile], layout: TableLayout, schema: pa.Schema, context: PlateContext
) -> tuple[KeptRows, list[Finding]]:
    """Which rows are kept by the dataset's rule for fields that were measured twice.

    Tables of wells or images have no cells that could count twice. MeasurementError where the rule is ``error``.
    """
    columns = _find_columns(layout, schema, context)
    if layout.grain == "well" or not columns.wanted():
        return KeptRows(), []
    rows = _read_rows(files, columns, context)
    if layout.grain == "image" and not _holds_cells(rows, columns):
        return KeptRows(), []
    codes, objects = (np.concatenate([np.empty(0, np.int64), *part]) for part in (rows.codes, rows.objects))
    runs = number_runs(codes, objects, _NO_OBJECT)
    copies = np.zeros(len(codes), bool)
    if runs.repeated.any():
        copies = find_copies(files, codes, objects, runs.repeated, columns.wanted(), context)
        runs = number_runs(np.where(copies, -1, codes), objects, _NO_OBJECT)
    # Image and run in one number, so that one call of unique sorts both; the last run stands for copies.
    width = int(runs.numbers.max(initial=0)) + 2
    entries = codes * width + np.where(copies, width - 1, runs.numbers)
    unique, first, index, counts = np.unique(
        entries, return_index=True, return_inverse=True, return_counts=True
    )
    # In the order of the file: np.unique sorts by value.
    order = np.argsort(first)
    names = list(rows.images)
    measured = [
        _describe_image(
            names[int(unique[at]) // width], int(unique[at]) % width, width - 1, int(counts[at]), columns,
            _name_file(files, rows.starts, int(first[at])),
        )
        for at in order
    ]  # fmt: skip
    measured = _add_files(measured, [int(unique[at]) // width for at in order], codes, files, schema)
    choice = choose_images(measured, context)
    findings = list(choice.findings)
    if all(choice.kept):
        told = [order[i] for i in choice.repeated]
        return KeptRows(None, sum(int(counts[at]) for at in told if unique[at] % width)), findings
    kept = np.empty(len(unique), bool)
    kept[order] = choice.kept
    return KeptRows(pa.array(kept[index])), findings


def _holds_cells(rows: _Rows, columns: _KeyColumns) -> bool:
    """Whether a table without object numbers has several rows per image number: its rows are cells, such as embeddings."""
    # On average two rows per image: a table of images has one.
    return bool(columns.numbers) and sum(map(len, rows.codes)) >= 2 * len(rows.images)


def _find_columns(layout: TableLayout, schema: pa.Schema, context: PlateContext) -> _KeyColumns:
    by_name = {column.name: column for column in layout.columns}
    positions = tuple(by_name.get(name) for name in _POSITION)
    numbers = (first_column(schema.names, options) for options in (TABLE_NUMBER_NAMES, IMAGE_NUMBER_NAMES))
    return _KeyColumns(
        positions,
        tuple(name for name in schema.names if is_image_identity_column(name, context)),
        tuple(name for name in numbers if name is not None),
        first_column(schema.names, OBJECT_NUMBER_NAMES),
        tuple(schema.names),
    )


def _read_rows(files: Sequence[TableFile], columns: _KeyColumns, context: PlateContext) -> _Rows:
    rows = _Rows()
    total = 0
    for file in files:
        rows.starts.append(total)
        for batch in _read_columns(file, columns.wanted()):
            total += batch.num_rows
            parts = [*(_build_position(batch, one, columns.names, context) for one in columns.positions)]
            parts += [_text(batch, name) for name in (*columns.apart, *columns.numbers)]
            filled = [pc.fill_null(part, _NULL) for part in parts]
            keys = pc.binary_join_element_wise(*filled, _BETWEEN).dictionary_encode()
            images = (_split(key, columns, context) for key in keys.dictionary.to_pylist())
            known = [rows.images.setdefault(image, len(rows.images)) for image in images]
            rows.codes.append(np.array(known, np.int64)[keys.indices.to_numpy()])
            rows.objects.append(_object_numbers(batch, columns.object_number))
    return rows


def _split(key: str, columns: _KeyColumns, context: PlateContext) -> _ImageKey:
    """Place and numbers of a joined key, the place in one spelling: ``b-02`` and ``B02`` of one image are one image."""
    parts = [None if part == _NULL else part for part in key.split(_BETWEEN)]
    end = len(parts) - len(columns.numbers)
    others = zip(columns.apart, parts[3:end], strict=True)
    place = None if None in parts[end:] else build_place(parts[0], parts[1], parts[2], others, context)
    return _ImageKey(place, () if place else tuple(parts[:end]), tuple(parts[end:]))


def _read_columns(file: TableFile, wanted: Sequence[str]) -> Iterator[pa.Table]:
    """Batches of some columns of a file under the names that they stand for; one it does not have is left out."""
    stored = file.stored_names()
    names = {name: stored[name] for name in wanted if name in stored}
    # pre_buffer would read the chosen columns of all row groups ahead, which is the memory of a plate.
    source = pq.ParquetFile(file.path, pre_buffer=False, buffer_size=1 << 20)
    if not names:
        yield pa.table({"": pa.nulls(source.metadata.num_rows)})
        return
    for batch in source.iter_batches(batch_size=window_rows(len(names)), columns=list(names.values())):
        at = batch.schema.names.index
        yield pa.table({name: batch.column(at(column)) for name, column in names.items()})


def _text(table: pa.Table, name: str) -> pa.Array:
    """A column as text, null where the file does not have it; control characters would mix up the keys."""
    if name not in table.column_names:
        return pa.nulls(table.num_rows, pa.string())
    column = table[name].combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_integer(column.type):
        return column.cast(pa.string())
    text = text_column(column).cast(pa.string())
    return pc.replace_substring(pc.replace_substring(text, _BETWEEN, " "), _NULL, " ")


def _build_position(
    table: pa.Table, column: TableColumn | None, names: Sequence[str], context: PlateContext
) -> pa.Array:
    """Plate, well or site of each row as text, as the result will have it; null where it is the plate's own name."""
    if column is None or column.source is None:
        return pa.nulls(table.num_rows, pa.string())
    values = _text(table, names[column.source])
    if column.role == "text":
        return values
    if column.role == "well":
        other = _text(table, names[column.other or 0])
        return pa.array(map(join_well, values.to_pylist(), other.to_pylist()), pa.string())
    encoded = values.dictionary_encode()
    part, pattern = column.constant or "", context.settings.file_pattern
    cells = encoded.dictionary.to_pylist()
    expect_names(cells, pattern)
    parsed = [parse_position(name, pattern)[part] for name in cells]
    return pa.array(parsed, pa.string()).take(encoded.indices)


def _object_numbers(table: pa.Table, name: str | None) -> np.ndarray:
    """Whole object numbers; one that is missing or no whole number is ``_NO_OBJECT``."""
    nothing = np.full(table.num_rows, _NO_OBJECT, np.int64)
    if name is None or name not in table.column_names:
        return nothing
    column = table[name].combine_chunks()
    if pa.types.is_integer(column.type):
        numbers: np.ndarray = pc.fill_null(column.cast(pa.int64(), safe=False), _NO_OBJECT).to_numpy()
        return numbers
    if not pa.types.is_floating(column.type):
        return nothing
    values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    # Beyond 2^53 doubles skip whole numbers: two objects could have one.
    is_whole = np.isfinite(values) & (np.floor(values) == values) & (np.abs(values) < 2**53)
    return np.where(is_whole, np.where(is_whole, values, 0).astype(np.int64), nothing)


def _describe_image(
    key: _ImageKey, run: int, copy_run: int, cells: int, columns: _KeyColumns, file: tuple[str, str]
) -> MeasuredImage:  # fmt: skip
    named = [
        f"{name.rsplit('_', 1)[-1]} {number}"
        for name, number in zip(columns.numbers, key.numbers, strict=True)
    ]
    is_copy = run == copy_run
    again = "the same rows again" if is_copy else f"run {run + 1}" if run or not named else ""
    label = ", ".join(part for part in (*named, again, file[0]) if part)
    return MeasuredImage(key.place, label, cells, is_copy=is_copy, source=file[1])


def _name_file(files: Sequence[TableFile], starts: Sequence[int], row: int) -> tuple[str, str]:
    """Name for messages and whole path of the file that a row is of; a plate's only file needs no name."""
    file = files[int(np.searchsorted(starts, row, side="right")) - 1].given
    return (Path(file).name if len({one.given for one in files}) > 1 else ""), file


def _add_files(
    measured: list[MeasuredImage], codes_of: Sequence[int], codes: np.ndarray, files: Sequence[TableFile], schema: pa.Schema
) -> list[MeasuredImage]:  # fmt: skip
    """Add the image file names of images that share their place with others; only then are these columns read."""
    places: Counter[Place | None] = Counter(
        image.place for image in measured if image.place is not None and not image.is_copy
    )
    wanted = {code for code, image in zip(codes_of, measured, strict=True) if places[image.place] > 1}
    names = [name for name in schema.names if is_file_column(name)]
    if not wanted or not names:
        return measured
    found: dict[int, frozenset[str]] = {}
    offset = 0
    for file in files:
        for batch in _read_columns(file, names):
            some, first = np.unique(codes[offset : offset + batch.num_rows], return_index=True)
            offset += batch.num_rows
            for code, row in zip(some.tolist(), first.tolist(), strict=True):
                if code in wanted and code not in found:
                    values = ((name, batch[name][row].as_py()) for name in batch.column_names if name)
                    found[code] = image_files(
                        (name, value if isinstance(value, str) else None) for name, value in values
                    )
    return [
        replace(image, files=found.get(code, frozenset()))
        for code, image in zip(codes_of, measured, strict=True)
    ]
