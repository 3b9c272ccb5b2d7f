"""What an export of crops is asked for: which pixels around each cell, and how they are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from bioimage_assets.core.errors import UsageError

Pixels = Literal["auto", "planes", "bytes"]
_MAX_SIZE_PX = 4_096


@dataclass(frozen=True, slots=True)
class CropExport:
    """Which pixels around each cell, and how they are written.

    Parameters
    ----------
    size_px
        Side of the square around the middle of a cell's box, in pixels of full resolution.
    channels
        Names or 0-based indexes; None for all.
    compartment
        ``Cells``, ``Cytoplasm`` or ``Nuclei``: whose box is meant; None for the first that has one.
    z, t
        0-based plane; None for the one that the cell was measured on, else all planes of ``z`` and the first of ``t``.
    fill
        Value of pixels outside of the image.
    pixels
        ``planes``: lists of 16-bit numbers; ``bytes``: typed bytes, for pixels of any type, read by ome-arrow 0.1 and
        later; ``auto``: planes where all images have 8 or 16 bits without sign.
    carry
        Further columns of the cells that are written beside the pixels, under their own names.
    cells_per_part
        Cells of one Parquet file; what a killed export repeats at most.
    max_cache_bytes
        Decoded pieces of an image that are kept at most.
    """

    size_px: int = 64
    channels: tuple[str | int, ...] | None = None
    compartment: str | None = None
    z: int | None = None
    t: int | None = None
    fill: float = 0
    pixels: Pixels = "auto"
    carry: tuple[str, ...] = ()
    cells_per_part: int = 2_000
    max_cache_bytes: int = 512 << 20

    def __post_init__(self) -> None:
        if not 1 <= self.size_px <= _MAX_SIZE_PX:
            raise UsageError(f"The size of a crop is {self.size_px} pixels; expected 1 to {_MAX_SIZE_PX}.")
        if self.cells_per_part < 1 or self.max_cache_bytes < 1:
            raise UsageError("cells_per_part and max_cache_bytes have to be at least 1.")
        if self.pixels not in get_args(Pixels):
            raise UsageError(f"pixels={self.pixels!r}: expected {', '.join(get_args(Pixels))}.")
        if self.channels is not None and not self.channels:
            raise UsageError("No channel was chosen; name at least one, or none for all.")
