"""All of an image's row that its place does not change, made once for images with the same metadata.

Geometry comes from the arrays, never from the group. https://ngff.openmicroscopy.org/0.5/index.html#multiscale-md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bioimage_assets.core.errors import StoreError
from bioimage_assets.core.formats.ome_zarr.model import Axis, Issue, Level, Multiscale
from bioimage_assets.core.formats.ome_zarr.positions import read_position
from bioimage_assets.core.formats.ome_zarr.units import length_in_um, time_in_s
from bioimage_assets.core.formats.zarr.array import ZarrArray
from bioimage_assets.core.formats.zarr.nodes import ArrayNode
from bioimage_assets.core.model.acquisition import AcquisitionFacts
from bioimage_assets.core.model.axes import count_channels
from bioimage_assets.core.model.image import LevelRecord, build_axes

ChannelNames = tuple[str | None, ...] | None
NodeOrProblem = ArrayNode | StoreError | None
LevelArray = tuple[int, Level, NodeOrProblem]


@dataclass(frozen=True, slots=True)
class ImageTemplate:
    """A row without its identity; ``levels`` have paths below the image group.

    ``repeated`` are issues that every image of this kind has, ``single`` those of one place (path below the
    group). ``arrays`` go with ``levels``; ``first`` is None where the image has no row. ``digests`` are those
    of all array documents in the order of the levels that were asked for.
    """

    first: ZarrArray | None
    storage_variant: str
    axes: str | None
    levels: tuple[LevelRecord, ...]
    arrays: tuple[ZarrArray, ...]
    channel_names: ChannelNames
    pixel_sizes: Mapping[str, float | None]
    findings: tuple[str, ...]
    repeated: tuple[Issue, ...]
    single: tuple[tuple[str, Issue], ...]
    digests: bytes
    acquisition: AcquisitionFacts | None = None


def build_template(multiscale: Multiscale, parts: Sequence[LevelArray], names: ChannelNames) -> ImageTemplate:
    """Check levels, axes and channels against the arrays that were found."""
    repeated = list(multiscale.issues)
    single: list[tuple[str, Issue]] = []
    levels, arrays = _check_levels(parts, repeated, single)
    digests = b"".join(node.digest if isinstance(node, ArrayNode) else b"missing" for _, _, node in parts)
    if not levels or levels[0].level != 0:
        if multiscale.levels:
            message = "The full-resolution array is missing or unreadable; the image has no row."
            single.append(("", Issue("missing-full-resolution", "error", message)))
        return ImageTemplate(None, "", None, (), (), None, {}, (), tuple(repeated), tuple(single), digests)
    first = arrays[0]
    axes = _check_axes(multiscale.axes, len(first.shape), repeated)
    _check_channels(names, axes, first.shape, repeated)
    _check_units(axes, multiscale.levels[0].scale, repeated)
    issues = [*repeated, *(issue for _, issue in single)]
    return ImageTemplate(
        first=first,
        storage_variant=f"zarr-v{first.zarr_format}",
        axes=build_axes([axis.name for axis in axes]) if axes else None,
        levels=tuple(levels),
        arrays=tuple(arrays),
        channel_names=names,
        pixel_sizes=read_pixel_sizes(axes, multiscale.levels[0].scale),
        findings=tuple(dict.fromkeys(f"{issue.code}: {issue.message}" for issue in issues)),
        repeated=tuple(dict.fromkeys(repeated)),
        single=tuple(single),
        digests=digests,
        acquisition=read_position(axes, multiscale.levels[0].offset),
    )


def _check_levels(
    parts: Sequence[LevelArray], repeated: list[Issue], single: list[tuple[str, Issue]]
) -> tuple[list[LevelRecord], list[ZarrArray]]:
    levels: list[LevelRecord] = []
    arrays: list[ZarrArray] = []
    for number, level, node in parts:
        if node is None:
            single.append(
                (level.path, Issue("missing-level", "error", "The level is listed but has no array."))
            )
            continue
        if isinstance(node, StoreError):
            single.append((level.path, Issue("unreadable-level", "error", str(node))))
            continue
        array = node.array
        if arrays and len(array.shape) != len(arrays[0].shape):
            message = f"The level has {len(array.shape)} dimensions, full resolution {len(arrays[0].shape)}; dropped."
            single.append((level.path, Issue("level-dimensions", "error", message)))
            continue
        if arrays and array.dtype != arrays[0].dtype:
            message = f"A level is {array.dtype}, full resolution {arrays[0].dtype}."
            repeated.append(Issue("level-dtype", "warning", message))
        if arrays and any(own > finer for own, finer in zip(array.shape, arrays[-1].shape, strict=True)):
            message = (
                "Levels are not listed from the largest to the smallest; the first counts as full resolution."
            )
            repeated.append(Issue("level-order", "warning", message))
        repeated.extend(Issue(issue.code, "warning", issue.message) for issue in array.issues)
        scale = level.scale if level.scale and len(level.scale) == len(array.shape) else None
        levels.append(
            LevelRecord(number, level.path, array.shape, array.chunk_shape, array.shard_shape, scale)
        )
        arrays.append(array)
    return levels, arrays


def _check_axes(
    axes: tuple[Axis, ...] | None, dimensions: int, repeated: list[Issue]
) -> tuple[Axis, ...] | None:
    if axes is None or len(axes) == dimensions:
        return axes
    names = ",".join(axis.name for axis in axes)
    message = f"Axes {names!r:.60} do not fit an array of {dimensions} dimensions; left empty."
    repeated.append(Issue("axes-dimensions", "warning", message))
    return None


def _check_channels(
    names: ChannelNames, axes: Sequence[Axis] | None, shape: tuple[int, ...], repeated: list[Issue]
) -> None:
    if not names or not axes:
        return
    expected = count_channels([axis.name for axis in axes], shape)
    if expected != len(names):
        message = f"{len(names)} channels are named, the array has {expected}."
        repeated.append(Issue("channel-count", "warning", message))


def _check_units(axes: Sequence[Axis] | None, scale: tuple[float, ...] | None, repeated: list[Issue]) -> None:
    """Say why a pixel size stays empty although there is a scale; a missing unit is not micrometer."""
    for axis in axes or ():
        if scale and axis.name in ("x", "y") and length_in_um(1.0, axis.unit) is None:
            found = "no unit" if axis.unit is None else f"the unit {axis.unit!r:.40}"
            message = f"Axis {axis.name} has {found}; its pixel size in µm is not known."
            repeated.append(Issue("unknown-unit", "info", message))
            return


def read_pixel_sizes(axes: Sequence[Axis] | None, scale: tuple[float, ...] | None) -> dict[str, float | None]:
    """Pixel sizes in µm by axis (``x y z``) and the time increment in s (``t``); None where no unit is given."""
    if not axes or not scale or len(axes) != len(scale):
        return {}
    sizes: dict[str, float | None] = {}
    for axis, value in zip(axes, scale, strict=True):
        convert = time_in_s if axis.name == "t" else length_in_um
        sizes[axis.name] = convert(value, axis.unit)
    return sizes
