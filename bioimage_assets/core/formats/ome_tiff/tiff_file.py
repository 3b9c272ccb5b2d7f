"""An open TIFF file: its pages and its description, with everything odd kept as findings.

Source of truth: TIFF 6.0; OME-TIFF specification (sub-resolutions in SubIFDs, OME-XML in the first ImageDescription).
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from hashlib import md5
from typing import BinaryIO, Literal

from bioimage_assets.core.errors import (
    BioimageError,
    CorruptStoreError,
    LimitExceededError,
    StoreChangedError,
)
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.ome_tiff import ifds as tiff
from bioimage_assets.core.formats.ome_tiff.byte_source import (
    LOCAL_BLOCK_BYTES,
    REMOTE_BLOCK_BYTES,
    ByteSource,
)
from bioimage_assets.core.formats.ome_tiff.ifds import (
    Ifd,
    IfdBudget,
    TiffHeader,
    read_ifd,
    read_ifd_chain,
    read_tiff_header,
)
from bioimage_assets.core.formats.ome_tiff.ome_xml import looks_like_ome_xml
from bioimage_assets.core.formats.ome_tiff.pages import (
    PageExtents,
    PageGeometry,
    read_page_extents,
    read_page_geometry,
)
from bioimage_assets.core.formats.ome_tiff.tag_values import list_sub_ifd_offsets, read_text_bytes
from bioimage_assets.core.formats.parse_errors import FOREIGN_ERRORS, as_store_error
from bioimage_assets.core.model.fingerprint import digest_documents
from bioimage_assets.core.stores.base import Store, StoredObject

TiffKind = Literal["ome", "imagej", "metaxpress", "plain"]
MAX_PYRAMID_LEVELS = 64  # each level halves at least: 2**64 pixels
MAX_PAGE_VISITS = 4 * tiff.MAX_IFDS  # images may share pages; four images over the longest chain
# Pages may share one list of offsets, so that a small file has any number of chunks; honest lists lie in the file.
MAX_CHUNKS_PER_FILE = 100_000_000


@dataclass(slots=True)
class LastPages:
    """Directories of the file that was opened last, for one that is opened again and has not changed."""

    known: tuple[str, int, str] | None = None
    ifds: list[Ifd] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    budget: IfdBudget = field(default_factory=IfdBudget)

    def read(self, source: ByteSource, header: TiffHeader, version: str) -> None:
        """Read the directories of a file unless they are those of the last one."""
        wanted = (source.name, source.size_bytes, version)
        if not version or wanted != self.known:
            self.known, self.budget = None, IfdBudget()
            self.ifds, self.findings = read_ifd_chain(source, header, self.budget)
            self.known = wanted


class TiffFile:
    """The pages of one open TIFF; geometry and extents are read when asked for and geometry is kept."""

    def __init__(
        self, source: ByteSource, key: str, version: str = "", last: LastPages | None = None
    ) -> None:
        self.source = source
        self.key = key
        self.version = version
        self.header: TiffHeader = read_tiff_header(source)
        if last is None:
            self.budget = IfdBudget()
            self.ifds, self.findings = read_ifd_chain(source, self.header, self.budget)
        else:
            last.read(source, self.header, version)
            self.ifds, self.findings = last.ifds, list(last.findings)
            self.budget = copy(last.budget)  # what is read of sub-resolutions counts for this file alone
        self._latest: tuple[Ifd, PageGeometry] | None = None
        self._visits = 0
        self._chunks = 0
        self._geometries: dict[tuple[object, ...], PageGeometry] = {}

    @property
    def size_bytes(self) -> int:
        """Size of the file when it was opened."""
        return self.source.size_bytes

    def description(self) -> bytes:
        """Image description of the first page; a broken one is empty and said."""
        try:
            return read_text_bytes(self.source, self.ifds[0], tiff.IMAGE_DESCRIPTION)
        except CorruptStoreError as error:
            self.findings.append(Finding("description-unreadable", "warning", self.key, str(error)))
            return b""

    def geometry(self, ifd: Ifd) -> PageGeometry:
        """Geometry of a page; pages with equal tags share one record."""
        latest = self._latest
        if latest is not None and latest[0] is ifd:  # a page is asked about several times in a row
            return latest[1]
        signature = ifd.geometry_signature
        known = self._geometries.get(signature)
        if known is None:
            known = self._geometries[signature] = read_page_geometry(self.source, self.header, ifd)
        self._latest = ifd, known
        return known

    def codec(self, ifd: Ifd, geometry: PageGeometry) -> str:
        """How the chunks of a page are decoded (``page_codec``); nothing is read."""
        if geometry.codec != "jpeg":
            return geometry.encoding
        tables = ifd.tag(tiff.JPEG_TABLES)
        return (
            geometry.encoding
            if tables is None
            else f"{geometry.encoding}+jpegtables={tables.offset}:{tables.value_count}"
        )

    def extents(self, ifd: Ifd, geometry: PageGeometry) -> PageExtents:
        """Where the chunks of a page lie; LimitExceededError after very many asked-for pages or chunks of one file."""
        self._count_visit()
        self._chunks += geometry.chunk_count
        if self._chunks > MAX_CHUNKS_PER_FILE:
            raise LimitExceededError(
                f"{self.source.name}: its pages name more than {MAX_CHUNKS_PER_FILE:,} tiles or strips."
            )
        return read_page_extents(self.source, self.header, ifd, geometry)

    def single_strip(self, ifd: Ifd) -> tuple[int, int] | None:
        """Offset and size of a page's only strip without further checks, None where it takes ``extents`` to tell."""
        self._count_visit()
        return ifd.single_strip()

    def single_strips(self, first: int, most: int) -> list[tuple[int, int]]:
        """Offsets and sizes of the only strips of pages from ``first`` on, as long as their tags are those of the first.

        Without further checks, as ``single_strip``; empty where the first page has several strips or tiles.
        """
        head = self.ifds[first]
        geometry = self.geometry(head)
        if geometry.chunk_count != 1 or geometry.is_tiled or head.single_strip() is None:
            return []
        layout = head.layout
        pick, sign = layout.strip, layout.geometry
        known, end = sign(head.fields), self.size_bytes
        subs = 4 * layout.positions[tiff.SUB_IFDS] + 2 if tiff.SUB_IFDS in layout.positions else -1
        strips: list[tuple[int, int]] = []
        for ifd in self.ifds[first : first + most]:
            fields = ifd.fields
            if ifd.layout is not layout or sign(fields) != known or (subs >= 0 and fields[subs]):
                break
            offsets, sizes, offset, size = pick(fields)
            if not offsets == 1 == sizes:
                break
            # Beyond the end, and perhaps beyond any integer of a column: not there.
            strips.append((offset, size) if offset + size <= end else (0, 0))
        self._count_visit(len(strips))
        return strips

    def _count_visit(self, count: int = 1) -> None:
        self._visits += count
        if self._visits > MAX_PAGE_VISITS:
            raise LimitExceededError(
                f"{self.source.name}: its images name more than {MAX_PAGE_VISITS} pages."
            )

    def sub_ifds(self, ifd: Ifd) -> list[tuple[int, Ifd]]:
        """Reduced copies of a page with their numbers, in stored order; those that are none are left out and said."""
        if not ifd.value_count(tiff.SUB_IFDS):
            return []
        try:
            offsets = list_sub_ifd_offsets(self.source, self.header, ifd, MAX_PYRAMID_LEVELS)
        except CorruptStoreError as error:
            self.note_lost_level(str(error))
            return []
        found: list[tuple[int, Ifd]] = []
        for number, offset in enumerate(offsets):
            # A directory that points back would be read for ever.
            if offset in self.budget.seen_offsets or offset in offsets[:number]:
                self.note_lost_level(f"its directory at offset {offset} is that of another page or level")
                continue
            try:
                found.append((number, read_ifd(self.source, self.header, offset, self.budget)))
            except CorruptStoreError as error:
                self.note_lost_level(str(error))
        return found

    def note_lost_level(self, problem: str) -> None:
        """Say it once: the pages of a stack lose their levels together."""
        self.note_once(
            Finding("missing-level", "error", self.key, f"A sub-resolution is left out: {problem}")
        )

    def note_other_picture(self, page: PageGeometry, full: PageGeometry) -> None:
        """Say once that a reduced copy is another picture, as thumbnails in colour are, and no level of the image."""
        text = (
            f"A SubIFD of {page.samples} {page.dtype} samples per pixel is no level of an image of {full.samples} "
            f"{full.dtype}: a thumbnail or an overview; it is left out."
        )
        self.note_once(Finding("sub-image-not-a-level", "info", self.key, text))

    def note_once(self, finding: Finding) -> None:
        """Keep a finding unless one of its code is there."""
        if not any(known.code == finding.code for known in self.findings):
            self.findings.append(finding)

    def fingerprint(self, description: bytes) -> str:
        """Digest of the file's name, size, version, description and directory layout."""
        facts = f"{self.size_bytes} {self.version} {len(self.ifds)} ".encode()
        tags = array("Q", self.ifds[0].fields).tobytes()
        return digest_documents([(self.key, facts + tags), ("description", description)])


def describe_kind(description: bytes) -> TiffKind:
    """Tell from the first page's description who wrote the file."""
    if looks_like_ome_xml(description):
        return "ome"
    # https://imagej.net/formats/tiff: the first line of an ImageJ file is its version.
    if description.startswith(b"ImageJ="):
        return "imagej"
    # MetaXpress and MetaMorph write a ``<MetaData>`` document per plane.
    if description.lstrip().startswith(b"<MetaData"):
        return "metaxpress"
    return "plain"


@contextmanager
def open_tiff(
    store: Store, key: str, listed_size: int | None = None, head: StoredObject | None = None,
    last: LastPages | None = None,
) -> Iterator[TiffFile]:  # fmt: skip
    """Open one TIFF of a store and read its directories.

    One open locally; on an object store one request for size and ETag unless ``head`` gives them, one for the start of
    the file, and one for each further block that its directories need. StoreChangedError where the size differs from the listed one
    or the file changes while it is open. What else reading the open file raises is a StoreError that names it.
    """
    place = f"{store.uri}/{key}"
    try:
        if store.is_remote:
            yield from _open_remote(store, key, place, head, last)
            return
        with store.open_file(key) as handle:
            before = _stat(handle)
            size_bytes, version = before
            if listed_size is not None and size_bytes != listed_size:
                raise StoreChangedError(
                    f"{place}: {listed_size} bytes when listed, {size_bytes} when opened. Scan again when it is complete."
                )
            fetch = partial(_pread, handle.fileno()) if version else partial(_fetch, handle)
            yield TiffFile(ByteSource(place, size_bytes, fetch, LOCAL_BLOCK_BYTES), key, version, last)
            if _stat(handle) != before:
                raise StoreChangedError(
                    f"{place}: changed while it was scanned. Scan again when it is complete."
                )
    except BioimageError:
        raise
    except FOREIGN_ERRORS as error:
        raise as_store_error(error, place) from error


def _open_remote(
    store: Store, key: str, place: str, head: StoredObject | None, last: LastPages | None
) -> Iterator[TiffFile]:
    found = head or store.head(key)
    source = ByteSource(
        place,
        found.size_bytes,
        lambda offset, count: store.get_ranges(key, [(offset, count)])[0],
        REMOTE_BLOCK_BYTES,
    )
    yield TiffFile(source, key, found.version, last)
    # A single read cannot be torn: one response is of one version.
    if source.read_count > 1 and store.head(key) != found:
        raise StoreChangedError(f"{place}: changed while it was scanned. Scan again when it is complete.")


def _fetch(handle: BinaryIO, offset: int, count: int) -> bytes:
    handle.seek(offset)
    return handle.read(count)


def _pread(descriptor: int, offset: int, count: int) -> bytes:
    block = os.pread(descriptor, count, offset)
    while len(block) < count and (more := os.pread(descriptor, count - len(block), offset + len(block))):
        block += more
    return block


def _stat(handle: BinaryIO) -> tuple[int, str]:
    """Size of an open file, and its modification time where it is a file of this machine."""
    try:
        info = os.fstat(handle.fileno())
    except (OSError, AttributeError):
        return handle.seek(0, os.SEEK_END), ""
    return info.st_size, str(info.st_mtime_ns)


def read_md5(store: Store, key: str) -> str:
    """MD5 of a whole file, as CellProfiler's ``MD5Digest`` columns hold it; reads every byte once."""
    digest = md5(usedforsecurity=False)
    with store.open_file(key) as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
