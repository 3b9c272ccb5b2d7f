"""Reads the pages of scanned TIFF images again and puts their chunks into rows.

Source of truth: TIFF 6.0 (strips, tiles), OME-TIFF specification (planes, sub-resolutions).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from bioimage_assets.core.errors import CorruptStoreError, StoreChangedError, StoreError
from bioimage_assets.core.formats.ome_tiff.chunk_batches import ChunkPlace
from bioimage_assets.core.formats.ome_tiff.chunk_companions import CompanionDrafts
from bioimage_assets.core.formats.ome_tiff.chunk_rows import BATCH_ROWS, ChunkRows
from bioimage_assets.core.formats.ome_tiff.file_scan import scan_file
from bioimage_assets.core.formats.ome_tiff.ifds import Ifd
from bioimage_assets.core.formats.ome_tiff.image_draft import ImageDraft
from bioimage_assets.core.formats.ome_tiff.planes import PlanePlan, PlaneRun
from bioimage_assets.core.formats.ome_tiff.tiff_file import LastPages, TiffFile, open_tiff
from bioimage_assets.core.model.image import FileRecord, ImageRecord, LevelRecord
from bioimage_assets.core.stores.base import Store

_LEAST_TOGETHER = 8  # pages; fewer are taken one by one
GROUPED_VARIANT = "tiff-plate-"


class PageReader:
    """Finds the pages of images and puts their chunks into rows."""

    def __init__(
        self,
        store: Store,
        rows: ChunkRows,
        levels: Sequence[int] | None,
        sizes: Mapping[str, int],
        is_lone: bool,
    ) -> None:
        self._store = store
        self._sizes = sizes
        self._rows = rows
        self._levels = levels
        self._is_lone = is_lone
        self._last = LastPages()
        self._companions = CompanionDrafts(store, sizes)
        self._drafts: dict[str, dict[int | None, ImageDraft]] = {}

    def read_image(self, image: ImageRecord, key: str) -> Iterator[None]:
        """Read the pages of one image; yields when a batch is full, so that it can leave."""
        if image.storage_variant.startswith(GROUPED_VARIANT):
            for record in image.files:
                if record.role == "image":
                    yield from self._read_grouped(image, record)
            return
        draft = self._read_planes_again(image, key)
        if draft is None or draft.axes != image.axes:  # its document lies beside it
            if _has_one_plane_each(image):
                for record in image.files:
                    if record.role == "image":
                        yield from self._read_grouped(image, record)
                return
            draft = self._companions.find(image, key) or draft
        if draft is None or draft.plan is None:
            return
        by_key: dict[str, list[PlaneRun]] = {}
        for run in draft.plan.runs:
            by_key.setdefault(run.key, []).append(run)
        for file_key, runs in by_key.items():
            yield from self._read_runs(image, file_key, draft.plan, runs, {})

    def _read_planes_again(self, image: ImageRecord, key: str) -> ImageDraft | None:
        """Read the planes of a file again; all images of one OME document are read together."""
        if key not in self._drafts:
            try:
                drafts = scan_file(
                    self._store, key, self._sizes, only_own=self._is_lone, last=self._last
                ).drafts
            except StoreChangedError:
                raise
            except StoreError:
                drafts = []
            self._drafts = {key: {}}
            for draft in drafts:
                self._drafts.setdefault(draft.key, {})[draft.series] = draft
        found = self._drafts[key]
        wanted = None if image.array_path is None else int(image.array_path.rpartition("/")[2])
        same = next(iter(found.values())) if len(found) == 1 else found.get(wanted)
        # Another shape: the file was replaced since the scan.
        return same if same is not None and same.shape == image.shape else None

    def _read_grouped(self, image: ImageRecord, record: FileRecord) -> Iterator[None]:
        fixed = {
            axis: index
            for axis, index in (("c", record.c), ("z", record.z), ("t", record.t))
            if index is not None
        }
        own_axes = [axis for axis in _lead_axes(image) if axis not in fixed]
        plan = PlanePlan("", (), (PlaneRun(record.path, record.ifd or 0, 0, 1),))
        if own_axes:
            try:
                drafts = scan_file(self._store, record.path, self._sizes).drafts
            except StoreChangedError:
                raise
            except StoreError:
                return
            plan = drafts[0].plan or plan
        yield from self._read_runs(image, record.path, plan, plan.runs, fixed)

    def _read_runs(
        self, image: ImageRecord, key: str, plan: PlanePlan, runs: Sequence[PlaneRun], fixed: dict[str, int]
    ) -> Iterator[None]:
        name = key if image.files else key.rpartition("/")[2]
        try:
            with open_tiff(self._store, key, self._sizes.get(key), last=self._last) as tiff:
                for run in runs:
                    if plan.single_page_stack:
                        yield from self._add_stack(image, tiff, plan, run, name, fixed)
                        continue
                    most = max(0, min(run.count, len(tiff.ifds) - run.first_ifd))
                    leads = _plane_leads(image, plan, run.first_plane, most, fixed)
                    if len(image.levels) == 1:
                        yield from self._add_pages(image, tiff, run, name, leads)
                        continue
                    for number, lead in enumerate(leads):
                        self._add_plane(image, tiff, plan, run, number, name, lead)
                        if self._rows.is_full:
                            yield None
        except StoreChangedError:
            raise
        except StoreError:
            return

    def _add_plane(
        self,
        image: ImageRecord,
        tiff: TiffFile,
        plan: PlanePlan,
        run: PlaneRun,
        number: int,
        name: str,
        lead: tuple[int, ...],
    ) -> None:
        for level, ifd, label in _level_pages(
            image, tiff, plan, run.first_ifd + number, run.first_plane + number
        ):
            if self._levels is not None and level.level not in self._levels:
                continue
            self._add_page(tiff, ifd, image, level, name, label, lead)

    def _add_pages(
        self, image: ImageRecord, tiff: TiffFile, run: PlaneRun, name: str, leads: Sequence[tuple[int, ...]]
    ) -> Iterator[None]:
        """Rows of the pages of an image without further levels."""
        level = image.levels[0]
        if self._levels is not None and level.level not in self._levels:
            return
        done = 0
        while done < len(leads):
            first = run.first_ifd + done
            try:
                strips = tiff.single_strips(first, min(len(leads) - done, BATCH_ROWS))
            except CorruptStoreError:
                strips = []
            count = len(strips) if len(strips) >= _LEAST_TOGETHER else 1
            if count > 1:
                geometry = tiff.geometry(tiff.ifds[first])
                codec = tiff.codec(tiff.ifds[first], geometry)
                places = [
                    ChunkPlace(image, level.path, level.level, name, number, lead, codec)
                    for number, lead in enumerate(leads[done : done + count], first)
                ]
                self._rows.add_strips(places, geometry, strips, tiff.size_bytes)
            else:
                self._add_page(tiff, tiff.ifds[first], image, level, name, first, leads[done])
            done += count
            if self._rows.is_full:
                yield None

    def _add_page(
        self, tiff: TiffFile, ifd: Ifd, image: ImageRecord, level: LevelRecord, name: str, label: int | str, lead: tuple[int, ...]
    ) -> None:  # fmt: skip
        try:
            geometry = tiff.geometry(ifd)
            place = ChunkPlace(image, level.path, level.level, name, label, lead, tiff.codec(ifd, geometry))
            strip = tiff.single_strip(ifd) if geometry.chunk_count == 1 and not geometry.is_tiled else None
            if strip is not None:
                self._rows.add_strip(place, geometry, *strip, tiff.size_bytes)
            else:
                self._rows.add_page(place, geometry, tiff.extents(ifd, geometry), tiff.size_bytes)
        except CorruptStoreError:
            return

    def _add_stack(
        self,
        image: ImageRecord,
        tiff: TiffFile,
        plan: PlanePlan,
        run: PlaneRun,
        name: str,
        fixed: dict[str, int],
    ) -> Iterator[None]:
        """Rows of the planes behind one page, some at a time."""
        level = image.levels[0]
        if self._levels is not None and level.level not in self._levels:
            return
        ifd = tiff.ifds[run.first_ifd]
        geometry = tiff.geometry(ifd)
        offset = int(tiff.extents(ifd, geometry).offsets[0])
        for first in range(0, run.count, BATCH_ROWS):
            count = min(BATCH_ROWS, run.count - first)
            leads = _plane_leads(image, plan, first, count, fixed)
            codec = tiff.codec(ifd, geometry)
            place = ChunkPlace(image, level.path, level.level, name, run.first_ifd, (), codec)
            self._rows.add_stack(place, geometry, offset, first, leads, tiff.size_bytes)
            if self._rows.is_full:
                yield None


def _level_pages(
    image: ImageRecord, tiff: TiffFile, plan: PlanePlan, index: int, plane: int
) -> Iterator[tuple[LevelRecord, Ifd, int | str]]:
    """Page of each level of one plane: the page itself, and its reduced copies below it or in the main chain."""
    yield image.levels[0], tiff.ifds[index], index
    if len(image.levels) == 1:
        return
    chains = {pages[0]: pages for pages in plan.level_pages}
    copies = dict(tiff.sub_ifds(tiff.ifds[index]))
    for level in image.levels[1:]:
        _, is_below, number = level.path.rpartition("/")
        if not is_below:
            page = chains[int(number)][plane]
            yield level, tiff.ifds[page], page
        elif int(number) in copies:
            yield level, copies[int(number)], f"{index}/{number}"


def _has_one_plane_each(image: ImageRecord) -> bool:
    """Whether the scan's own list says of each file of a set which plane it holds."""
    records = [record for record in image.files if record.role == "image"]
    axes = set(_lead_axes(image))
    return (
        bool(records)
        and axes <= set("czt")
        and all(getattr(record, axis) is not None for record in records for axis in axes)
    )


def _lead_axes(image: ImageRecord) -> str:
    """Axes of an image other than those of a page; samples that are channels (LSM) are among them, too."""
    return "".join(axis for axis in image.axes or "" if axis not in "yxs")


def _plane_leads(
    image: ImageRecord, plan: PlanePlan, first: int, count: int, fixed: dict[str, int]
) -> list[tuple[int, ...]]:
    """Indexes of planes along the image's axes before their pages'; axes of length one are not among them."""
    axes = image.axes or ""
    has_samples = "s" in axes or (plan.samples_are_channels and "c" in axes and "c" not in fixed)
    lead = axes[: len(axes) - (3 if has_samples else 2)]
    if not lead or count < 1:
        return [()] * count
    columns: dict[str, Sequence[int]] = {axis: [index] * count for axis, index in fixed.items()}
    if plan.sizes:
        places = np.unravel_index(np.arange(first, first + count), plan.sizes)
        for axis, indexes in zip(plan.axes, places, strict=True):
            columns.setdefault(axis, indexes.tolist())
    nowhere = [0] * count
    return list(zip(*(columns.get(axis, nowhere) for axis in lead), strict=True))
