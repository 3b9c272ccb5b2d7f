"""Compares consolidated metadata with the documents that were read; they are a hint, never the truth.

``.zmetadata`` (v2) and ``consolidated_metadata`` (v3, not in the specification) go stale without notice:
readers that trust them report deleted wells and miss new ones.
"""

from __future__ import annotations

from bioimage_assets.core.errors import CorruptStoreError
from bioimage_assets.core.formats.ome_zarr.context import ScanContext
from bioimage_assets.core.formats.zarr.documents import as_object, parse_json_object
from bioimage_assets.core.formats.zarr.nodes import GroupNode
from bioimage_assets.core.model.store_paths import join_path
from bioimage_assets.core.stores.base import MAX_CONSOLIDATED_BYTES

_V2_NAME = ".zmetadata"


def check_consolidated(context: ScanContext, root: GroupNode) -> None:
    """Say where the consolidated metadata of a store miss arrays that it has, at the cost of one read for v2."""
    listed = _read_v3_arrays(root) if root.zarr_format == 3 else _read_v2_arrays(context, root.path)
    if listed is None:
        return
    start = len(root.path) + 1 if root.path else 0
    missing = sorted(
        path[start:] for path in context.arrays if len(path) > start and path[start:] not in listed
    )
    if missing:
        message = f"Consolidated metadata miss {len(missing):,} arrays that the store has, e.g. {missing[0]!r}; not used."
        context.log.note("stale-consolidated", "warning", root.path, message)


def _read_v3_arrays(root: GroupNode) -> set[str] | None:
    if root.consolidated is None:
        return None
    nodes = as_object(root.consolidated.get("metadata"))
    return {path for path, node in nodes.items() if as_object(node).get("node_type") == "array"}


def _read_v2_arrays(context: ScanContext, path: str) -> set[str] | None:
    key = join_path(path, _V2_NAME)
    raw = context.store.get_many([key], max_bytes=MAX_CONSOLIDATED_BYTES)[key]
    if context.is_absent(raw):
        return None
    try:
        if not isinstance(raw, bytes):
            raise CorruptStoreError(str(raw))
        document = parse_json_object(raw, key)
    except CorruptStoreError as error:
        context.log.note("broken-consolidated", "warning", key, f"{error} It is not used.")
        return None
    names = as_object(document.get("metadata"))
    return {name.removesuffix("/.zarray") for name in names if name.endswith("/.zarray")}
