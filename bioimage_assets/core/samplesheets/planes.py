"""Rows of ``image_assets`` in, the place of every plane out: its file, and series and frame in files of several pages.

Series and frame are what Bio-Formats calls so, counted from zero; CellProfiler hands the columns ``Series_…`` and ``Frame_…`` of LoadData on to it
(``cellprofiler_core/modules/loaddata.py``, ``fetch_provider``, 4.2.8). The frame of a plane is its rank in the order of the image's axes:
https://docs.openmicroscopy.org/bio-formats/latest/developers/reader-guide.html.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import pyarrow as pa

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.identity import PlateKey
from bioimage_assets.core.model.image import axis_names, is_in_files

_GROUPED = ("tiff-plate-", "png-plate-", "load-data")
_INDEXED = ("c", "z", "t")


@dataclass(frozen=True, slots=True)
class SheetImage:
    """Whose planes are listed: one field of view. ``plate`` is the plate's name, as ``Metadata_Plate`` has it."""

    plate_key: str
    dataset_id: str
    plate: str
    well_id: str
    site_id: str | None
    acquisition_id: str | None
    image_id: str


class Plane(NamedTuple):
    """One channel of a field at one z and t (from zero; None where the image has one). ``uri`` is the whole place of the file."""

    image: SheetImage
    channel: str
    z: int | None
    t: int | None
    uri: str
    series: int
    frame: int


@dataclass(frozen=True, slots=True)
class PlatePlanes:
    """Planes of a plate in the order of its rows, and what has none and why."""

    planes: tuple[Plane, ...]
    findings: tuple[Finding, ...]


def list_planes(images: pa.Table) -> PlatePlanes:
    """List the planes of all fields whose pixels are in files and that stand in a well.

    Label images, images without a well and images of Zarr stores have none; each kind is a finding with its number.
    """
    planes: list[Plane] = []
    left_out: Counter[str] = Counter()
    first: dict[str, str] = {}
    for batch in images.to_batches(max_chunksize=512):
        for row in batch.to_pylist():
            reason = _refuse(row)
            if reason is None:
                planes += _planes_of(row)
            else:
                left_out[reason] += 1
                first.setdefault(reason, row["image_id"])
    findings = tuple(_say(reason, count, first[reason]) for reason, count in left_out.items())
    return PlatePlanes(tuple(planes), findings)


_REASONS = {
    "label-not-listed": ("info", "label images", "a samplesheet names images to measure."),
    "zarr-not-listed": (
        "error",
        "images in Zarr stores",
        "CellProfiler 4 and nf-core/cellpainting read image files (TIFF, PNG). Write the images as TIFF files to measure them there.",
    ),
    "well-not-known": (
        "error",
        "images without a well",
        "every row of a samplesheet names one. Give it by [images] file_pattern in dataset.toml.",
    ),
}


def _refuse(row: Mapping[str, object]) -> str | None:
    if row["image_kind"] == "label":
        return "label-not-listed"
    if not is_in_files(row["format_family"]):
        return "zarr-not-listed"
    return None if row["well_id"] else "well-not-known"


def _say(reason: str, count: int, image_id: str) -> Finding:
    severity, things, text = _REASONS[reason]
    message = f"{count:,} {things} are left out, the first is {image_id!r}: {text}"
    return Finding(reason, severity, image_id, message)  # type: ignore[arg-type]


def _planes_of(row: Mapping[str, object]) -> Iterator[Plane]:
    image = _identify(row)
    sizes = _lead_sizes(row)
    names = row["channel_names"] or ()
    uri = str(row["uri"]).rstrip("/")
    series = _series(row["array_path"])
    own = [file for file in row["files"] or () if file["role"] == "image"]  # type: ignore[attr-defined]
    is_grouped = str(row["storage_variant"]).startswith(_GROUPED)
    for file in own or [{"path": None, "channel": None, "c": None, "z": None, "t": None, "ifd": None}]:
        held = {axis: file[axis] for axis in _INDEXED if file[axis] is not None}
        place = uri if file["path"] is None else f"{uri}/{file['path']}"
        inner = [axis for axis in sizes if axis not in held] if is_grouped else list(sizes)
        open_axes = [axis for axis in sizes if axis not in held]
        for values in product(*(range(sizes[axis]) for axis in open_axes)):
            index = {**held, **dict(zip(open_axes, values, strict=True))}
            frame = _rank(index, inner, sizes) + (int(file["ifd"] or 0) if is_grouped else 0)
            channel = _name_channel(file["channel"], names, index.get("c"))  # type: ignore[arg-type]
            yield Plane(image, channel, _depth(index), index.get("t"), place, series, frame)


def _identify(row: Mapping[str, object]) -> SheetImage:
    plate = row["plate_id"] or PlateKey.parse(str(row["plate_key"])).plate
    return SheetImage(
        str(row["plate_key"]), str(row["dataset_id"]), str(plate), str(row["well_id"]),
        row["site_id"], row["acquisition_id"], str(row["image_id"]),  # type: ignore[arg-type]
    )  # fmt: skip


def _lead_sizes(row: Mapping[str, object]) -> dict[str, int]:
    """Extents of the axes in front of the page, in their order; samples of a colour image are part of its page."""
    axes = axis_names(row["axes"])  # type: ignore[arg-type]
    lead = axes[: axes.index("y")] if "y" in axes else ()
    return {
        axis: int(size)
        for axis, size in zip(lead, row["shape"], strict=False)  # type: ignore[call-overload]
        if axis != "s"
    }


def _depth(index: Mapping[str, int]) -> int | None:
    """Place along z, or along the pages of a stack that nothing explains."""
    return index.get("z", index.get("i"))


def _rank(index: Mapping[str, int], axes: Sequence[str], sizes: Mapping[str, int]) -> int:
    rank = 0
    for axis in axes:
        rank = rank * sizes[axis] + index[axis]
    return rank


def _series(array_path: object) -> int:
    head, slash, number = str(array_path or "").rpartition("/")
    return int(number) if slash and head == "series" and number.isdecimal() else 0


def _name_channel(of_file: str | None, names: Sequence[str | None], c: int | None) -> str:
    number = c or 0
    named = names[number] if number < len(names) else None
    return of_file or named or f"C{number + 1}"
