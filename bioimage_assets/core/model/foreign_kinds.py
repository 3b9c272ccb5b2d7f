"""Kinds of image files that are not read, what they are called, and how to make of them what is read.

Told by the suffix: nothing of such a file is opened. Names of the formats as Bio-Formats lists them:
https://bio-formats.readthedocs.io/en/stable/supported-formats.html
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bioimage_assets.core.findings import Finding, Severity
from bioimage_assets.core.model.file_kinds import (
    N5_SUFFIX,
    TIFF_FILE_SUFFIXES,
    TIFF_SUFFIXES,
    ZARR_SUFFIXES,
    describe_start,
    find_suffix,
    has_suffix,
)
from bioimage_assets.core.model.store_paths import show_name

_CONVERT = "convert with bioformats2raw or ome-writers"
_AS_ARRAY = "write the arrays as OME-Zarr (zarr-python, ome-writers) or OME-TIFF"
_AS_TIFF = "write the pixels as TIFF"
_AS_PLANES = (
    "write the pixels as TIFF; PNGs are read in a folder where their names are those of an instrument"
)
_AS_FRAMES = "write the frames as OME-Zarr or OME-TIFF"
READ = (
    f"Read are OME-Zarr stores ({', '.join(ZARR_SUFFIXES)}), TIFF and OME-TIFF files ({', '.join(TIFF_FILE_SUFFIXES)}) and "
    "folders of TIFFs or of an instrument's PNGs."
)


@dataclass(frozen=True, slots=True)
class ForeignKind:
    """A kind of image file. ``is_picture``: beside images it is mostly a preview or a drawing."""

    name: str
    remedy: str
    is_picture: bool = False


def _kinds(
    name: str, *suffixes: str, remedy: str = _CONVERT, is_picture: bool = False
) -> dict[str, ForeignKind]:
    return dict.fromkeys(suffixes, ForeignKind(name, remedy, is_picture))


_ALL_KINDS: dict[str, ForeignKind] = {
    **_kinds("Zeiss CZI", ".czi"), **_kinds("Zeiss ZVI", ".zvi"), **_kinds("Zeiss LSM", ".lsm"),
    **_kinds("Leica LIF", ".lif", ".lof", ".xlef", ".lei"), **_kinds("Leica SCN", ".scn"),
    **_kinds("Nikon ND2", ".nd2"),
    **_kinds("Olympus OIB/OIF/OIR", ".oib", ".oif", ".oir"), **_kinds("Olympus cellSens VSI", ".vsi", ".ets"),
    **_kinds("DeltaVision", ".dv", ".r3d"), **_kinds("Imaris", ".ims"),
    **_kinds("3DHISTECH MRXS", ".mrxs"), **_kinds("Aperio SVS", ".svs"), **_kinds("Hamamatsu NDPI", ".ndpi", ".ndpis"),
    **_kinds("Akoya QPTIFF", ".qptiff"), **_kinds("Ventana BIF", ".bif"), **_kinds("Hamamatsu HIS or VMS", ".his", ".vms"),
    **_kinds("MetaMorph stack", ".stk"), **_kinds("Opera Flex", ".flex"), **_kinds("Cellomics", ".c01", ".dib"),
    **_kinds("SlideBook", ".sld", ".sldy"), **_kinds("Volocity", ".mvd2", ".acff"), **_kinds("Image Cytometry Standard", ".ics", ".ids"),
    **_kinds("Imspector", ".obf", ".msr"), **_kinds("Andor or Princeton Instruments", ".sif", ".spe"), **_kinds("HCImage CXD", ".cxd"),
    **_kinds("PerkinElmer or Columbus measurement", ".mea", ".res"), **_kinds("DICOM", ".dcm", ".dicom"),
    **_kinds("MRC", ".mrc", ".rec"), **_kinds("Gatan", ".dm3", ".dm4"),
    **_kinds("NIfTI, NRRD or MetaImage", ".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", remedy=_AS_ARRAY),
    **_kinds("N5", N5_SUFFIX, remedy=_AS_ARRAY), **_kinds("KLB or BigDataViewer", ".klb", remedy=_AS_ARRAY),
    **_kinds("HDF5", ".h5", ".hdf5", ".he5", ".ilastik.h5", remedy=_AS_ARRAY),
    **_kinds("PNG", ".png", remedy=_AS_PLANES, is_picture=True), **_kinds("JPEG", ".jpg", ".jpeg", remedy=_AS_TIFF, is_picture=True),
    **_kinds("JPEG 2000", ".jp2", ".j2k", ".jpx", remedy=_AS_TIFF), **_kinds("JPEG XR", ".jxr", ".wdp", remedy=_AS_TIFF),
    **_kinds("BMP", ".bmp", remedy=_AS_TIFF, is_picture=True), **_kinds("GIF", ".gif", remedy=_AS_TIFF, is_picture=True),
    **_kinds("WebP", ".webp", remedy=_AS_TIFF, is_picture=True),
    **_kinds("a movie", ".avi", ".mp4", ".mov", ".mkv", ".wmv", remedy=_AS_FRAMES),
}  # fmt: skip
# By suffix; what a reader takes is none.
FOREIGN_KINDS: Final = {
    suffix: kind for suffix, kind in _ALL_KINDS.items() if not has_suffix(suffix, TIFF_SUFFIXES)
}


def find_foreign(name: str) -> ForeignKind | None:
    """Kind of an image file that is not read, by its name; None for all others."""
    return FOREIGN_KINDS.get(find_suffix(name, FOREIGN_KINDS))


@dataclass(frozen=True, slots=True)
class ForeignFiles:
    """How many files of one suffix there are, and the first of them."""

    suffix: str
    count: int
    first: str

    @property
    def kind(self) -> ForeignKind:
        """What they are."""
        return FOREIGN_KINDS[self.suffix]


def count_foreign(paths: Iterable[str]) -> list[ForeignFiles]:
    """Image files of kinds that are not read, the most frequent first; pictures after all others."""
    found: dict[str, list[str]] = {}
    for path in paths:
        name = path.rpartition("/")[2]
        suffix = find_suffix(name, FOREIGN_KINDS)
        if suffix:
            found.setdefault(suffix, []).append(path)
    files = [ForeignFiles(suffix, len(names), min(names)) for suffix, names in found.items()]
    return sorted(files, key=lambda item: (item.kind.is_picture, -item.count, item.suffix))


def describe_foreign(files: Iterable[ForeignFiles]) -> str:
    """How many files of which kinds are not read, and what to do.

    >>> describe_foreign(count_foreign(["a.czi", "b.czi"]))
    '2 .czi files (Zeiss CZI) are not read; convert with bioformats2raw or ome-writers.'
    """
    known = list(files)
    counts = " and ".join(
        f"{item.count:,} {item.suffix} file{'s' if item.count > 1 else ''} ({item.kind.name})"
        for item in known[:4]
    )
    remedies = "; ".join(dict.fromkeys(item.kind.remedy for item in known[:4]))
    verb = "are" if sum(item.count for item in known) > 1 else "is"
    return f"{counts} {verb} not read; {remedies}."


def find_images_not_read(paths: Iterable[str], store_uri: str) -> tuple[Finding, ...]:
    """One finding that counts the image files of kinds that are not read; of pictures alone it is only told."""
    files = count_foreign(paths)
    if not files:
        return ()
    severity: Severity = "info" if all(item.kind.is_picture for item in files) else "warning"
    text = f"{describe_foreign(files)} The first is {show_name(files[0].first)!r}."
    return (Finding("images-not-read", severity, files[0].first, text, store_uri),)


def explain_single_file(uri: str, start: bytes = b"") -> str:
    """Why a file that was given alone is not read, what to do, and what is read. ``start`` are its first bytes, if known."""
    kind = find_foreign(uri)
    if kind is not None:
        return f"{uri}: {kind.name} is not read; {kind.remedy}. {READ}"
    meaning = describe_start(start)
    what = f"not read, found {meaning}" if meaning else f"a file of this kind ({_suffix_of(uri)}) is not read"
    return f"{uri}: {what}. {READ}"


def _suffix_of(uri: str) -> str:
    name = show_name(uri.rpartition("/")[2])
    return f".{name.rpartition('.')[2]}" if "." in name else "without a suffix"
