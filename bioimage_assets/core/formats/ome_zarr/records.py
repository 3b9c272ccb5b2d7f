"""A parsed image group and its arrays become one ImageRecord, with findings for what does not fit.

Column meanings: ``bioimage_assets.core.model.image``. What the fields of a plate have in common is worked
out once (``templates``).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from bioimage_assets.core.errors import StoreError
from bioimage_assets.core.formats.ome_zarr.context import ImageTarget, PlatePosition, ScanContext
from bioimage_assets.core.formats.ome_zarr.model import Level, Multiscale
from bioimage_assets.core.formats.ome_zarr.multiscales import ImageGroup
from bioimage_assets.core.formats.ome_zarr.templates import ImageTemplate, build_template
from bioimage_assets.core.formats.zarr.nodes import ArrayNode, GroupNode
from bioimage_assets.core.model.image import ImageRecord, LevelRecord, build_axes
from bioimage_assets.core.stores.base import join_path

LevelNode = tuple[int, Level, str, ArrayNode | StoreError | None]


_NOWHERE = PlatePosition("", "", "", None, False)


@dataclass(frozen=True, slots=True)
class ImageParts:
    """Everything that was read for one image; ``levels`` holds number, metadata, array path and array."""

    target: ImageTarget
    node: GroupNode
    group: ImageGroup
    multiscale: Multiscale
    image_id: str
    levels: tuple[LevelNode, ...]


def build_image_record(context: ScanContext, parts: ImageParts) -> ImageRecord | None:
    """Build the row of one image; None where its full-resolution array is missing or unreadable."""
    target = parts.target
    fingerprint = _fingerprint(parts)
    context.digests.append(f"{target.path}:{fingerprint}")
    template = _find_template(context, parts)
    for issue in template.repeated:
        context.log.note_repeated(issue.code, issue.severity, target.path, issue.message)
    for path, issue in template.single:
        context.log.note(issue.code, issue.severity, join_path(target.path, path), issue.message)
    first = template.first
    if first is None:
        return None
    prefix = f"{target.path}/" if target.path else ""
    for level, array in zip(template.levels, template.arrays, strict=True):
        context.arrays[prefix + level.path] = array
    position = target.position or _NOWHERE
    return ImageRecord(
        plate_key=context.plate_key,
        dataset_id=context.dataset_id,
        image_id=parts.image_id,
        image_kind=target.kind,
        format_family="zarr",
        storage_variant=template.storage_variant,
        uri=context.uri,
        shape=first.shape,
        dtype=first.dtype,
        fingerprint=fingerprint,
        format_version=parts.multiscale.version,
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
        scan_status="partial" if len(template.levels) < len(parts.levels) else "ok",
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


def _find_template(context: ScanContext, parts: ImageParts) -> ImageTemplate:
    """Work out what images with the same metadata and equal arrays share; objects of caches are compared by id."""
    names = None if parts.target.kind == "label" else parts.group.channel_names or parts.target.channel_names
    levels = tuple((number, level, node) for number, level, _, node in parts.levels)
    if not all(isinstance(node, ArrayNode) for _, _, node in levels):
        return build_template(parts.multiscale, levels, names)
    key = (id(parts.multiscale), names, *[id(node) for _, _, node in levels])
    template = context.templates.get(key)
    if template is None:
        template = context.templates[key] = build_template(parts.multiscale, levels, names)
    return template


def _fingerprint(parts: ImageParts) -> str:
    total = blake2b(parts.node.raw, digest_size=16)
    for _, _, _, node in parts.levels:
        total.update(node.digest if isinstance(node, ArrayNode) else b"missing")
    return total.hexdigest()
