"""Read image groups: one read per group, one per level, labels below them.

Source of truth: https://ngff.openmicroscopy.org/0.5/index.html#multiscale-md. Missing and odd parts become
findings; an image without its full-resolution array has no row.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from itertools import chain, islice

from bioimage_assets.core.errors import StoreError
from bioimage_assets.core.formats.ome_zarr.context import ImageTarget, ScanContext
from bioimage_assets.core.formats.ome_zarr.labels import read_label_targets
from bioimage_assets.core.formats.ome_zarr.limits import MAX_IMAGES, MAX_NAME, describe_cut_list
from bioimage_assets.core.formats.ome_zarr.model import IMPLIED_AXES, Multiscale
from bioimage_assets.core.formats.ome_zarr.pixel_order import PixelOrder, order_implied_axes
from bioimage_assets.core.formats.ome_zarr.records import LevelPlan, PlannedImage, build_image_record
from bioimage_assets.core.formats.parse_errors import FOREIGN_ERRORS, as_store_error
from bioimage_assets.core.formats.zarr.documents import as_label, as_list, as_object
from bioimage_assets.core.formats.zarr.nodes import ArrayNode, GroupNode
from bioimage_assets.core.model.image import ImageRecord

# Bounds memory and keeps a remote store busy: groups of one batch are read together, then their arrays.
BATCH_IMAGES = 4_096


def scan_images(
    context: ScanContext, targets: Sequence[ImageTarget], *, with_labels: bool
) -> list[ImageRecord]:
    """Read all targets in batches, labels after the images of their batch."""
    records: list[ImageRecord] = []
    if len(targets) > MAX_IMAGES:
        _note_cut(context, len(targets))
    remaining = islice(targets, MAX_IMAGES)
    while batch := list(islice(remaining, BATCH_IMAGES)):
        planned = _plan_batch(context, batch)
        built = _build_batch(context, planned)
        records.extend(built)
        if with_labels and built:
            sources = [(plan.target, plan.image_id) for plan in planned if plan.target.kind == "image"]
            labels = read_label_targets(context, sources, target_count=len(targets))
            records.extend(scan_images(context, labels, with_labels=False))
        if len(records) > MAX_IMAGES:
            _note_cut(context, len(records))
            break
    return records[:MAX_IMAGES]


def _note_cut(context: ScanContext, found: int) -> None:
    issue = describe_cut_list(found, MAX_IMAGES, "images")
    context.log.note(issue.code, issue.severity, "", issue.message)


def _plan_batch(context: ScanContext, batch: Sequence[ImageTarget]) -> list[PlannedImage]:
    nodes: dict[str, GroupNode | StoreError | None] = {t.path: t.node for t in batch if t.node is not None}
    for zarr_format in sorted({target.zarr_format for target in batch}):
        unread = [t.path for t in batch if t.zarr_format == zarr_format and t.path not in nodes]
        nodes.update(context.nodes.read_groups(unread, zarr_format))
    level_plans: dict[int, LevelPlan] = {}
    planned: list[PlannedImage] = []
    for target in batch:
        if len(planned) > MAX_IMAGES:
            break
        node = nodes[target.path]
        if not isinstance(node, GroupNode):
            _note_unreadable(context, target, node)
            continue
        try:
            group = context.parser.build(node.ome)
        except FOREIGN_ERRORS as error:
            _note_unreadable(context, target, as_store_error(error, f"{context.uri}/{target.path}"))
            continue
        if not group.multiscales:
            context.log.note(
                "no-multiscales", "warning", target.path, "The group lists no image in 'multiscales'."
            )
        for issue in group.issues:
            context.log.note(issue.code, issue.severity, target.path, issue.message)
        base = target.image_id or (target.position.image_id if target.position else context.base_id)
        # The processor has instructions for SHA-256: twice as fast as the other digests of this project.
        digest = sha256(node.raw)
        for index, multiscale in enumerate(group.multiscales):
            levels = level_plans.get(id(multiscale))
            if levels is None:
                levels = level_plans[id(multiscale)] = _plan_levels(multiscale, context.options.levels)
            names = None if target.kind == "label" else group.channel_names or target.channel_names
            image_id = f"{base}#{index}" if index else base
            name = _name_image(target, node, index)
            planned.append(PlannedImage(target, digest, multiscale, names, image_id, name, levels))
    return planned


def _name_image(target: ImageTarget, node: GroupNode, index: int) -> str | None:
    """Name of an image as written: the XML's before ``multiscales.name``, which bioformats2raw writes wrong (its issue 269)."""
    name = target.image_name
    if name is None:
        name = node.own_name if not index else None
        if name is None:
            name = as_label(as_object(as_list(node.ome.get("multiscales"))[index]).get("name"))
    return name[:MAX_NAME] if name else None


def _plan_levels(multiscale: Multiscale, wanted: Sequence[int] | None) -> LevelPlan:
    """Levels to read: the first always, the others where they are asked for."""
    levels = tuple(
        (number, level)
        for number, level in enumerate(multiscale.levels)
        if number == 0 or wanted is None or number in wanted
    )
    return LevelPlan(levels, tuple(level.path for _, level in levels))


def _build_batch(context: ScanContext, planned: Sequence[PlannedImage]) -> list[ImageRecord]:
    nodes: dict[str, ArrayNode | StoreError | None] = {}
    for zarr_format in sorted({plan.target.zarr_format for plan in planned}):
        paths = dict.fromkeys(
            chain.from_iterable(plan.paths for plan in planned if plan.target.zarr_format == zarr_format)
        )
        nodes.update(context.nodes.read_arrays(list(paths), zarr_format))
    records = []
    for plan in planned:
        arrays = [nodes[path] for path in plan.paths]
        if plan.target.pixels is not None and plan.multiscale.axes is IMPLIED_AXES:
            plan.multiscale = _order_axes(context, plan.multiscale, plan.target.pixels, arrays)
        try:
            record = build_image_record(context, plan, arrays)
        except FOREIGN_ERRORS as error:
            _note_unreadable(context, plan.target, as_store_error(error, f"{context.uri}/{plan.target.path}"))
            continue
        if record is not None:
            records.append(record)
    return records


def _order_axes(
    context: ScanContext,
    multiscale: Multiscale,
    pixels: PixelOrder,
    arrays: Sequence[ArrayNode | StoreError | None],
) -> Multiscale:
    """The image with the axes that its XML gives, one object for all images of one kind."""
    if not arrays or not isinstance(arrays[0], ArrayNode):
        return multiscale
    shape = arrays[0].array.shape
    # The image is kept with its key: an id is its own as long as its object lives.
    known = context.ordered.get((id(multiscale), pixels, shape))
    if known is None:
        known = multiscale, order_implied_axes(multiscale, pixels, shape)
        context.ordered[id(multiscale), pixels, shape] = known
    return known[1]


def _note_unreadable(context: ScanContext, target: ImageTarget, problem: StoreError | None) -> None:
    where = "field" if target.position is not None else "label" if target.kind == "label" else "image"
    context.digests.append(f"{target.path}:missing")
    if problem is None:
        context.log.note(
            f"missing-{where}", "error", target.path, f"The {where} is listed but has no metadata."
        )
    else:
        context.log.note(f"unreadable-{where}", "error", target.path, str(problem))
