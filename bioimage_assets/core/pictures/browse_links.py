"""Names of wells, images and cells on a page become links to their pixels in `bioimage-assets browse`."""

from __future__ import annotations

from dataclasses import dataclass

from bioimage_assets.core.browse_link import NEEDS, build_browse_url
from bioimage_assets.core.page_html import Link


@dataclass(frozen=True, slots=True)
class BrowseLinks:
    """Links of one plate; names alone where ``base_url`` is empty."""

    base_url: str
    plate_key: str

    @property
    def note(self) -> str:
        """What a reader has to know of the links, with a blank before it; empty where there are none."""
        return f" {NEEDS}" if self.base_url else ""

    def well(self, well_id: object) -> object:
        """A well's name; what is no name stays as it is."""
        if not self.base_url or not isinstance(well_id, str) or not well_id:
            return well_id
        return Link(well_id, build_browse_url(self.base_url, self.plate_key, well_id=well_id))

    def image(self, image_id: object) -> object:
        """An image's name."""
        if not self.base_url or not isinstance(image_id, str) or not image_id:
            return image_id
        return Link(image_id, build_browse_url(self.base_url, self.plate_key, image_id=image_id))

    def cell(self, object_id: str) -> object:
        """A cell's name."""
        if not self.base_url:
            return object_id
        return Link(object_id, build_browse_url(self.base_url, self.plate_key, object_id=object_id))


NO_LINKS = BrowseLinks("", "")
