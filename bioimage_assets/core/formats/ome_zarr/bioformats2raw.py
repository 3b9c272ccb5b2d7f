"""The image series of a bioformats2raw group, named by ``OME/METADATA.ome.xml``.

Source of truth: https://ngff.openmicroscopy.org/0.5/index.html#bf2raw (layout 3). Series come from the
``series`` attribute of the ``OME`` group, else the groups 0, 1, 2 … up to the first gap.
"""

from __future__ import annotations

from bioimage_assets.core.errors import StoreError
from bioimage_assets.core.formats.ome_zarr.context import ImageTarget, ScanContext
from bioimage_assets.core.formats.ome_zarr.limits import MAX_IMAGES, cut_list
from bioimage_assets.core.formats.ome_zarr.model import Issue
from bioimage_assets.core.formats.ome_zarr.ome_xml_channels import read_channel_names
from bioimage_assets.core.formats.ome_zarr.plan import StorePlan
from bioimage_assets.core.formats.zarr.documents import as_list, as_text
from bioimage_assets.core.formats.zarr.nodes import GroupNode
from bioimage_assets.core.model.store_paths import is_safe_path, join_path
from bioimage_assets.core.stores.base import MAX_XML_BYTES

METADATA_PATH = "OME/METADATA.ome.xml"
_PROBE_AT_ONCE = 64  # series are numbered without a count: a few are asked first, then more and more


def plan_series(context: ScanContext, plan: StorePlan, node: GroupNode) -> None:
    """Plan one target per series; channel names come from the XML, by image order."""
    paths = _read_series_attribute(context, node)
    nodes: dict[str, GroupNode] = {}
    if paths is None:
        nodes = _probe_series(context, node)
        paths = list(nodes)
    names = read_xml_channel_names(context, node.path)
    if names is not None and len(names) != len(paths):
        message = f"METADATA.ome.xml describes {len(names)} images, the store has {len(paths)}."
        context.log.note("series-count", "warning", node.path, message)
    for index, path in enumerate(paths):
        channels = names[index] if names is not None and index < len(names) else None
        plan.targets.append(ImageTarget(path, node.zarr_format, node=nodes.get(path), channel_names=channels))
    if not paths:
        context.log.note("no-series", "warning", node.path, "The bioformats2raw group holds no image.")


def read_xml_channel_names(context: ScanContext, path: str) -> list[tuple[str | None, ...] | None] | None:
    """Channel names per image of the group's XML; None where there is no usable XML."""
    key = join_path(path, METADATA_PATH)
    raw = context.store.get_many([key], max_bytes=MAX_XML_BYTES)[key]
    if raw is None or context.is_absent(raw):
        return None
    if isinstance(raw, StoreError):
        context.log.note("unreadable-ome-xml", "warning", key, str(raw))
        return None
    names, problem = read_channel_names(raw)
    if problem:
        context.log.note("broken-ome-xml", "warning", key, problem)
    return names


def _read_series_attribute(context: ScanContext, node: GroupNode) -> list[str] | None:
    path = join_path(node.path, "OME")
    group = context.nodes.read_groups([path], node.zarr_format)[path]
    if not isinstance(group, GroupNode) or not isinstance(group.ome.get("series"), list):
        return None
    paths: dict[str, None] = {}
    issues: list[Issue] = []
    for item in cut_list(as_list(group.ome.get("series")), MAX_IMAGES, "series", issues):
        name = as_text(item)
        if name is None or not is_safe_path(name):
            context.log.note(
                "unsafe-path", "error", path, f"series path {item!r:.80} is not below the store; ignored"
            )
        else:
            paths[join_path(node.path, name)] = None
    for issue in issues:
        context.log.note(issue.code, issue.severity, path, issue.message)
    return list(paths)


def _probe_series(context: ScanContext, node: GroupNode) -> dict[str, GroupNode]:
    """Read groups 0, 1, 2 … until the first that is missing."""
    found: dict[str, GroupNode] = {}
    at_once = 1
    for_next = 0
    while for_next < MAX_IMAGES:
        paths = [join_path(node.path, str(index)) for index in range(for_next, for_next + at_once)]
        for path, group in context.nodes.read_groups(paths, node.zarr_format).items():
            if not isinstance(group, GroupNode):
                return found
            found[path] = group
        for_next += at_once
        at_once = min(at_once * 4, _PROBE_AT_ONCE)
    return found
