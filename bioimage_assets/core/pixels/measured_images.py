"""Gives the rows of a plate's image table the images that their cells are linked to.

CellProfiler writes mean intensities of whole images there, which bear witness where no cell has a place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from bioimage_assets.core.joins.sources import ProfileSource

_KEYS = ("Metadata_ImageNumber", "Metadata_Well", "Metadata_Site")


def link_measured_images(rows: ProfileSource, measured_images: pa.Table) -> pa.Table:
    """The rows of a plate's image table with the image that the cells measured on them are linked to.

    A row is known by its image number, well and site. Rows without cells, and those whose cells are linked to several
    images, are left out.
    """
    keys = [name for name in _KEYS if name in rows.schema.names and name in measured_images.column_names]
    if not keys or "image_id" not in rows.schema.names:
        return measured_images.slice(0, 0).append_column("image_id", pa.array([], pa.string()))
    linked: dict[tuple[str, ...], set[str | None]] = {}
    names = ["image_id", *keys]
    positions = sorted(rows.schema.names.index(name) for name in names)
    for batch in rows.batches(positions):
        table = pa.Table.from_batches([batch]).select(names)
        for row in table.group_by(names).aggregate([]).to_pylist():
            linked.setdefault(_text_of(row, keys), set()).add(row["image_id"])
    found = [linked.get(_text_of(row, keys), {None}) for row in measured_images.select(keys).to_pylist()]
    ids = pa.array([next(iter(images)) if len(images) == 1 else None for images in found], pa.string())
    named = measured_images.append_column("image_id", ids)
    return named.filter(ids.is_valid())


def _text_of(row: Mapping[str, object], keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(row[key]) for key in keys)
