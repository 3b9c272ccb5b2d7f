"""A parsed image group and its arrays become one ImageRecord, with findings for what does not fit.

Column meanings: ``bioimage_assets.core.model.image``. What the fields of a plate have in common is worked
out once (``templates``).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from bioimage_assets.core.formats.ome_zarr.context import ImageTarget, PlatePosition, ScanContext
from bioimage_assets.core.formats.ome_zarr.model import Level, Multiscale
from bioimage_assets.core.formats.ome_zarr.templates import (
    ChannelNames,
    ImageTemplate,
    NodeOrProblem,
    build_template,
)
from bioimage_assets.core.formats.zarr.nodes import ArrayNode
from bioimage_assets.core.model.image import ImageRecord, LevelRecord, build_axes
from bioimage_assets.core.stores.base import join_path

LevelPlan = tuple[tuple[int, Level], ...]

_NOWHERE = PlatePosition("", "", "", None, False)


class PlannedImage:
    """One image whose group was read: ``levels`` are the numbers and metadata of the arrays to read.

    A plain class with slots: a plate has thousands, and a frozen dataclass takes four times as long to make.
    """

    __slots__ = ("document", "image_id", "levels", "multiscale", "names", "prefix", "target")

    def __init__(
        self,
        target: ImageTarget,
        document: bytes,
        multiscale: Multiscale,
        names: ChannelNames,
        image_id: str,
        levels: LevelPlan,
    ) -> None:
        self.target = target
        self.document = document
        self.multiscale = multiscale
        self.names = names
        self.image_id = image_id
        self.levels = levels
        self.prefix = f"{target.path}/" if target.path else ""


def build_image_record(
    context: ScanContext, plan: PlannedImage, nodes: Sequence[NodeOrProblem]
) -> ImageRecord | None:
    """Build the row of one image; None where its full-resolution array is missing or unreadable."""
    target, prefix = plan.target, plan.prefix
    fingerprint = _fingerprint(plan.document, nodes)
    context.digests.append(f"{target.path}:{fingerprint}")
    template = _find_template(context, plan, nodes)
    for issue in template.repeated:
        context.log.note_repeated(issue.code, issue.severity, target.path, issue.message)
    for path, issue in template.single:
        context.log.note(issue.code, issue.severity, join_path(target.path, path), issue.message)
    first = template.first
    if first is None:
        return None
    for level, array in zip(template.levels, template.arrays, strict=True):
        context.arrays[prefix + level.path] = array
    position = target.position or _NOWHERE
    return ImageRecord(
        plate_key=context.plate_key,
        dataset_id=context.dataset_id,
        image_id=plan.image_id,
        image_kind=target.kind,
        format_family="zarr",
        storage_variant=template.storage_variant,
        uri=context.uri,
        shape=first.shape,
        dtype=first.dtype,
        fingerprint=fingerprint,
        format_version=plan.multiscale.version,
        plate_id=position.plate_id or None,
        well_id=position.well_id or None,
        site_id=position.site_id or None,
        acquisition_id=position.acquisition_id,
        source_image_id=target.source_image_id,
        array_path=prefix + template.levels[0].path,
        axes=template.axes,
        byte_order=first.byte_order,
        chunk_shape=first.chunk_shape,
        shard_shape=first.shard_shape,
        codec=first.codec,
        levels=tuple(
            [
                LevelRecord(v.level, prefix + v.path, v.shape, v.chunk_shape, v.shard_shape, v.scale)
                for v in template.levels
            ]
        ),
        channel_names=template.channel_names,
        pixel_size_x_um=template.pixel_sizes.get("x"),
        pixel_size_y_um=template.pixel_sizes.get("y"),
        pixel_size_z_um=template.pixel_sizes.get("z"),
        time_increment_s=template.pixel_sizes.get("t"),
        scan_status="partial" if len(template.levels) < len(plan.levels) else "ok",
        findings=template.findings,
    )


def build_array_record(context: ScanContext, path: str, node: ArrayNode, image_id: str) -> ImageRecord:
    """Build the row of an array that no image claims."""
    array = node.array
    names = array.dimension_names
    usable = names is not None and len(set(names)) == len(names) and not any("," in name for name in names)
    context.arrays[path] = array
    fingerprint = node.digest.hex()
    context.digests.append(f"{path}:{fingerprint}")
    for issue in array.issues:
        context.log.note_repeated(issue.code, "warning", path, issue.message)
    return ImageRecord(
        plate_key=context.plate_key,
        dataset_id=context.dataset_id,
        image_id=image_id,
        image_kind="array",
        format_family="zarr",
        storage_variant=f"zarr-v{array.zarr_format}",
        uri=context.uri,
        shape=array.shape,
        dtype=array.dtype,
        fingerprint=fingerprint,
        array_path=path or None,
        axes=build_axes(names) if names and usable else None,
        byte_order=array.byte_order,
        chunk_shape=array.chunk_shape,
        shard_shape=array.shard_shape,
        codec=array.codec,
        levels=(LevelRecord(0, path, array.shape, array.chunk_shape, array.shard_shape),),
        findings=tuple(dict.fromkeys(f"{issue.code}: {issue.message}" for issue in array.issues)),
    )


def _find_template(context: ScanContext, plan: PlannedImage, nodes: Sequence[NodeOrProblem]) -> ImageTemplate:
    """Work out what images with the same metadata and equal arrays share; objects of caches are compared by id."""
    parts = [(number, level, node) for (number, level), node in zip(plan.levels, nodes, strict=True)]
    if not all(isinstance(node, ArrayNode) for node in nodes):
        return build_template(plan.multiscale, parts, plan.names)
    key = (id(plan.multiscale), plan.names, *map(id, nodes))
    template = context.templates.get(key)
    if template is None:
        template = context.templates[key] = build_template(plan.multiscale, parts, plan.names)
    return template


def _fingerprint(document: bytes, nodes: Sequence[NodeOrProblem]) -> str:
    total = blake2b(document, digest_size=16)
    for node in nodes:
        total.update(node.digest if isinstance(node, ArrayNode) else b"missing")
    return total.hexdigest()
