"""The image series of a bioformats2raw group, named by its ``METADATA.ome.xml``.

Source of truth: https://ngff.openmicroscopy.org/0.5/index.html#bf2raw (layout 3). Series come from the ``series`` attribute of the
``OME`` group, else the groups 0, 1, 2 … up to the first gap. Before its version 0.3 bioformats2raw wrote the XML beside the Zarr group,
which it then called ``data.zarr`` (README of bioformats2raw, "Usage Changes").
"""

from __future__ import annotations

from collections.abc import Sequence

from bioimage_assets.core.errors import StoreError
from bioimage_assets.core.formats.ome_zarr.context import ImageTarget, ScanContext
from bioimage_assets.core.formats.ome_zarr.limits import MAX_IMAGES, cut_list
from bioimage_assets.core.formats.ome_zarr.model import Issue
from bioimage_assets.core.formats.ome_zarr.ome_xml_names import SeriesNames, read_series
from bioimage_assets.core.formats.ome_zarr.plan import StorePlan
from bioimage_assets.core.formats.zarr.documents import as_list, as_text
from bioimage_assets.core.formats.zarr.nodes import GroupNode, digest_document
from bioimage_assets.core.model.store_paths import is_safe_path, join_path
from bioimage_assets.core.stores.base import MAX_XML_BYTES

METADATA_NAME = "METADATA.ome.xml"
OLD_GROUP_NAME = "data.zarr"  # whose XML lies beside it
_METADATA_PATHS = (f"OME/{METADATA_NAME}", METADATA_NAME)
_PROBE_AT_ONCE = 64  # series are numbered without a count: a few are asked first, then more and more


def plan_series(context: ScanContext, plan: StorePlan, node: GroupNode) -> None:
    """Plan one target per series; names come from the XML, by image order."""
    paths = _read_series_attribute(context, node)
    nodes: dict[str, GroupNode] = {}
    if paths is None:
        nodes = _probe_series(context, node)
        paths = list(nodes)
    targets = [ImageTarget(path, node.zarr_format, node=nodes.get(path)) for path in paths]
    plan.targets.extend(_with_names(context, node.path, targets, read_xml_names(context, node.path)))
    if not paths:
        context.log.note("no-series", "warning", node.path, "The bioformats2raw group holds no image.")


def name_plate_fields(context: ScanContext, targets: list[ImageTarget], node: GroupNode) -> None:
    """Give the fields of a bioformats2raw plate the names of its XML: by the paths of the series where they are listed.

    Without that list the channels are those of all images, where these agree: fields may be missing in the store or in the XML.
    """
    series = read_xml_names(context, node.path)
    if series is None:
        return
    paths = _read_series_attribute(context, node)
    if paths is not None and len(paths) == len(series):
        by_path = dict(zip(paths, series, strict=True))
        targets[:] = [
            _with_series(target, by_path[target.path]) if target.path in by_path else target
            for target in targets
        ]
        return
    distinct = {names.channels for names in series if names.channels is not None}
    if len(distinct) == 1:
        channels = distinct.pop()
        targets[:] = [t._replace(channel_names=channels) if t.position else t for t in targets]


def name_numbered_groups(context: ScanContext, targets: list[ImageTarget], path: str) -> None:
    """Name the images of a group without OME metadata, as bioformats2raw wrote before its layout 3: group ``n`` is image ``n`` of the XML."""
    by_number: dict[int, int] = {}
    for position, target in enumerate(targets):
        name = target.path.removeprefix(path).strip("/")
        if not name.isdecimal() or len(name) > 9:
            return
        by_number[int(name)] = position
    if not targets or sorted(by_number) != list(range(len(targets))):
        return
    series = read_xml_names(context, path)
    ordered = [targets[by_number[number]] for number in range(len(targets))]
    targets[:] = _with_names(context, path, ordered, series)


def read_xml_names(context: ScanContext, path: str) -> list[SeriesNames] | None:
    """Names per image of the group's XML; None where there is no usable XML."""
    found = read_xml(context, path)
    if found is None:
        return None
    key, raw = found
    names, problem, findings = read_series(raw, key)
    if problem:
        context.log.note("broken-ome-xml", "warning", key, problem)
    for finding in findings:
        context.log.note(finding.code, finding.severity, key, finding.message)
    return names


def read_xml(context: ScanContext, path: str) -> tuple[str, bytes] | None:
    """The XML of a group and its place: in its ``OME`` group, in itself, or beside it."""
    keys = [join_path(path, name) for name in _METADATA_PATHS]
    found = context.store.get_many(keys, max_bytes=MAX_XML_BYTES)
    candidates = [(key, found[key]) for key in keys]
    if path == context.root_path:
        candidates.append((f"../{METADATA_NAME}", context.xml_beside))
    for key, raw in candidates:
        if raw is None or context.is_absent(raw):
            continue
        if isinstance(raw, StoreError):
            context.log.note("unreadable-ome-xml", "warning", key, str(raw))
            return None
        context.digests.append(f"{key}:{digest_document(raw).hex()}")
        return key, raw
    return None


def _with_names(
    context: ScanContext, path: str, targets: list[ImageTarget], series: Sequence[SeriesNames] | None
) -> list[ImageTarget]:
    """Targets in the order of the series, with the names of the images of the XML."""
    if series is None:
        return targets
    if len(series) != len(targets):
        message = f"{METADATA_NAME} describes {len(series)} images, the store has {len(targets)}."
        context.log.note("series-count", "warning", path, message)
    named = [_with_series(target, names) for target, names in zip(targets, series, strict=False)]
    return named + targets[len(named) :]


def _with_series(target: ImageTarget, names: SeriesNames) -> ImageTarget:
    return target._replace(
        channel_names=names.channels,
        image_name=names.name,
        acquisition=names.acquisition,
        planes=names.planes,
        pixels=names.pixels,
    )


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
