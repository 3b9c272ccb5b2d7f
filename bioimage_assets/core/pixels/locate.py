"""Locate the pixels of a profile row or an object id: store, array, slices, chunks, µm.

The tables that are given are read and, where no chunk index is among them, the metadata of the one image;
``core.pixels.crop.read_crop`` cuts the pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.errors import MissingTableError, StoreError, UsageError
from bioimage_assets.core.joins.query import query_metadata_table
from bioimage_assets.core.joins.sources import open_profiles
from bioimage_assets.core.model.image import FileRecord
from bioimage_assets.core.pixels.boxes import (
    DEFAULT_BOX_SIZE_PX,
    PixelBox,
    find_box_columns,
    is_box_column,
    read_box,
)
from bioimage_assets.core.pixels.location import (
    ChunkLocation,
    ImageGeometry,
    Interval,
    PixelLocation,
    box_in_um,
    read_geometry,
)
from bioimage_assets.core.pixels.planes import is_plane_column, read_plane
from bioimage_assets.core.pixels.touched_chunks import list_touched_pieces
from bioimage_assets.core.tables.schemas import IMAGE_ASSETS

OBJECT_ID_COLUMN = "Metadata_ObjectID"


@dataclass(frozen=True, slots=True)
class CropChoice:
    """Which pixels of an object.

    Parameters
    ----------
    compartment
        ``Cells``, ``Cytoplasm`` or ``Nuclei``; None for the first that has a box.
    channels
        Names or 0-based indexes; None for all.
    level
        Pyramid level; boxes are scaled from full resolution and cover at least the same area.
    box_size_px
        Side of the box where only a centre is known.
    pad_px
        Full-resolution pixels added on each side.
    z, t
        0-based plane; None for the one that the row was measured on (its image file, ``Metadata_Z``,
        ``Metadata_T``), else for all planes of ``z`` and the first of ``t``.
    """

    compartment: str | None = None
    channels: tuple[str | int, ...] | None = None
    level: int = 0
    box_size_px: int = DEFAULT_BOX_SIZE_PX
    pad_px: int = 0
    z: int | None = None
    t: int | None = None


def locate(
    target: Mapping[str, object] | str,
    *,
    joined: object | None = None,
    image_assets: object | None = None,
    chunk_index: object | None = None,
    choice: CropChoice | None = None,
    storage_options: Mapping[str, object] | None = None,
) -> PixelLocation:
    """Find the pixels of one profile row, or of an object by its ``Metadata_ObjectID``.

    Parameters
    ----------
    target
        A row of ``joined_profiles`` as a mapping, or an object id that is looked up in ``joined``.
    joined, image_assets, chunk_index
        Tables of any kind that joins accept. Without ``image_assets`` the row's own image columns are used,
        which know neither further levels nor the files of a multi-file image. Without ``chunk_index`` the
        chunks are worked out from the image's own metadata, with byte ranges for TIFF only; there are none
        where the store cannot be reached.
    storage_options
        Of the object store that tables and image lie in; by default the project's (``BIOIMAGE_STORAGE_*``).

    Raises
    ------
    UsageError
        The row is linked to no image, or asks for a channel, level or plane that the image lacks.
    ContractError
        The row has no usable box or centre.
    MissingTableError
        The object id or the image is not in the given tables.

    Examples
    --------
    >>> location = locate("ds/P1/0/1", joined="joined_profiles/", image_assets=images)
    >>> location.array_path, location.slices
    ('A/1/0/0', ((0, 2), (5, 25), (7, 25)))
    """
    choice = choice or CropChoice()
    row = find_object(joined, target, storage_options) if isinstance(target, str) else target
    geometry = read_geometry(row if image_assets is None else _image_row(image_assets, row, storage_options))
    box = read_box(row, find_box_columns(row, choice.compartment), choice.box_size_px).padded(choice.pad_px)
    choice = with_planes(choice, row, geometry)
    object_id = row.get(OBJECT_ID_COLUMN)
    name = None if object_id is None else str(object_id)
    location = build_location(geometry, box, choice, name)
    if chunk_index is None:
        return _with_own_pieces(location, storage_options)
    return _with_chunks(location, chunk_index, storage_options)


def with_planes(choice: CropChoice, row: Mapping[str, object], geometry: ImageGeometry) -> CropChoice:
    """The choice with the planes that the row was measured on, where none are chosen."""
    z = read_plane(row, geometry, "z") if choice.z is None else choice.z
    t = read_plane(row, geometry, "t") if choice.t is None else choice.t
    return replace(choice, z=z, t=t)


def find_object(
    joined: object | None, object_id: str, storage_options: Mapping[str, object] | None = None
) -> dict[str, object]:
    """Row of an object in a joined table; MissingTableError where it is absent, UsageError where it is not unique."""
    if joined is None:
        raise UsageError("An object id needs the joined profiles to look it up in: pass joined=...")
    source = open_profiles(joined, storage_options)
    names = [name for name in source.schema.names if name == OBJECT_ID_COLUMN or _is_needed(name)]
    rows = query_metadata_table(source, columns=names, filters=[(OBJECT_ID_COLUMN, "=", object_id)])
    if rows.num_rows != 1:
        found = "no row" if not rows.num_rows else f"{rows.num_rows} rows"
        error = UsageError if rows.num_rows else MissingTableError
        raise error(f"Object {object_id!r}: {found} in the joined profiles, expected one.")
    return dict(zip(rows.column_names, (column[0].as_py() for column in rows.columns), strict=True))


def _is_needed(column: str) -> bool:
    return column in IMAGE_ASSETS.names or is_box_column(column) or is_plane_column(column)


def build_location(
    geometry: ImageGeometry, box: PixelBox, choice: CropChoice, object_id: str | None = None
) -> PixelLocation:
    """Place a box of full-resolution pixels in an image; the stored pieces are left open."""
    if not 0 <= choice.level < len(geometry.levels):
        raise UsageError(
            f"Image {geometry.image_id} has no level {choice.level}: it has {len(geometry.levels)}."
        )
    level = geometry.levels[choice.level]
    channels = _channel_indices(geometry, choice.channels)
    slices = _slices(geometry, level.shape, box, channels, choice)
    return PixelLocation(
        object_id=object_id,
        plate_key=geometry.plate_key,
        dataset_id=geometry.dataset_id,
        image_id=geometry.image_id,
        uri=geometry.uri,
        array_path=geometry.array_path if geometry.is_in_files else level.path,
        level=choice.level,
        axes=geometry.axes,
        dtype=geometry.dtype,
        slices=slices,
        channel_names=tuple(
            geometry.channel_names[i] if i < len(geometry.channel_names) else None for i in channels
        ),
        channel_indices=channels,
        files=_files(geometry, channels),
        box_um=box_in_um(geometry, box.clipped(*_plane_shape(geometry, geometry.levels[0].shape))),
        chunks=(),
        geometry=geometry,
    )


def _image_row(
    image_assets: object, row: Mapping[str, object], storage_options: Mapping[str, object] | None
) -> dict[str, object]:
    image_id, dataset = row.get("image_id"), row.get("dataset_id")
    if image_id is None:
        raise UsageError("The row is linked to no image (image_id is null).")
    filters = [("image_id", "=", image_id)] + ([("dataset_id", "=", dataset)] if dataset is not None else [])
    found = query_metadata_table(image_assets, filters=filters, storage_options=storage_options)
    if found.num_rows != 1:
        raise MissingTableError(
            f"Image {image_id!r} of {dataset!r}: {found.num_rows} rows in image_assets, expected one."
        )
    only: dict[str, object] = found.to_pylist()[0]
    return only


def _channel_indices(geometry: ImageGeometry, channels: Iterable[str | int] | None) -> tuple[int, ...]:
    count = geometry.channel_count
    if channels is None:
        return tuple(range(count))
    found = []
    for channel in channels:
        index = geometry.channel_names.index(channel) if channel in geometry.channel_names else channel
        if not isinstance(index, int) or not 0 <= index < count:
            raise UsageError(
                f"Image {geometry.image_id} has no channel {channel!r}; it has "
                f"{', '.join(map(str, geometry.channel_names)) or f'{count} without names'}."
            )
        found.append(index)
    return tuple(found)


def _slices(
    geometry: ImageGeometry,
    shape: Sequence[int],
    box: PixelBox,
    channels: tuple[int, ...],
    choice: CropChoice,
) -> tuple[Interval, ...]:
    full = _plane_shape(geometry, geometry.levels[0].shape)
    height, width = _plane_shape(geometry, shape)
    inside = box.clipped(*full)
    if inside.y_stop <= inside.y_start or inside.x_stop <= inside.x_start:
        raise UsageError(
            f"The box {box} lies outside image {geometry.image_id} of {full[0]} × {full[1]} pixels."
        )
    placed = inside.scaled((full[0], height), (full[1], width))
    intervals: dict[str, Interval] = {
        "y": (placed.y_start, placed.y_stop),
        "x": (placed.x_start, placed.x_stop),
        "c": (min(channels), max(channels) + 1) if channels else (0, 0),
    }
    for axis, plane in (("z", choice.z), ("t", 0 if choice.t is None else choice.t)):
        position = geometry.axis(axis)
        if position is not None and plane is not None:
            if not 0 <= plane < shape[position]:
                raise UsageError(
                    f"Image {geometry.image_id} has no {axis} plane {plane}: it has {shape[position]}, counted from zero."
                )
            intervals[axis] = (plane, plane + 1)
    return tuple(intervals.get(axis, (0, size)) for axis, size in zip(geometry.axes, shape, strict=True))


def _plane_shape(geometry: ImageGeometry, shape: Sequence[int]) -> tuple[int, int]:
    y, x = geometry.axis("y"), geometry.axis("x")
    if y is None or x is None:
        raise UsageError(
            f"Image {geometry.image_id} has axes {','.join(geometry.axes)}; a box needs y and x."
        )
    return shape[y], shape[x]


def _files(geometry: ImageGeometry, channels: tuple[int, ...]) -> tuple[FileRecord, ...]:
    return tuple(f for f in geometry.files if f.role == "image" and (f.c is None or f.c in channels))


def _with_own_pieces(location: PixelLocation, storage_options: Mapping[str, object] | None) -> PixelLocation:
    """Add what the store's metadata say; a location is worth having where the store is out of reach, too."""
    try:
        return replace(location, chunks=list_touched_pieces(location, storage_options))
    except StoreError:
        return location


def _with_chunks(
    location: PixelLocation, chunk_index: object, storage_options: Mapping[str, object] | None
) -> PixelLocation:
    filters = [("image_id", "=", location.image_id), ("level", "=", location.level)]
    if location.dataset_id is not None:
        filters.append(("dataset_id", "=", location.dataset_id))
    rows = query_metadata_table(chunk_index, filters=filters, storage_options=storage_options)
    chunks = tuple(_touched_chunks(location, rows))
    return replace(location, chunks=chunks)


def _touched_chunks(location: PixelLocation, rows: pa.Table) -> Iterable[ChunkLocation]:
    level = location.geometry.levels[location.level]
    kinds = set(pc.unique(rows.column("kind")).to_pylist())
    for row in rows.to_pylist():
        is_shard = row["kind"] == "object" and level.shard_shape is not None
        if is_shard and "inner" in kinds:
            continue  # the inner chunks say it more exactly
        shape = level.shard_shape if is_shard else level.chunk_shape
        coords = row["chunk_coords"]
        if shape is None or coords is None or not _touches(location, coords, shape, row.get("strip_count")):
            continue
        yield ChunkLocation(
            row["chunk_key"], row["kind"], tuple(coords), row.get("stored_offset"), row.get("stored_bytes"),
            row.get("is_present"),
        )  # fmt: skip


def _touches(
    location: PixelLocation, coords: Sequence[int], shape: Sequence[int], strips: int | None
) -> bool:
    """Whether a chunk overlaps the slices; a folded row stands for ``strips`` chunks along y."""
    for axis, coord, size, (start, stop) in zip(location.axes, coords, shape, location.slices, strict=True):
        span = size * (strips or 1) if axis == "y" else size
        first, last = coord * size, coord * size + span
        if axis == "c" and size == 1:
            if coord not in location.channel_indices:
                return False
        elif last <= start or first >= stop:
            return False
    return True
