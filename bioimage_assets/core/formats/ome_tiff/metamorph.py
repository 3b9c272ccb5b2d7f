"""Planes of a MetaMorph stack: one page stands for all, the others follow its pixels.

Source of truth: "MetaMorph Stack (STK) Image File Format" (Molecular Devices): UIC2Tag has one value of six LONGs per
plane (z distance as a fraction, day and millisecond of creation and of change), UIC3Tag a wavelength as a fraction,
UIC1Tag pairs of an id and a value or offset. tifffile's ``stk_metadata`` is what the tests compare with.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from bioimage_assets.core.errors import CorruptStoreError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.ome_tiff import ifds as tags
from bioimage_assets.core.formats.ome_tiff.image_draft import PixelSizes
from bioimage_assets.core.formats.ome_tiff.other_image import CONVERT, OtherImage, is_one_run
from bioimage_assets.core.formats.ome_tiff.planes import PlanePlan, PlaneRun
from bioimage_assets.core.formats.ome_tiff.tiff_file import TiffFile
from bioimage_assets.core.formats.ome_tiff.units import length_um

_MAX_PLANES = 10_000_000  # 240 MB of UIC2 values
_CALIBRATION, _X_CALIBRATION, _Y_CALIBRATION, _UNITS = 3, 4, 5, 6  # ids of UIC1
_MAX_IDS = 10_000
_MAX_UNIT = 64


def count_planes(tiff: TiffFile) -> int:
    """Planes that the tags of MetaMorph promise behind the first page; 0 where it has none of them."""
    ifd = tiff.ifds[0]
    if not any(ifd.value_count(code) for code in (tags.UIC1, tags.UIC2, tags.UIC3, tags.UIC4)):
        return 0
    return max(1, ifd.value_count(tags.UIC2), ifd.value_count(tags.UIC3), ifd.value_count(tags.UIC4))


def read_metamorph(tiff: TiffFile, count: int) -> OtherImage:
    """All planes of a stack, along z, t or c as its tags say; one that cannot be read so is said and has its pages only."""
    pages = len(tiff.ifds)
    geometry = tiff.geometry(tiff.ifds[0])
    problem = None
    if pages > 1 or count > _MAX_PLANES:
        problem = f"it has {pages} pages"
    elif not is_one_run(tiff):
        problem = f"its strips are compressed ({geometry.codec}) or do not follow one another"
    if problem is not None:
        text = f"MetaMorph's tags promise {count} planes, but {problem}, so that the others cannot be found. {CONVERT}."
        tiff.findings.append(Finding("stack-not-read", "error", tiff.key, text))
        return OtherImage(PlanePlan("i", (pages,), (PlaneRun(tiff.key, 0, 0, pages),)), "metamorph-stk")
    axis, step_um = _read_axis(tiff, count)
    x_um, y_um = _read_calibration(tiff)
    sizes = PixelSizes(x_um, y_um, step_um)
    run = (PlaneRun(tiff.key, 0, 0, count),)
    return OtherImage(PlanePlan(axis, (count,), run, single_page_stack=count > 1), "metamorph-stk", sizes)


def _read_axis(tiff: TiffFile, count: int) -> tuple[str, float | None]:
    """Axis of the planes: z where each has a distance, c where each has its own wavelength, t where times differ, else i."""
    values = _read_longs(tiff, tags.UIC2, count, 6)
    if values is not None:
        steps = values[:, 0] / np.maximum(values[:, 1], 1)
        if (steps != 0).all():
            same = bool((steps == steps[0]).all())
            return "z", length_um(float(steps[0]), "um") if same else None
    waves = _read_longs(tiff, tags.UIC3, count, 2)
    if waves is not None and count > 1 and len({Fraction(int(a), max(1, int(b))) for a, b in waves}) == count:
        return "c", None
    if values is not None and count > 1 and (np.diff(values[:, 2] * 86_400_000 + values[:, 3]) != 0).all():
        return "t", None
    return "i", None


def _read_longs(tiff: TiffFile, code: int, count: int, each: int) -> np.ndarray | None:
    """Numbers of each plane, None where the tag has another number of planes or another type."""
    tag = tiff.ifds[0].tag(code)
    if tag is None or tag.value_count != count or tag.field_type != 5:
        return None
    try:
        raw = tiff.source.read(tag.raw, 4 * each * count)
    except CorruptStoreError as error:
        tiff.findings.append(Finding("description-unreadable", "warning", tiff.key, str(error)))
        return None
    return np.frombuffer(raw, tiff.header.order + "u4").reshape(count, each).astype(np.int64)


def _read_calibration(tiff: TiffFile) -> tuple[float | None, float | None]:
    """Pixel size in µm, None where MetaMorph was not calibrated."""
    tag = tiff.ifds[0].tag(tags.UIC1)
    if tag is None or tag.field_type != 4 or not 0 < tag.value_count <= _MAX_IDS:
        return None, None
    order, source = tiff.header.order, tiff.source
    try:
        pairs = np.frombuffer(source.read(tag.raw, 8 * tag.value_count), order + "u4").reshape(-1, 2)
        found = {int(code): int(value) for code, value in pairs}
        if not found.get(_CALIBRATION, 1) or not {_X_CALIBRATION, _Y_CALIBRATION} <= found.keys():
            return None, None
        unit = _read_unit(tiff, found.get(_UNITS))
        x, y = (
            np.frombuffer(source.read(found[code], 8), order + "u4").tolist()
            for code in (_X_CALIBRATION, _Y_CALIBRATION)
        )
    except CorruptStoreError:
        return None, None
    return length_um(x[0] / max(1, x[1]), unit), length_um(y[0] / max(1, y[1]), unit)


def _read_unit(tiff: TiffFile, offset: int | None) -> str:
    if offset is None or offset < 8:
        return "um"
    size = int.from_bytes(tiff.source.read(offset, 4), "little" if tiff.header.order == "<" else "big")
    return tiff.source.read(offset + 4, min(size, _MAX_UNIT)).split(b"\0")[0].decode("latin-1")
