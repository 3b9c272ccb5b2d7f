"""Medians of a plate's wells, of standardised cells, turned into whitened ones by pycytominer's ``spherize``.

Whitening mixes features, so that it needs all of them at once and no row may lack one; wells are few enough for that, cells are
not. See Kessy et al. 2016, https://arxiv.org/abs/1512.00809.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import pandas as pd
from pycytominer import normalize

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.profiling.normalization_method import MethodOptions, has_no_spread
from bioimage_assets.core.profiling.reference import Scaling

# Fewer wells have no spread to be made one of.
MIN_REFERENCE_WELLS = 2


def sphere_wells(
    medians: pd.DataFrame,
    scalings: Iterable[Scaling],
    strata: Sequence[str],
    options: MethodOptions,
    flat: Collection[str] = (),
) -> tuple[pd.DataFrame, tuple[str, ...], tuple[str, ...]]:
    """Whiten the wells of each scaling by its reference wells.

    ``medians`` has ``Metadata_Well``, the strata and the features; ``flat`` are features that are known not to vary over the
    reference. Gives the same rows, the features that do not vary over the reference wells of some scaling, and those that some well
    lacks; both are null.

    Raises
    ------
    ProfilingError
        Too few reference wells, or wells that are linearly dependent in more ways than their number explains.
    """
    names = ["Metadata_Well", *strata]
    features = [str(name) for name in medians.columns if name not in names]
    parts: list[pd.DataFrame] = []
    unscaled: dict[str, None] = dict.fromkeys(flat)
    lacking: dict[str, None] = {}
    for scaling in scalings:
        is_kept = np.ones(len(medians), bool)
        if scaling.stratum:
            is_kept = (medians[list(strata)] == list(scaling.stratum)).all(axis="columns").to_numpy()
        rows = medians[is_kept] if scaling.is_own else medians
        reference = rows if scaling.samples == "all" else rows.query(scaling.samples)
        _require_wells(len(reference))
        is_lacking = ~np.isfinite(rows[features].to_numpy()).all(axis=0)
        is_flat = has_no_spread(reference[features].to_numpy(), options) & ~is_lacking
        lacking |= dict.fromkeys(name for name in np.array(features)[is_lacking].tolist() if name not in flat)
        unscaled |= dict.fromkeys(np.array(features)[is_flat].tolist())
        used = [name for name, no in zip(features, is_lacking | is_flat, strict=True) if not no]
        sphered = _call_library(rows[[*names, *used]], names, used, scaling.samples, options, len(reference))
        parts.append(sphered if scaling.is_own else sphered[is_kept])
    table = pd.concat(parts, ignore_index=True).reindex(columns=[*names, *features])
    return table, tuple(unscaled), tuple(lacking)


def _require_wells(count: int) -> None:
    if count < MIN_REFERENCE_WELLS:
        raise ProfilingError(
            f"spherize needs at least {MIN_REFERENCE_WELLS} reference wells, found {count}; write another [profiles] normalization "
            'or [normalization] samples = "plate" in dataset.toml.'
        )


def _call_library(
    rows: pd.DataFrame,
    names: list[str],
    features: list[str],
    samples: str,
    options: MethodOptions,
    reference_count: int,
) -> pd.DataFrame:
    if not features:
        return rows[names]
    try:
        return pd.DataFrame(
            normalize(rows, features=features, meta_features=names, samples=samples, **options.arguments())
        )
    except ValueError as error:
        raise ProfilingError(
            f"pycytominer could not sphere {len(rows)} wells of {len(features)} features by {reference_count} of them: {error} "
            "Leave out features that follow from others ([features] exclude in dataset.toml), or choose another "
            "[profiles] normalization."
        ) from error
