"""Planes that an index finds as pages of one file, as Columbus writes them: each is named by its file and its page.

Source of truth: ``URL@BufferNo`` of ``ImageIndex.ColumbusIDX.xml``, the page of a plane, counted from zero.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from bioimage_assets.core.errors import CorruptStoreError
from bioimage_assets.core.formats.ome_tiff.image_draft import ImageDraft

_PAGE = "\0\0"  # no file name holds it


def join_page(key: str, page: int | None) -> str:
    """Name of a page of a file; of the file where it is one plane."""
    return key if page is None else f"{key}{_PAGE}{page}"


def split_page(name: str) -> tuple[str, int | None]:
    """File and page of a name; None for a file that is one plane."""
    key, mark, page = name.partition(_PAGE)
    return key, int(page) if mark else None


def draft_of_page(draft: ImageDraft, page: int) -> ImageDraft:
    """What one page of a stack is, by the draft of the whole file; CorruptStoreError where there is no such page."""
    start = draft.axes.index("y") if "y" in draft.axes else 0
    lead = draft.axes[:start].rstrip("s")
    count = prod(draft.shape[: len(lead)])
    if len(lead) > 1 or not 0 <= page < count:
        raise CorruptStoreError(
            f"{draft.key}: the index names page {page}, the file has {count} in the axes {draft.axes!r}."
        )
    inner = len(lead)
    levels = tuple(
        level._replace(
            shape=level.shape[inner:],
            chunk_shape=None if level.chunk_shape is None else level.chunk_shape[inner:],
            scale=None if level.scale is None else level.scale[inner:],
        )
        for level in draft.levels
    )
    return replace(
        draft, axes=draft.axes[inner:], shape=draft.shape[inner:], levels=levels,
        chunk_shape=None if draft.chunk_shape is None else draft.chunk_shape[inner:],
        stored_bytes=draft.stored_bytes // count,
    )  # fmt: skip
