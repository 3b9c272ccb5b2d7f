"""Sums of products of columns over blocks of rows, with missing values left out pair by pair."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bioimage_assets.core.engines.engine import Engine, Products
from bioimage_assets.core.engines.plan import Rows, Scaled


def read_matrix(engine: Engine, rows: Rows, columns: Sequence[str]) -> np.ndarray:
    """All values as one float64 matrix, NaN where there is none; columns lie together in memory, as in pandas."""
    table = engine.collect(rows, [], [Scaled(name, 0.0, 1.0) for name in columns])
    matrix = np.empty((len(columns), table.num_rows))
    for position, column in enumerate(table.columns):
        matrix[position] = column.to_numpy()
    return matrix.T


def multiply_block(block: np.ndarray, centers: np.ndarray) -> Products:
    """Products of one block of float64 rows; infinite values count as missing, as in pandas' correlations."""
    is_there = np.isfinite(block)
    width = block.shape[1]
    if is_there.all():
        shifted = block - centers
        total, rows = shifted.sum(axis=0), len(block)
        square = np.square(shifted).sum(axis=0)
        # All pairs share the rows: broadcast views would be added up as well, at no cost worth a second form.
        return Products(
            shifted.T @ shifted,
            np.full((width, width), float(rows)),
            np.repeat(total[:, None], width, axis=1),
            np.repeat(square[:, None], width, axis=1),
        )
    shifted = np.where(is_there, block - np.where(np.isfinite(centers), centers, 0.0), 0.0)
    mask = is_there.astype(np.float64)
    return Products(shifted.T @ shifted, mask.T @ mask, shifted.T @ mask, np.square(shifted).T @ mask)


def add_products(total: Products | None, more: Products) -> Products:
    """Sums over the rows of both."""
    if total is None:
        return more
    return Products(
        total.products + more.products,
        total.counts + more.counts,
        total.sums + more.sums,
        total.squares + more.squares,
    )
