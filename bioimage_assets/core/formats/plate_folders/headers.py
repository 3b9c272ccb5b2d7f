"""Headers of many one-channel files, read as few times as is safe.

The policy: a file's header is read unless another file of the same channel and the same size was read before.
Uncompressed files of one acquisition have one size, so a plate of 17,280 files needs five header reads; a file
that is cut off, differs in shape or is compressed has another size and is always read. Files with OME-XML are
always read each, since identity and geometry of each are inside, and so are PNGs. What the policy does not see is a file of
the right size with wrong content; the chunk index, which reads every file's directory, does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bioimage_assets.core.errors import StoreChangedError, StoreError
from bioimage_assets.core.formats.ome_tiff.head_store import HeadStore
from bioimage_assets.core.formats.ome_tiff.image_draft import ImageDraft
from bioimage_assets.core.formats.ome_tiff.ome_scan import FileScan
from bioimage_assets.core.formats.plate_folders.file_pages import draft_of_page
from bioimage_assets.core.formats.plate_folders.image_files import scan_image_file
from bioimage_assets.core.formats.png.header import HEADER_BYTES
from bioimage_assets.core.formats.png.scan import is_png_name


class HeaderPool:
    """Reads headers of a folder's files and remembers them by (layout, channel, size)."""

    def __init__(self, store: HeadStore, sizes: Mapping[str, int]) -> None:
        self._store = store
        self._sizes = sizes
        self._known: dict[tuple[str, str | None, int], FileScan] = {}
        self._reads_each = False
        self.read_count = 0

    def expect(self, files: Iterable[tuple[str, str, str | None]]) -> None:
        """Fetch at once the first blocks of those of some (key, layout, channel) that will have to be read."""
        wanted: dict[object, str] = {}
        for key, layout, channel in files:
            signature = (layout, channel, self._sizes[key])
            if is_png_name(key):
                wanted[key] = key
            elif signature not in self._known:
                wanted.setdefault(key if self._reads_each else signature, key)
        if any(map(is_png_name, wanted.values())):  # then all are
            self._store.fetch_heads(wanted.values(), dict.fromkeys(wanted.values(), HEADER_BYTES))
        else:
            self._store.fetch_heads(wanted.values(), self._sizes)

    def read(self, key: str, layout: str, channel: str | None) -> FileScan | StoreError:
        """Give the header of a file, its own or that of its twin; the error where it cannot be read."""
        signature = (layout, channel, self._sizes[key])
        known = self._known.get(signature)
        if known is not None:
            return known
        self.read_count += 1
        try:
            scan = scan_image_file(self._store, key, self._sizes)
        except StoreChangedError:
            raise
        except StoreError as error:
            return error
        if scan.kind in ("ome", "ndtiff"):
            self._reads_each = True
        elif scan.kind != "png":  # packed files of one size are so by chance
            self._known[signature] = scan
        return scan

    def read_first_image(
        self, key: str, layout: str, channel: str | None, page: int | None = None
    ) -> ImageDraft | StoreError:
        """Give the first image of a file, or one page of it."""
        scan = self.read(key, layout, channel)
        if not isinstance(scan, FileScan) or page is None:
            return scan.drafts[0] if isinstance(scan, FileScan) else scan
        try:
            return draft_of_page(scan.drafts[0], page)
        except StoreError as error:
            return error
