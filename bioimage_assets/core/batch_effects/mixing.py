"""How well the control wells of several batches are mixed."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import silhouette_samples
from sklearn.neighbors import NearestNeighbors

NEIGHBOURS = 30


def measure_silhouette(values: np.ndarray, batches: np.ndarray) -> float | None:
    """1 less the mean absolute silhouette of the batches: 1 where they are mixed, 0 where they are far apart.

    The batch score of Luecken et al. 2022 (https://doi.org/10.1038/s41592-021-01336-8), of control wells as the one kind of
    wells that all batches have. None with one batch, or with as many batches as wells.
    """
    count = np.unique(batches).size
    if not 2 <= count < batches.size:
        return None
    return float(1.0 - np.abs(silhouette_samples(values, batches.astype(str))).mean())


def measure_lisi(values: np.ndarray, batches: np.ndarray) -> float | None:
    """How many batches there are among the neighbours of a well: 0 where it is its own alone, 1 as many as chance gives.

    The inverse Simpson index of Korsunsky et al. 2019 (https://doi.org/10.1038/s41592-019-0619-0) over the 30 nearest other wells, less
    1, over that of all wells less 1. None with one batch.
    """
    names, codes = np.unique(batches.astype(str), return_inverse=True)
    if names.size < 2:
        return None
    count = min(NEIGHBOURS, batches.size - 1)
    near = NearestNeighbors(n_neighbors=count).fit(values).kneighbors(return_distance=False)
    shares = np.stack([(codes[near] == code).mean(axis=1) for code in range(names.size)])
    all_shares = np.bincount(codes) / codes.size
    return float(((1.0 / (shares**2).sum(axis=0)).mean() - 1.0) / (1.0 / (all_shares**2).sum() - 1.0))
