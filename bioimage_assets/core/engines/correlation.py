"""Pearson correlations of columns from one pass over the rows, and the filter of pycytominer that reads them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bioimage_assets.core.engines.engine import DEFAULT_MEMORY_BYTES, Engine, Products
from bioimage_assets.core.engines.plan import Rows
from bioimage_assets.core.engines.products import read_matrix

# Of a matrix while numpy correlates its columns.
_COPIES = 4


def correlate(engine: Engine, rows: Rows, columns: Sequence[str], centers: np.ndarray) -> np.ndarray:
    """Correlation of all pairs over the rows that have a finite value in both; NaN where one of them does not vary.

    What fits into memory is done as pycytominer does it, so that noise of rounding decides between columns that are equal as
    it does there. ``centers`` are the means of the columns, near enough to keep digits: sums of squares far from zero would
    lose them.
    """
    # In this process, whatever a cluster may hold.
    if rows.source.row_count * len(columns) * 8 * _COPIES <= min(engine.memory_bytes, DEFAULT_MEMORY_BYTES):
        return _correlate_at_once(read_matrix(engine, rows, columns))
    return correlate_products(engine.products(rows, columns, np.nan_to_num(centers, posinf=0.0, neginf=0.0)))


def _correlate_at_once(values: np.ndarray) -> np.ndarray:
    """The calls of pycytominer's get_pairwise_correlation."""
    if np.isfinite(values).all():
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.atleast_2d(np.corrcoef(values.T))
    return pd.DataFrame(values).corr().to_numpy()


def correlate_products(sums: Products) -> np.ndarray:
    """Correlations from sums of products."""
    with np.errstate(divide="ignore", invalid="ignore"):
        counts = sums.counts
        covered = sums.products - sums.sums * sums.sums.T / counts
        squares = sums.squares - np.square(sums.sums) / counts
        # What rounding leaves of a column that does not vary over the shared rows.
        squares[squares <= 1e-13 * sums.squares] = 0.0
        found = covered / np.sqrt(squares * squares.T)
    found[~np.isfinite(found)] = np.nan
    found = np.clip(found, -1.0, 1.0)
    # Both halves alike, and a column is itself.
    found = np.tril(found) + np.tril(found, -1).T
    varies = ~np.isnan(np.diagonal(found))
    np.fill_diagonal(found, np.where(varies, 1.0, np.nan))
    return found


def list_correlated(columns: Sequence[str], correlations: np.ndarray, limit: float) -> list[str]:
    """Columns that ``pycytominer``'s correlation_threshold removes, in the order of the columns.

    Of each pair above the limit (not below minus the limit) goes the one whose absolute correlations add up to more; pairs
    are looked at independently, so that a column may go for the sake of one that goes, too. Where the sums are equal,
    pandas' order of equal values decides, as there.
    """
    matrix = pd.DataFrame(correlations, index=list(columns), columns=list(columns))
    order = matrix.abs().sum().sort_values().index
    place = pd.Series(range(len(order)), index=order).reindex(list(columns)).to_numpy()
    first, second = np.nonzero(np.tril(correlations, -1) > limit)
    removed = np.where(place[first] > place[second], first, second)
    return [columns[position] for position in np.unique(removed)]
