"""Label images of image groups: the ``labels`` group below an image lists them.

Source of truth: https://ngff.openmicroscopy.org/0.5/index.html#labels-md. Paths may have several parts.
"""

from __future__ import annotations

from collections.abc import Sequence

from bioimage_assets.core.formats.ome_zarr.context import ImageTarget, ScanContext
from bioimage_assets.core.formats.ome_zarr.limits import MAX_LABELS, cut_list
from bioimage_assets.core.formats.ome_zarr.model import Issue
from bioimage_assets.core.formats.zarr.documents import as_list, as_text
from bioimage_assets.core.formats.zarr.nodes import GroupNode
from bioimage_assets.core.model.store_paths import is_safe_path, join_path

# A remote store cannot say for free that there are no labels, and one request per image is a quarter of
# a plate scan. Plates are labelled throughout or not at all, so a few images answer for all.
REMOTE_SAMPLE = 8
REMOTE_SAMPLE_FROM = 64  # fewer images are asked for their labels one by one

Source = tuple[ImageTarget, str]


def read_label_targets(
    context: ScanContext, sources: Sequence[Source], *, target_count: int
) -> list[ImageTarget]:
    """Read the ``labels`` groups below images; label targets inherit the plate position."""
    by_path: dict[str, Source] = {}
    may_have = context.store.may_have
    for source in sources:
        path = f"{source[0].path}/labels" if source[0].path else "labels"
        if may_have(path):
            by_path.setdefault(path, source)
    paths = list(by_path)
    if context.store.is_remote and target_count >= REMOTE_SAMPLE_FROM and len(paths) > REMOTE_SAMPLE:
        step = len(paths) // REMOTE_SAMPLE
        sample = paths[::step][:REMOTE_SAMPLE]
        found = _read_lists(context, sample, by_path)
        if not found:
            message = f"{len(sample)} of {len(paths):,} images were asked for labels and have none; the others were not asked."
            context.log.note("labels-sampled", "info", "", message)
            return []
        paths = [path for path in paths if path not in set(sample)]
        return found + _read_lists(context, paths, by_path)
    return _read_lists(context, paths, by_path)


def _read_lists(context: ScanContext, paths: Sequence[str], by_path: dict[str, Source]) -> list[ImageTarget]:
    targets: list[ImageTarget] = []
    for zarr_format in (2, 3):
        wanted = [path for path in paths if by_path[path][0].zarr_format == zarr_format]
        for path, node in context.nodes.read_groups(wanted, zarr_format).items():
            if context.is_absent(node):
                if not context.store.is_remote:
                    context.log.note(
                        "labels-without-list", "warning", path, "A labels folder has no metadata; ignored."
                    )
                continue
            if not isinstance(node, GroupNode):
                context.log.note("unreadable-labels", "error", path, str(node))
                continue
            targets.extend(_build_targets(context, path, node, by_path[path]))
    return targets


def _build_targets(context: ScanContext, path: str, node: GroupNode, source: Source) -> list[ImageTarget]:
    image, image_id = source
    names: dict[str, None] = {}
    if not isinstance(node.ome.get("labels"), list):
        context.log.note_repeated(
            "labels-without-list", "warning", path, "A labels group lists no label; ignored."
        )
    issues: list[Issue] = []
    for item in cut_list(as_list(node.ome.get("labels")), MAX_LABELS, "labels of one image", issues):
        name = as_text(item)
        cleaned = name.removeprefix("./").rstrip("/") if name else None
        if cleaned is None or not is_safe_path(cleaned):
            context.log.note(
                "unsafe-path", "error", path, f"label path {item!r:.80} is not below the image; ignored"
            )
        else:
            names[cleaned] = None
    for issue in issues:
        context.log.note(issue.code, issue.severity, path, issue.message)
    return [
        image._replace(
            path=join_path(path, name),
            node=None,
            kind="label",
            source_image_id=image_id,
            image_id=f"{image_id}:labels/{name}",
            channel_names=None,
            image_name=None,
            pixels=None,
        )
        for name in names
    ]
