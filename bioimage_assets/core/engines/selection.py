"""Features that carry information, from streamed statistics of columns and one matrix of correlations.

The rules are those of ``pycytominer.feature_select`` 1.7 (https://github.com/cytomining/pycytominer), which needs all rows in
memory several times; here a block of them is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
from pycytominer.cyto_utils import get_blocklist_features

from bioimage_assets.core.engines.aggregates import aggregate
from bioimage_assets.core.engines.correlation import correlate, list_correlated
from bioimage_assets.core.engines.engine import Engine
from bioimage_assets.core.engines.plan import Measure, Rows
from bioimage_assets.core.errors import ProfilingError, UsageError

_STATISTICS = ("values", "infinite", "mean", "variance", "min", "max")


@dataclass(frozen=True, slots=True)
class SelectionLimits:
    """Limits of the operations, by pycytominer's names and with its defaults."""

    na_cutoff: float = 0.05
    min_variance: float = 1e-6
    corr_threshold: float = 0.9
    outlier_cutoff: float = 500.0
    freq_cut: float = 0.05
    unique_cut: float = 0.01


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """One number per column; NaN where a column has no value."""

    columns: tuple[str, ...]
    row_count: int
    by_name: Mapping[str, np.ndarray]

    def of(self, statistic: str, columns: Sequence[str]) -> np.ndarray:
        """A statistic of some columns, in their order."""
        place = {name: position for position, name in enumerate(self.columns)}
        return self.by_name[statistic][[place[name] for name in columns]]


@dataclass(frozen=True, slots=True)
class Selection:
    """What is kept, and what each operation removed, in the order of the columns."""

    kept: tuple[str, ...]
    removed: tuple[tuple[str, tuple[str, ...]], ...]
    row_count: int


@dataclass(frozen=True, slots=True)
class _Look:
    """What an operation may look at."""

    engine: Engine
    rows: Rows
    statistics: ColumnStatistics
    limits: SelectionLimits = field(default_factory=SelectionLimits)


def select_features(
    engine: Engine,
    rows: Rows,
    features: Sequence[str],
    operations: Sequence[str],
    limits: SelectionLimits | None = None,
) -> Selection:
    """Apply operations one after the other, each to the features that the ones before left.

    Equal to one call of ``pycytominer.feature_select`` per operation. Sums are added in another order than numpy adds
    them, so a variance or a correlation that equals its limit to 1e-12 may fall on the other side.

    Raises
    ------
    ProfilingError
        Where pycytominer raises: infinite values when variances are compared, or no feature that varies.
    UsageError
        An operation is not known.
    """
    if unknown := [name for name in operations if name not in OPERATIONS]:
        raise UsageError(f"There is no operation {unknown[0]!r}; known are {', '.join(OPERATIONS)}.")
    kept = list(features)
    look = _Look(engine, rows, measure_columns(engine, rows, kept), limits or SelectionLimits())
    removed = []
    for operation in operations:
        if not kept:
            break
        gone = set(OPERATIONS[operation](look, kept))
        removed.append((operation, tuple(name for name in kept if name in gone)))
        kept = [name for name in kept if name not in gone]
    return Selection(tuple(kept), tuple(removed), look.statistics.row_count)


def measure_columns(engine: Engine, rows: Rows, columns: Sequence[str]) -> ColumnStatistics:
    """Counts, means, population variances and extremes of columns, in one pass."""
    measures: list[Measure] = [Measure("rows", name="rows")]
    for place, name in enumerate(columns):
        measures += [Measure(f, name, f"{f}:{place}") for f in _STATISTICS]  # type: ignore[arg-type]
    table = aggregate(engine, rows, [], measures)
    found = {
        statistic: np.array(
            [_number(table, f"{statistic}:{place}") for place in range(len(columns))], dtype=np.float64
        )
        for statistic in _STATISTICS
    }
    return ColumnStatistics(tuple(columns), int(table["rows"][0].as_py()), found)


def _number(table: pa.Table, name: str) -> float:
    value = table[name][0].as_py()
    return float("nan") if value is None else float(value)


def _find_missing(look: _Look, kept: Sequence[str]) -> list[str]:
    """``drop_na_columns``: a larger fraction of rows than ``na_cutoff`` has no value."""
    rows = look.statistics.row_count
    missing = rows - look.statistics.of("values", kept)
    with np.errstate(invalid="ignore"):
        return _names(kept, missing / rows > look.limits.na_cutoff) if rows else []


def _find_blocked(look: _Look, kept: Sequence[str]) -> list[str]:
    """``blocklist``: names on pycytominer's list."""
    del look
    blocked = set(get_blocklist_features(population_df=pd.DataFrame(columns=list(kept))))
    return [name for name in kept if name in blocked]


def _find_constant(look: _Look, kept: Sequence[str]) -> list[str]:
    """``variance_threshold``: not more than ``min_variance``, by scikit-learn's rule."""
    if infinite := _names(kept, look.statistics.of("infinite", kept) > 0):
        raise ProfilingError(
            f"Features cannot be selected by variance_threshold: {len(infinite)} hold infinite values ({infinite[0]} …), "
            "which pycytominer refuses, too. Leave them out, or run drop_outliers first."
        )
    variances = look.statistics.of("variance", kept)
    if look.limits.min_variance == 0:
        spread = look.statistics.of("max", kept) - look.statistics.of("min", kept)
        variances = np.fmin(variances, spread)
    varies = variances > look.limits.min_variance
    if not varies.any():
        raise ProfilingError(
            f"Features cannot be selected by variance_threshold: none of {len(kept)} varies by more than "
            f"{look.limits.min_variance:g} over {look.statistics.row_count} rows."
        )
    return _names(kept, ~varies)


def _find_correlated(look: _Look, kept: Sequence[str]) -> list[str]:
    """``correlation_threshold``: correlated by more than ``corr_threshold`` with another feature."""
    found = correlate(look.engine, look.rows, kept, look.statistics.of("mean", kept))
    return list_correlated(kept, found, look.limits.corr_threshold)


def _find_outlying(look: _Look, kept: Sequence[str]) -> list[str]:
    """``drop_outliers``: a value beyond ``outlier_cutoff`` on either side."""
    extremes = [np.abs(look.statistics.of(name, kept)) for name in ("min", "max")]
    return _names(kept, np.fmax(*extremes) > look.limits.outlier_cutoff)


def _find_uneven(look: _Look, kept: Sequence[str]) -> list[str]:
    """``frequency_threshold``: one value far more frequent than the next one, or few different ones."""
    found = []
    for name in kept:
        counts = aggregate(look.engine, look.rows, [name], [Measure("rows", name="__rows")])
        values = [n for key, n in zip(*counts.to_pydict().values(), strict=True) if key is not None]
        top = sorted(values, reverse=True)[:2]
        ratio = top[1] / top[0] if len(top) == 2 else 0.0
        if ratio < look.limits.freq_cut or len(values) / look.statistics.row_count < look.limits.unique_cut:
            found.append(name)
    return found


def _names(columns: Sequence[str], is_meant: np.ndarray) -> list[str]:
    return [name for name, meant in zip(columns, is_meant, strict=True) if meant]


OPERATIONS: Mapping[str, Callable[[_Look, Sequence[str]], list[str]]] = {
    "drop_na_columns": _find_missing,
    "blocklist": _find_blocked,
    "variance_threshold": _find_constant,
    "frequency_threshold": _find_uneven,
    "correlation_threshold": _find_correlated,
    "drop_outliers": _find_outlying,
}
