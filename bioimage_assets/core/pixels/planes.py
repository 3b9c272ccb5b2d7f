"""Which plane of a z-stack or time series a profile row was measured on: its image file says, else its columns.

``Metadata_Z`` and ``Metadata_T`` count from zero, as CellProfiler takes them from image headers:
https://cellprofiler-manual.s3.amazonaws.com/CellProfiler-4.2.6/modules/input.html#metadata
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.joins.keys import file_column_kind, normalize_path, normalize_text
from bioimage_assets.core.model.image import FileRecord
from bioimage_assets.core.pixels.location import ImageGeometry

PLANE_COLUMNS = {"z": ("Metadata_Z", "Image_Metadata_Z"), "t": ("Metadata_T", "Image_Metadata_T")}


def is_plane_column(name: str) -> bool:
    """Tell whether a column may say on which plane a row was measured."""
    return any(name in names for names in PLANE_COLUMNS.values()) or file_column_kind(name) in (
        "file_name",
        "path_name",
    )


def read_plane(row: Mapping[str, object], geometry: ImageGeometry, axis: str) -> int | None:
    """0-based plane of a row along ``z`` or ``t``, None where the row says nothing or the image has one plane only.

    UsageError where the column holds something that is not a plane number.
    """
    position = geometry.axis(axis)
    if position is None or geometry.levels[0].shape[position] == 1:
        return None
    planes = {getattr(file, axis) for file in _own_files(row, geometry)} - {None}
    if len(planes) == 1:
        return int(planes.pop())
    for name in PLANE_COLUMNS[axis]:
        text = normalize_text(row.get(name))
        if text is None:
            continue
        if not text.isdecimal():
            raise UsageError(
                f"Column {name!r} holds {row[name]!r}; expected the number of a plane, counted from zero. Name the plane "
                f"in CropChoice({axis}=…)."
            )
        return int(text)
    return None


def _own_files(row: Mapping[str, object], geometry: ImageGeometry) -> list[FileRecord]:
    """Files of the image that the row names: by folder and name, else by name alone."""
    files = [file for file in geometry.files if file.role == "image"] if len(geometry.files) > 1 else []
    if not files:
        return []
    paths = list(_row_paths(row))
    exact = [f for f in files if any(path == f.path or path.endswith(f"/{f.path}") for path in paths)]
    names = {path.rpartition("/")[2] for path in paths}
    return exact or [file for file in files if file.path.rpartition("/")[2] in names]


def _row_paths(row: Mapping[str, object]) -> Iterator[str]:
    for name, value in row.items():
        text = normalize_text(value) if file_column_kind(name) == "file_name" else None
        if text is not None:
            folder = row.get(name.replace("FileName_", "PathName_"))
            yield normalize_path(f"{folder}/{text}" if folder else text) or text
