"""The ImageRecord of a parsed image group and its arrays, with findings for what does not fit.

Column meanings: ``bioimage_assets.core.model.image``. What the fields of a plate have in common is worked
out once (``templates``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from bioimage_assets.core.formats.image_ids import PlatePosition
from bioimage_assets.core.formats.ome_zarr.context import ImageTarget, ScanContext
from bioimage_assets.core.formats.ome_zarr.limits import MAX_NAME
from bioimage_assets.core.formats.ome_zarr.model import Level, Multiscale
from bioimage_assets.core.formats.ome_zarr.positions import merge_facts
from bioimage_assets.core.formats.ome_zarr.templates import (
    ChannelNames,
    ImageTemplate,
    NodeOrProblem,
    build_template,
)
from bioimage_assets.core.formats.zarr.nodes import ArrayNode
from bioimage_assets.core.model.axes import name_axes
from bioimage_assets.core.model.image import ImageRecord, LevelRecord, build_axes
from bioimage_assets.core.model.store_paths import join_path


class LevelPlan(NamedTuple):
    """Levels of an image to read, and the paths of their arrays below the image group."""

    levels: tuple[tuple[int, Level], ...]
    paths: tuple[str, ...]


class Digest(Protocol):
    """A digest of the group's document: copied for each of its images, so that the document is digested once."""

    def copy(self) -> Digest: ...

    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


_NOWHERE = PlatePosition("", "", "", None, False)


class PlannedImage:
    """One image whose group was read: ``document`` is its digest, ``levels`` and full ``paths`` the arrays to read.

    A plain class with slots: a plate has thousands, and a frozen dataclass takes four times as long to make.
    """

    __slots__ = (
        "document",
        "image_id",
        "image_name",
        "levels",
        "multiscale",
        "names",
        "paths",
        "prefix",
        "target",
    )

    def __init__(
        self,
        target: ImageTarget,
        document: Digest,
        multiscale: Multiscale,
        names: ChannelNames,
        image_id: str,
        image_name: str | None,
        levels: LevelPlan,
    ) -> None:
        self.target = target
        self.document = document
        self.multiscale = multiscale
        self.names = names
        self.image_id = image_id
        self.image_name = image_name
        self.levels = levels.levels
        self.prefix = prefix = f"{target.path}/" if target.path else ""
        self.paths = [prefix + path for path in levels.paths]


def build_image_record(
    context: ScanContext, plan: PlannedImage, nodes: Sequence[NodeOrProblem]
) -> ImageRecord | None:
    """Build the row of one image; None where its full-resolution array is missing or unreadable."""
    target, prefix = plan.target, plan.prefix
    template = _find_template(context, plan, nodes)
    digest = plan.document.copy()
    digest.update(template.digests)
    fingerprint = digest.hexdigest()[:32]
    context.digests.append(f"{target.path}:{fingerprint}")
    for issue in template.repeated:
        context.log.note_repeated(issue.code, issue.severity, target.path, issue.message)
    for path, issue in template.single:
        context.log.note(issue.code, issue.severity, join_path(target.path, path), issue.message)
    first = template.first
    if first is None:
        return None
    is_whole = len(template.levels) == len(plan.levels)
    paths = plan.paths if is_whole else [prefix + level.path for level in template.levels]
    context.arrays.update(zip(paths, template.arrays, strict=True))
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
        format_version=plan.multiscale.version and plan.multiscale.version[:MAX_NAME],
        plate_id=position.plate_id or None,
        well_id=position.well_id or None,
        site_id=position.site_id or None,
        acquisition_id=position.acquisition_id,
        source_image_id=target.source_image_id,
        array_path=paths[0],
        axes=template.axes,
        byte_order=first.byte_order,
        chunk_shape=first.chunk_shape,
        shard_shape=first.shard_shape,
        codec=first.codec,
        levels=tuple(
            [
                LevelRecord(v.level, path, v.shape, v.chunk_shape, v.shard_shape, v.scale)
                for v, path in zip(template.levels, paths, strict=True)
            ]
        ),
        channel_names=template.channel_names,
        pixel_size_x_um=template.pixel_sizes.get("x"),
        pixel_size_y_um=template.pixel_sizes.get("y"),
        pixel_size_z_um=template.pixel_sizes.get("z"),
        time_increment_s=template.pixel_sizes.get("t"),
        scan_status="ok" if is_whole else "partial",
        findings=template.findings,
        image_name=plan.image_name,
        acquisition=merge_facts(target.acquisition, template.acquisition) if target.kind == "image" else None,
        planes=target.planes,
    )


def build_array_record(context: ScanContext, path: str, node: ArrayNode, image_id: str) -> ImageRecord:
    """Build the row of an array that no image claims."""
    array = node.array
    names = array.dimension_names
    usable = (
        names is not None
        and len(set(names)) == len(names)
        and not any("," in name or len(name) > MAX_NAME for name in names)
    )
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
        axes=build_axes(_name_dimensions(names)) if names and usable else None,
        byte_order=array.byte_order,
        chunk_shape=array.chunk_shape,
        shard_shape=array.shard_shape,
        codec=array.codec,
        levels=(LevelRecord(0, path, array.shape, array.chunk_shape, array.shard_shape),),
        findings=tuple(dict.fromkeys(f"{issue.code}: {issue.message}" for issue in array.issues)),
    )


def _name_dimensions(names: tuple[str, ...]) -> tuple[str, ...]:
    """Dimensions of an array as axes of an image, where all of them are; ``time lat lon`` stay what they are."""
    named = name_axes(names, [None] * len(names))
    return names if named.doubts else named.names


def _find_template(context: ScanContext, plan: PlannedImage, nodes: Sequence[NodeOrProblem]) -> ImageTemplate:
    """Work out what images with the same metadata and equal arrays share; objects of caches are compared by id."""
    key = (id(plan.multiscale), plan.names, *map(id, nodes))
    known = context.templates.get(key)
    if known is None:
        parts = [(number, level, node) for (number, level), node in zip(plan.levels, nodes, strict=True)]
        known = plan.multiscale, build_template(plan.multiscale, parts, plan.names)
        # An id is unique as long as its object lives: arrays do as long as the scan, problems do not.
        if all(isinstance(node, ArrayNode) for node in nodes):
            context.templates[key] = known
    return known[1]
