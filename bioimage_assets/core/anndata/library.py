"""The optional libraries anndata and spatialdata, imported where they are needed, or what to install."""

from __future__ import annotations

import warnings
from typing import Any

from bioimage_assets.core.errors import MissingExtraError


def require_anndata() -> Any:
    """The library; MissingExtraError where it is not installed."""
    try:
        import anndata
        import anndata.io
    except ImportError as error:
        raise MissingExtraError(
            "AnnData files need the library of that name: pip install 'bioimage_assets[anndata]'."
        ) from error
    return anndata


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
        raise MissingExtraError(
            "SpatialData objects need the library of that name: pip install 'bioimage_assets[spatialdata]'."
        ) from error
    return spatialdata


def require_dask_array() -> Any:
    """The library of lazy arrays, which comes with spatialdata."""
    require_spatialdata()
    import dask.array

    return dask.array
