"""The exact place of a box of pixels, and the geometry of the image it is in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.model.axes import count_channels
from bioimage_assets.core.model.file_kinds import PNG_FAMILY
from bioimage_assets.core.model.image import (
    LISTED,
    UNKNOWN_DTYPE,
    FileRecord,
    LevelRecord,
    axis_names,
    is_in_files,
)
from bioimage_assets.core.pixels.boxes import PixelBox

Interval = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ImageGeometry:
    """What locating needs of one row of ``image_assets``; ``levels[0]`` is full resolution."""

    plate_key: str | None
    dataset_id: str | None
    image_id: str
    format_family: str
    uri: str
    array_path: str | None
    axes: tuple[str, ...]
    dtype: str
    levels: tuple[LevelRecord, ...]
    channel_names: tuple[str | None, ...]
    files: tuple[FileRecord, ...]
    pixel_size_y_um: float | None
    pixel_size_x_um: float | None

    @property
    def is_in_files(self) -> bool:
        """Whether the pixels are in image files (TIFF, PNG) rather than in a Zarr store."""
        return is_in_files(self.format_family)

    @property
    def is_png(self) -> bool:
        """Whether the pixels are in PNG files."""
        return PNG_FAMILY in self.format_family

    def axis(self, name: str) -> int | None:
        """Position of an axis, None where the image has none of that name."""
        return self.axes.index(name) if name in self.axes else None

    @property
    def channel_count(self) -> int:
        """Channels of the image: one where it has no channel axis."""
        count = count_channels(self.axes, self.levels[0].shape)
        return 1 if count is None else count


@dataclass(frozen=True, slots=True)
class ChunkLocation:
    """One stored piece that the box touches: its key in the store, and its byte range where it is known."""

    chunk_key: str
    kind: str
    chunk_coords: tuple[int, ...]
    stored_offset: int | None = None
    stored_bytes: int | None = None
    is_present: bool | None = None


@dataclass(frozen=True, slots=True)
class PixelLocation:
    """The exact place of an object's pixels.

    ``slices`` are (start, stop) per axis in the image's axis order, at ``level``; along the channel axis only
    ``channel_indices`` are meant. ``files`` are the files of a multi-file image that hold them, relative to
    ``uri``. ``box_um`` is (y start, y stop, x start, x stop) in µm from the image's corner.
    """

    object_id: str | None
    plate_key: str | None
    dataset_id: str | None
    image_id: str
    uri: str
    array_path: str | None
    level: int
    axes: tuple[str, ...]
    dtype: str
    slices: tuple[Interval, ...]
    channel_names: tuple[str | None, ...]
    channel_indices: tuple[int, ...]
    files: tuple[FileRecord, ...]
    box_um: tuple[float, float, float, float] | None
    chunks: tuple[ChunkLocation, ...]
    geometry: ImageGeometry

    def interval(self, axis: str) -> Interval | None:
        """(start, stop) along an axis, None where the image has none of that name."""
        position = self.geometry.axis(axis)
        return None if position is None else self.slices[position]

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON, without the geometry of the whole image."""
        return {key: value for key, value in asdict(self).items() if key != "geometry"}

    def to_json(self, **options: object) -> str:
        """JSON text of ``to_dict``; options go to ``json.dumps``."""
        return json.dumps(self.to_dict(), **options)  # type: ignore[arg-type]


def read_geometry(row: Mapping[str, object]) -> ImageGeometry:
    """Read an ``image_assets`` row, or the image columns of a joined row (then only level 0 is known).

    UsageError when the row lacks an image, its axes or its shape, or was never opened.
    """
    missing = [name for name in ("image_id", "uri", "shape") if row.get(name) is None]
    if missing:
        raise UsageError(
            f"The row has no {' or '.join(missing)}: it is linked to no image, or lacks image columns."
        )
    if row.get("scan_status") == LISTED or row.get("dtype") == UNKNOWN_DTYPE:
        raise UsageError(
            f"Image {row['image_id']!r} is named by a LoadData table and was not opened, so it is not known where its "
            f"pixels lie in {row['uri']}. Scan the table itself ('bioimage-assets scan <load_data.csv>') to open its images."
        )
    shape = _ints(row["shape"]) or ()
    axes = axis_names(row.get("axes")) or _guess_axes(len(shape))  # type: ignore[arg-type]
    levels = tuple(_level(item) for item in row.get("levels") or ())  # type: ignore[attr-defined]
    array_path = row.get("array_path")
    whole = LevelRecord(
        0, str(array_path or ""), shape, _ints(row.get("chunk_shape")), _ints(row.get("shard_shape"))
    )
    return ImageGeometry(
        plate_key=_text(row.get("plate_key")),
        dataset_id=_text(row.get("dataset_id")),
        image_id=str(row["image_id"]),
        format_family=str(row.get("format_family") or ""),
        uri=str(row["uri"]),
        array_path=_text(array_path),
        axes=axes,
        dtype=str(row.get("dtype") or ""),
        levels=levels or (whole,),
        channel_names=tuple(row.get("channel_names") or ()),  # type: ignore[arg-type]
        files=tuple(_file(item) for item in row.get("files") or ()),  # type: ignore[attr-defined]
        pixel_size_y_um=_number(row.get("pixel_size_y_um")),
        pixel_size_x_um=_number(row.get("pixel_size_x_um")),
    )


def box_in_um(geometry: ImageGeometry, box: PixelBox) -> tuple[float, float, float, float] | None:
    """Box of full-resolution pixels in µm, None where the pixel size is unknown."""
    y_size, x_size = geometry.pixel_size_y_um, geometry.pixel_size_x_um
    if y_size is None or x_size is None:
        return None
    return (box.y_start * y_size, box.y_stop * y_size, box.x_start * x_size, box.x_stop * x_size)


def _guess_axes(count: int) -> tuple[str, ...]:
    """Names of the last axes where a bare array states none: the order of OME-NGFF."""
    return tuple("tczyx")[-count:] if count <= 5 else (*(f"d{i}" for i in range(count - 2)), "y", "x")


def _level(item: Mapping[str, object]) -> LevelRecord:
    return LevelRecord(
        level=int(item["level"]),  # type: ignore[call-overload]
        path=str(item["path"]),
        shape=_ints(item["shape"]) or (),
        chunk_shape=_ints(item.get("chunk_shape")),
        shard_shape=_ints(item.get("shard_shape")),
    )


def _file(item: Mapping[str, object]) -> FileRecord:
    numbers = {name: _integer(item.get(name)) for name in ("c", "z", "t", "ifd")}
    role = item.get("role") or "image"
    return FileRecord(str(item["path"]), _text(item.get("channel")), role, **numbers)  # type: ignore[arg-type]


def _ints(value: object) -> tuple[int, ...] | None:
    return None if value is None else tuple(int(number) for number in value)  # type: ignore[attr-defined]


def _integer(value: object) -> int | None:
    return None if value is None else int(value)  # type: ignore[call-overload]


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)
