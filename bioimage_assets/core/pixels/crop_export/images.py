"""The images that chosen cells lie in, looked up plate by plate in a table of images."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.errors import MissingTableError
from bioimage_assets.core.joins.query import query_metadata_table
from bioimage_assets.core.joins.sources import open_profiles
from bioimage_assets.core.pixels.location import ImageGeometry, read_geometry

# Gives the rows of ``image_assets`` of one plate key; of all plates where the key is None.
ImagesOfPlate: TypeAlias = Callable[[str | None], pa.Table]
_PLATES_IN_MEMORY = 4


def open_images(image_assets: object, storage_options: Mapping[str, object] | None) -> ImagesOfPlate:
    """How the images of a plate are read from a table of any kind that joins accept; a function is taken as it is."""
    if callable(image_assets):
        found: ImagesOfPlate = image_assets
        return found
    source = open_profiles(image_assets, storage_options)
    has_plates = "plate_key" in source.schema.names
    table = None if source.is_rereadable else query_metadata_table(source)

    def read(plate_key: str | None) -> pa.Table:
        filters = [("plate_key", "=", plate_key)] if has_plates and plate_key is not None else []
        return query_metadata_table(source if table is None else table, filters=filters)

    return read


class PlateImages:
    """Geometry of images by id; the tables of the plates asked for last are in memory."""

    def __init__(self, images_of: ImagesOfPlate) -> None:
        self._images_of = images_of
        self._plates: OrderedDict[str | None, _Plate] = OrderedDict()

    def find(self, plate_key: str | None, dataset_id: str | None, image_id: str) -> ImageGeometry:
        """Geometry of an image, the same object for each cell of it.

        Raises
        ------
        MissingTableError
            No such image, or several.
        UsageError
            The image was never opened.
        """
        return self._plate(plate_key).find(dataset_id, image_id)

    def dtypes(self, plate_key: str | None) -> set[str]:
        """Types of the pixels of a plate's images, labels left out."""
        return self._plate(plate_key).dtypes()

    def _plate(self, plate_key: str | None) -> _Plate:
        if plate_key in self._plates:
            self._plates.move_to_end(plate_key)
        else:
            self._plates[plate_key] = _Plate(self._images_of(plate_key))
            if len(self._plates) > _PLATES_IN_MEMORY:
                self._plates.popitem(last=False)
        return self._plates[plate_key]


class _Plate:
    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._rows: dict[str, list[int]] = {}
        for row, image_id in enumerate(table["image_id"].to_pylist()):
            self._rows.setdefault(image_id, []).append(row)
        names = table.column_names
        self._datasets = table["dataset_id"].to_pylist() if "dataset_id" in names else [None] * len(table)
        self._found: dict[tuple[str | None, str], ImageGeometry] = {}

    def find(self, dataset_id: str | None, image_id: str) -> ImageGeometry:
        known = self._found.get((dataset_id, image_id))
        if known is not None:
            return known
        rows = [
            row
            for row in self._rows.get(image_id, ())
            if dataset_id is None or self._datasets[row] in (None, dataset_id)
        ]
        if len(rows) != 1:
            raise MissingTableError(
                f"Image {image_id!r} of {dataset_id!r}: {len(rows)} rows in image_assets, expected one."
            )
        geometry = read_geometry(self._table.slice(rows[0], 1).to_pylist()[0])
        self._found[(dataset_id, image_id)] = geometry
        return geometry

    def dtypes(self) -> set[str]:
        if "image_kind" not in self._table.column_names:
            kinds = self._table
        else:
            kinds = self._table.filter(pc.equal(self._table["image_kind"], "image"))
        found = kinds["dtype"] if "dtype" in kinds.column_names else pa.array([], pa.string())
        return {str(dtype) for dtype in pc.unique(found).to_pylist() if dtype is not None}


def has_planes(geometry: ImageGeometry) -> bool:
    """Whether a cell of an image may have been measured on one of several planes."""
    sizes = zip(geometry.axes, geometry.levels[0].shape, strict=True)
    return any(axis in "zt" and size > 1 for axis, size in sizes)
