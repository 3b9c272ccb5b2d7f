"""Joins the two header rows of CellProfiler's combined object CSV to one row of names.

Where ExportToSpreadsheet combines objects, the first row names the object (``Image``, ``Nuclei``, ``Cells``), the second
the measurement: https://cellprofiler-manual.s3.amazonaws.com/CellProfiler-4.2.6/modules/fileprocessing.html
"""

from __future__ import annotations

from collections.abc import Sequence

from bioimage_assets.core.measurements.columns import canonical_compartment

_IMAGE_NUMBER, _OBJECT_NUMBER = "imagenumber", "objectnumber"


def may_be_objects(names: Sequence[str]) -> bool:
    """Whether a header row may be one of object names: some are ``Image``, none is a key of its own."""
    lowered = {name.strip().lower() for name in names}
    return "image" in lowered and not lowered & {_IMAGE_NUMBER, _OBJECT_NUMBER, ""}


def join_header_rows(objects: Sequence[str], measures: Sequence[str]) -> tuple[str, ...] | None:
    """Names as ``Nuclei_AreaShape_Area``; the keys of the row are ``ImageNumber`` and ``ObjectNumber``.

    None where the rows are not such a pair: an ``ImageNumber`` below ``Image`` and an ``ObjectNumber`` below an object.
    """
    if len(objects) != len(measures) or not may_be_objects(objects):
        return None
    pairs = [(canonical_compartment(a.strip()), b.strip()) for a, b in zip(objects, measures, strict=True)]
    keys = {(a == "Image", b.lower()) for a, b in pairs}
    if (True, _IMAGE_NUMBER) not in keys or (False, _OBJECT_NUMBER) not in keys:
        return None
    return tuple(_join(a, b) for a, b in pairs)


def _join(name: str, measure: str) -> str:
    if name == "Image" and measure.lower() == _IMAGE_NUMBER:
        return "ImageNumber"
    return "ObjectNumber" if name != "Image" and measure.lower() == _OBJECT_NUMBER else f"{name}_{measure}"


def list_objects(objects: Sequence[str]) -> tuple[str, ...]:
    """Object names of a first header row, each once, in their order."""
    names = dict.fromkeys(canonical_compartment(name.strip()) for name in objects)
    return tuple(name for name in names if name != "Image")
