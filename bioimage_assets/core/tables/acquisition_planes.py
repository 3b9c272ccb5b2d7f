"""The ``acquisition_planes`` table: when, where and how long each plane was taken, one row per plane whose metadata say it.

Columns and types: ``bioimage_assets.core.tables.schemas.ACQUISITION_PLANES``.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

import numpy as np
import pyarrow as pa

from bioimage_assets.core.model.acquisition import PlaneFacts
from bioimage_assets.core.model.image import ImageRecord
from bioimage_assets.core.tables.schemas import ACQUISITION_PLANES

_OF_IMAGE = ("plate_key", "dataset_id", "plate_id", "well_id", "site_id", "acquisition_id", "image_id")
_get_of_image = attrgetter(*_OF_IMAGE)


def build_acquisition_planes(images: Iterable[ImageRecord]) -> pa.Table:
    """Build the table in the order of the images and, within one, of its planes."""
    spoken = [image for image in images if image.planes]
    if not spoken:
        return ACQUISITION_PLANES.empty_table()
    owner = pa.array(np.repeat(np.arange(len(spoken)), [len(image.planes) for image in spoken]))
    of_image = dict(zip(_OF_IMAGE, zip(*map(_get_of_image, spoken), strict=True), strict=True))
    of_plane = dict(
        zip(
            PlaneFacts._fields,
            zip(*(plane for image in spoken for plane in image.planes), strict=True),
            strict=True,
        )
    )
    columns: dict[str, pa.Array] = {
        **{name: pa.array(values, pa.string()).take(owner) for name, values in of_image.items()},
        "channel": pa.array(
            [_channel(image, plane.c) for image in spoken for plane in image.planes], pa.string()
        ),
        **{name: pa.array(values, ACQUISITION_PLANES.field(name).type) for name, values in of_plane.items()},
        "source": pa.array(
            [image.acquisition.source if image.acquisition else None for image in spoken], pa.string()
        ).take(owner),
    }
    return pa.Table.from_arrays(
        [columns[name] for name in ACQUISITION_PLANES.names], schema=ACQUISITION_PLANES
    )


def _channel(image: ImageRecord, index: int) -> str | None:
    names = image.channel_names
    return names[index] if names is not None and index < len(names) else None
