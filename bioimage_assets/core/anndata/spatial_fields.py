"""Stored rows of some images in, their pixels as lazy arrays out, with names, channels and sizes, whatever files they lie in.

Every store is read through references (``core/virtual``), OME-Zarr and TIFF alike: a chunk is a range of bytes of an original file, which is
refused by name where it is no longer the file that was planned with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import zarr

from bioimage_assets.core.anndata.library import require_dask_array
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.virtual.field_offsets import find_field_offsets
from bioimage_assets.core.virtual.model import VirtualImage
from bioimage_assets.core.virtual.multiscale_metadata import build_scales, name_channels
from bioimage_assets.core.virtual.plan import plan_virtual_plate
from bioimage_assets.core.virtual.reference_store import ReferenceStore
from bioimage_assets.core.virtual.references import parse_json_references
from bioimage_assets.core.virtual.source_reader import SourceReader
from bioimage_assets.core.virtual.write_json import build_kerchunk_json

# Elements of one task: a stored strip of a few rows would be a task of its own.
_BLOCK_ELEMENTS = 1 << 20
_HERE = "/open_spatialdata.json"  # references in memory are full addresses; nothing is there

Sizes = Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """One field of view or label image, at one level.

    Parameters
    ----------
    name
        Of its element: the image id, with other signs than letters, digits, ``_``, ``-`` and ``.`` as ``_``.
    axes
        Of ``pixels``, of t c z y x.
    pixels
        A dask array: nothing is read before it is computed.
    scale, full_scale
        Size of a pixel of this level, and of the finest one, by axis: µm where ``is_in_um``, else pixels of the finest level.
    offset
        Where the field lies from the corner of its well's fields, µm by axis; empty where that is not known.
    """

    name: str
    image_id: str
    well_id: str | None
    is_label: bool
    axes: tuple[str, ...]
    pixels: Any
    channels: tuple[str, ...]
    scale: Sizes
    full_scale: Sizes
    offset: Sizes
    is_in_um: bool


def open_fields(
    images: pa.Table,
    chunks: Iterable[pa.RecordBatch],
    neighbours: Iterable[Mapping[str, object]],
    level: int,
    storage_options: Mapping[str, object] | None,
) -> tuple[list[Field], tuple[Finding, ...]]:
    """The images of some rows in the order of wells and sites, and why others cannot be opened.

    Read are documents of Zarr arrays, and size and version of every file; no pixel. ``neighbours`` are rows of all images of the same
    wells, from which places within a well are counted. An image of fewer levels is left out, and said.
    """
    plate = plan_virtual_plate(images, chunks, storage_options=storage_options)
    store = _open_store(build_kerchunk_json(plate, {}, _HERE, absolute=True), storage_options)
    rows = {str(row["image_id"]): row for row in images.drop_columns(["files"]).to_pylist()}
    offsets = find_field_offsets(neighbours)
    names = name_elements([image.image_id for image in plate.images])
    findings = list(plate.refused)
    fields = []
    for image in plate.images:
        row = rows[image.image_id]
        if level >= len(image.arrays):
            text = f"Image {image.image_id} is left out: it has {len(image.arrays)} levels, level {level} is asked for."
            findings.append(Finding("no-such-level", "warning", image.image_id, text))
            continue
        array = image.arrays[level]
        count = array.shape[array.axes.index("c")] if "c" in array.axes else 1
        if image.is_label and count > 1:
            text = f"Label image {image.image_id} has {count} channels, of which SpatialData takes one: it is the first."
            findings.append(Finding("first-channel-alone", "warning", image.image_id, text))
        owner = str(row["source_image_id"]) if image.is_label else image.image_id
        fields.append(_open_field(image, row, names[image.image_id], level, store, offsets.get(owner, {})))
    return fields, tuple(findings)


def name_elements(texts: Sequence[str]) -> dict[str, str]:
    """Names that SpatialData allows, no two of which differ in capitals alone.

    >>> name_elements(["P1:A01:0", "P1/A01/0", "__x"])
    {'P1:A01:0': 'P1_A01_0', 'P1/A01/0': 'P1_A01_0_2', '__x': 'x'}
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for text in texts:
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", text).lstrip("_.") or "unnamed"
        name, number = stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(name.casefold())
        names[text] = name
    return names


def iterate_times(field: Field) -> Iterator[tuple[str, tuple[str, ...], Any]]:
    """Name, axes and pixels of each time point: SpatialData knows no time. A stack of one plane is a plane."""
    axes, pixels = field.axes, field.pixels
    if "z" in axes and pixels.shape[axes.index("z")] == 1:
        pixels = pixels.squeeze(axes.index("z"))
        axes = tuple(axis for axis in axes if axis != "z")
    if "t" not in axes:
        yield field.name, axes, pixels
        return
    place = axes.index("t")
    rest = axes[:place] + axes[place + 1 :]
    for time in range(pixels.shape[place]):
        name = f"{field.name}_t{time}" if pixels.shape[place] > 1 else field.name
        yield name, rest, pixels[(slice(None),) * place + (time,)]


def _open_field(
    image: VirtualImage, row: Mapping[str, object], name: str, level: int, store: ReferenceStore, offset: Sizes
) -> Field:  # fmt: skip
    array = image.arrays[level]
    scales = build_scales(image, row)
    count = array.shape[array.axes.index("c")] if "c" in array.axes else 1
    is_in_um = all(row[f"pixel_size_{axis}_um"] for axis in "yx")
    return Field(
        name=name,
        image_id=image.image_id,
        well_id=None if row["well_id"] is None else str(row["well_id"]),
        is_label=image.is_label,
        axes=array.axes,
        pixels=_open_array(store, array.path),
        channels=_tell_apart(name_channels(row, count)),
        scale=dict(zip(array.axes, scales[level], strict=True)),
        full_scale=dict(zip(array.axes, scales[0], strict=True)),
        offset=offset if is_in_um else {},
        is_in_um=is_in_um,
    )


def _tell_apart(channels: Sequence[str]) -> tuple[str, ...]:
    """Names of channels, by which they are asked for: one that is there already has its number behind it."""
    return tuple(
        f"{name} {number}" if name in channels[:number] else name for number, name in enumerate(channels)
    )


def _open_array(store: ReferenceStore, path: str) -> Any:
    array = zarr.open_array(store, path=path, mode="r")
    # Without a name of its own, dask would hash all references.
    return require_dask_array().from_array(
        array, chunks=_choose_blocks(array.shape, array.chunks), name=False
    )


def _choose_blocks(shape: Sequence[int], chunks: Sequence[int]) -> tuple[int, ...]:
    """Stored chunks, as many of them together in y and x, from the last axis on, as make a task worth its while.

    >>> _choose_blocks((3, 2000, 2000), (1, 8, 2000)), _choose_blocks((2, 512, 512), (1, 256, 256))
    ((1, 528, 2000), (1, 512, 512))
    """
    blocks = list(chunks)
    for place in (len(shape) - 1, len(shape) - 2):
        size = 1
        for length in blocks:
            size *= length
        times = max(1, -(-_BLOCK_ELEMENTS // max(1, size)))
        blocks[place] = max(1, min(blocks[place] * times, shape[place]))
    return tuple(blocks)


def _open_store(text: str, storage_options: Mapping[str, object] | None) -> ReferenceStore:
    """References that are in no file; another process gets them whole."""
    references = parse_json_references(text.encode(), _HERE)
    reader = SourceReader(references.sources, "in memory", storage_options, compare_times=True)
    return ReferenceStore(references, reader, "in memory", partial(_open_store, text, storage_options))
