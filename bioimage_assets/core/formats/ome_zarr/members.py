"""Images and arrays below a group without OME metadata, found by listing.

Source of truth: https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html#hierarchy. Arrays below an
OME image that its metadata do not list (tables, intermediate results) are not images.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from bioimage_assets.core.errors import LimitExceededError, StoreError
from bioimage_assets.core.formats.ome_zarr.context import ScanContext
from bioimage_assets.core.formats.zarr.nodes import ArrayNode, GroupNode
from bioimage_assets.core.model.store_paths import join_path

MAX_DEPTH = 32  # of groups in groups; a store that nests deeper is a loop or hostile
MAX_NODES = 1_000_000


def read_members(context: ScanContext, path: str) -> Iterator[tuple[str, GroupNode | ArrayNode]]:
    """Yield the nodes directly below a group, in name order; folders without metadata are passed through."""
    pending = deque((name, 1) for name in _folders(context, path))
    seen = 0
    while pending:
        child, depth = pending.popleft()
        seen += 1
        if seen > MAX_NODES:
            raise LimitExceededError(
                f"{context.uri}: more than {MAX_NODES:,} nodes below {path or 'the root'}."
            )
        node, _ = context.nodes.read_root(child)
        if isinstance(node, StoreError):
            context.log.note("unreadable-node", "error", child, str(node))
        elif node is not None:
            yield child, node
        elif depth < MAX_DEPTH:
            pending.extend((name, depth + 1) for name in _folders(context, child))


def _folders(context: ScanContext, path: str) -> list[str]:
    try:
        return [join_path(path, name) for name in context.store.list_folders(path)[0]]
    except StoreError as error:
        context.log.note("unreadable-folder", "error", path, str(error))
        return []
