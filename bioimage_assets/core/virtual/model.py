"""What a virtual plate is made of: arrays whose chunks are byte ranges of original files, as numpy columns.

Formats are parsed into it (``core/virtual/plan.py``), and writers turn it into references. The columns follow the chunk
manifests of VirtualiZarr: https://virtualizarr.readthedocs.io/en/stable/data_structures.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bioimage_assets.core.findings import Finding

WHOLE_FILE = -1
"""Size of a reference that means all bytes of its source."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One original file or object that references point into, as it was when the plate was planned.

    Parameters
    ----------
    uri
        Absolute when planned. Writers make it relative to the place of the virtual plate where both share a root.
    size_bytes
        Its size; None where the store did not say.
    modified_ns
        Time of its last change in nanoseconds since 1970; local files only.
    etag
        What an object store or web server calls this version of it; None for local files.
    """

    uri: str
    size_bytes: int | None = None
    modified_ns: int | None = None
    etag: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ChunkRefs:
    """Where the stored chunks of one array lie, one entry each. A chunk without an entry reads as the fill value.

    Parameters
    ----------
    coords
        (n, ndim) int32, in the grid of what is stored: of shards where the array is sharded.
    source
        (n,) int32, positions in ``VirtualPlate.sources``.
    offset
        (n,) int64, bytes from the start of the source.
    size
        (n,) int64, bytes; ``WHOLE_FILE`` means all of the source.
    """

    coords: np.ndarray
    source: np.ndarray
    offset: np.ndarray
    size: np.ndarray

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True, slots=True, eq=False)
class VirtualArray:
    """One level of one image.

    Parameters
    ----------
    path
        In the plate: ``A/1/0/0`` (row, column, field, level), of labels ``A/1/0/labels/<name>/0``.
    shape, chunk_shape
        Elements along each axis; ``chunk_shape`` is that of what is stored, so of shards where the array is sharded.
    dtype
        numpy name without byte order, which the codecs say.
    axes
        Names in array order, of t c z y x; samples of RGB became channels.
    metadata_v3, metadata_v2
        The array's ``zarr.json`` and ``.zarray`` documents; None where that version of Zarr cannot express it.
    refs
        Its stored chunks.
    inner_refs
        Of a sharded array, the chunks inside of its shards, in their own grid: what the ``.zarray`` document, which knows no
        shards, speaks of. None where the array has none, or its shards cannot be looked into.
    """

    path: str
    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    dtype: str
    axes: tuple[str, ...]
    metadata_v3: Mapping[str, object] | None
    metadata_v2: Mapping[str, object] | None
    refs: ChunkRefs
    inner_refs: ChunkRefs | None = None


@dataclass(frozen=True, slots=True, eq=False)
class VirtualImage:
    """One field of view or label image: one multiscale, whose arrays are its levels, the finest first."""

    path: str
    image_id: str
    arrays: tuple[VirtualArray, ...]

    @property
    def is_label(self) -> bool:
        """Whether it is a label image, which stands below the field that it was made from."""
        return "/labels/" in self.path


@dataclass(frozen=True, slots=True, eq=False)
class VirtualPlate:
    """Images of one plate, the files they point into, and why other images could not be expressed."""

    name: str
    images: tuple[VirtualImage, ...]
    sources: tuple[SourceFile, ...]
    refused: tuple[Finding, ...] = ()
