"""Axes of images that state none, held against the OME-XML that lies with them.

OME-Zarr 0.1 and 0.2 imply t, c, z, y, x. bioformats2raw before 0.3 wrote the order of its input instead, and still does on request
(README of bioformats2raw, "Usage Changes"); the XML says which order that is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from bioimage_assets.core.formats.ome_zarr.model import IMPLIED_AXES, Issue, Multiscale

_IMPLIED = "".join(axis.name for axis in IMPLIED_AXES)


class PixelOrder(NamedTuple):
    """Axes and shape of an image in its XML, slowest axis first: ``XYCZT`` is ``tzcyx``."""

    axes: str
    shape: tuple[int, ...]


def order_implied_axes(multiscale: Multiscale, pixels: PixelOrder, shape: tuple[int, ...]) -> Multiscale:
    """Give the axes the order of the XML, where its sizes fit the array in that order only."""
    by_axis = dict(zip(pixels.axes, pixels.shape, strict=True))
    fits_implied = tuple(by_axis[axis] for axis in _IMPLIED) == shape
    fits_stored = pixels.shape == shape
    is_moved = any(
        axis != other and by_axis[axis] > 1 for axis, other in zip(_IMPLIED, pixels.axes, strict=True)
    )
    if fits_implied and not (fits_stored and is_moved):
        return multiscale
    axes = IMPLIED_AXES
    if fits_implied:
        text = f"The sizes of the array fit the axes {_IMPLIED} and those of its XML, {pixels.axes}; {_IMPLIED} is taken."
        issue = Issue("unclear-axis", "warning", text)
    elif fits_stored:
        text = f"The array has the axes {pixels.axes} of its XML, whose sizes fit, and not {_IMPLIED} as this version implies."
        issue = Issue("stored-axis-order", "info", text)
        axes = tuple(next(axis for axis in IMPLIED_AXES if axis.name == name) for name in pixels.axes)
    else:
        text = f"The XML describes pixels {pixels.axes} of {pixels.shape}, the array has {shape!s:.80}; {_IMPLIED} is taken."
        issue = Issue("series-shape", "warning", text)
    return replace(multiscale, axes=axes, issues=(*multiscale.issues, issue))
