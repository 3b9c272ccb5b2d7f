"""Finds the image of every profile row, and the rule that found it, once per combination of keys.

Memory grows with the number of distinct key combinations (a plate has one per field), not with rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bioimage_assets.core.joins.corrections import Correction
from bioimage_assets.core.joins.image_index import ImageIndex
from bioimage_assets.core.joins.join_rules import (
    JOIN_RULES,
    POSITION_RULES,
    JoinRule,
    KeyMatch,
    RowKey,
    match_chosen_keys,
    match_key,
    match_without_position,
)
from bioimage_assets.core.joins.keys import Codes, ColumnCodes, KeyColumn, KeyPlan, group_rows, rewrite_path
from bioimage_assets.core.model.identity import subtract_site_offset
from bioimage_assets.core.model.well_columns import join_well

_RULE_CODES: dict[JoinRule | None, int] = {rule: code for code, rule in enumerate(JOIN_RULES)}
UNMATCHED = -1  # below every rule's number; the column is int8


@dataclass(frozen=True, slots=True)
class MatchOptions:
    """How raw keys are read: the dataset where a row names none, site numbering and path prefixes.

    ``join_keys`` are the canonical keys to match on instead of the join rules, None for the rules. ``correction`` is a proven
    other reading of positions; ``refuses_sites`` that a row's site is not trusted to name an image; ``other_plates`` are those beside the images' own.
    """

    dataset_id: str | None = None
    site_offset: int = 0
    path_rewrites: tuple[tuple[str, str], ...] = ()
    is_dataset_weak: bool = False
    join_keys: tuple[str, ...] | None = None
    correction: Correction | None = None
    refuses_sites: bool = False
    other_plates: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class BatchMatch:
    """Per row: image row and rule code (-1 where unmatched), and the canonical position of the row."""

    image_rows: npt.NDArray[np.int32]
    rule_codes: npt.NDArray[np.int8]
    positions: dict[str, pa.Array]


@dataclass(slots=True)
class CountedKey:
    """One combination of keys, what it matched and how many rows have it."""

    key: RowKey
    match: KeyMatch
    row_count: int
    codes: tuple[int, ...]


@dataclass(slots=True)
class AliasDisagreement:
    """Rows whose shadowed alias column names another value than the column that was used."""

    chosen: str
    rival: str
    row_count: int = 0
    sample: str = ""


class Matcher:
    """Match batches one after another; afterwards ``counted`` and ``rivals`` say what happened."""

    def __init__(self, index: ImageIndex, plan: KeyPlan, options: MatchOptions) -> None:
        self.index = index
        self.plan = plan
        self.counted: dict[tuple[int, ...], CountedKey] = {}
        self.rivals = [AliasDisagreement(c.name, other.name) for c, others in plan.rivals for other in others]
        self.options = options
        self._codes = {column.position: ColumnCodes(column.kind) for column in plan.columns}

    @property
    def read_positions(self) -> tuple[int, ...]:
        """Positions of the profile columns that matching reads, in ascending order."""
        rivals = [other.position for _, others in self.plan.rivals for other in others]
        return tuple(sorted({*self._codes, *rivals}))

    def match(self, columns: dict[int, pa.Array], row_count: int, *, is_counted: bool = True) -> BatchMatch:
        """Match one batch, given its key columns by position; rows that were counted before are not again."""
        codes = [self._codes[c.position].encode(columns[c.position]) for c in self.plan.columns]
        if is_counted:
            self._count_disagreements(columns)
        # A plate has one combination of keys per field: it is matched once, not once per row.
        groups, first = group_rows(codes, row_count)
        sizes = np.bincount(groups, minlength=len(first)) if row_count else groups
        found = [
            self._count(key, size if is_counted else 0)
            for key, size in zip(_distinct_keys(codes, first), sizes.tolist(), strict=True)
        ]
        image_rows = np.array([item.match.image_row for item in found], dtype=np.int32)
        rules = np.array([_RULE_CODES.get(item.match.rule, UNMATCHED) for item in found], dtype=np.int8)
        implied = self.index.implied_plate
        # With one plate of images a row that names none can only belong to it.
        plates = [item.key.plate_id or implied for item in found]
        by_group = {"plate_id": pa.array(plates, pa.string())}
        for name in ("dataset_id", "well_id", "site_id"):
            by_group[name] = pa.array([getattr(item.key, name) for item in found], pa.string())
        positions = {name: values.take(pa.array(groups)) for name, values in by_group.items()}
        return BatchMatch(image_rows[groups], rules[groups], positions)

    def values(self, column: KeyColumn) -> Sequence[str | None]:
        """Canonical values of a key column by code."""
        return self._codes[column.position].values

    def unreadable(self, column: KeyColumn) -> Sequence[str]:
        """Raw values of a key column that are there and yet name nothing."""
        return self._codes[column.position].unreadable

    def _count(self, codes: tuple[int, ...], row_count: int) -> CountedKey:
        item = self.counted.get(codes)
        if item is None:
            key = self._build_key(codes)
            item = self.counted[codes] = CountedKey(key, self._match_key(key), 0, codes)
        item.row_count += row_count
        return item

    def _match_key(self, key: RowKey) -> KeyMatch:
        if self.options.join_keys is not None:
            return match_chosen_keys(self.index, key, self.options.join_keys)
        if self.options.refuses_sites and key.site_id is not None:
            return match_without_position(self.index, key)
        found = match_key(self.index, key)
        is_corrected = self.options.correction is not None and found.rule in POSITION_RULES
        return replace(found, rule="proven_position") if is_corrected else found

    def _build_key(self, codes: tuple[int, ...]) -> RowKey:
        single: dict[str, str] = {}
        files: dict[tuple[str, str | None], str] = {}
        for column, code in zip(self.plan.columns, codes, strict=True):
            value = self._codes[column.position].values[code]
            if value is None:
                continue
            if column.channel is None:
                single[column.kind] = value
            else:
                files[column.kind, column.channel] = value
        single["dataset_id"] = self._dataset(single.get("dataset_id"))  # type: ignore[assignment]
        if "well_row" in single:
            well = join_well(single.pop("well_row"), single.pop("well_column", None))
            single["well_id"] = well  # type: ignore[assignment]
        single.pop("well_column", None)
        if "site_id" in single:
            single["site_id"] = subtract_site_offset(single["site_id"], self.options.site_offset)
        key = RowKey(
            **single,
            md5s=tuple(value for (kind, _), value in files.items() if kind == "md5"),
            paths=tuple(self._full_paths(files)),
            file_names=tuple(dict.fromkeys(v for (k, _), v in files.items() if k == "file_name")),
        )
        return key if self.options.correction is None else self.options.correction.apply(key)

    def _dataset(self, name: str | None) -> str | None:
        # Metadata_Source may be a dataset's name or a laboratory's: it counts only where images have it.
        if self.options.is_dataset_weak and name not in self.index.datasets:
            name = None
        return self.index.resolve_dataset(name or self.options.dataset_id)

    def _full_paths(self, files: dict[tuple[str, str | None], str]) -> dict[str, None]:
        paths: dict[str, None] = {}
        for (kind, channel), value in files.items():
            folder = files.get(("path_name", channel))
            if kind == "url":
                paths[rewrite_path(value, self.options.path_rewrites)] = None
            # A bare name without folder is matched within its plate only (find_file_name).
            elif kind == "file_name" and (folder or "/" in value):
                whole = f"{folder.rstrip('/')}/{value}" if folder else value
                paths[rewrite_path(whole, self.options.path_rewrites)] = None
        return paths

    def _count_disagreements(self, columns: dict[int, pa.Array]) -> None:
        position = 0
        for chosen, others in self.plan.rivals:
            for other in others:
                self._compare(
                    self.rivals[position], chosen, columns[chosen.position], columns[other.position]
                )
                position += 1

    def _compare(self, rival: AliasDisagreement, chosen: KeyColumn, left: pa.Array, right: pa.Array) -> None:
        shared = ColumnCodes(chosen.kind)
        a, b = shared.encode(left), shared.encode(right)
        # Code 0 is null: a column that says nothing contradicts nothing.
        differs = (a != b) & (a != 0) & (b != 0)
        count = int(differs.sum())
        if count and not rival.row_count:
            row = int(np.argmax(differs))
            rival.sample = f"{shared.values[a[row]]!r} against {shared.values[b[row]]!r}"
        rival.row_count += count


def _distinct_keys(codes: Sequence[Codes], first: Codes) -> list[tuple[int, ...]]:
    """Codes of every group as tuples of plain integers."""
    if not codes:
        return [()] * len(first)
    return list(zip(*(column[first].tolist() for column in codes), strict=True))


def rule_names(codes: npt.NDArray[np.int8]) -> pa.Array:
    """Rule codes as text, null where unmatched."""
    indices = pa.array(codes, pa.int8(), mask=codes < 0)
    return pa.array(JOIN_RULES, pa.string()).take(indices)
