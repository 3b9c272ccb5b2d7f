"""A way to normalise, with its parameters: the arguments of pycytominer's ``normalize``, and the scalers behind it.

https://github.com/cytomining/pycytominer. ``standardize`` and ``robustize`` are scikit-learn's StandardScaler and RobustScaler,
``mad_robustize``, ``inverse_normal`` and ``spherize`` pycytominer's own classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from pycytominer.operations import InverseNormalTransform, RobustMAD
from sklearn.preprocessing import RobustScaler, StandardScaler

from bioimage_assets.core.settings.dataset import DatasetSettings, NormalizationMethod, SpherizeMethod

# scikit-learn takes the quantiles of ``inverse_normal`` from 10,000 rows drawn by numpy's common generator, which neither it nor
# pycytominer seed: the same cells would give other numbers each time.
SEED = 0
# Relative spread below this is rounding noise of a constant feature.
_NOISE = 1e-12


class Scaler(Protocol):
    """What the scalers of scikit-learn and pycytominer have in common; ``transform`` treats each row by itself."""

    def fit(self, rows: pd.DataFrame) -> Scaler: ...

    def transform(self, rows: pd.DataFrame) -> pd.DataFrame | np.ndarray: ...


@dataclass(frozen=True, slots=True)
class MethodOptions:
    """pycytominer's name of the method and what its parameters are; see ``DatasetSettings``."""

    method: NormalizationMethod = "standardize"
    mad_epsilon: float = 0.0
    quantiles: int = 1000
    spherize_method: SpherizeMethod = "ZCA-cor"
    spherize_epsilon: float = 1e-6

    @property
    def is_of_wells(self) -> bool:
        """Whether medians of wells are normalised, not cells: whitening needs all features of all rows at once."""
        return self.method == "spherize"

    def arguments(self) -> dict[str, object]:
        """What ``pycytominer.normalize`` is given; parameters of other methods are left out, but for the oldest one."""
        given: dict[str, object] = {"method": self.method, "mad_robustize_epsilon": self.mad_epsilon}
        if self.method == "inverse_normal":
            given["inverse_normal_n_quantiles"] = self.quantiles
        if self.method == "spherize":
            # Of correlations there is no uncentred kind.
            given["spherize_center"] = True
            given["spherize_method"] = self.spherize_method
            given["spherize_epsilon"] = self.spherize_epsilon
        return given


def read_method(settings: DatasetSettings) -> MethodOptions:
    """The method that the settings of a dataset ask for."""
    return MethodOptions(
        settings.normalization_method,
        settings.mad_epsilon,
        settings.normal_quantiles,
        settings.spherize_method,
        settings.spherize_epsilon,
    )


def fit_scaler(reference: pd.DataFrame, options: MethodOptions) -> Scaler:
    """The scaler that ``pycytominer.normalize`` would fit on these rows; of features one by one, hence not of ``spherize``."""
    scaler: Scaler
    if options.method == "standardize":
        scaler = StandardScaler()
    elif options.method == "robustize":
        scaler = RobustScaler()
    elif options.method == "mad_robustize":
        scaler = RobustMAD(epsilon=options.mad_epsilon)
    else:
        assert options.method == "inverse_normal", "spherize has no scaler of single features"
        scaler = InverseNormalTransform(n_quantiles=options.quantiles)
    with repeatable_draws(options):
        return scaler.fit(reference)


@contextmanager
def repeatable_draws(options: MethodOptions) -> Iterator[None]:
    """Seed numpy's common generator for a method that draws from it, and leave it as it was afterwards."""
    if options.method != "inverse_normal":
        yield
        return
    before = np.random.get_state()  # the generator that scikit-learn draws from
    np.random.seed(SEED)
    try:
        yield
    finally:
        np.random.set_state(before)


def has_no_spread(reference: np.ndarray, options: MethodOptions) -> np.ndarray:
    """Tell per column whether the reference has no spread in the sense of the method (or no value at all).

    A deviation of zero is one that ``mad_robustize`` can divide by where an epsilon is added to it.
    """
    empty = ~np.isfinite(reference).any(axis=0)
    if options.method == "mad_robustize" and options.mad_epsilon > 0:
        return np.asarray(empty)
    filled = np.where(empty, 0.0, reference)  # keeps numpy quiet about columns without values
    center = np.nanmedian(filled, axis=0)
    if options.method == "mad_robustize":
        spread = np.nanmedian(np.abs(filled - center), axis=0)
    elif options.method == "robustize":
        spread = np.nanquantile(filled, 0.75, axis=0) - np.nanquantile(filled, 0.25, axis=0)
    else:
        center, spread = np.nanmean(filled, axis=0), np.nanstd(filled, axis=0)
    has_none: np.ndarray = empty | (spread <= _NOISE * np.abs(center))
    return has_none
