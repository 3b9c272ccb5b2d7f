"""The optional libraries anndata and spatialdata, imported where they are needed, or what to install."""

from __future__ import annotations

import warnings
from typing import Any

from bioimage_assets.core.extras import build_missing


def require_anndata() -> Any:
    """The library; MissingExtraError where it is not installed."""
    try:
        import anndata
        import anndata.io
    except ImportError as error:
        raise build_missing("Reading or writing AnnData", "anndata", error) from error
    return anndata


def require_pandas() -> Any:
    """The library of tables, which comes with anndata."""
    require_anndata()
    import pandas

    return pandas


def require_spatialdata() -> Any:
    """The library; MissingExtraError where it is not installed.

    What it warns of when it is imported nobody who calls us can mend: pkg_resources in xarray-schema 0.0.3, Scaler in ome-zarr 0.18, both of
    which spatialdata 0.7.0 imports.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "pkg_resources is deprecated as an API", UserWarning)
            warnings.filterwarnings("ignore", "Call to deprecated class Scaler", DeprecationWarning)
            import spatialdata
            import spatialdata.models
            import spatialdata.transformations
    except ImportError as error:
        raise build_missing("Building SpatialData", "spatialdata", error) from error
    return spatialdata


def require_dask_array() -> Any:
    """The library of lazy arrays, which comes with spatialdata."""
    require_spatialdata()
    import dask.array

    return dask.array
