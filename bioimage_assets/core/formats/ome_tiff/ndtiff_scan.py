"""Scans an NDTiff dataset (Micro-Manager, Pycro-Manager) by its index: one image per position, over all its files.

Source of truth: https://github.com/micro-manager/NDStorage.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bioimage_assets.core.errors import CorruptStoreError, StoreChangedError, StoreError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.ome_tiff.filesets import FileSet, is_tiff_name
from bioimage_assets.core.formats.ome_tiff.image_draft import ImageDraft, PixelSizes, build_image_draft
from bioimage_assets.core.formats.ome_tiff.ndtiff_index import (
    INDEX_NAME,
    MAX_INDEX_BYTES,
    AxisValue,
    NdtiffEntry,
    parse_ndtiff_index,
)
from bioimage_assets.core.formats.ome_tiff.plane_facts import PlaneFacts
from bioimage_assets.core.formats.ome_tiff.planes import MAX_DECLARED_RATIO, PlanePlan, PlaneRun
from bioimage_assets.core.formats.ome_tiff.tiff_file import TiffFile, open_tiff
from bioimage_assets.core.formats.ome_tiff.units import length_um
from bioimage_assets.core.model.fingerprint import digest_documents
from bioimage_assets.core.model.image import FileRecord
from bioimage_assets.core.stores.base import Store

_MAX_PLANE_JSON = 1024 * 1024
_MAX_NAME = 1_024


@dataclass(slots=True)
class _Position:
    """Planes of one position, collected file by file."""

    entries: list[NdtiffEntry]
    facts: PlaneFacts = field(default_factory=PlaneFacts)
    runs: list[PlaneRun] = field(default_factory=list)
    records: list[FileRecord] = field(default_factory=list)
    name: str | None = None
    pixel_um: float | None = None


@dataclass(frozen=True, slots=True)
class NdtiffImages:
    """Images of a dataset, the files they lie in and those that the index names and are not there."""

    drafts: list[ImageDraft]
    claimed: set[str]


@dataclass(frozen=True, slots=True)
class _Axes:
    """Channels, z and t of all positions: planes are numbered by their places on them."""

    channels: list[AxisValue]
    first_z: int
    first_t: int
    sizes: tuple[int, int, int]

    def place(self, entry: NdtiffEntry) -> tuple[int, int, int]:
        """Indexes along t, c, z."""
        return entry.t - self.first_t, self.channels.index(entry.channel), entry.z - self.first_z

    def plane(self, entry: NdtiffEntry) -> int:
        """Number of a plane, row-major over t, c, z."""
        t, c, z = self.place(entry)
        return (t * self.sizes[1] + c) * self.sizes[2] + z


def scan_ndtiff(store: Store, tiff: TiffFile, listed: Mapping[str, int], fingerprint: str) -> NdtiffImages:
    """Images of the dataset that a file belongs to; CorruptStoreError or StoreError where its index cannot be used."""
    index_key = FileSet.neighbour(tiff.key, INDEX_NAME) or INDEX_NAME
    payload = store.get(index_key, max_bytes=MAX_INDEX_BYTES)
    entries = parse_ndtiff_index(payload, f"{store.uri}/{index_key}")
    keys = {name: _file_key(tiff.key, name) for name in {entry.file_name for entry in entries}}
    by_position: dict[tuple[AxisValue, ...], list[NdtiffEntry]] = defaultdict(list)
    for entry in entries:
        by_position[entry.position].append(entry)
    positions = [_Position(by_position[place]) for place in _in_order(list(by_position))]
    axes = [_span(position.entries, index_key) for position in positions]
    claimed: set[str] = set()
    missing: set[str] = set()
    for name, key in sorted(keys.items()):
        if key is None or not _read_file(store, tiff, key, name, listed, positions, axes):
            missing.add(name)
        else:
            claimed.add(key)
    digest = digest_documents([("files", fingerprint.encode()), (INDEX_NAME, payload)])
    drafts = [
        _build_draft(position, own, digest, missing)
        for position, own in zip(positions, axes, strict=True)
        if position.facts.good_planes
    ]
    if not drafts:
        raise CorruptStoreError(f"{tiff.source.name}: {INDEX_NAME} names no page of it.")
    sharing = Counter(draft.key for draft in drafts)
    for number, draft in enumerate(drafts):
        draft.series = number if sharing[draft.key] > 1 or len(drafts) > 1 else None
    return NdtiffImages(drafts, claimed)


def _file_key(key: str, name: str) -> str | None:
    return FileSet.neighbour(key, name) if is_tiff_name(name) and not set("/\\:") & set(name) else None


def _in_order(places: list[tuple[AxisValue, ...]]) -> list[tuple[AxisValue, ...]]:
    """Numbers in their order, names as they were first written."""
    if all(isinstance(value, int) for place in places for value in place):
        return sorted(places, key=lambda place: tuple(int(value) for value in place))
    return places


def _span(entries: Sequence[NdtiffEntry], name: str) -> _Axes:
    channels = list(dict.fromkeys(entry.channel for entry in entries))
    if all(isinstance(channel, int) for channel in channels):
        channels.sort(key=int)
    z, t = [entry.z for entry in entries], [entry.t for entry in entries]
    sizes = (max(t) - min(t) + 1, len(channels), max(z) - min(z) + 1)
    if sizes[0] * sizes[1] * sizes[2] > MAX_DECLARED_RATIO * len(entries):
        raise CorruptStoreError(
            f"{name}: {len(entries)} planes are spread over {sizes} places in t, c and z."
        )
    return _Axes(channels, min(z), min(t), sizes)


def _read_file(
    store: Store, own: TiffFile, key: str, name: str, listed: Mapping[str, int], positions: Sequence[_Position],
    axes: Sequence[_Axes],
) -> bool:  # fmt: skip
    """Take the planes that lie in one file; False where it is not there."""
    try:
        if key == own.key:
            _take_planes(own, name, positions, axes)
        else:
            with open_tiff(store, key, listed.get(key)) as tiff:
                _take_planes(tiff, name, positions, axes)
    except StoreChangedError:
        raise
    except StoreError:
        return False
    return True


def _take_planes(tiff: TiffFile, name: str, positions: Sequence[_Position], axes: Sequence[_Axes]) -> None:
    pages = {strip[0]: number for number, ifd in enumerate(tiff.ifds) if (strip := ifd.single_strip())}
    for position, own in zip(positions, axes, strict=True):
        found = [
            (pages[entry.pixels_at], own.plane(entry), entry)
            for entry in position.entries
            if entry.file_name == name and entry.pixels_at in pages
        ]
        runs: list[PlaneRun] = []
        for page, plane, _ in found:
            last = runs[-1] if runs else None
            if last and (last.first_ifd + last.count, last.first_plane + last.count) == (page, plane):
                runs[-1] = PlaneRun(tiff.key, last.first_ifd, last.first_plane, last.count + 1)
            else:
                runs.append(PlaneRun(tiff.key, page, plane, 1))
        position.facts.add_pages(tiff, runs)
        position.runs.extend(runs)
        position.records.extend(_records(tiff.key, found, own))
        if found and position.name is None and position.pixel_um is None:
            _read_plane_json(tiff, position, found[0][2])


def _records(key: str, found: Sequence[tuple[int, int, NdtiffEntry]], axes: _Axes) -> list[FileRecord]:
    """Which page is which plane."""
    t_size, c_size, z_size = axes.sizes
    records = []
    for page, _, entry in found:
        t, c, z = axes.place(entry)
        channel = entry.channel if isinstance(entry.channel, str) else None
        records.append(
            FileRecord(
                key,
                channel,
                "image",
                c if c_size > 1 else None,
                z if z_size > 1 else None,
                t if t_size > 1 else None,
                page,
            )
        )
    return records


def _read_plane_json(tiff: TiffFile, position: _Position, entry: NdtiffEntry) -> None:
    """Name of the position and pixel size in the metadata of a plane; nothing where they are no JSON."""
    if not 0 < entry.metadata_bytes <= _MAX_PLANE_JSON:
        return
    try:
        found = json.loads(tiff.source.read(entry.metadata_at, entry.metadata_bytes))
    except (CorruptStoreError, ValueError, RecursionError):
        return
    if not isinstance(found, dict):
        return
    name, size = found.get("PositionName"), found.get("PixelSizeUm")
    position.name = name if isinstance(name, str) and len(name) <= _MAX_NAME else None
    position.pixel_um = length_um(float(size), "um") if isinstance(size, (int, float)) else None


def _build_draft(position: _Position, axes: _Axes, digest: str, missing: set[str]) -> ImageDraft:
    runs = sorted(position.runs, key=lambda run: run.first_plane)
    plan = PlanePlan("tcz", axes.sizes, tuple(runs))
    sizes = PixelSizes(position.pixel_um, position.pixel_um)
    draft = build_image_draft(runs[0].key, "ndtiff", plan, position.facts, sizes, digest)
    place = position.entries[0].position
    draft.name = next((value for value in place if isinstance(value, str)), position.name)
    names = tuple(channel if isinstance(channel, str) else None for channel in axes.channels)
    draft.channel_names = names if any(names) else None
    draft.files = tuple(position.records)
    lost = sorted({entry.file_name for entry in position.entries} & missing)
    if lost:
        draft.is_partial = True
        draft.files += tuple(FileRecord(name, None, "missing") for name in lost)
        text = f"{len(lost)} files of the dataset are missing or cannot be read, first {lost[0]!r}."
        draft.findings.append(Finding("file-missing", "error", draft.key, text))
    return draft
