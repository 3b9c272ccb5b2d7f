"""The OME-XML that bioformats2raw wrote beside its Zarr group before version 0.3, which is outside the store.

Source of truth: README of bioformats2raw, "Usage Changes": ``<out>/METADATA.ome.xml`` and ``<out>/data.zarr``.
"""

from __future__ import annotations

from contextlib import closing

from bioimage_assets.core.formats.ome_zarr.bioformats2raw import METADATA_NAME, OLD_GROUP_NAME
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.stores.base import MAX_XML_BYTES, DocumentResult
from bioimage_assets.core.stores.open import open_store


def read_xml_beside(uri: str, options: ScanOptions) -> DocumentResult:
    """Read the XML where the name of the group says that it lies there; None for any other group."""
    folder, _, name = uri.rstrip("/").rpartition("/")
    if name != OLD_GROUP_NAME:
        return None
    store = open_store(
        folder, storage_options=options.storage_options, follow_symlinks=options.follow_symlinks
    )
    with closing(store):
        return store.get_many([METADATA_NAME], max_bytes=MAX_XML_BYTES)[METADATA_NAME]
