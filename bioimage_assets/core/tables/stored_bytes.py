"""``image_assets.stored_bytes``: bytes of stored chunks, summed by array while chunk rows are read.

A Zarr image has no size of its own: it is what a listing shows below all its levels.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

# Store URI → array path in the store → bytes of its stored objects.
StoredSums = Mapping[str, Mapping[str, int]]


def with_stored_bytes(images: pa.Table, sums: StoredSums) -> pa.Table:
    """Fill ``stored_bytes`` where it is null and every level of the image was listed; absent chunks count as none.

    Parameters
    ----------
    images
        Rows of ``image_assets``.
    sums
        Bytes by store and array; arrays that are not in it were not listed.
    """
    position = images.schema.get_field_index("stored_bytes")
    rows = zip(
        images["uri"].to_pylist(), images["levels"].to_pylist(), images[position].to_pylist(), strict=True
    )
    filled = [
        known if known is not None else _add_up([level["path"] for level in levels], sums.get(uri, {}))
        for uri, levels, known in rows
    ]
    return images.set_column(
        position, images.schema.field(position), pa.array(filled, images.schema.field(position).type)
    )


def _add_up(paths: list[str], sizes: Mapping[str, int]) -> int | None:
    if not paths or any(path not in sizes for path in paths):
        return None
    return sum(sizes[path] for path in paths)
