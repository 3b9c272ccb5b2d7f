"""The stored tables of one plate, as its page is made of them."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.pictures.browse_links import BrowseLinks
from bioimage_assets.core.pictures.geometry import PlateGeometry
from bioimage_assets.core.pictures.montage import CropReader
from bioimage_assets.core.pictures.thumbnails import ThumbnailReader
from bioimage_assets.core.pictures.well_numbers import read_counts
from bioimage_assets.core.profiling.sources import CellSource
from bioimage_assets.core.settings.dataset import DatasetSettings

# Outcomes of the join that count cells; the others count columns and images.
_ROW_OUTCOMES = ("matched", "ambiguous", "profiles-without-image")


@dataclass(frozen=True, slots=True)
class PlateTables:
    """Tables of one plate as they are stored; every one may be absent.

    ``joined`` (cells with their images) may be files, from which only needed columns are read. ``read_crop`` cuts
    pixels for the montage, ``read_thumbnails`` reads fields; without them there is no such picture. ``is_imageless``: the plate is made of measurements alone, so that
    no cell is expected to be linked to an image. ``is_unmeasured``: no measurements of it were found. ``browse_url`` is the
    address of `bioimage-assets browse`; where it is empty, no name is a link.
    """

    plate_key: str
    settings: DatasetSettings
    joined: CellSource | None = None
    qc: pa.Table | None = None
    wells: pa.Table | None = None
    image_assets: pa.Table | None = None
    completeness: pa.Table | None = None
    join_report: pa.Table | None = None
    findings: tuple[Finding, ...] = ()
    geometry: PlateGeometry | None = None
    read_crop: CropReader | None = None
    read_thumbnails: ThumbnailReader | None = None
    is_imageless: bool = False
    is_unmeasured: bool = False
    browse_url: str = ""
    image_quality: pa.Table | None = None

    @property
    def links(self) -> BrowseLinks:
        """Where names of wells, images and cells lead."""
        return BrowseLinks(self.browse_url, self.plate_key)

    @property
    def image_count(self) -> int | None:
        """Images without label images; None where it is not known."""
        if self.image_assets is None:
            return 0 if self.is_imageless else None
        if "image_kind" not in self.image_assets.column_names:
            return int(self.image_assets.num_rows)
        return sum(bool(kind != "label") for kind in self.image_assets["image_kind"].to_pylist())

    @property
    def measured_count(self) -> int:
        """Cells that the join was given."""
        return self.count_outcome(*_ROW_OUTCOMES)

    def count_outcome(self, *outcomes: str) -> int:
        """Rows of the join report with one of these outcomes."""
        if self.join_report is None:
            return 0
        rows = zip(self.join_report["outcome"].to_pylist(), read_counts(self.join_report), strict=True)
        return sum(count for outcome, count in rows if outcome in outcomes)
