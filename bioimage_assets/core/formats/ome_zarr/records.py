"""A parsed image group and its arrays become one ImageRecord, with findings for what does not fit.

Column meanings: ``bioimage_assets.core.model.image``. Geometry comes from the arrays, never from the group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from bioimage_assets.core.errors import StoreError
from bioimage_assets.core.formats.ome_zarr.context import ImageTarget, ScanContext
from bioimage_assets.core.formats.ome_zarr.model import Axis, Level, Multiscale
from bioimage_assets.core.formats.ome_zarr.multiscales import ImageGroup
from bioimage_assets.core.formats.ome_zarr.units import length_in_um, time_in_s
from bioimage_assets.core.formats.zarr.nodes import ArrayNode, GroupNode, digest_document
from bioimage_assets.core.model.image import ImageRecord, LevelRecord, build_axes

LevelNode = tuple[int, Level, str, ArrayNode | StoreError | None]


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
    target, multiscale = parts.target, parts.multiscale
    codes: dict[str, None] = {}
    for issue in multiscale.issues:
        codes[issue.code] = None
        context.log.note_repeated(issue.code, issue.severity, target.path, issue.message)
    fingerprint = _fingerprint(parts)
    context.digests.append(f"{target.path}:{fingerprint}")
    levels = _build_levels(context, parts, codes)
    if not levels or levels[0].level != 0:
        if multiscale.levels:
            message = "The full-resolution array is missing or unreadable; the image has no row."
            context.log.note("missing-full-resolution", "error", target.path, message)
        return None
    first = context.arrays[levels[0].path]
    axes = _usable_axes(context, parts, len(first.shape), codes)
    position = target.position
    sizes = _pixel_sizes(axes, multiscale.levels[0].scale)
    return ImageRecord(
        plate_key=context.plate_key,
        dataset_id=context.dataset_id,
        image_id=parts.image_id,
        image_kind=target.kind,
        format_family="zarr",
        storage_variant=f"zarr-v{first.zarr_format}",
        uri=context.uri,
        shape=first.shape,
        dtype=first.dtype,
        fingerprint=fingerprint,
        format_version=multiscale.version,
        plate_id=position.plate_id if position else None,
        well_id=position.well_id if position else None,
        site_id=position.site_id if position else None,
        acquisition_id=position.acquisition_id if position else None,
        source_image_id=target.source_image_id,
        array_path=levels[0].path,
        axes=build_axes([axis.name for axis in axes]) if axes else None,
        byte_order=first.byte_order,
        chunk_shape=first.chunk_shape,
        shard_shape=first.shard_shape,
        codec=first.codec,
        levels=levels,
        channel_names=_channel_names(context, parts, axes, first.shape, codes),
        pixel_size_x_um=sizes.get("x"),
        pixel_size_y_um=sizes.get("y"),
        pixel_size_z_um=sizes.get("z"),
        time_increment_s=sizes.get("t"),
        scan_status="partial" if len(levels) < len(parts.levels) else "ok",
        findings=tuple(codes),
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
        findings=tuple(dict.fromkeys(issue.code for issue in array.issues)),
    )


def _build_levels(context: ScanContext, parts: ImageParts, codes: dict[str, None]) -> tuple[LevelRecord, ...]:
    records: list[LevelRecord] = []
    dimensions: int | None = None
    for number, level, path, node in parts.levels:
        if not isinstance(node, ArrayNode):
            code = "missing-level" if node is None else "unreadable-level"
            codes[code] = None
            message = "The level is listed but has no array." if node is None else str(node)
            context.log.note(code, "error", path, message)
            continue
        array = node.array
        if dimensions is None:
            dimensions = len(array.shape)
        elif len(array.shape) != dimensions:
            codes["level-dimensions"] = None
            message = (
                f"The level has {len(array.shape)} dimensions, the full resolution {dimensions}; dropped."
            )
            context.log.note("level-dimensions", "error", path, message)
            continue
        for issue in array.issues:
            codes[issue.code] = None
            context.log.note_repeated(issue.code, "warning", path, issue.message)
        scale = level.scale if level.scale and len(level.scale) == len(array.shape) else None
        context.arrays[path] = array
        records.append(LevelRecord(number, path, array.shape, array.chunk_shape, array.shard_shape, scale))
    return tuple(records)


def _usable_axes(
    context: ScanContext, parts: ImageParts, dimensions: int, codes: dict[str, None]
) -> tuple[Axis, ...] | None:
    axes = parts.multiscale.axes
    if axes is None or len(axes) == dimensions:
        return axes
    codes["axes-dimensions"] = None
    names = "".join(axis.name for axis in axes)
    message = f"Axes {names!r:.60} do not fit an array of {dimensions} dimensions; left empty."
    context.log.note_repeated("axes-dimensions", "warning", parts.target.path, message)
    return None


def _channel_names(
    context: ScanContext,
    parts: ImageParts,
    axes: Sequence[Axis] | None,
    shape: tuple[int, ...],
    codes: dict[str, None],
) -> tuple[str | None, ...] | None:
    if parts.target.kind == "label":
        return None
    names = parts.group.channel_names or parts.target.channel_names
    if not names or not axes:
        return names
    expected = next((extent for axis, extent in zip(axes, shape, strict=True) if axis.name == "c"), 1)
    if expected != len(names):
        codes["channel-count"] = None
        message = f"{len(names)} channels are named, the array has {expected}."
        context.log.note_repeated("channel-count", "warning", parts.target.path, message)
    return names


def _pixel_sizes(axes: Sequence[Axis] | None, scale: tuple[float, ...] | None) -> dict[str, float | None]:
    if not axes or not scale or len(axes) != len(scale):
        return {}
    sizes: dict[str, float | None] = {}
    for axis, value in zip(axes, scale, strict=True):
        name = axis.name.lower()
        convert = time_in_s if name == "t" or axis.kind == "time" else length_in_um
        sizes["t" if axis.kind == "time" else name] = convert(value, axis.unit)
    return sizes


def _fingerprint(parts: ImageParts) -> str:
    total = blake2b(digest_document(parts.node.raw), digest_size=16)
    for _, _, _, node in parts.levels:
        total.update(node.digest if isinstance(node, ArrayNode) else b"missing")
    return total.hexdigest()
