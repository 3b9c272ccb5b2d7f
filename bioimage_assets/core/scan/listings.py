"""Lists what is stored below planned arrays, with as few requests as the store allows.

Local folders and archives are listed array by array. A web server lists nothing and is asked for each object. In a bucket a listing costs one round trip per
1,000 keys however deep it goes, so arrays of one well (or image) share one, and several run ahead.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from math import prod

from bioimage_assets.core.errors import KeyMissingError, StoreAccessError
from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.zarr.array import ZarrArray
from bioimage_assets.core.formats.zarr.grid import grid_counts, iterate_objects
from bioimage_assets.core.model.image import ImageRecord, LevelRecord
from bioimage_assets.core.model.store_paths import join_path
from bioimage_assets.core.stores.base import ListedSizes, Store

LISTINGS_AHEAD = 16  # listings in flight; each holds the keys of one well or image
# A web server is one machine; as many requests at once as for its documents.
REQUESTS_AHEAD = 16


# One array to index, with the image and level it belongs to. A plain tuple: a plate has thousands.
IndexedArray = tuple[ImageRecord, LevelRecord, ZarrArray]


def iterate_listings(
    store: Store, planned: Sequence[IndexedArray], log: FindingLog
) -> Iterator[tuple[IndexedArray, ListedSizes]]:
    """Yield each planned array with the objects listed below it, or found one by one where nothing can be listed."""
    if not store.can_list:
        with ThreadPoolExecutor(REQUESTS_AHEAD) as pool:
            for item in planned:
                yield item, _ask_for_objects(store, item, pool, log)
        return
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


def count_objects(planned: Sequence[IndexedArray]) -> int:
    """Chunks or shards that the planned arrays would have if all were stored: requests where nothing can be listed."""
    return sum(
        prod(grid_counts(array.shape, array.stored_shape))
        for _, _, array in planned
        if array.stored_shape is not None
    )


def _ask_for_objects(
    store: Store, item: IndexedArray, pool: ThreadPoolExecutor, log: FindingLog
) -> ListedSizes:
    """Ask for the size of each chunk or shard of an array, one request each; absent ones are left out.

    A bucket behind a web server that may not be listed says "denied" of what is absent; that counts as absent, too.
    """
    _, level, array = item
    denied: list[str] = []

    def ask(key: str) -> int | None:
        try:
            return store.head(join_path(level.path, key)).size_bytes
        except KeyMissingError:
            return None
        except StoreAccessError:
            denied.append(key)
            return None

    keys: list[str] = []
    sizes: list[int] = []
    for block in iterate_objects(array):
        names = block.keys.to_pylist()
        for key, size in zip(names, pool.map(ask, names), strict=True):
            if size is not None:
                keys.append(join_path(level.path, key))
                sizes.append(size)
    if denied:
        text = f"The server denies {len(denied):,} chunks, as buckets do that may not be listed; they count as absent."
        log.note("chunks-denied", "warning", level.path, text)
    return ListedSizes(keys, sizes)


def _listing_prefix(item: IndexedArray) -> str:
    """Folder to list for an array: its well on a plate, else its image."""
    image, level, _ = item
    image_path = image.array_path or ""
    parents = 2 if image.well_id is not None else 1
    for _ in range(parents):
        image_path = image_path.rpartition("/")[0]
    return image_path if level.path.startswith(f"{image_path}/") else level.path


def _sort(listing: ListedSizes) -> ListedSizes:
    order = sorted(range(len(listing.names)), key=listing.names.__getitem__)
    offsets = None if listing.offsets is None else [listing.offsets[place] for place in order]
    names, sizes = ([column[place] for place in order] for column in (listing.names, listing.sizes))
    return ListedSizes(names, sizes, offsets)  # type: ignore[arg-type]  # of strings and of numbers


def _below(listing: ListedSizes, path: str) -> ListedSizes:
    if not path:
        return listing
    low = bisect_left(listing.names, f"{path}/")
    high = bisect_left(listing.names, f"{path}0")  # "0" is the character after "/"
    offsets = None if listing.offsets is None else listing.offsets[low:high]
    return ListedSizes(listing.names[low:high], listing.sizes[low:high], offsets)
