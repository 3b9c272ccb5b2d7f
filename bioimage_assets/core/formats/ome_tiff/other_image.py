"""What a TIFF without OME-XML gives: its planes, and what its writer says of them."""

from __future__ import annotations

from dataclasses import dataclass

from bioimage_assets.core.errors import CorruptStoreError
from bioimage_assets.core.formats.ome_tiff.image_draft import PixelSizes
from bioimage_assets.core.formats.ome_tiff.pages import PageGeometry
from bioimage_assets.core.formats.ome_tiff.planes import PlanePlan, PlaneRun
from bioimage_assets.core.formats.ome_tiff.tiff_file import TiffFile
from bioimage_assets.core.model import acquisition as acquired

_NO_SIZES = PixelSizes()
CONVERT = "Convert it with bioformats2raw or save it as OME-TIFF to have every plane"


@dataclass(frozen=True, slots=True)
class OtherImage:
    """Planes, sizes, channels and acquisition of the one image of a file; ``variant`` says who wrote it."""

    plan: PlanePlan
    variant: str
    sizes: PixelSizes = _NO_SIZES
    channel_names: tuple[str | None, ...] | None = None
    acquisition: acquired.AcquisitionFacts | None = None
    planes: tuple[acquired.PlaneFacts, ...] = ()


def is_one_run(tiff: TiffFile) -> bool:
    """Tell whether the first page's pixels are uncompressed and without gaps, so that planes may follow them."""
    geometry = tiff.geometry(tiff.ifds[0])
    if geometry.codec != "none" or geometry.is_tiled:
        return False
    try:
        extents = tiff.extents(tiff.ifds[0], geometry)
    except CorruptStoreError:
        return False
    ends = [
        int(offset) + int(count) for offset, count in zip(extents.offsets, extents.byte_counts, strict=True)
    ]
    begins = [int(offset) for offset in extents.offsets]
    return begins[1:] == ends[:-1] and ends[-1] - begins[0] == geometry.nominal_bytes


def list_runs(key: str, pages: list[int]) -> tuple[PlaneRun, ...]:
    """Runs of planes that lie on some pages in order."""
    runs: list[PlaneRun] = []
    start = 0
    for position in range(1, len(pages) + 1):
        if position == len(pages) or pages[position] != pages[position - 1] + 1:
            runs.append(PlaneRun(key, pages[start], start, position - start))
            start = position
    return tuple(runs)


def is_copy(page: PageGeometry, full: PageGeometry) -> bool:
    """Tell a smaller copy from a label or overview of a slide, which some writers mark alike, by its proportions."""
    width = full.width * page.height / full.height
    return abs(page.width - width) <= max(1.0, 0.05 * width)
