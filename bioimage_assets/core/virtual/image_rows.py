"""What planning needs of a row of ``image_assets``: where an image is and what its levels look like."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.model.image import axis_names, is_in_files
from bioimage_assets.core.model.store_paths import join_path

_COLUMNS = (
    "image_id",
    "image_kind",
    "format_family",
    "uri",
    "axes",
    "shape",
    "dtype",
    "scan_status",
    "array_path",
)


class LevelShape(NamedTuple):
    """One level: its number, its path in a store, and its extents along the image's axes."""

    level: int
    path: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One image; ``is_in_folder`` tells that ``uri`` is the folder of its files, else it is the file or store itself."""

    image_id: str
    image_kind: str
    uri: str
    axes: tuple[str, ...]
    dtype: str
    levels: tuple[LevelShape, ...]
    is_in_files: bool
    is_in_folder: bool
    scan_status: str

    def file_uri(self, name: str) -> str:
        """Place of one of its files by its name in the chunk index."""
        return f"{self.uri.rstrip('/')}/{name}" if self.is_in_folder else self.uri

    def object_uri(self, level: LevelShape, key: str) -> str:
        """Place of one object of a level's array in the store."""
        return f"{self.uri.rstrip('/')}/{join_path(level.path, key)}"


def read_image_rows(image_assets: pa.Table) -> Iterator[ImageRow]:
    """Give the rows in their order."""
    table = image_assets.select(_COLUMNS)
    columns = [table[name].to_pylist() for name in _COLUMNS]
    file_counts = pc.fill_null(pc.list_value_length(image_assets["files"]), 0).to_pylist()
    levels = _read_levels(image_assets["levels"])
    for values, own, file_count in zip(zip(*columns, strict=True), levels, file_counts, strict=True):
        image_id, kind, family, uri, axes, shape, dtype, status, array_path = values
        whole = (LevelShape(0, array_path or "", tuple(shape)),)
        yield ImageRow(
            image_id,
            kind,
            uri,
            axis_names(axes),
            dtype,
            own or whole,
            is_in_files(family),
            file_count > 0,
            status,
        )


def _read_levels(column: pa.ChunkedArray) -> Iterator[tuple[LevelShape, ...]]:
    """Levels of each image by columns, since most images of a plate have one."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_pylist()
    flat = pa.chunked_array([pc.list_flatten(chunk) for chunk in column.chunks], column.type.value_type)
    fields = (pc.struct_field(flat, name).to_pylist() for name in ("level", "path", "shape"))
    found = iter([LevelShape(level, path, tuple(shape)) for level, path, shape in zip(*fields, strict=True)])
    return (tuple(islice(found, length)) for length in lengths)
