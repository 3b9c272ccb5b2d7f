"""Reads a box of one TIFF page, decoding only the tiles or strips that it touches.

Source of truth: TIFF 6.0, sections 3 (strips) and 15 (tiles); decoding is tifffile's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType

import numpy as np
import numpy.typing as npt
import tifffile

from bioimage_assets.core.errors import CorruptStoreError, StoreError, StoreNotFoundError
from bioimage_assets.core.model.file_kinds import TIFF_FILE_SUFFIXES
from bioimage_assets.core.pixels.location import ImageGeometry, Interval
from bioimage_assets.core.stores.pixel_store import ReadCount, open_tiff

# Files of a set whose XML stands in the first, as Micro-Manager writes them.
_BINARY_ONLY = re.compile(r"<(?:\w+:)?BinaryOnly\b[^>]{0,500}?MetadataFile=\"([^\"/\\\\]{1,255})\"")
_MAX_LINK = 8_192

Pixels = npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class TiffPiece:
    """One tile or strip: its name in ``chunk_index``, coordinates (samples, y, x as stored), and byte range.

    ``offset`` and ``size`` are None where the file does not hold it.
    """

    key: str
    kind: str
    coords: tuple[int, ...]
    offset: int | None
    size: int | None


@dataclass(frozen=True, slots=True)
class TiffBlock:
    """One tile or strip of a page, with those of its other sample planes; ``y`` and ``x`` are its pixels of the plane.

    ``page`` is None where the file holds no such page: its pixels are zero. ``behind`` counts planes of a stack that lie
    behind the one page there is.
    """

    file: str
    page: tifffile.TiffPage | None
    behind: int
    y: Interval
    x: Interval

    @property
    def key(self) -> tuple[object, ...]:
        """The same for what is stored in one place, whichever plane it was found for."""
        place = None if self.page is None else (self.file, _directory(self.page), self.behind)
        return (place, self.y, self.x)

    @property
    def holds_samples(self) -> bool:
        """Whether a pixel of it is several numbers."""
        return self.page is not None and self.page.samplesperpixel > 1


class OpenTiffs:
    """TIFF files that stay open from one image to the next: many images may lie in one file, whose directories are read once."""

    def __init__(self, storage_options: Mapping[str, object] | None = None) -> None:
        self._storage_options = storage_options
        self._files: dict[str, tifffile.TiffFile] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """What is open."""
        return tuple(self._files)

    def get(self, name: str) -> tifffile.TiffFile:
        """The open file of a path or URI, which is opened where it is not."""
        if name in self._files:
            self._files[name] = self._files.pop(name)
        else:
            self._files[name] = open_tiff(name, self._storage_options)
        return self._files[name]

    def trim(self, most: int = 0) -> None:
        """Close all but the files that were used last; nothing of the others may be in use."""
        while len(self._files) > most:
            self._files.pop(next(iter(self._files))).close()


class TiffPlanes:
    """Open TIFF files of one image; a context manager that closes them, but for those that it was given."""

    def __init__(
        self,
        geometry: ImageGeometry,
        count: ReadCount,
        storage_options: Mapping[str, object] | None = None,
        files: OpenTiffs | None = None,
    ) -> None:
        self._geometry = geometry
        self._count = count
        self._is_owner = files is None
        self._files = OpenTiffs(storage_options) if files is None else files

    def __enter__(self) -> TiffPlanes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; they are opened again by the next read."""
        if self._is_owner:
            self._files.trim()

    def read(self, plane: Mapping[str, int], level: int, y: Interval, x: Interval) -> Pixels:
        """Pixels of one plane (index per leading axis) inside a box; (y, x), with samples last where RGB."""
        try:
            name, page, number = self._find_page(plane, level)
            if page is None:
                return np.zeros((y[1] - y[0], x[1] - x[0]), dtype=self._geometry.dtype)
            box = self._read_box(name, page, number, y, x)
            # Samples of a page may be channels of the image, as in LSM files.
            return box[..., plane["c"]] if box.ndim == 3 and "s" not in self._geometry.axes else box
        except StoreError:
            raise
        except (ValueError, IndexError, OSError, tifffile.TiffFileError) as error:
            files = ", ".join(self._files.names) if self._is_owner else self._geometry.uri
            raise CorruptStoreError(f"TIFF '{files}', plane {dict(plane)}: {error}") from error

    def list_blocks(
        self, plane: Mapping[str, int], level: int, y: Interval, x: Interval
    ) -> Iterator[TiffBlock]:
        """Blocks of one plane that a box touches; one of the box's own size where the file has no such page."""
        try:
            name, page, behind = self._find_page(plane, level)
            if page is None:
                yield TiffBlock(name, None, 0, y, x)
                return
            _, _, (tall, wide) = _piece_grid(page)
        except StoreError:
            raise
        except (ValueError, IndexError, OSError, tifffile.TiffFileError) as error:
            raise CorruptStoreError(f"TIFF '{self._geometry.uri}', plane {dict(plane)}: {error}") from error
        height, width = page.imagelength, page.imagewidth
        for row in range(y[0] // tall, -(-y[1] // tall)):
            for column in range(x[0] // wide, -(-x[1] // wide)):
                own_y = (row * tall, min((row + 1) * tall, height))
                yield TiffBlock(name, page, behind, own_y, (column * wide, min((column + 1) * wide, width)))

    def read_block(self, block: TiffBlock) -> Pixels:
        """Pixels of a block: (y, x), with all samples last where a pixel has several."""
        if block.page is None:
            return np.zeros((block.y[1] - block.y[0], block.x[1] - block.x[0]), dtype=self._geometry.dtype)
        try:
            return self._read_box(block.file, block.page, block.behind, block.y, block.x)
        except StoreError:
            raise
        except (ValueError, IndexError, OSError, tifffile.TiffFileError) as error:
            raise CorruptStoreError(f"TIFF '{block.file}', page {_directory(block.page)}: {error}") from error

    def find_pieces(
        self, plane: Mapping[str, int], level: int, y: Interval, x: Interval
    ) -> Iterator[TiffPiece]:
        """Tiles and strips of one plane that a box touches; none where the file has no such page."""
        try:
            name, page, behind = self._find_page(plane, level)
        except StoreError:
            raise
        except (ValueError, IndexError, OSError, tifffile.TiffFileError) as error:
            raise CorruptStoreError(f"TIFF '{self._geometry.uri}', plane {dict(plane)}: {error}") from error
        if page is None:
            return
        base = self._geometry.uri.rstrip("/")
        file = name.removeprefix(f"{base}/") if self._geometry.files else base.rpartition("/")[2]
        across, down, _ = _piece_grid(page)
        is_stack = behind > 0 or _is_stack(page, self._geometry)
        for number in self._segments(page, y, x):
            inner = (number // across % down, number % across)
            plane_number = (number // (across * down),) if page.planarconfig == 2 else ()
            if plane_number and "s" not in self._geometry.axes and plane_number[0] != plane["c"]:
                continue
            samples = (0,) if page.samplesperpixel > 1 and not plane_number else ()
            offset, size = page.dataoffsets[number] + behind * page.nbytes, page.databytecounts[number]
            is_there = offset > 0 and size > 0
            piece = behind * len(page.dataoffsets) + number
            suffix = f":{piece}" if page.is_tiled or len(page.dataoffsets) > 1 or is_stack else ""
            yield TiffPiece(
                f"{file}#{_directory(page)}{suffix}",
                "tile" if page.is_tiled else "strip",
                (*plane_number, *inner, *samples),
                offset if is_there else None,
                size if is_there else None,
            )

    def _find_page(self, plane: Mapping[str, int], level: int) -> tuple[str, tifffile.TiffPage | None, int]:
        """File and page of a plane, and how many planes further behind that page it lies."""
        if not self._geometry.files:
            return self._geometry.uri, *self._series_page(plane, level)
        for file in self._geometry.files:
            wanted = {"c": file.c, "z": file.z, "t": file.t}
            if file.role != "image" or any(v is not None and v != plane.get(a, 0) for a, v in wanted.items()):
                continue
            offset = self._offset_in_file({a for a, v in wanted.items() if v is None}, plane)
            name = f"{self._geometry.uri.rstrip('/')}/{file.path}"
            pages = self._file(name).pages
            if offset and len(pages) == 1:
                return name, pages[0].aspage(), offset
            return name, _level_page(pages[(file.ifd or 0) + offset], level), 0
        raise StoreNotFoundError(f"Image {self._geometry.image_id}: no file holds plane {dict(plane)}.")

    def _offset_in_file(self, free_axes: set[str], plane: Mapping[str, int]) -> int:
        """Pages before a plane in a file that holds several: row-major over the axes the file has whole."""
        offset = 0
        for axis, size in zip(self._geometry.axes, self._geometry.levels[0].shape, strict=True):
            if axis in free_axes and axis in plane:
                offset = offset * size + plane[axis]
        return offset

    def _series_page(self, plane: Mapping[str, int], level: int) -> tuple[tifffile.TiffPage | None, int]:
        series = self._series().levels[level]
        number = _page_index(self._geometry, series, plane)
        # Stacks of MetaMorph, and of ImageJ above 4 GB: the planes follow the one page that there is.
        behind = number if len(series.pages) == 1 else 0
        page = series.pages[number - behind]
        if page is not None and page.parent.filehandle.closed:  # another file of the set
            page.parent.filehandle.open()
        return None if page is None else page.aspage(), behind

    def _series(self) -> tifffile.TiffPageSeries:
        """Series of the image: by its number in the file, else that whose planes lie in the file; a set has others, too."""
        file = self._file(self._geometry.uri)
        path = self._geometry.array_path or ""
        if path.startswith("series/"):
            return file.series[int(path.removeprefix("series/"))]
        holder = _BINARY_ONLY.search((file.pages.first.description or "")[:_MAX_LINK])
        if holder is not None and holder[1].lower().endswith(TIFF_FILE_SUFFIXES):
            file = self._file(f"{self._geometry.uri.rpartition('/')[0]}/{holder[1]}")
        name = self._geometry.uri.rpartition("/")[2]
        own = [
            one for one in file.series if one.pages[0] is not None and one.pages[0].parent.filename == name
        ]
        return own[0] if own else file.series[0]

    def _file(self, name: str) -> tifffile.TiffFile:
        return self._files.get(name)

    def _read_box(self, name: str, page: tifffile.TiffPage, behind: int, y: Interval, x: Interval) -> Pixels:
        # tifffile keeps pages of a series as light frames, which do not know their tags.
        page = page.aspage()
        height, width = y[1] - y[0], x[1] - x[0]
        samples = () if page.samplesperpixel == 1 else (page.samplesperpixel,)
        # Tiles that were never written stay at GDAL's NODATA, else zero.
        box: Pixels = np.full((height, width, *samples), page.nodata, dtype=page.dtype)
        for index in self._segments(page, y, x):
            offset, size = page.dataoffsets[index] + behind * page.nbytes, page.databytecounts[index]
            stored = None
            if size:
                page.parent.filehandle.seek(offset)
                stored = page.parent.filehandle.read(size)
                self._count.add(f"{name}#{page.index}:{behind * len(page.dataoffsets) + index}", size)
            # Tables that all tiles of a JPEG page share stand in a tag, not in the tiles.
            options = {} if page.jpegtables is None else {"jpegtables": page.jpegtables}
            segment, position, shape = page.decode(stored, index, **options)
            # tifffile's answer for a tile that is not there.
            if segment is None:
                continue
            _paste(
                box, segment[0, : shape[1], : shape[2]], (position[2] - y[0], position[3] - x[0]), position[0]
            )
        return box

    def _segments(self, page: tifffile.TiffPage, y: Interval, x: Interval) -> list[int]:
        """Tiles or strips that overlap the box, of every stored sample plane."""
        columns, rows, (tall, wide) = _piece_grid(page)
        planes = page.samplesperpixel if page.planarconfig == 2 else 1
        return [
            plane * rows * columns + row * columns + column
            for plane in range(planes)
            for row in range(y[0] // tall, -(-y[1] // tall))
            for column in range(x[0] // wide, -(-x[1] // wide))
        ]


def _is_stack(page: tifffile.TiffPage, geometry: ImageGeometry) -> bool:
    """Whether one page stands for several planes of an image."""
    shape = zip(geometry.axes, geometry.levels[0].shape, strict=True)
    inside = "yxs" if page.samplesperpixel == 1 else "yxsc"
    has_planes = any(size > 1 for axis, size in shape if axis not in inside)
    return not geometry.files and has_planes and len(page.parent.pages) == 1


def _piece_grid(page: tifffile.TiffPage) -> tuple[int, int, tuple[int, int]]:
    """Pieces across, pieces down, and (height, width) of a page's tiles or strips."""
    tall = page.tilelength if page.is_tiled else page.rowsperstrip
    wide = page.tilewidth if page.is_tiled else page.imagewidth
    return -(-page.imagewidth // wide), -(-page.imagelength // tall), (tall, wide)


def _directory(page: tifffile.TiffPage) -> str:
    """Number of a page's directory, ``<page>/<sub-page>`` for a sub-resolution."""
    index = page.index
    return "/".join(map(str, index)) if isinstance(index, tuple) else str(index)


def _page_index(geometry: ImageGeometry, series: tifffile.TiffPageSeries, plane: Mapping[str, int]) -> int:
    """Number of a plane's page: by the names of the axes, or row-major where tifffile calls them otherwise."""
    # tifffile drops axes of length one before 2026.5.2 and keeps them since; they do not count here.
    stored = zip(series.axes.lower(), series.shape, strict=True)
    # Channels that are samples of a page (LSM) have no page of their own.
    inside = "yxsc" if series.keyframe.samplesperpixel > 1 and "s" not in geometry.axes else "yxs"
    known = [(axis, size) for axis, size in stored if axis not in inside and size > 1]
    own = zip(geometry.axes, geometry.levels[0].shape, strict=True)
    leading = [(axis, size) for axis, size in own if axis not in inside and size > 1]
    index = 0
    # tifffile names axes after its own rules ("q", "i") where there is no OME-XML.
    for axis, size in known if set(known) == set(leading) else leading:
        index = index * size + plane.get(axis, 0)
    return index


def _paste(box: Pixels, segment: Pixels, corner: tuple[int, int], sample: int) -> None:
    """Copy the part of a decoded (y, x, samples) segment that is in the box."""
    top, left = corner
    rows = slice(max(top, 0), min(top + segment.shape[0], box.shape[0]))
    columns = slice(max(left, 0), min(left + segment.shape[1], box.shape[1]))
    part = segment[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    if box.ndim == 2:
        box[rows, columns] = part[..., 0]
    elif segment.shape[-1] == box.shape[-1]:
        box[rows, columns] = part
    else:
        box[rows, columns, sample] = part[..., 0]


def _level_page(page: tifffile.TiffPage | tifffile.TiffFrame, level: int) -> tifffile.TiffPage:
    whole = page.aspage()
    if level == 0:
        return whole
    if whole.pages is None or len(whole.pages) < level:
        raise CorruptStoreError(f"TIFF page {whole.index} has no level {level}.")
    return whole.pages[level - 1].aspage()
