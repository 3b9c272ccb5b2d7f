"""Planned arrays become listings of what is stored below them, with as few requests as the store allows.

Local folders and archives are listed array by array. In a bucket a listing costs one round trip per
1,000 keys however deep it goes, so arrays of one well (or image) share one, and several run ahead.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby

import pyarrow.compute as pc

from bioimage_assets.core.formats.zarr.array import ZarrArray
from bioimage_assets.core.model.image import ImageRecord, LevelRecord
from bioimage_assets.core.stores.base import ListedSizes, Store

LISTINGS_AHEAD = 16


# One array to index, with the image and level it belongs to. A plain tuple: a plate has thousands.
IndexedArray = tuple[ImageRecord, LevelRecord, ZarrArray]


def iterate_listings(
    store: Store, planned: Sequence[IndexedArray]
) -> Iterator[tuple[IndexedArray, ListedSizes]]:
    """Yield each planned array with the objects listed below it."""
    if not store.is_remote:
        for item in planned:
            yield item, store.list_sizes(item[1].path)
        return
    groups = [(prefix, list(items)) for prefix, items in groupby(planned, key=_listing_prefix)]
    with ThreadPoolExecutor(LISTINGS_AHEAD) as pool:
        running: deque[Future[ListedSizes]] = deque()
        for ahead, (_, items) in enumerate(groups):
            while len(running) < LISTINGS_AHEAD and ahead + len(running) < len(groups):
                running.append(pool.submit(store.list_sizes, groups[ahead + len(running)][0]))
            listing = _sort(running.popleft().result())
            for item in items:
                yield item, _below(listing, item[1].path)


def _listing_prefix(item: IndexedArray) -> str:
    """Folder to list for an array: its well on a plate, else its image."""
    image, level, _ = item
    image_path = image.array_path or ""
    parents = 2 if image.well_id is not None else 1
    for _ in range(parents):
        image_path = image_path.rpartition("/")[0]
    return image_path if level.path.startswith(f"{image_path}/") else level.path


def _sort(listing: ListedSizes) -> tuple[list[str], ListedSizes]:
    order = pc.sort_indices(listing.keys)
    positions = order.to_numpy()
    keys = listing.keys.take(order)
    offsets = None if listing.offsets is None else listing.offsets[positions]
    return keys.to_pylist(), ListedSizes(keys, listing.size_bytes[positions], offsets)


def _below(listing: tuple[list[str], ListedSizes], path: str) -> ListedSizes:
    names, columns = listing
    if not path:
        return columns
    low = bisect_left(names, f"{path}/")
    high = bisect_left(names, f"{path}0")  # "0" is the character after "/"
    offsets = None if columns.offsets is None else columns.offsets[low:high]
    return ListedSizes(columns.keys.slice(low, high - low), columns.size_bytes[low:high], offsets)
