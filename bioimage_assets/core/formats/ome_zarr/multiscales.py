"""The ``multiscales`` list and the ``omero`` block of a group become images and channel names.

The version is taken from the document where it says one; which reader applies follows from its shape,
because many writers declare one version and write another. https://ngff.openmicroscopy.org/
"""

from __future__ import annotations

from dataclasses import dataclass

from bioimage_assets.core.formats.ome_zarr import v01, v03, v04, v06
from bioimage_assets.core.formats.ome_zarr.model import Multiscale
from bioimage_assets.core.formats.zarr.documents import JsonObject, as_list, as_object, as_text


@dataclass(frozen=True, slots=True)
class ImageGroup:
    """All images that one group declares, with the channel names they share."""

    multiscales: tuple[Multiscale, ...]
    channel_names: tuple[str | None, ...] | None


def build_image_group(ome: JsonObject) -> ImageGroup:
    """Build the images of a group from its OME metadata."""
    group_version = as_text(ome.get("version"))
    entries = tuple(
        build_multiscale(as_object(entry), group_version) for entry in as_list(ome.get("multiscales"))
    )
    return ImageGroup(entries, read_channel_names(ome))


def build_multiscale(entry: JsonObject, group_version: str | None) -> Multiscale:
    """Build one image, by the reader that fits the shape of its entry."""
    version = group_version or as_text(entry.get("version"))
    axes = as_list(entry.get("axes"))
    if "coordinateSystems" in entry:
        return v06.build_multiscale(entry, version)
    if axes and all(isinstance(axis, str) for axis in axes):
        return v03.build_multiscale(entry, version)
    if axes or version not in (None, "0.1", "0.2"):
        return v04.build_multiscale(entry, version)
    return v01.build_multiscale(entry, version)


def read_channel_names(ome: JsonObject) -> tuple[str | None, ...] | None:
    """Labels of ``omero.channels``; None where no channel has one."""
    channels = as_list(as_object(ome.get("omero")).get("channels"))
    names = tuple(as_text(as_object(channel).get("label")) for channel in channels)
    return names if any(names) else None
