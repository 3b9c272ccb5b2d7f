"""Profiles of groups of wells, computed by an engine from the wells as they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.engines.aggregates import aggregate
from bioimage_assets.core.engines.engine import Engine
from bioimage_assets.core.engines.open_source import arrow_source
from bioimage_assets.core.engines.plan import Condition, HasValue, Join, Measure, Rows, read_combination
from bioimage_assets.core.engines.table_source import TableSource
from bioimage_assets.core.errors import ProfilingError

_GROUP, _ROWS = "__group", "__rows"


@dataclass(frozen=True, slots=True)
class EngineWells:
    """The same wells for an engine: the table that stores them, and which of its rows they are."""

    engine: Engine
    source: TableSource
    conditions: tuple[Condition, ...] = ()


def are_told_apart(wells: pa.Table) -> bool:
    """Whether these columns name every well, and none twice: only then can an engine be told which group a well is of."""
    if wells.num_columns == 0 or any(column.null_count for column in wells.columns):
        return False
    if any(
        pa.types.is_floating(column.type) and pc.any(pc.is_nan(column)).as_py() for column in wells.columns
    ):
        return False
    return bool(wells.group_by(wells.column_names).aggregate([]).num_rows == wells.num_rows)


def combine_groups(
    wells: EngineWells,
    names: pa.Table,
    groups: np.ndarray,
    features: Sequence[str],
    operation: str,
) -> dict[str, pa.Array]:
    """Median or mean of each feature over the wells of each group: per feature one value per group, null where there is none.

    Parameters
    ----------
    names
        Columns that tell the wells apart (:func:`are_told_apart`), one row per well that is in a group.
    groups
        Number of the group of each of these wells, int64 from zero; none is empty.

    Raises
    ------
    ProfilingError
        The stored wells are not these: they were replaced meanwhile.
    """
    count = int(groups.max()) + 1
    table = pa.table(
        {name: names[name].cast(wells.source.schema.field(name).type) for name in names.column_names}
        | {_GROUP: pa.array(groups, pa.int64())}
    )
    join = Join(arrow_source("groups of wells", [table]), tuple(names.column_names), (_GROUP,))
    rows = Rows(wells.source, (*wells.conditions, HasValue((_GROUP,))), join)
    function = read_combination(operation)
    measures = [Measure("rows", name=_ROWS), *(Measure(function, name) for name in features)]
    found = aggregate(wells.engine, rows, [_GROUP], measures)
    members = np.bincount(groups, minlength=count)
    if not np.array_equal(found[_GROUP].to_numpy(), np.arange(count)) or not np.array_equal(
        found[_ROWS].to_numpy(), members
    ):
        raise ProfilingError(
            f"Table {wells.source.name!r} changed while its wells were combined: {found.num_rows} groups of "
            f"{pc.sum(found[_ROWS]).as_py() or 0} wells were found, expected {count} of {groups.size}. Build it again."
        )
    return {name: found[name].combine_chunks() for name in features}
