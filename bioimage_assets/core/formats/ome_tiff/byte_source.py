"""Random access to one TIFF's bytes through few, small, bounded reads.

Every read is checked against the file's size first, so that a count or offset invented by a broken
file can never ask for memory or hang.
"""

from __future__ import annotations

from collections.abc import Callable

from bioimage_assets.core.errors import CorruptStoreError

LOCAL_BLOCK_BYTES = 16 * 1024  # header, first directory and small tags of a microscope's TIFF in one read
REMOTE_BLOCK_BYTES = 64 * 1024  # a request costs more than 64 KiB of transfer
_KEPT_BLOCKS = 4  # the head, and where directories, XML and long tags are

# One document or value array is never larger than this; OME-XML of a 1536-well plate is below 50 MB.
MAX_READ_BYTES = 256 * 1024 * 1024


class ByteSource:
    """Bytes of one file, read in blocks that are kept; short reads never pass silently.

    Parameters
    ----------
    name
        What error messages call the file.
    size_bytes
        Size of the file; nothing beyond it is asked for.
    fetch
        ``fetch(offset, count)`` gives at most ``count`` bytes; one call is one request on an object store.
    block_bytes
        A small read fetches this much, so that neighbouring tags come with it.
    """

    __slots__ = ("_blocks", "_fetch", "block_bytes", "name", "read_count", "size_bytes")

    def __init__(
        self,
        name: str,
        size_bytes: int,
        fetch: Callable[[int, int], bytes],
        block_bytes: int = LOCAL_BLOCK_BYTES,
    ) -> None:
        self.name = name
        self.size_bytes = size_bytes
        self.block_bytes = block_bytes
        self.read_count = 0
        self._fetch = fetch
        self._blocks: list[tuple[int, bytes]] = []

    def read(self, offset: int, count: int) -> bytes:
        """Give exactly ``count`` bytes at ``offset``; CorruptStoreError where the file ends before."""
        block, start = self.view(offset, count)
        return block[start : start + count]

    def view(self, offset: int, count: int) -> tuple[bytes, int]:
        """Give a block that holds the wanted bytes, and where in it they start; errors as for ``read``."""
        for start, block in self._blocks:
            if start <= offset and offset + count <= start + len(block):
                return block, offset - start
        if count > MAX_READ_BYTES or offset < 0 or count < 0 or offset + count > self.size_bytes:
            raise CorruptStoreError(
                f"{self.name}: {count} bytes at offset {offset} are asked for by its tags, "
                f"but the file has {self.size_bytes}. It is cut off or not a valid TIFF."
            )
        wanted = min(max(count, self.block_bytes), self.size_bytes - offset)
        block = self._fetch(offset, wanted)
        self.read_count += 1
        if len(block) < count:
            raise CorruptStoreError(f"{self.name}: ended at byte {offset + len(block)} while it was read.")
        self._blocks.append((offset, block))
        if len(self._blocks) > _KEPT_BLOCKS:
            del self._blocks[1]  # the first block holds the header and most small tags
        return block, 0
