"""Original files and the place of a virtual plate in, what its references call them out.

A plate and its index that move together stay readable where references are relative: to the folder that holds the virtual plate, as links of a
web page are. Files on another disk or in another bucket are named in full.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from bioimage_assets.core.stores.open import absolute_uri, local_path
from bioimage_assets.core.virtual.model import SourceFile

_WEB = ("http://", "https://")


def locate_sources(sources: Sequence[SourceFile], target_uri: str, *, absolute: bool = False) -> list[str]:
    """What a reference into each source is written as.

    Local files are plain paths, whatever their URI was. They are relative where they share a folder below the root of the disk with the
    virtual plate, objects where they are in its bucket. Web addresses stay: a query belongs to them.

    >>> locate_sources([SourceFile("/data/screen/P1/a.tif")], "/data/virtual/P1.json")
    ['../screen/P1/a.tif']
    """
    folder, prefix = _split(_parent_of(target_uri))
    return [_locate(source.uri, folder, prefix, absolute) for source in sources]


def resolve_location(location: str, target_uri: str) -> str:
    """The full URI behind what a reference says; the other way round.

    >>> resolve_location("../screen/P1/a.tif", "/data/virtual/P1.json")
    '/data/screen/P1/a.tif'
    """
    if "://" in location or location.startswith("/"):
        return location
    folder, prefix = _split(_parent_of(target_uri))
    return prefix + posixpath.normpath(posixpath.join(folder, location))


def find_again(locations: Sequence[str], written_at: str | None, target_uri: str) -> list[str]:
    """Where files are now that were at these full locations when a virtual plate was written, if it may have moved with them.

    Without ``written_at`` they are where they were.

    >>> find_again(["/data/screen/P1/a.tif"], "/data/virtual/P1.json", "/mnt/copy/virtual/P1.json")
    ['/mnt/copy/screen/P1/a.tif']
    """
    if written_at is None:
        return list(locations)
    beside = locate_sources([SourceFile(location) for location in locations], written_at)
    return [resolve_location(location, target_uri) for location in beside]


def _locate(uri: str, folder: str, prefix: str, absolute: bool) -> str:
    path, own_prefix = _split(uri)
    if absolute or own_prefix != prefix or own_prefix.startswith(_WEB):
        return own_prefix + path
    if not prefix and path.split("/")[1:2] != folder.split("/")[1:2]:
        return path  # they share nothing but the root of the disk
    return posixpath.relpath(path, folder)


def _split(uri: str) -> tuple[str, str]:
    """Path, and what stands before it: nothing of a local file, ``s3://bucket`` of an object."""
    path = local_path(uri)
    if path is not None:
        return path, ""
    scheme, _, rest = absolute_uri(uri).partition("://")
    bucket, slash, key = rest.partition("/")
    return slash + key or "/", f"{scheme}://{bucket}"


def _parent_of(uri: str) -> str:
    return absolute_uri(uri).rpartition("/")[0] or "/"
