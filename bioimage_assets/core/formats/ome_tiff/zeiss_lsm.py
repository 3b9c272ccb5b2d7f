"""Planes of a Zeiss LSM file: thumbnails stand between the pages, channels are the samples of a page.

Source of truth: "Image File Format Description LSM 5/7" (Carl Zeiss): tag CZ_LSMINFO, its ScanType and dimensions; sizes
are in metres and seconds. tifffile's ``lsm_metadata`` is what the tests compare with.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from bioimage_assets.core.errors import CorruptStoreError, UnsupportedStoreError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.ome_tiff import ifds as tags
from bioimage_assets.core.formats.ome_tiff.image_draft import PixelSizes
from bioimage_assets.core.formats.ome_tiff.other_image import CONVERT, OtherImage, list_runs
from bioimage_assets.core.formats.ome_tiff.planes import PlanePlan
from bioimage_assets.core.formats.ome_tiff.tiff_file import TiffFile
from bioimage_assets.core.formats.ome_tiff.units import duration_s, length_um

_LEAST_BYTES = 128  # magic number to OffsetScanInformation
_POSITIONS_AT = 264  # DimensionP and DimensionM, in files of LSM 4.2 and later
_AXES = {
    0: "z",
    3: "t",
    6: "tz",
    7: "tz",
}  # ScanType: planes x-y of a stack, a time series, a time series of stacks
_WRAPPED_BYTES = 2**32
_MAX_CHANNELS = 1_024


class _LsmInfo(NamedTuple):
    z: int
    channels: int
    t: int
    voxel_m: tuple[float, float, float]
    scan_type: int
    names_at: int
    interval_s: float
    positions: int


def read_lsm(tiff: TiffFile) -> OtherImage:
    """Planes of an LSM file without its thumbnails; what has other axes than c, z and t is a plain stack and said.

    Raises
    ------
    UnsupportedStoreError
        Offsets or sizes in the file cannot be told: above 4 GB they wrap, and compressed strips state other sizes.
    """
    if tiff.size_bytes >= _WRAPPED_BYTES:
        raise UnsupportedStoreError(
            f"{tiff.source.name}: an LSM file of more than 4 GB has offsets that wrap. {CONVERT}."
        )
    first = tiff.geometry(tiff.ifds[0])
    if first.codec != "none":
        raise UnsupportedStoreError(
            f"{tiff.source.name}: a compressed LSM file ({first.codec}) does not say how long its strips are. {CONVERT}."
        )
    pages = [
        number for number, ifd in enumerate(tiff.ifds) if not number or not tiff.geometry(ifd).is_reduced
    ]
    runs = list_runs(tiff.key, pages)
    plain = OtherImage(PlanePlan("i", (len(pages),), runs, samples_are_channels=True), "zeiss-lsm")
    try:
        info = _read_info(tiff)
    except CorruptStoreError as error:
        return _say(tiff, plain, f"its CZ_LSMINFO cannot be read ({error})")
    axes = _AXES.get(info.scan_type)
    if axes is None or info.positions > 1:
        return _say(tiff, plain, f"it is of scan type {info.scan_type} with {info.positions} positions")
    sizes = tuple({"z": info.z, "t": info.t}[axis] for axis in axes)
    planes = sizes[0] * (sizes[1] if len(sizes) > 1 else 1)
    if (
        min(sizes) < 1
        or planes != len(pages)
        or info.channels != first.samples
        or (first.samples > 1 and not first.is_planar)
    ):
        return _say(
            tiff, plain, f"it declares {info.t} x {info.z} planes of {info.channels} channels, the file has {len(pages)} pages of {first.samples}"
        )  # fmt: skip
    x, y, z = (length_um(size, "m") for size in info.voxel_m)
    return OtherImage(
        PlanePlan(axes, sizes, runs, samples_are_channels=True), "zeiss-lsm",
        PixelSizes(x, y, z, duration_s(info.interval_s, "s")), _read_channel_names(tiff, info),
    )  # fmt: skip


def _say(tiff: TiffFile, plain: OtherImage, problem: str) -> OtherImage:
    text = f"Its planes are kept as a plain stack, since {problem}. {CONVERT}."
    tiff.findings.append(Finding("stack-not-read", "error", tiff.key, text))
    return plain


def _read_info(tiff: TiffFile) -> _LsmInfo:
    tag = tiff.ifds[0].tag(tags.CZ_LSMINFO)
    size = 0 if tag is None else tag.value_count
    if tag is None or size < _LEAST_BYTES:
        raise CorruptStoreError(f"{tiff.source.name}: CZ_LSMINFO has {size} bytes, {_LEAST_BYTES} expected.")
    raw = tiff.source.read(tag.offset, min(size, _POSITIONS_AT + 8))
    _, stated, _, _, z, channels, t = struct.unpack_from("<I6i", raw, 0)
    voxel = struct.unpack_from("<3d", raw, 40)
    (scan_type,) = struct.unpack_from("<H", raw, 88)
    (names_at,) = struct.unpack_from("<I", raw, 108)
    (interval,) = struct.unpack_from("<d", raw, 112)
    positions = 1
    if len(raw) == _POSITIONS_AT + 8 and stated >= len(raw):
        p, m = struct.unpack_from("<2i", raw, _POSITIONS_AT)
        positions = max(1, p) * max(1, m)
    return _LsmInfo(z, channels, t, voxel, scan_type, names_at, interval, positions)


def _read_channel_names(tiff: TiffFile, info: _LsmInfo) -> tuple[str | None, ...] | None:
    """Names of ChannelColors: numbers of colours and names, and where the names begin; each with its length before it."""
    if not info.names_at or info.channels > _MAX_CHANNELS:
        return None
    try:
        _, _, count, _, names_at, _ = struct.unpack("<6i", tiff.source.read(info.names_at, 24))
        at = info.names_at + names_at
        names: list[str] = []
        for _ in range(min(count, info.channels)):
            (length,) = struct.unpack("<I", tiff.source.read(at, 4))
            text = tiff.source.read(at + 4, min(length, 1_024))
            names.append(text.split(b"\0")[0].decode("latin-1"))
            at += 4 + length
    except CorruptStoreError as error:
        tiff.findings.append(Finding("description-unreadable", "warning", tiff.key, str(error)))
        return None
    return tuple(names) if len(names) == info.channels else None
