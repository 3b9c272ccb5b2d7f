"""The manifest file of a root: read, or an empty one where none was written yet."""

from __future__ import annotations

from bioimage_assets.core.warehouse.files import RootFiles
from bioimage_assets.core.warehouse.layout import MANIFEST_NAME
from bioimage_assets.core.warehouse.manifest import WarehouseManifest, parse_manifest
from bioimage_assets.core.warehouse.roles import SPEC_VERSION


def read_manifest(files: RootFiles) -> tuple[WarehouseManifest, str | None]:
    """Read a root's manifest and the token of the version read; an empty one and None where there is none.

    Raises
    ------
    ManifestError
        The file is no manifest.
    """
    found = files.read(MANIFEST_NAME)
    if found is None:
        return WarehouseManifest(files.uri, (), SPEC_VERSION), None
    return parse_manifest(found[0], files.uri), found[1]
