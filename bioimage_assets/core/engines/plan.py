"""What a reduction asks an engine for: rows, keys and measures, in words that no engine owns.

Every number is a float64 before it is reduced, and NaN is a missing value, as pandas has it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import pyarrow as pa

from bioimage_assets.core.engines.table_source import TableSource
from bioimage_assets.core.errors import UsageError

Function = Literal[
    "rows",
    "values",
    "infinite",
    "distinct",
    "sum",
    "mean",
    "variance",
    "min",
    "max",
    "median",
    "lower_quartile",
    "upper_quartile",
    "median_deviation",
]
# Whole numbers, never null.
COUNTS = frozenset({"rows", "values", "infinite", "distinct"})
# These need all values of a group at once; the others are updated value by value.
HOLISTIC = frozenset({"distinct", "median", "lower_quartile", "upper_quartile", "median_deviation"})


Combination = Literal["median", "mean"]


@dataclass(frozen=True, slots=True)
class Measure:
    """One number per group: a function of the values of a column, under a name.

    ``rows`` counts rows and needs no column; ``values`` counts those with a value; ``variance`` is the population's;
    quartiles are interpolated linearly; ``median_deviation`` is the median distance from the group's median.
    """

    function: Function
    column: str = ""
    name: str = ""

    @property
    def output(self) -> str:
        """Name in the result; the column's where none is given."""
        return self.name or self.column or self.function


@dataclass(frozen=True, slots=True)
class IsIn:
    """Rows whose column has one of the values."""

    column: str
    values: tuple[str | int | float | bool, ...]


@dataclass(frozen=True, slots=True)
class IsNotTrue:
    """Rows whose flag is false or missing."""

    column: str


@dataclass(frozen=True, slots=True)
class IsPositive:
    """Rows whose number is above zero."""

    column: str


@dataclass(frozen=True, slots=True)
class HasValue:
    """Rows with a value in at least one of the columns."""

    columns: tuple[str, ...]


Condition: TypeAlias = IsIn | IsNotTrue | IsPositive | HasValue


@dataclass(frozen=True, slots=True)
class Join:
    """Columns of another table for the rows that agree in all of ``on``; null where it has no such row.

    ``is_matched`` names a further column that says whether it has one.
    """

    source: TableSource
    on: tuple[str, ...]
    columns: tuple[str, ...]
    is_matched: str = "__is_matched"

    @property
    def stored_columns(self) -> list[str]:
        """What is read of the other table."""
        return list(dict.fromkeys((*self.on, *self.columns)))


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table that fulfil all conditions, which may name columns of the joined table."""

    source: TableSource
    where: tuple[Condition, ...] = ()
    join: Join | None = None

    def list_stored(self, columns: Iterable[str]) -> list[str]:
        """What is read of the table itself for some columns: them, those of conditions, and the keys of the join."""
        named = (*columns, *_list_condition_columns(self.where))
        if self.join is None:
            return list(dict.fromkeys(named))
        joined = {*self.join.columns, self.join.is_matched}
        return list(dict.fromkeys((*(name for name in named if name not in joined), *self.join.on)))

    def is_float(self, name: str) -> bool:
        """Whether a column of the table itself may hold NaN."""
        schema = self.source.schema
        return name in schema.names and pa.types.is_floating(schema.field(name).type)


@dataclass(frozen=True, slots=True)
class Scaled:
    """A column shifted and divided: ``(column - center) / scale``."""

    column: str
    center: float
    scale: float


def list_measured(measures: Iterable[Measure]) -> list[str]:
    """Columns that are measured, each once."""
    return list(dict.fromkeys(measure.column for measure in measures if measure.column))


def _list_condition_columns(conditions: tuple[Condition, ...]) -> list[str]:
    found: dict[str, None] = {}
    for condition in conditions:
        names = condition.columns if isinstance(condition, HasValue) else (condition.column,)
        found.update(dict.fromkeys(names))
    return list(found)


def read_combination(operation: str) -> Combination:
    """How rows become one; UsageError where pycytominer's word for it is neither median nor mean."""
    if operation == "median":
        return "median"
    if operation == "mean":
        return "mean"
    raise UsageError(f"Rows are combined by median or mean, not by {operation!r}.")
