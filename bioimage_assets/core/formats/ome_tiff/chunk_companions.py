"""Finds the pages of images whose OME document lies beside TIFFs that do not name it.

A TIFF read by itself is then a plain stack, and only the document says which page is which plane.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bioimage_assets.core.errors import StoreChangedError, StoreError
from bioimage_assets.core.formats.ome_tiff.file_scan import scan_companion
from bioimage_assets.core.formats.ome_tiff.image_draft import ImageDraft
from bioimage_assets.core.model.file_kinds import OME_DOCUMENT_SUFFIXES, has_suffix
from bioimage_assets.core.model.image import ImageRecord
from bioimage_assets.core.stores.base import Store


class CompanionDrafts:
    """Drafts of the OME documents of a scanned folder, each folder listed and each document read once."""

    def __init__(self, store: Store, sizes: Mapping[str, int]) -> None:
        self._store = store
        self._sizes = sizes
        self._drafts: dict[str, list[ImageDraft]] = {}

    def find(self, image: ImageRecord, key: str) -> ImageDraft | None:
        """The draft of an image by a document in its file's folder or one above; None where no document has it."""
        for folder in _folders_above(key):
            for draft in self._read_folder(folder):
                is_same = (draft.axes, draft.shape) == (image.axes, image.shape)
                if is_same and draft.plan is not None and any(run.key == key for run in draft.plan.runs):
                    return draft
        return None

    def _read_folder(self, folder: str) -> list[ImageDraft]:
        if folder not in self._drafts:
            self._drafts[folder] = []
            if self._store.can_list:
                for item in self._store.list_level(folder)[1]:
                    if has_suffix(item.key, OME_DOCUMENT_SUFFIXES):
                        self._drafts[folder] += self._read_document(item.key)
        return self._drafts[folder]

    def _read_document(self, key: str) -> list[ImageDraft]:
        try:
            return scan_companion(self._store, key, self._sizes).drafts
        except StoreChangedError:
            raise
        except StoreError:
            return []


def _folders_above(key: str) -> Iterator[str]:
    folder = key.rpartition("/")[0]
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]
    yield ""
