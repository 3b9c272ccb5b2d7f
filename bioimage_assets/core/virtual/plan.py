"""Rows of ``image_assets`` and ``chunk_index`` of one plate in, a virtual plate out. No image file is opened for it.

Read are the documents of Zarr arrays, the JPEG tables of TIFFs that keep them apart from their tiles, and size and version of every file. Of rows
that an earlier version wrote, the directories of the TIFFs are read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pyarrow as pa

from bioimage_assets.core.errors import StoreError
from bioimage_assets.core.findings import Finding, Severity
from bioimage_assets.core.model.image import LISTED, UNKNOWN_DTYPE
from bioimage_assets.core.settings.dataset import OmeZarrVersion
from bioimage_assets.core.virtual.chunk_columns import LevelChunks, gather_chunks
from bioimage_assets.core.virtual.image_paths import build_image_paths
from bioimage_assets.core.virtual.image_rows import ImageRow, read_image_rows
from bioimage_assets.core.virtual.missing_codecs import fill_codecs
from bioimage_assets.core.virtual.model import ChunkRefs, SourceFile, VirtualArray, VirtualImage, VirtualPlate
from bioimage_assets.core.virtual.source_table import SourceTable, read_ranges, read_sources
from bioimage_assets.core.virtual.tiff_arrays import ReadRanges, build_tiff_arrays
from bioimage_assets.core.virtual.zarr_arrays import ArrayDocuments, build_zarr_arrays

_REFUSED = "not-in-virtual-plate"

_Built = tuple[ImageRow, tuple[VirtualArray, ...]]


def plan_virtual_plate(
    image_assets: pa.Table, chunk_index: Iterable[pa.RecordBatch], *, version: OmeZarrVersion = "0.5",
    storage_options: Mapping[str, object] | None = None,
) -> VirtualPlate:  # fmt: skip
    """Turn the rows of one plate into references.

    Parameters
    ----------
    image_assets
        Rows of one plate.
    chunk_index
        Rows of the same plate, in any order; rows of other images are passed over.
    version
        Of OME-Zarr, in which the plate is to be written. Images that it cannot express are refused.
    storage_options
        Of the object stores and web servers that the files are in.

    Returns
    -------
    VirtualPlate
        In order of the images' paths. ``refused`` says by name and why which images are not in it; bare arrays are none.

    Raises
    ------
    StoreError
        A bucket cannot be listed.
    """
    paths = build_image_paths(image_assets)
    rows = list(read_image_rows(image_assets))
    sources = SourceTable()
    refused: list[Finding] = []
    batches = fill_codecs(chunk_index, rows, storage_options)
    planner = _Planner(rows, paths, _gather(rows, batches), sources, storage_options, version)
    built = list(planner.build_images(refused))
    uris = sources.uris
    files = read_sources(uris, storage_options, planner.listed_roots)
    kept = _drop_changed(built, files, uris, refused)
    placed = {image.image_id for image, _ in kept}
    owners = _owners(image_assets)
    kept = [one for one in kept if _has_its_image(one[0], placed, owners, refused)]
    return _number_again(_name_plate(image_assets), kept, paths, files, tuple(refused))


def _owners(image_assets: pa.Table) -> dict[str, str | None]:
    """Image that each label image was made from."""
    ids, owners = image_assets["image_id"].to_pylist(), image_assets["source_image_id"].to_pylist()
    return dict(zip(ids, owners, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class _Planner:
    rows: Sequence[ImageRow]
    paths: Mapping[str, str]
    levels: Mapping[str, Sequence[LevelChunks]]
    sources: SourceTable
    storage_options: Mapping[str, object] | None
    version: OmeZarrVersion

    @property
    def listed_roots(self) -> list[str]:
        """Stores of which every chunk is an object."""
        return list(dict.fromkeys(row.uri.rstrip("/") for row in self.rows if not row.is_in_files))

    def build_images(self, refused: list[Finding]) -> Iterator[_Built]:
        """Arrays of every image that can be expressed; the others are said."""
        zarr_rows = [row for row in self.rows if not row.is_in_files and _refuse_kind(row) is None]
        documents = ArrayDocuments(zarr_rows, self.storage_options)
        shared = _by_array(zarr_rows, self.levels)
        read: ReadRanges = partial(read_ranges, storage_options=self.storage_options)
        for row in self.rows:
            reason = _refuse_kind(row) or (
                "it is the label image of no image of the plate." if row.image_id not in self.paths else None
            )
            arrays: tuple[VirtualArray, ...] = ()
            if reason is None:
                try:
                    path = self.paths[row.image_id]
                    if row.is_in_files:
                        arrays = build_tiff_arrays(
                            row, path, self.levels.get(row.image_id, ()), self.sources, read
                        )
                    else:
                        arrays = build_zarr_arrays(
                            row, path, shared.get(row.uri, {}), self.sources, documents
                        )
                except StoreError as error:
                    reason = str(error)
            reason = reason or _refuse_version(arrays, self.version)
            if reason is None:
                yield row, arrays
            else:
                refused.append(_refuse(row, reason))


def _gather(rows: Sequence[ImageRow], chunk_index: Iterable[pa.RecordBatch]) -> dict[str, list[LevelChunks]]:
    ids = [row.image_id for row in rows]
    return {ids[number]: levels for number, levels in gather_chunks(chunk_index, ids)}


def _by_array(
    rows: Sequence[ImageRow], levels: Mapping[str, Sequence[LevelChunks]]
) -> dict[str, dict[str, LevelChunks]]:
    """Rows of each array of each store: an array that two images share is indexed with the first of them."""
    found: dict[str, dict[str, LevelChunks]] = {}
    for row in rows:
        arrays = found.setdefault(row.uri, {})
        own = {chunks.level: chunks for chunks in levels.get(row.image_id, ())}
        for level in row.levels:
            if level.level in own:
                arrays.setdefault(level.path, own[level.level])
    return found


def _refuse_kind(row: ImageRow) -> str | None:
    if row.image_kind == "array":
        return "it is a bare array, which nothing says to be an image."
    if row.scan_status == LISTED or row.dtype == UNKNOWN_DTYPE:
        return "a LoadData table names it and it was not opened; scan the table itself."
    if not {"y", "x"} <= set(row.axes):
        return f"its axes {','.join(row.axes) or '(none)'} have no y and x."
    return None


def _refuse_version(arrays: Sequence[VirtualArray], version: OmeZarrVersion) -> str | None:
    zarr_format = 2 if version == "0.4" else 3
    if all((array.metadata_v2 if zarr_format == 2 else array.metadata_v3) is not None for array in arrays):
        return None
    other = "0.5" if version == "0.4" else "0.4"
    return (
        f"Zarr v{zarr_format}, on which OME-Zarr {version} stands, has no name for how its chunks are stored. "
        f"Write OME-Zarr {other}, or convert the store."
    )


def _refuse(row: ImageRow, reason: str) -> Finding:
    severity: Severity = "info" if row.image_kind == "array" else "warning"
    text = f"Image {row.image_id} is not in the virtual plate: {reason}"
    return Finding(_REFUSED, severity, row.image_id, text, row.uri)


def _drop_changed(
    built: Sequence[_Built], files: Sequence[SourceFile | None], uris: Sequence[str], refused: list[Finding]
) -> list[_Built]:
    """Images whose files are there and long enough for the references into them; a finding says of the others which is not."""
    needed = np.zeros(len(files), np.int64)
    for refs in _list_refs(built):
        np.maximum.at(needed, refs.source, refs.offset + np.maximum(refs.size, 0))
    reasons: dict[int, str] = {}
    for number, (file, least) in enumerate(zip(files, needed.tolist(), strict=True)):
        if file is None or (file.size_bytes is not None and file.size_bytes < least):
            found = "it is not there" if file is None else f"it has {file.size_bytes:,} bytes"
            text = f"its file {uris[number]} changed since it was scanned: {least:,} bytes are referred to, {found}. Scan the plate again."
            reasons[number] = text
    if not reasons:
        return list(built)
    kept = []
    for one in built:
        bad = next(
            (number for refs in _list_refs([one]) for number in refs.source.tolist() if number in reasons),
            None,
        )
        if bad is None:
            kept.append(one)
        else:
            refused.append(_refuse(one[0], reasons[bad]))
    return kept


def _list_refs(built: Iterable[_Built]) -> Iterator[ChunkRefs]:
    for _, arrays in built:
        for array in arrays:
            yield array.refs
            if array.inner_refs is not None:
                yield array.inner_refs


def _has_its_image(
    row: ImageRow, placed: set[str], owners: Mapping[str, str | None], refused: list[Finding]
) -> bool:
    """Whether the image of a label image is in the plate, too: it stands below it."""
    owner = owners[row.image_id]
    if row.image_kind != "label" or owner in placed:
        return True
    refused.append(_refuse(row, f"image {owner}, of which it is a label image, is not in it either."))
    return False


def _number_again(
    name: str, built: Sequence[_Built], paths: Mapping[str, str], files: Sequence[SourceFile | None], refused: tuple[Finding, ...]
) -> VirtualPlate:  # fmt: skip
    """The plate, with those files alone that its images refer to."""
    used = np.zeros(len(files), np.bool_)
    for refs in _list_refs(built):
        used[refs.source] = True
    numbers = (np.cumsum(used) - 1).astype(np.int32)
    sources = tuple(
        file for file, is_used in zip(files, used.tolist(), strict=True) if is_used and file is not None
    )
    images = [
        VirtualImage(
            paths[row.image_id],
            row.image_id,
            tuple(_renumber(array, numbers, is_same=bool(used.all())) for array in arrays),
        )
        for row, arrays in built
    ]
    return VirtualPlate(name, tuple(sorted(images, key=lambda image: image.path)), sources, refused)


def _renumber(array: VirtualArray, numbers: np.ndarray, *, is_same: bool) -> VirtualArray:
    if is_same:
        return array
    inner = array.inner_refs
    return replace(
        array, refs=_point(array.refs, numbers), inner_refs=None if inner is None else _point(inner, numbers)
    )


def _point(refs: ChunkRefs, numbers: np.ndarray) -> ChunkRefs:
    return replace(refs, source=numbers[refs.source])


def _name_plate(image_assets: pa.Table) -> str:
    """The plate's id, else the last part of its key."""
    for column in ("plate_id", "plate_key"):
        named = next((name for name in image_assets[column].to_pylist() if name), None)
        if named is not None:
            return str(named).rpartition("/")[2] if column == "plate_key" else str(named)
    return "plate"
