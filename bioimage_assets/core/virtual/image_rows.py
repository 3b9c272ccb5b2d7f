"""What planning needs of a row of ``image_assets``: where an image is and what its levels look like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

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
    "levels",
    "scan_status",
    "array_path",
)


@dataclass(frozen=True, slots=True)
class LevelShape:
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
    file_counts = pc.fill_null(pc.list_value_length(image_assets["files"]), 0).to_pylist()
    for row, file_count in zip(table.to_pylist(), file_counts, strict=True):
        yield ImageRow(
            row["image_id"], row["image_kind"], row["uri"], axis_names(row["axes"]), row["dtype"], _read_levels(row),
            is_in_files(row["format_family"]), file_count > 0, row["scan_status"],
        )  # fmt: skip


def _read_levels(row: Mapping[str, object]) -> tuple[LevelShape, ...]:
    levels = row["levels"] or [{"level": 0, "path": row["array_path"] or "", "shape": row["shape"]}]
    return tuple(LevelShape(one["level"], one["path"], tuple(one["shape"])) for one in levels)  # type: ignore[attr-defined]
