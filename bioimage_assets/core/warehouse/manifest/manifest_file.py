"""The manifest file of a root: read, or an empty one where none was written yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import blake2b

from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest.layout import MANIFEST_NAME
from bioimage_assets.core.warehouse.manifest.records import WarehouseManifest, parse_manifest
from bioimage_assets.core.warehouse.manifest.roles import SPEC_VERSION
from bioimage_assets.core.warehouse.manifest.stored_partitions import forget_entries, open_partitions_of

# One parsed manifest per root of this process: a root of many plates has megabytes of it, read at every call.
_PARSED: dict[str, tuple[str, WarehouseManifest]] = {}
_RECEIVED: dict[str, tuple[RootFiles, bytes, WarehouseManifest]] = {}
_MAX_PARSED = 16  # a process works with a root or two
_GIVEN: ContextVar[tuple[str, WarehouseManifest] | None] = ContextVar("given manifest", default=None)


def read_manifest(files: RootFiles) -> tuple[WarehouseManifest, str | None]:
    """Read a root's manifest and the token of the version read; an empty one and None where there is none.

    Raises
    ------
    ManifestError
        The file is not a manifest.
    """
    given = _GIVEN.get()
    if given is not None and given[0] == files.uri:
        return given[1], ""
    version = files.version(MANIFEST_NAME)
    known = _PARSED.get(files.uri)
    if version is not None and known is not None and known[0] == version:
        return known[1], ""
    found = files.read(MANIFEST_NAME)
    if found is None:
        return WarehouseManifest(files.uri, (), SPEC_VERSION), None
    if version is None:
        return _parse_once(files, found[0]), found[1]
    manifest = parse_manifest(found[0], files.uri, open_partitions_of(files))
    # Remembered only if the file is still the one that was looked at.
    if files.version(MANIFEST_NAME) == version:
        _keep(files.uri, version, manifest)
    return manifest, found[1]


def _parse_once(files: RootFiles, payload: bytes) -> WarehouseManifest:
    """Parse what a bucket sent; the bytes that were parsed last are given again where the object is still the same one."""
    known = _RECEIVED.get(files.uri)
    # By the same client: another one may have other credentials, or another server.
    if known is not None and known[0] is files and known[1] is payload:
        return known[2]
    manifest = parse_manifest(payload, files.uri, open_partitions_of(files))
    if len(_RECEIVED) >= _MAX_PARSED:
        _RECEIVED.pop(next(iter(_RECEIVED)), None)
    _RECEIVED[files.uri] = (files, payload, manifest)
    return manifest


@contextmanager
def given_manifest(files: RootFiles, manifest: WarehouseManifest) -> Iterator[None]:
    """Let everything in this block take a manifest for that of the root; nothing may be written meanwhile."""
    token = _GIVEN.set((files.uri, manifest))
    try:
        yield
    finally:
        _GIVEN.reset(token)


def mark_manifest(files: RootFiles) -> str:
    """Token of the present manifest; a local one is known by its first bytes, others are read."""
    version = files.version(MANIFEST_NAME)
    if version is not None:
        return version
    found = files.read(MANIFEST_NAME)
    return blake2b(found[0], digest_size=16).hexdigest() if found is not None else "none"


def remember_manifest(files: RootFiles, manifest: WarehouseManifest) -> None:
    """Keep a manifest that was just written; call with the root's lock held."""
    version = files.version(MANIFEST_NAME)
    if version is not None:
        _keep(files.uri, version, manifest)


def forget_root(uri: str) -> None:
    """Let the next look at a root read its files again, whatever this process knows of manifest and entries."""
    _PARSED.pop(uri, None)
    _RECEIVED.pop(uri, None)
    forget_entries(uri)


def _keep(uri: str, version: str, manifest: WarehouseManifest) -> None:
    if len(_PARSED) >= _MAX_PARSED:
        _PARSED.pop(next(iter(_PARSED)), None)
    _PARSED[uri] = (version, manifest)
