"""The images and labels of a SpatialData store; its points, shapes and tables are told by name and not read.

Source of truth: https://spatialdata.scverse.org/en/latest/design_doc.html: groups ``images labels points shapes tables``, one group per
element, ``spatialdata_attrs`` at the root. Elements say in ``multiscales[0].coordinateTransformations`` in which coordinate systems they lie.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from functools import lru_cache

from bioimage_assets.core.errors import StoreError
from bioimage_assets.core.formats.ome_zarr.context import ImageTarget, ScanContext
from bioimage_assets.core.formats.ome_zarr.limits import MAX_ELEMENTS, MAX_NAME, cut_list
from bioimage_assets.core.formats.ome_zarr.model import Issue
from bioimage_assets.core.formats.ome_zarr.plan import StorePlan
from bioimage_assets.core.formats.zarr.documents import as_list, as_object, as_text
from bioimage_assets.core.formats.zarr.nodes import GroupNode
from bioimage_assets.core.model.store_paths import join_path

_OTHERS = ("points", "shapes", "tables", "table")
_NAMED_AT_ONCE = 5  # elements that one finding names
# What tools append to the name of an image to name it and its labels.
_ENDING = re.compile(r"[_\-. ]?(images?|labels?|masks?|segmentations?)$", re.IGNORECASE)


def is_spatial_data(node: GroupNode) -> bool:
    """Tell the root of a SpatialData store; its elements have the attribute, too."""
    return isinstance(node.attributes.get("spatialdata_attrs"), dict) and describe_other(node) is None


def describe_other(node: GroupNode) -> str | None:
    """Kind of a group that holds points, shapes or a table; None for any other group."""
    kind = as_text(node.attributes.get("encoding-type"))
    if kind == "anndata" or "spatialdata-encoding-type" in node.attributes:
        return "a table (AnnData)"
    return kind.removeprefix("ngff:")[:MAX_NAME] if kind and kind.startswith("ngff:") else None


def plan_elements(context: ScanContext, plan: StorePlan, node: GroupNode) -> list[str]:
    """Plan the images and labels, name the other elements; gives the folders that are none of these."""
    folders = _list(context, node.path)
    images = _read_elements(context, node, "images") if "images" in folders else {}
    labels = _read_elements(context, node, "labels") if "labels" in folders else {}
    plan.targets.extend(ImageTarget(path, node.zarr_format, node=image) for path, image in images.items())
    systems = {path: _list_systems(image) for path, image in images.items()}
    for path, label in labels.items():
        source = find_image(path, _list_systems(label), systems)
        # With an image and a label the store holds several.
        source_id = None if source is None else context.id_of(source)
        plan.targets.append(
            ImageTarget(path, node.zarr_format, node=label, kind="label", source_image_id=source_id)
        )
    for kind in _OTHERS:
        if kind in folders:
            _note_others(context, join_path(node.path, kind), kind)
    return [join_path(node.path, name) for name in folders if name not in ("images", "labels", *_OTHERS)]


def find_image(path: str, own: Set[str], images: Mapping[str, Set[str]]) -> str | None:
    """Path of the image that a label is of: the one of its name, else the one that shares a coordinate system with it.

    None where that is none or several, or where the image of its name lies in other coordinate systems. ``own`` are the systems
    of the label, ``images`` those of each image.
    """
    stem = _stem(path)
    named = {other: systems for other, systems in images.items() if _stem(other) == stem}
    if named:
        # Elements that name no system contradict nothing.
        candidates = [
            other for other, systems in named.items() if not own or not systems or not own.isdisjoint(systems)
        ]
    else:
        candidates = [other for other, systems in images.items() if not own.isdisjoint(systems)]
    return candidates[0] if len(candidates) == 1 else None


@lru_cache(maxsize=2 * MAX_ELEMENTS)  # images and labels
def _stem(path: str) -> str:
    return _ENDING.sub("", path.rpartition("/")[2]).casefold()


def _list_systems(node: GroupNode) -> set[str]:
    """Names of the coordinate systems that an element lies in."""
    entries = as_list(node.ome.get("multiscales"))
    transforms = as_list(as_object(entries[0]).get("coordinateTransformations")) if entries else []
    outputs = (as_object(item).get("output") for item in transforms)
    names = (as_text(output) or as_text(as_object(output).get("name")) for output in outputs)
    return {name for name in names if name is not None}


def _read_elements(context: ScanContext, root: GroupNode, kind: str) -> dict[str, GroupNode]:
    """Groups of the elements of one kind by path; what is no group is said."""
    folder = join_path(root.path, kind)
    issues: list[Issue] = []
    names = cut_list(_list(context, folder), MAX_ELEMENTS, f"{kind} of a SpatialData store", issues)
    for issue in issues:
        context.log.note(issue.code, issue.severity, folder, issue.message)
    paths = [join_path(folder, str(name)) for name in names]
    found: dict[str, GroupNode] = {}
    for path, node in context.nodes.read_groups(paths, root.zarr_format).items():
        if isinstance(node, GroupNode):
            found[path] = node
        else:
            text = str(node) if node is not None else "The folder of an element has no metadata; not read."
            context.log.note("unreadable-element", "warning", path, text)
    return found


def _note_others(context: ScanContext, path: str, kind: str) -> None:
    names = _list(context, path)
    shown = ", ".join(name[:MAX_NAME] for name in names[:_NAMED_AT_ONCE])
    more = f" and {len(names) - _NAMED_AT_ONCE:,} more" if len(names) > _NAMED_AT_ONCE else ""
    if names:
        message = f"SpatialData: {kind} are not images and not read: {shown}{more}."
        context.log.note("not-an-image", "info", path, message)


def _list(context: ScanContext, path: str) -> list[str]:
    try:
        return context.store.list_folders(path)[0]
    except StoreError as error:
        context.log.note("unreadable-folder", "error", path, str(error))
        return []
