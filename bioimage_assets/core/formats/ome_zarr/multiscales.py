"""Parse the ``multiscales`` list and the ``omero`` block of a group into images and channel names.

The version is taken from the document where it says one; which reader applies follows from its shape,
because many writers declare one version and write another. https://ngff.openmicroscopy.org/
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from bioimage_assets.core.formats.ome_zarr import v01, v03, v04, v06
from bioimage_assets.core.formats.ome_zarr.limits import (
    MAX_CHANNEL_TEXT,
    MAX_CHANNELS,
    MAX_MULTISCALES,
    cut_list,
    describe_cut_list,
)
from bioimage_assets.core.formats.ome_zarr.model import Issue, Multiscale
from bioimage_assets.core.formats.zarr.documents import JsonObject, as_label, as_list, as_object

_KEPT_GROUPS = 64  # distinct metadata of one store: one per acquisition, binning or set of channels


@dataclass(frozen=True, slots=True)
class ImageGroup:
    """All images that one group declares, with the channel names they share and what was odd about the lists."""

    multiscales: tuple[Multiscale, ...]
    channel_names: tuple[str | None, ...] | None
    issues: tuple[Issue, ...] = ()


class ImageGroupParser:
    """Builds the images of groups; entries that differ in their name only are built once.

    All fields of a plate usually have the same metadata but for the name, so the cache holds a few objects.
    """

    def __init__(self) -> None:
        self._groups: dict[int, tuple[JsonObject, ImageGroup]] = {}
        self._multiscales: dict[tuple[str | None, bytes], Multiscale] = {}
        self._channels: dict[bytes, tuple[str | None, ...] | None] = {}

    def build(self, ome: JsonObject) -> ImageGroup:
        """Build the images of a group from its OME metadata; the same object gives the same images."""
        known = self._groups.get(id(ome))
        if known is not None and known[0] is ome:
            return known[1]
        group = self._build(ome)
        if len(self._groups) >= _KEPT_GROUPS:
            self._groups.clear()
        self._groups[id(ome)] = (ome, group)
        return group

    def _build(self, ome: JsonObject) -> ImageGroup:
        group_version = as_label(ome.get("version"))
        issues: list[Issue] = []
        items = cut_list(as_list(ome.get("multiscales")), MAX_MULTISCALES, "images of one group", issues)
        entries = tuple(self._build_entry(as_object(item), group_version) for item in items)
        if "omero" not in ome:
            return ImageGroup(entries, None, tuple(issues))
        channel_count = len(_list_channels(ome))
        if channel_count > MAX_CHANNELS:
            issues.append(describe_cut_list(channel_count, MAX_CHANNELS, "channels"))
        return ImageGroup(entries, self._find_channels(ome), tuple(issues))

    def _find_channels(self, ome: JsonObject) -> tuple[str | None, ...] | None:
        key = _cache_key(ome["omero"])
        if key is None:
            return read_channel_names(ome)
        if key not in self._channels:
            if len(self._channels) >= _KEPT_GROUPS:
                self._channels.clear()
            self._channels[key] = read_channel_names(ome)
        return self._channels[key]

    def _build_entry(self, entry: JsonObject, group_version: str | None) -> Multiscale:
        key = _cache_key({name: value for name, value in entry.items() if name != "name"})
        if key is None:
            return build_multiscale(entry, group_version)
        known = self._multiscales.get((group_version, key))
        if known is None:
            known = self._multiscales[group_version, key] = build_multiscale(entry, group_version)
        return known


def _cache_key(value: object) -> bytes | None:
    try:
        return orjson.dumps(value)
    except (TypeError, ValueError):  # integers beyond 64 bits, lone surrogates
        return None


def build_multiscale(entry: JsonObject, group_version: str | None) -> Multiscale:
    """Build one image, by the reader that fits the shape of its entry."""
    version = group_version or as_label(entry.get("version"))
    axes = as_list(entry.get("axes"))
    if "coordinateSystems" in entry:
        return v06.build_multiscale(entry, version)
    if axes and all(isinstance(axis, str) for axis in axes):
        return v03.build_multiscale(entry, version)
    if axes or version not in (None, "0.1", "0.2"):
        return v04.build_multiscale(entry, version)
    return v01.build_multiscale(entry, version)


def read_channel_names(ome: JsonObject) -> tuple[str | None, ...] | None:
    """Labels of ``omero.channels``; None where no channel has one, or they are longer than names can be."""
    channels = _list_channels(ome)[:MAX_CHANNELS]
    names = tuple(as_label(as_object(channel).get("label")) for channel in channels)
    is_text = sum(len(name) for name in names if name) <= MAX_CHANNEL_TEXT
    return names if any(names) and is_text else None


def _list_channels(ome: JsonObject) -> list[object]:
    return as_list(as_object(ome.get("omero")).get("channels"))
