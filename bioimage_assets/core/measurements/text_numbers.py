"""Reads text columns that are features by their names as numbers, where all of their values are numbers.

Databases and R leave numbers as text. What they hold is found out before the first row is given, since all batches of a stream
have one schema; the rules for missing values and decimal commas are those of CSV files (``text_files``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.columns import join_names
from bioimage_assets.core.measurements.flat_table_files import TableFile
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.tables.feature_gaps import is_text, list_measured_text, list_unnamed_text
from bioimage_assets.core.text_files.missing_words import MISSING_WORDS
from bioimage_assets.core.text_files.numbers import has_decimal_comma, parse_number

# Texts that are looked at at a time.
BATCH_VALUES = 8_192
_MISSING = pa.array(sorted(MISSING_WORDS), pa.string())


@dataclass(slots=True)
class TextValues:
    """What the texts of one column are: ``points`` and ``commas`` say whether they are numbers written that way.

    ``word`` is the first value that is not a number, or is written otherwise than the others.
    """

    points: bool = True
    commas: bool = True
    has_point: bool = False
    has_comma: bool = False
    is_empty: bool = True
    word: str | None = None

    @property
    def decimal_point(self) -> str | None:
        """How the numbers are written; None where a value is not a number, or both ways are mixed."""
        if self.points:
            return "."
        return "," if self.commas and self.has_comma and not self.has_point else None

    @property
    def is_settled(self) -> bool:
        """Whether further values change nothing."""
        return not self.points and (not self.commas or self.has_point)

    def add(self, array: pa.Array) -> None:
        """Look at further values."""
        texts = _decode(array)
        is_plain = _cast(texts) is not None
        if not is_plain:
            texts = _strip(texts)
            is_plain = _cast(texts) is not None
        texts = texts.drop_null()
        self.is_empty &= len(texts) == 0
        if not is_plain:
            self._add_one_by_one(texts.unique().to_pylist())
        elif not self.has_point:
            with_point = texts.filter(pc.match_substring(texts, "."))
            self.has_point = len(with_point) > 0
            if self.is_settled and self.word is None:
                self.word = with_point[0].as_py()

    def _add_one_by_one(self, texts: Sequence[str]) -> None:
        for text in texts:
            comma, is_plain = has_decimal_comma(text), parse_number(text) is not None
            self.has_comma |= comma
            self.has_point |= is_plain and "." in text
            self.points &= is_plain
            self.commas &= comma or is_plain
            if self.word is None and ((not comma and not is_plain) or self.is_settled):
                self.word = text
            if self.is_settled:
                return


def find_text_numbers(
    files: Sequence[TableFile], schema: pa.Schema, settings: DatasetSettings
) -> tuple[dict[str, str], list[Finding]]:
    """Columns that hold numbers as text, with their decimal points; each is read once, a batch at a time.

    Columns whose names make them features are converted, or a finding says why not. Others that hold nothing but
    numbers are named where the table has no other rule to tell features by.
    """
    names = [name for name in list_measured_text(schema, settings) if is_text(schema.field(name).type)]
    others = list_unnamed_text(schema, settings)
    values = read_text_values(files, [*names, *others])
    numbers = {name: point for name in names if (point := values[name].decimal_point) is not None}
    findings = report_text_numbers({name: values[name] for name in names})
    unnamed = [n for n in others if values[n].decimal_point is not None and not values[n].is_empty]
    if unnamed:
        text = (
            f"{len(unnamed)} text column(s) hold nothing but numbers and are no features: {join_names(unnamed)}. Name those "
            "that are in dataset.toml, [features] include."
        )
        findings.append(Finding("text-numbers", "info", unnamed[0], text))
    return numbers, findings


def report_text_numbers(values: Mapping[str, TextValues]) -> list[Finding]:
    """Findings that name the columns that were converted and those that hold words."""
    findings = []
    listed = [name for name, one in values.items() if one.decimal_point is not None and not one.is_empty]
    words = {name: one.word for name, one in values.items() if one.decimal_point is None}
    if listed:
        text = f"Numbers stored as text were converted in {len(listed)} column(s): {join_names(listed)}."
        findings.append(Finding("text-numbers", "info", listed[0], text))
    if words:
        first = next(iter(words))
        text = (
            f"{len(words)} feature column(s) hold words, not numbers, and are kept as text: {join_names(words)}. {first} holds "
            f"{str(words[first])[:40]!r}, for one. Write numbers, or name the columns in dataset.toml, [features] exclude."
        )
        findings.append(Finding("text-features", "warning", first, text))
    return findings


def parse_text_numbers(array: pa.Array, decimal_point: str) -> pa.Array:
    """Texts as float64, missing words as null; what is not a number is null too (the file changed since it was looked at)."""
    texts = _decode(array)
    if decimal_point == "." and (numbers := _cast(texts)) is not None:
        return numbers
    texts = _strip(texts)
    if decimal_point == "." and (numbers := _cast(texts)) is not None:
        return numbers
    values = [None if text is None else parse_number(text, decimal_point) for text in texts.to_pylist()]
    return pa.array(values, pa.float64())


def read_text_values(files: Sequence[TableFile], names: Sequence[str]) -> dict[str, TextValues]:
    """Read text columns until it is clear whether they hold numbers."""
    found = {name: TextValues() for name in names}
    for name in names:
        for array in _read_column(files, name):
            found[name].add(array)
            if found[name].is_settled:
                break
    return found


def _read_column(files: Sequence[TableFile], name: str) -> Iterator[pa.Array]:
    for file in files:
        if name not in file.names:
            continue
        column = file.stored_names()[name]
        with pq.ParquetFile(file.path, pre_buffer=False, buffer_size=1 << 20) as parquet:
            for batch in parquet.iter_batches(batch_size=BATCH_VALUES, columns=[column]):
                yield batch.column(0)


def _decode(array: pa.Array) -> pa.Array:
    """Texts of any of Arrow's types as plain ones."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type):
        values = (None if value is None else value.decode("utf-8", "replace") for value in array.to_pylist())
        return pa.array(values, pa.string())
    return array.cast(pa.string())


def _strip(texts: pa.Array) -> pa.Array:
    """Texts without outer blanks; missing words are null."""
    texts = pc.utf8_trim_whitespace(texts)
    is_missing = pc.is_in(pc.utf8_lower(texts), _MISSING)
    return pc.if_else(is_missing, pa.scalar(None, pa.string()), texts)


def _cast(texts: pa.Array) -> pa.Array | None:
    try:
        return texts.cast(pa.float64())
    except pa.ArrowInvalid:
        return None
