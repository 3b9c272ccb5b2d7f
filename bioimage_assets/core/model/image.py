"""One scanned image: its identity, geometry, levels, files and storage facts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from bioimage_assets.core.model.acquisition import AcquisitionFacts, PlaneFacts
from bioimage_assets.core.model.file_kinds import PNG_FAMILY

ImageKind = Literal["image", "label", "array"]
ScanStatus = Literal["ok", "partial", "listed"]
# Status of an image that a LoadData table names and that was not opened: neither shape nor type are known.
LISTED: ScanStatus = "listed"
UNKNOWN_DTYPE = "unknown"


class LevelRecord(NamedTuple):
    """One resolution level, level 0 being full resolution; shapes follow the image's axis order.

    ``path`` is the array's path in a Zarr store, ``<ifd>`` or ``<ifd>/<subifd>`` in a TIFF.
    ``chunk_shape`` is the read unit (inner chunk, tile, strip), ``shard_shape`` the stored object or None.
    ``scale`` is the physical size of one pixel per axis, in the store's own units, None where unknown.
    """

    level: int
    path: str
    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...] | None
    shard_shape: tuple[int, ...] | None = None
    scale: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of an image that is spread over several files.

    ``path`` is relative to the image's ``uri``, which then names the folder that holds the set.
    ``c``, ``z`` and ``t`` say which planes the file holds (0-based; None: all of that axis), ``ifd`` the
    first page of them. ``role`` is ``image``, ``metadata`` (companion, sidecar) or ``missing``.
    """

    path: str
    channel: str | None
    role: Literal["image", "metadata", "missing"]
    c: int | None = None
    z: int | None = None
    t: int | None = None
    ifd: int | None = None


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One row of ``image_assets``: a field of view, a label image or a bare array, never a pyramid level.

    ``axes`` is the axis names joined without separator where all have one letter (``tczyx``), else with
    commas. ``array_path`` is the full-resolution array's path in a Zarr store (None for an array at the
    root), ``series/<i>`` in a TIFF that holds several images, else None. ``byte_order`` is ``little``,
    ``big`` or None for one-byte types. Pixel sizes are µm, the time increment seconds, None where unknown.
    ``fingerprint`` digests the metadata documents that were read for this image. ``image_name`` is the name that the
    metadata give the image, as written. ``planes`` are rows of ``acquisition_planes``, in no promised order.
    """

    plate_key: str
    dataset_id: str
    image_id: str
    image_kind: ImageKind
    format_family: str
    storage_variant: str
    uri: str
    shape: tuple[int, ...]
    dtype: str
    fingerprint: str
    format_version: str | None = None
    plate_id: str | None = None
    well_id: str | None = None
    site_id: str | None = None
    acquisition_id: str | None = None
    source_image_id: str | None = None
    array_path: str | None = None
    axes: str | None = None
    byte_order: str | None = None
    chunk_shape: tuple[int, ...] | None = None
    shard_shape: tuple[int, ...] | None = None
    codec: str | None = None
    levels: tuple[LevelRecord, ...] = ()
    channel_names: tuple[str | None, ...] | None = None
    files: tuple[FileRecord, ...] = ()
    pixel_size_x_um: float | None = None
    pixel_size_y_um: float | None = None
    pixel_size_z_um: float | None = None
    time_increment_s: float | None = None
    stored_bytes: int | None = None
    file_md5: str | None = None
    scan_status: ScanStatus = "ok"
    findings: tuple[str, ...] = ()
    image_name: str | None = None
    acquisition: AcquisitionFacts | None = None
    planes: tuple[PlaneFacts, ...] = ()


def axis_names(axes: str | None) -> tuple[str, ...]:
    """Split the stored axes text into names; empty where the axes are unknown."""
    if not axes:
        return ()
    return tuple(axes.split(",")) if "," in axes else tuple(axes)


def build_axes(names: tuple[str, ...] | list[str]) -> str:
    """Join axis names into the stored text: ``tczyx`` for one-letter names, comma-separated otherwise."""
    return "".join(names) if all(len(name) == 1 for name in names) else ",".join(names)


def is_in_files(format_family: object) -> bool:
    """Tell whether pixels of a format family are in image files of their own (TIFF, PNG) rather than in a store of arrays."""
    family = str(format_family or "")
    return "tiff" in family or PNG_FAMILY in family


def split_repeated_images(
    images: Iterable[ImageRecord], owners: dict[tuple[str, str], ImageRecord]
) -> tuple[list[ImageRecord], list[tuple[ImageRecord, ImageRecord]]]:
    """The first image of each id, and every further one behind the one that is kept; ``owners`` are the first of each."""
    kept: list[ImageRecord] = []
    repeated: list[tuple[ImageRecord, ImageRecord]] = []
    for image in images:
        owner = owners.setdefault((image.dataset_id, image.image_id), image)
        if owner is image:
            kept.append(image)
        else:
            repeated.append((owner, image))
    return kept, repeated
