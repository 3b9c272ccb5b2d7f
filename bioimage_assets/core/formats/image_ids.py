"""Ids of images: by their position on the plate, or by the path below the dataset root."""

from __future__ import annotations

from typing import NamedTuple

from bioimage_assets.core.model.identity import build_image_id, store_stem
from bioimage_assets.core.model.store_paths import join_path
from bioimage_assets.core.stores.open import absolute_uri


class PlatePosition(NamedTuple):
    """Where a field of view is; ``acquisition_id`` is part of the image id only where ``is_repeated``.

    A named tuple, because a plate has thousands and they take half as long to make.
    """

    plate_id: str
    well_id: str
    site_id: str | None
    acquisition_id: str | None = None
    is_repeated: bool = False

    @property
    def image_id(self) -> str:
        """Image id of the position."""
        acquisition = self.acquisition_id if self.is_repeated else None
        return build_image_id(self.plate_id, self.well_id, self.site_id or "", acquisition)


def path_below(uri: str, root_uri: str | None) -> str:
    """Path of a store below the dataset root without its format suffix; its stem where it is not below it."""
    root = absolute_uri(root_uri).rstrip("/") + "/" if root_uri else None
    stem = store_stem(uri)
    if root is None or not uri.startswith(root):
        return stem
    return join_path(uri[len(root) :].rpartition("/")[0], stem)
