"""Harmony: principal components of the wells of all batches, moved until batches are mixed, by harmonypy.

Korsunsky et al. 2019 (https://doi.org/10.1038/s41592-019-0619-0). It looks at treated wells, too, and at all batches at once: it may
take a treatment that only one batch has for the batch, and every new batch moves the profiles of the others.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from bioimage_assets.core.batch_effects.sphere import find_scale
from bioimage_assets.core.extras import build_missing

SEED = 0
BATCH = "batch"


def find_components(values: np.ndarray, is_control: np.ndarray, count: int) -> np.ndarray:
    """Coordinates of all wells along their first principal components, standardised by the control wells first."""
    center, spread = find_scale(values[is_control])
    components = PCA(min(count, *values.shape), svd_solver="full")
    return np.asarray(components.fit_transform((values - center) / spread))


def mix_batches(components: np.ndarray, batches: np.ndarray) -> np.ndarray:
    """Corrected components, one row per well.

    Raises
    ------
    MissingExtraError
        harmonypy is not installed.
    """
    try:
        from harmonypy import run_harmony
    except ImportError as error:
        instead = 'Or write method = "sphere".'
        raise build_missing('[batch_effects] method = "harmony"', "batch", error, instead) from error
    frame = pd.DataFrame({BATCH: batches.astype(str)})
    mixed = run_harmony(components, frame, BATCH, random_state=SEED, verbose=False)
    return np.asarray(mixed.Z_corr)
