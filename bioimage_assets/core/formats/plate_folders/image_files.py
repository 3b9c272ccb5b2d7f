"""Reads one image file of a plate folder, whichever of its kinds it is: TIFF or PNG."""

from __future__ import annotations

from collections.abc import Mapping

from bioimage_assets.core.formats.ome_tiff.file_scan import scan_file
from bioimage_assets.core.formats.ome_tiff.ome_scan import FileScan
from bioimage_assets.core.formats.png.scan import is_png_name, scan_png
from bioimage_assets.core.stores.base import Store


def scan_image_file(store: Store, key: str, sizes: Mapping[str, int], *, only_own: bool = True) -> FileScan:
    """Read the header of a file; ``only_own`` as ``scan_file`` has it."""
    if is_png_name(key):
        return scan_png(store, key, sizes)
    return scan_file(store, key, sizes, only_own=only_own)
