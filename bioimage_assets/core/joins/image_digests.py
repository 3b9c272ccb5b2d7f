"""MD5 digests of image files, for the linking rule that compares CellProfiler's ``MD5Digest`` columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from bioimage_assets.core.errors import StoreError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.ome_tiff.tiff_file import read_md5
from bioimage_assets.core.joins.image_index import ImageKey
from bioimage_assets.core.stores.open import open_store, split_file_uri

MAX_PARALLEL_FILES = 4  # hashing is bound by disks and by two or three cores


def hash_image_files(
    images: Sequence[ImageKey], storage_options: Mapping[str, object]
) -> tuple[tuple[tuple[str, int], ...], tuple[Finding, ...]]:
    """Digest every file of the images that have no stored digest; reads each file once, in full.

    Returns (digest, image row) pairs, and a finding for every file that cannot be read. Images in Zarr stores
    are not files and have no digest; images that only a LoadData table names are not read.
    """
    wanted = [
        (path, image.row)
        for image in images
        if not (image.md5s or image.is_zarr or image.is_listed)
        for path in image.file_paths
    ]
    paths = list(dict.fromkeys(path for path, _ in wanted))
    with ThreadPoolExecutor(MAX_PARALLEL_FILES) as pool:
        read = dict(zip(paths, pool.map(partial(_digest_file, storage_options), paths), strict=True))
    pairs = [(digest, row) for path, row in wanted if isinstance(digest := read[path], str)]
    findings = [found for found in read.values() if isinstance(found, Finding)]
    return tuple(pairs), tuple(findings)


def _digest_file(storage_options: Mapping[str, object], path: str) -> str | Finding:
    folder, name = split_file_uri(path)
    try:
        store = open_store(folder, storage_options=storage_options)
        try:
            return read_md5(store, name)
        finally:
            store.close()
    except (StoreError, OSError) as error:
        text = f"Image file '{path}' cannot be read for its MD5: {error}"
        return Finding("md5-unreadable", "warning", path, text, path)
