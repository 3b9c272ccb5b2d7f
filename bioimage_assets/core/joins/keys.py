"""Key columns of a profile table, normalised as image ids are and coded as small integers.

Only distinct values are normalised, in Python, with the same functions that name the images
(``core.model.identity``); rows are handled as integers. No SQL sees a column name or a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.joins.aliases import ResolvedColumns
from bioimage_assets.core.model.identity import normalize_site, normalize_well
from bioimage_assets.core.model.well_columns import find_well_columns

KeyKind = Literal[
    "plate_key",
    "dataset_id",
    "image_id",
    "plate_id",
    "well_id",
    "well_row",
    "well_column",
    "site_id",
    "acquisition_id",
    "md5",
    "file_name",
    "path_name",
    "url",
]
Codes = npt.NDArray[np.int64]

# ``Image_FileName_DNA`` of a merged table, ``FileName_OrigDNA`` of LoadData, with or without Metadata_.
_FILE_COLUMN = re.compile(r"(?:Image_)?(?:Metadata_)?(FileName|PathName|MD5Digest|URL)_(.+)")
_FILE_KINDS: dict[str, KeyKind] = {
    "FileName": "file_name", "PathName": "path_name", "MD5Digest": "md5", "URL": "url",
}  # fmt: skip
_REPEATED_SLASHES = re.compile(r"(?<!:)/{2,}")


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """One profile column that takes part in linking; ``channel`` is set for file columns."""

    position: int
    name: str
    kind: KeyKind
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class KeyPlan:
    """The columns to read for linking, and the ones whose values must agree with a chosen column.

    ``rivals`` maps the position in ``columns`` of a chosen column to those of columns it shadows.
    """

    columns: tuple[KeyColumn, ...]
    rivals: tuple[tuple[KeyColumn, tuple[KeyColumn, ...]], ...]
    findings: tuple[Finding, ...]

    def without(self, kind: KeyKind) -> KeyPlan:
        """The plan with the columns of one key left out."""
        columns = tuple(column for column in self.columns if column.kind != kind)
        rivals = tuple(rival for rival in self.rivals if rival[0].kind != kind)
        return KeyPlan(columns, rivals, self.findings)


def normalize_text(value: object) -> str | None:
    """Text form of a key: stripped, whole floats as integers, null for empty text and NaN. Idempotent.

    Leading zeros stay: plate ``001`` and plate ``1`` are two plates.
    """
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, float):
        if value != value:
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    return str(value).strip() or None


def normalize_path(value: object) -> str | None:
    """Canonical spelling of a path or URI: forward slashes, no ``file:`` scheme, no doubled or final slash.

    ``file:`` URLs are percent-decoded, other text is taken as it is. Idempotent for everything but
    decoded names that start with ``file:`` again.
    """
    text = normalize_text(value)
    if text is None:
        return None
    text = text.replace("\\", "/")
    if text[:5].lower() == "file:":
        text = unquote(text[5:])
        text = "/" + text.removeprefix("//localhost").lstrip("/")
    text = _REPEATED_SLASHES.sub("/", text)
    return text.rstrip("/") or "/"


def rewrite_path(path: str, rewrites: Sequence[tuple[str, str]]) -> str:
    """Replace the first declared prefix that the path starts with; both sides are compared canonically."""
    for old, new in rewrites:
        prefix = normalize_path(old)
        if prefix and (path == prefix or path.startswith(prefix if prefix.endswith("/") else prefix + "/")):
            rest = path[len(prefix) :].lstrip("/")
            return normalize_path(f"{new}/{rest}") or path
    return path


def _without_backslashes(name: str | None) -> str | None:
    """A file name with folders before it, as pipelines on Windows write it, with the usual slashes."""
    return name.replace("\\", "/") if name else None


_NORMALISERS: dict[str, Callable[[object], str | None]] = {
    "well_id": lambda value: normalize_well(normalize_text(value)),
    "site_id": normalize_site,
    "path_name": normalize_path,
    "url": normalize_path,
    "file_name": lambda value: _without_backslashes(normalize_text(value)),
    "md5": lambda value: (normalize_text(value) or "").lower() or None,
}


def normalizer(kind: KeyKind) -> Callable[[object], str | None]:
    """Function that brings a raw value of this kind of column to its canonical text."""
    return _NORMALISERS.get(kind, normalize_text)


def is_key_type(kind: pa.DataType) -> bool:
    """Tell whether values of this Arrow type can be keys; nested, boolean and null columns cannot."""
    if pa.types.is_dictionary(kind):
        return is_key_type(kind.value_type)
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
    )


def file_column_kind(name: str) -> KeyKind | None:
    """Kind of a CellProfiler file column (``Image_FileName_DNA`` …), None for any other name."""
    match = _FILE_COLUMN.fullmatch(name)
    return _FILE_KINDS[match[1]] if match else None


def plan_key_columns(schema: pa.Schema, resolved: ResolvedColumns, *, match_md5: bool) -> KeyPlan:
    """Choose the columns to read for linking; a repeated name means its first column."""
    positions: dict[str, int] = {}
    for position, name in enumerate(schema.names):
        positions.setdefault(name, position)
    findings: list[Finding] = []

    def usable(kind: KeyKind, name: str, channel: str | None = None) -> list[KeyColumn]:
        position = positions[name]
        if is_key_type(schema.field(position).type):
            return [KeyColumn(position, name, kind, channel)]
        if not pa.types.is_null(schema.field(position).type):
            findings.append(_unusable_type(name, kind, schema.field(position).type))
        return []

    columns: list[KeyColumn] = usable("plate_key", "plate_key") if "plate_key" in positions else []
    rivals: list[tuple[KeyColumn, tuple[KeyColumn, ...]]] = []
    for key, name in resolved.columns.items():
        chosen = usable(key, name)  # type: ignore[arg-type]
        columns += chosen
        others = [c for other in resolved.shadowed.get(key, ()) for c in usable(key, other)]  # type: ignore[arg-type]
        if chosen and others:
            rivals.append((chosen[0], tuple(others)))
    two = None if resolved.get("well_id") else find_well_columns(schema.names)
    if two is not None:
        columns += [*usable("well_row", two[0]), *usable("well_column", two[1])]
    for name in positions:
        match = _FILE_COLUMN.fullmatch(name)
        if match and (match[1] != "MD5Digest" or match_md5):
            columns += usable(_FILE_KINDS[match[1]], name, match[2])
    return KeyPlan(tuple(columns), tuple(rivals), tuple(findings))


def _unusable_type(name: str, kind: str, found: pa.DataType) -> Finding:
    message = f"Column {name!r} stands for {kind} but has type {found}; it is not used as a key."
    return Finding("unusable-key-type", "warning", name, message)


class ColumnCodes:
    """Running dictionary of one column: canonical value to code, 0 being null; grows batch by batch.

    ``unreadable`` lists the raw values that are there and yet no key (a well called ``1-1``).
    """

    def __init__(self, kind: KeyKind) -> None:
        self.values: list[str | None] = [None]
        self._normalize = normalizer(kind)
        self._by_value: dict[str | None, int] = {None: 0}
        self._by_raw: dict[object, int] = {}
        self.unreadable: list[str] = []

    def encode(self, column: pa.Array) -> Codes:
        """Codes of a column's rows; each distinct raw value is normalised once per table."""
        if pa.types.is_string_view(column.type):
            column = column.cast(pa.string())
        # Normalising is Python code: it sees each distinct value once.
        encoded = column.dictionary_encode()
        raw = encoded.dictionary.to_pylist()
        table: Codes = np.zeros(len(raw) + 1, dtype=np.int64)  # the last entry stands for null
        for position, value in enumerate(raw):
            code = self._by_raw.get(value)
            table[position] = self._add(value) if code is None else code
        # Nulls point at the extra last entry, whose code is 0.
        positions: Codes = encoded.indices.fill_null(len(raw)).to_numpy(zero_copy_only=False)
        return table[positions]

    def _add(self, raw: object) -> int:
        value = self._normalize(raw)
        if value is None and (text := normalize_text(raw)) is not None:
            self.unreadable.append(text)
        code = self._by_value.setdefault(value, len(self.values))
        if code == len(self.values):
            self.values.append(value)
        self._by_raw[raw] = code
        return code


def group_rows(columns: Sequence[Codes], row_count: int) -> tuple[Codes, Codes]:
    """Group rows by equal codes in every column: group number per row, and each group's first row."""
    groups = np.zeros(row_count, dtype=np.int64)
    if not row_count:
        return groups, groups
    size = 1
    for codes in columns:
        span = int(codes.max()) + 1
        if span == 1:
            continue
        # The product of all spans is a group's number; it is packed before it would not fit.
        if size > np.iinfo(np.int64).max // span:
            groups, size = _densify(groups)
        groups = groups * span + codes
        size *= span
    groups, count = _densify(groups)
    first = np.empty(count, dtype=np.int64)
    # Of repeated indexes numpy keeps the last write: from the end, that is the first row.
    first[groups[::-1]] = np.arange(row_count - 1, -1, -1)
    return groups, first


def _densify(groups: Codes) -> tuple[Codes, int]:
    encoded = pa.array(groups).dictionary_encode()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), len(encoded.dictionary)
