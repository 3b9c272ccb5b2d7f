"""Groups and arrays of a virtual plate in, the documents that describe them in one version of Zarr out, by key: the same in every form.

Source of truth: https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html, https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html
"""

from __future__ import annotations

from collections.abc import Mapping

from bioimage_assets.core.virtual.chunk_keys import ZarrFormat
from bioimage_assets.core.virtual.model import VirtualArray

Document = Mapping[str, object]
Documents = Mapping[str, Document]
"""Attributes of groups, or documents, by path or key."""


def build_group_store_documents(path: str, attributes: Document, zarr_format: ZarrFormat) -> Documents:
    """Documents of one group; the path of the root is empty."""
    prefix = f"{path}/" if path else ""
    if zarr_format == 3:
        group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        return {f"{prefix}zarr.json": group}
    return {f"{prefix}.zgroup": {"zarr_format": 2}, f"{prefix}.zattrs": attributes}


def build_array_store_documents(
    array: VirtualArray, document: Document, zarr_format: ZarrFormat
) -> Documents:
    """Documents of one array, whose own is given."""
    if zarr_format == 3:
        return {f"{array.path}/zarr.json": document}
    # The convention by which xarray knows dimensions of Zarr v2.
    return {
        f"{array.path}/.zarray": document,
        f"{array.path}/.zattrs": {"_ARRAY_DIMENSIONS": list(array.axes)},
    }
