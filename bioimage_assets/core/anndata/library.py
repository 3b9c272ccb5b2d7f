"""The optional library anndata, imported where it is needed, or what to install."""

from __future__ import annotations

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
