"""The place of a virtual plate in, a read-only Zarr store out that zarr-python and xarray open."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial

from zarr.abc.store import Store

from bioimage_assets.core.errors import KeyMissingError, StoreNotFoundError
from bioimage_assets.core.stores.open import absolute_uri, local_path, open_store, split_file_uri
from bioimage_assets.core.virtual import zarr_codec  # noqa: F401  registers the codec, whatever entry points are installed
from bioimage_assets.core.virtual.parquet_references import METADATA_NAME, open_parquet_references
from bioimage_assets.core.virtual.reference_store import ReferenceStore
from bioimage_assets.core.virtual.references import References, parse_json_references
from bioimage_assets.core.virtual.source_reader import SourceReader
from bioimage_assets.core.virtual.write_icechunk import open_icechunk

MAX_JSON_BYTES = 2**32  # some 30 million references


def open_virtual_plate(
    uri: str, storage_options: Mapping[str, object] | None = None, *, compare_times: bool = True
) -> Store:
    """Open a virtual plate for reading: a JSON file of references, a folder of Parquet references, or an Icechunk repository.

    Parameters
    ----------
    storage_options
        Of the object stores and web servers that the plate and the original files are in.
    compare_times
        Whether local files must still have the time of their last change. Copies that keep the bytes alone lose it; sizes, and the
        versions of objects, are compared always. Icechunk always compares.

    Returns
    -------
    Store
        Reading a chunk raises StoreChangedError where its file is not the one that the reference was made for.

    Raises
    ------
    StoreNotFoundError
        Nothing is there.
    UnsupportedStoreError, CorruptStoreError
        It is something else.
    """
    location = absolute_uri(uri)
    path = local_path(location)
    if path is not None and not os.path.lexists(path):
        raise StoreNotFoundError(f"{uri}: nothing is there.")
    references: References
    if path is not None and os.path.isdir(path):
        if not os.path.exists(os.path.join(path, METADATA_NAME)):
            return open_icechunk(location, storage_options)
        references = open_parquet_references(path)
    elif path is None and not location.lower().endswith(".json"):
        return open_icechunk(location, storage_options)
    else:
        references = parse_json_references(_read(location, storage_options), location)
    reader = SourceReader(references.sources, location, storage_options, compare_times=compare_times)
    options = None if storage_options is None else dict(storage_options)
    reopen = partial(open_virtual_plate, location, options, compare_times=compare_times)
    return ReferenceStore(references, reader, location, reopen)


def _read(uri: str, storage_options: Mapping[str, object] | None) -> bytes:
    folder, name = split_file_uri(uri)
    store = open_store(folder, storage_options=storage_options)
    try:
        return store.get(name, max_bytes=MAX_JSON_BYTES)
    except KeyMissingError as error:
        raise StoreNotFoundError(f"{uri}: nothing is there.") from error
    finally:
        store.close()
