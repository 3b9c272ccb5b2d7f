"""Rows of ``chunk_index`` that an earlier version wrote in, the same rows out with how their chunks are decoded.

That is read of the directories of their files, as the index itself is; files that are gone or broken leave it null.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.errors import StoreError
from bioimage_assets.core.formats.ome_tiff.page_codec import (
    PNG_COMPRESSION,
    PageCodec,
    natural_bits,
    write_page_codec,
)
from bioimage_assets.core.formats.ome_tiff.tiff_file import TiffFile, open_tiff
from bioimage_assets.core.stores.base import Store
from bioimage_assets.core.stores.open import open_store, split_file_uri
from bioimage_assets.core.virtual.image_rows import ImageRow


def fill_codecs(
    batches: Iterable[pa.RecordBatch],
    images: Sequence[ImageRow],
    storage_options: Mapping[str, object] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Give the batches; those of this version as they are, without opening anything."""
    in_files = {image.image_id: image for image in images if image.is_in_files}
    names = pa.array(in_files, pa.string())
    reader = _CodecReader(in_files, storage_options)
    for batch in batches:
        has_column = "codec" in batch.schema.names
        is_missing = batch["codec"].is_null() if has_column else pa.array([True] * len(batch))
        is_missing = pc.and_(is_missing, pc.is_in(batch["image_id"], value_set=names))
        if not pc.any(is_missing).as_py():
            yield batch
            continue
        found = reader.read_rows(batch.filter(is_missing))
        codecs = pc.replace_with_mask(
            batch["codec"] if has_column else pa.nulls(len(batch), pa.string()), is_missing, found
        )
        columns = {name: batch[name] for name in batch.schema.names} | {"codec": codecs}
        yield pa.RecordBatch.from_pydict(columns)


class _CodecReader:
    """Reads the directories of files, each file once as long as its rows stand together."""

    def __init__(self, images: Mapping[str, ImageRow], storage_options: Mapping[str, object] | None) -> None:
        self._images = images
        self._storage_options = storage_options
        self._stores: dict[str, Store] = {}

    def read_rows(self, rows: pa.RecordBatch) -> pa.Array:
        """How the chunk of each row is decoded, null where nobody can tell."""
        pairs = list(
            zip(
                rows["image_id"].to_pylist(),
                rows["chunk_key"].to_pylist(),
                rows["kind"].to_pylist(),
                strict=True,
            )
        )
        pages: dict[str, list[str]] = {}
        for image_id, key, kind in dict.fromkeys(pairs):
            if kind != "object":
                name, label = _split_key(key)
                pages.setdefault(self._images[image_id].file_uri(name), []).append(label)
        found = {uri: self._read_file(uri, labels) for uri, labels in pages.items()}
        return pa.array([self._find(found, *pair) for pair in pairs], pa.string())

    def _find(self, found: Mapping[str, Mapping[str, str]], image_id: str, key: str, kind: str) -> str | None:
        image = self._images[image_id]
        if kind == "object":
            return _describe_png(image)
        name, label = _split_key(key)
        return found[image.file_uri(name)].get(label)

    def _read_file(self, uri: str, labels: Iterable[str]) -> dict[str, str]:
        folder, name = split_file_uri(uri)
        try:
            store = self._stores.get(folder)
            if store is None:
                store = self._stores[folder] = open_store(folder, storage_options=self._storage_options)
            with open_tiff(store, name) as tiff:
                return {label: _read_page(tiff, label) for label in labels}
        except (StoreError, IndexError, KeyError):
            return {}


def _read_page(tiff: TiffFile, label: str) -> str:
    index, is_below, number = label.partition("/")
    ifd = tiff.ifds[int(index)]
    if is_below:
        ifd = dict(tiff.sub_ifds(ifd))[int(number)]
    return tiff.codec(ifd, tiff.geometry(ifd))


def _split_key(key: str) -> tuple[str, str]:
    """File and page of a key ``<file>#<page>`` or ``<file>#<page>:<chunk>``."""
    name, _, place = key.rpartition("#")
    return name, place.partition(":")[0]


def _describe_png(image: ImageRow) -> str | None:
    extents = dict(zip(image.axes, image.levels[0].shape, strict=True))
    height, width = extents.get("y"), extents.get("x")
    if height is None or width is None:
        return None
    samples = extents.get("s", 1)
    return write_page_codec(
        PageCodec(
            PNG_COMPRESSION, image.dtype, height, width, None, height, natural_bits(image.dtype), samples
        )
    )
