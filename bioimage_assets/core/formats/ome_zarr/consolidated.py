"""Consolidated metadata are compared with the documents that were read; they are a hint, never the truth.

``.zmetadata`` (v2) and ``consolidated_metadata`` (v3, not in the specification) go stale without notice:
readers that trust them report deleted wells and miss new ones.
"""

from __future__ import annotations

from collections.abc import Mapping

from bioimage_assets.core.formats.ome_zarr.context import ScanContext
from bioimage_assets.core.formats.zarr.nodes import GroupNode
from bioimage_assets.core.stores.base import DocumentResult


def check_consolidated(
    context: ScanContext, root: GroupNode, documents: Mapping[str, DocumentResult]
) -> None:
    """Say where the inline consolidated metadata list other arrays than the store has."""
    if root.consolidated is None:
        return
    listed = root.consolidated.get("metadata")
    if not isinstance(listed, dict):
        return
    arrays = {
        path for path, node in listed.items() if isinstance(node, dict) and node.get("node_type") == "array"
    }
    missing = sorted(path for path in context.arrays if path and path not in arrays)
    if missing:
        message = f"Consolidated metadata lack {len(missing):,} arrays that the store has, e.g. {missing[0]!r}; ignored."
        context.log.note("stale-consolidated", "warning", "", message)
