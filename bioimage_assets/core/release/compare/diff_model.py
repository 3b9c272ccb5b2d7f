"""What differs between two states of tables, as records: by table, column, partition and well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Presence = Literal["both", "only_a", "only_b"]
ColumnChange = Literal["values", "type", "added", "removed"]


@dataclass(frozen=True, slots=True)
class ChangeExample:
    """One changed value, where the difference is largest: partition, the row's key, and both values as text."""

    partition: str
    row: Mapping[str, str]
    value_a: str
    value_b: str


@dataclass(frozen=True, slots=True)
class ColumnDiff:
    """What became of one column of a table, over all partitions and all rows that both states have.

    ``changed`` counts rows; of these ``null_to_value`` and ``value_to_null`` have a value on one side only, ``nan_changed`` a NaN or
    an infinity on one side. ``max_abs`` and ``max_relative`` (of the larger absolute value) are over finite numbers, None where none
    changed or the values are no numbers. ``is_compared`` is False where the types cannot be compared.
    """

    name: str
    change: ColumnChange
    partitions: int = 0
    type_a: str | None = None
    type_b: str | None = None
    changed: int = 0
    null_to_value: int = 0
    value_to_null: int = 0
    nan_changed: int = 0
    max_abs: float | None = None
    max_relative: float | None = None
    is_compared: bool = True
    example: ChangeExample | None = None


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Rows of one well or partition that only A has, only B has, and that both have with other values."""

    lost: int = 0
    added: int = 0
    changed: int = 0


@dataclass(frozen=True, slots=True)
class PartitionDiff:
    """One partition (plate, dataset or campaign) that both states have and that differs.

    ``row_key`` are the columns that tell its rows; empty where none do. ``lost_rows`` and ``added_rows`` are examples.
    """

    key: str
    rows_a: int
    rows_b: int
    rows: RowCounts
    changed_columns: int = 0
    wells: Mapping[str, RowCounts] = field(default_factory=dict)
    row_key: tuple[str, ...] = ()
    lost_rows: tuple[Mapping[str, str], ...] = ()
    added_rows: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class TableDiff:
    """One table. ``lost`` and ``added`` are whole partitions; ``renamed`` those with the same measured values under another key."""

    name: str
    home: str
    presence: Presence
    rows_a: int
    rows_b: int
    lost: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    partitions: tuple[PartitionDiff, ...] = ()
    columns: tuple[ColumnDiff, ...] = ()

    @property
    def is_same(self) -> bool:
        """Whether the table holds the same rows in both states."""
        found = (self.lost, self.added, self.renamed, self.partitions, self.columns)
        return self.presence == "both" and not any(found)


@dataclass(frozen=True, slots=True)
class StateDiff:
    """Everything that differs. ``notes`` say what is not compared; ``recorded`` what releases say of settings and versions."""

    label_a: str
    label_b: str
    tables: tuple[TableDiff, ...]
    renamed: Mapping[str, str] = field(default_factory=dict)
    recorded: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_same(self) -> bool:
        """Whether both states have the same tables with the same rows."""
        return all(table.is_same for table in self.tables)
