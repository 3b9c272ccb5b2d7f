"""A planned virtual plate in, the same as references by key out: what the Zarr store of written plates reads, without a file of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from bioimage_assets.browse.kept import Kept
from bioimage_assets.core.virtual.chunk_keys import build_stored_array
from bioimage_assets.core.virtual.model import SourceFile, VirtualArray, VirtualPlate
from bioimage_assets.core.virtual.references import Reference

DOCUMENT = "zarr.json"
_KEPT_ARRAYS = 64  # whose chunks are known by key

_Places = Mapping[str, Reference]


@dataclass(eq=False)
class PlateReferences:
    """References of a virtual plate in Zarr v3; chunks of an array get their keys when one of them is asked for."""

    plate: VirtualPlate
    arrays: Mapping[str, VirtualArray] = field(init=False)
    _places: Kept[_Places] = field(init=False, default_factory=lambda: Kept(_KEPT_ARRAYS))

    def __post_init__(self) -> None:
        self.arrays = {array.path: array for image in self.plate.images for array in image.arrays}

    @property
    def sources(self) -> Sequence[SourceFile]:
        """The original files."""
        return self.plate.sources

    def find(self, key: str) -> bytes | Reference | None:
        """Document of an array, place of a chunk, or None."""
        found = self.find_array(key)
        if found is None:
            return None
        array, inside = found
        if inside == DOCUMENT:
            return orjson.dumps(array.metadata_v3)
        return self._places.get(array.path, lambda: _list_places(array)).get(inside)

    def find_array(self, key: str) -> tuple[VirtualArray, str] | None:
        """The array that a key is of, and the key relative to it."""
        path = key
        while "/" in path:
            path = path.rpartition("/")[0]
            if path in self.arrays:
                return self.arrays[path], key[len(path) + 1 :]
        return None

    def list_keys(self) -> Iterator[str]:
        """All keys of arrays."""
        for path, array in self.arrays.items():
            yield f"{path}/{DOCUMENT}"
            yield from (f"{path}/{key}" for key in _list_places(array))


def _list_places(array: VirtualArray) -> _Places:
    stored = build_stored_array(array, 3)
    if stored is None:
        return {}
    refs = stored.refs
    columns = zip(refs.source.tolist(), refs.offset.tolist(), refs.size.tolist(), strict=True)
    return {key: Reference(*place) for key, place in zip(stored.keys, columns, strict=True)}
