"""One profile per treatment over any number of plates, equal to ``pycytominer.consensus``."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from bioimage_assets.core.engines.aggregates import aggregate
from bioimage_assets.core.engines.engine import Engine
from bioimage_assets.core.engines.plan import Condition, Measure, Rows, read_combination
from bioimage_assets.core.engines.table_source import TableSource


def combine_replicates(
    engine: Engine,
    wells: TableSource,
    keys: Sequence[str],
    features: Sequence[str],
    *,
    operation: str = "median",
    where: Sequence[Condition] = (),
    counts: Sequence[Measure] = (),
) -> pa.Table:
    """Median or mean of each feature over the rows that agree in all keys, sorted by them.

    As ``pycytominer.consensus`` has it (https://github.com/cytomining/pycytominer): every column is a float64, null and NaN
    are left out, a null key is a key, a group without any value has null. ``counts`` are further measures.
    """
    function = read_combination(operation)
    measures = [*counts, *(Measure(function, name) for name in features)]
    return aggregate(engine, Rows(wells, tuple(where)), keys, measures)
