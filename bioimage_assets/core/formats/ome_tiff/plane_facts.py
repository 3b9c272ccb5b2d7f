"""What the pages of an image say, collected file by file: their geometry, levels, bytes, and how many are not whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import takewhile

from bioimage_assets.core.errors import CorruptStoreError, UnsupportedStoreError
from bioimage_assets.core.formats.ome_tiff.ifds import SUB_IFDS, Ifd
from bioimage_assets.core.formats.ome_tiff.pages import ExtentSummary, PageExtents, PageGeometry
from bioimage_assets.core.formats.ome_tiff.planes import PlaneRun
from bioimage_assets.core.formats.ome_tiff.tiff_file import TiffFile

_LEAST_TOGETHER = 3  # pages; fewer are taken one by one


@dataclass(slots=True)
class PlaneFacts:
    """What the pages of an image say, collected file by file."""

    geometry: PageGeometry | None = None
    levels: list[tuple[str, PageGeometry]] = field(default_factory=list)
    stored_bytes: int = 0
    cut_planes: int = 0
    sparse_chunks: int = 0
    odd_planes: int = 0
    short_planes: int = 0
    good_planes: int = 0
    broken_planes: list[str] = field(default_factory=list)

    def add_pages(self, tiff: TiffFile, runs: Iterable[PlaneRun], *, is_stack: bool = False) -> None:
        """Take the pages of the runs that lie in one open file."""
        for run in runs:
            first, end = run.first_ifd, run.first_ifd + (1 if is_stack else run.count)
            planes = run.count if is_stack else 1
            if end - first >= _LEAST_TOGETHER and tiff.ifds[first].layout is not tiff.ifds[first + 1].layout:
                self._try_page(tiff, first, planes)  # the first page of a file has tags of its own
                first += 1
            while end - first >= _LEAST_TOGETHER and (count := self._add_alike(tiff, first, end - first)):
                first += count
            for index in range(first, end):
                self._try_page(tiff, index, planes)

    def _add_alike(self, tiff: TiffFile, first: int, count: int) -> int:
        """Take the first pages of a run that are written and whole in one strip each and have no levels; gives their number."""
        ifd = tiff.ifds[first]
        try:
            geometry = tiff.geometry(ifd)
            if ifd.value_count(SUB_IFDS) or not (self.geometry is None or geometry is self.geometry):
                return 0
            sizes = [size for _, size in takewhile(all, tiff.single_strips(first, count))]
        except (CorruptStoreError, UnsupportedStoreError):
            return 0
        if sizes and self.geometry is None:
            self.geometry = geometry
            self.levels = [(str(first), geometry)]
        self.good_planes += len(sizes)
        self.stored_bytes += sum(sizes)
        if sizes and geometry.codec == "none" and min(sizes) < geometry.least_stored_bytes:
            self.short_planes += sum(size < geometry.least_stored_bytes for size in sizes)
        return len(sizes)

    def _try_page(self, tiff: TiffFile, index: int, stack_planes: int) -> None:
        try:
            self._add_page(tiff, index, stack_planes)
        except (CorruptStoreError, UnsupportedStoreError) as error:
            self.broken_planes.append(str(error))

    def _add_page(self, tiff: TiffFile, index: int, stack_planes: int) -> None:
        ifd = tiff.ifds[index]
        geometry = tiff.geometry(ifd)
        is_first = self.geometry is None
        if self.geometry is None:
            self.geometry = geometry
            self.levels = [(str(index), geometry)]
        elif geometry is not self.geometry and not _same_pixels(geometry, self.geometry):
            self.odd_planes += 1
        for number, copy in tiff.sub_ifds(ifd):
            self.add_level(tiff, copy, f"{index}/{number}" if is_first else None)
        if stack_planes == 1 and self._add_single_strip(tiff, ifd, geometry):
            return
        extents = tiff.extents(ifd, geometry)
        self.good_planes += 1
        if stack_planes > 1:
            end = int(extents.offsets[0]) + stack_planes * geometry.nominal_bytes
            # Rounded up: a plane of which a byte is missing is cut.
            self.cut_planes += max(0, -(-(end - tiff.size_bytes) // geometry.nominal_bytes))
            self.stored_bytes += min(stack_planes * geometry.nominal_bytes, tiff.size_bytes)
            return
        summary = self._add_summary(extents, tiff.size_bytes)
        is_whole = not summary.cut_count and not summary.sparse_count and geometry.codec == "none"
        self.short_planes += is_whole and summary.stored_bytes < geometry.least_stored_bytes

    def add_level(self, tiff: TiffFile, ifd: Ifd, path: str | None) -> None:
        """Take the bytes of one page's reduced copy; with a path it also says what the level looks like.

        A copy of other samples or another type than the image is not a level of it: it is left out and said.
        """
        try:
            geometry = tiff.geometry(ifd)
            if self.geometry is not None and not _is_same_kind(geometry, self.geometry):
                tiff.note_other_picture(geometry, self.geometry)
                return
            self._add_summary(tiff.extents(ifd, geometry), tiff.size_bytes)
        except (CorruptStoreError, UnsupportedStoreError) as error:
            tiff.note_lost_level(str(error))
            return
        if path is not None:
            self.levels.append((path, geometry))

    def _add_summary(self, extents: PageExtents, file_bytes: int) -> ExtentSummary:
        summary = extents.summarize(file_bytes)
        self.stored_bytes += summary.stored_bytes
        self.sparse_chunks += summary.sparse_count
        self.cut_planes += bool(summary.cut_count)
        return summary

    def _add_single_strip(self, tiff: TiffFile, ifd: Ifd, geometry: PageGeometry) -> bool:
        """Take a page whose one strip is written and whole, as nearly all pages of microscopes are."""
        strip = tiff.single_strip(ifd) if geometry.chunk_count == 1 and not geometry.is_tiled else None
        if strip is None:
            return False
        offset, size = strip
        if not (offset and size and offset + size <= tiff.size_bytes):
            return False
        self.good_planes += 1
        self.stored_bytes += size
        self.short_planes += geometry.codec == "none" and size < geometry.least_stored_bytes
        return True


def _same_pixels(first: PageGeometry, second: PageGeometry) -> bool:
    return (first.width, first.height, first.samples, first.dtype) == (
        second.width, second.height, second.samples, second.dtype,
    )  # fmt: skip


def _is_same_kind(level: PageGeometry, full: PageGeometry) -> bool:
    """Tell whether two pages hold the same samples along the same axes, as levels of one image do."""
    return (level.samples, level.is_planar, level.dtype) == (full.samples, full.is_planar, full.dtype)
