"""What is known of a TIFF image before it has its ids: planes, pages, levels, channels, sizes.

A draft is finished by ``build_record`` once the plate, well and site are known, which in a folder of
files is only after all of them were seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

from bioimage_assets.core.errors import CorruptStoreError
from bioimage_assets.core.findings import Finding, Severity
from bioimage_assets.core.formats.image_ids import PlatePosition
from bioimage_assets.core.formats.ome_tiff.images_not_held import NO_PAGE
from bioimage_assets.core.formats.ome_tiff.pages import PageGeometry
from bioimage_assets.core.formats.ome_tiff.plane_facts import PlaneFacts
from bioimage_assets.core.formats.ome_tiff.planes import PlanePlan, squeeze
from bioimage_assets.core.model import acquisition as acquired
from bioimage_assets.core.model.image import FileRecord, ImageRecord, LevelRecord

FORMAT_FAMILY = "ome-tiff"
_SEVERITIES: tuple[Severity, Severity, Severity] = ("error", "warning", "info")


class PixelSizes(NamedTuple):
    """Physical sizes of one image in µm and seconds, None where unknown."""

    x_um: float | None = None
    y_um: float | None = None
    z_um: float | None = None
    time_s: float | None = None


_NO_SIZES = PixelSizes()


@dataclass(slots=True)
class ImageDraft:
    """One image before it has an id. ``key`` is the file (or the first file of a set) inside the store.

    ``name`` is that of the OME Image as written, ``stage_name`` that of its position on the stage. ``is_one_channel``: its file's name says that it is one channel of a
    field, so the field's id is not its own.
    """

    key: str
    variant: str
    axes: str
    shape: tuple[int, ...]
    dtype: str
    byte_order: str | None
    chunk_shape: tuple[int, ...] | None
    codec: str
    levels: tuple[LevelRecord, ...]
    stored_bytes: int
    fingerprint: str
    series: int | None = None
    name: str | None = None
    stage_name: str | None = None
    format_version: str | None = None
    channel_names: tuple[str | None, ...] | None = None
    pixel_sizes: PixelSizes = _NO_SIZES
    files: tuple[FileRecord, ...] = ()
    position: PlatePosition | None = None
    is_one_channel: bool = False
    plan: PlanePlan | None = None
    is_partial: bool = False
    format_family: str = FORMAT_FAMILY
    file_md5: str | None = None
    acquisition: acquired.AcquisitionFacts | None = None
    planes: tuple[acquired.PlaneFacts, ...] = ()
    findings: list[Finding] = field(default_factory=list)


def build_image_draft(
    key: str, variant: str, plan: PlanePlan, facts: PlaneFacts, sizes: PixelSizes, fingerprint: str
) -> ImageDraft:
    """Compose shape, levels and completeness of one image; CorruptStoreError where no page could be read."""
    geometry = facts.geometry
    if geometry is None or facts.good_planes == 0:
        raise CorruptStoreError(facts.broken_planes[0] if facts.broken_planes else f"{key}: {NO_PAGE}")
    axes, lead = squeeze(plan.axes, plan.sizes)
    levels = build_levels(lead, facts, sizes, axes)
    draft = ImageDraft(
        key=key, variant=variant, axes=axes + (_channel_axes(geometry) if plan.samples_are_channels else page_axes(geometry)), shape=levels[0].shape,
        dtype=geometry.dtype, byte_order=geometry.byte_order,
        chunk_shape=levels[0].chunk_shape, codec=geometry.codec, levels=levels, stored_bytes=facts.stored_bytes,
        fingerprint=fingerprint, pixel_sizes=sizes, plan=plan,
    )  # fmt: skip
    _add_plane_findings(draft, plan, facts)
    if len(draft.levels) > 1 and any(
        own > finer for a, b in pairwise(draft.levels) for finer, own in zip(a.shape, b.shape, strict=True)
    ):
        text = "Sub-resolutions are not listed from the largest to the smallest."
        draft.findings.append(Finding("level-order", "warning", key, text))
    return draft


def _add_plane_findings(draft: ImageDraft, plan: PlanePlan, facts: PlaneFacts) -> None:
    missing = plan.declared_count - plan.found_count
    broken = len(facts.broken_planes)
    if missing <= 0 and not (
        facts.cut_planes or facts.short_planes or broken or facts.odd_planes or facts.sparse_chunks
    ):
        return
    error, warning, info = _SEVERITIES
    reports: tuple[tuple[int, str, Severity, str], ...] = (
        (
            missing,
            "missing-planes",
            error,
            f"{missing} of {plan.declared_count} declared planes have no page.",
        ),
        (facts.cut_planes, "data-cut-off", error, "planes reach beyond the end of the file; it is cut off."),
        (facts.short_planes, "data-short", error, "uncompressed planes have fewer bytes than pixels."),
        (broken, "page-broken", error, f"pages are broken: {facts.broken_planes[:1]}"),
        (facts.odd_planes, "page-differs", warning, "planes have another size or type than the first."),
        (facts.sparse_chunks, "chunks-missing", info, "tiles or strips were never written."),
    )
    for count, code, severity, message in reports:
        if count > 0:
            text = message if code == "missing-planes" else f"{count} {message}"
            draft.findings.append(Finding(code, severity, draft.key, text))
            draft.is_partial = draft.is_partial or severity != "info"


def page_axes(geometry: PageGeometry) -> str:
    """Axes of one page: samples last where interleaved, first where stored as separate planes."""
    if geometry.samples == 1:
        return "yx"
    return "syx" if geometry.is_planar else "yxs"


def _channel_axes(geometry: PageGeometry) -> str:
    """Axes of one page whose samples are channels."""
    return page_axes(geometry).replace("s", "c")


def page_shape(geometry: PageGeometry) -> tuple[int, ...]:
    """Shape of one page along ``page_axes``."""
    return _with_samples(geometry, geometry.height, geometry.width, geometry.samples)


def page_chunk_shape(geometry: PageGeometry) -> tuple[int, ...]:
    """Read unit of one page along ``page_axes``; separate sample planes are separate chunks."""
    return _with_samples(
        geometry, geometry.chunk_height, geometry.chunk_width, 1 if geometry.is_planar else geometry.samples
    )


def _with_samples(geometry: PageGeometry, height: int, width: int, samples: int) -> tuple[int, ...]:
    if geometry.samples == 1:
        return (height, width)
    return (samples, height, width) if geometry.is_planar else (height, width, samples)


def build_levels(
    lead: tuple[int, ...], facts: PlaneFacts, sizes: PixelSizes, axes: str
) -> tuple[LevelRecord, ...]:
    """Level records, finest first; physical scales follow from the pixel size and the ratio of the shapes."""
    levels: list[LevelRecord] = []
    full = facts.levels[0][1]
    lead_scale = {"t": sizes.time_s or 1.0, "z": sizes.z_um or 1.0}
    for number, (path, geometry) in enumerate(facts.levels):
        scale: tuple[float, ...] | None = None
        if sizes.x_um is not None and sizes.y_um is not None:
            page_scale = {
                # From the shapes, not from 2 to the level: halving rounds odd edges.
                "y": sizes.y_um * full.height / geometry.height, "x": sizes.x_um * full.width / geometry.width, "s": 1.0,
            }  # fmt: skip
            scale = tuple(
                [lead_scale.get(axis, 1.0) for axis in axes]
                + [page_scale[axis] for axis in page_axes(geometry)]
            )
        levels.append(
            LevelRecord(
                number,
                path,
                lead + page_shape(geometry),
                (1,) * len(lead) + page_chunk_shape(geometry),
                None,
                scale,
            )
        )
    return tuple(levels)


@dataclass(frozen=True, slots=True)
class RecordIdentity:
    """The ids that every row of one scan shares, and the URI its rows are below."""

    dataset_id: str
    plate_key: str


def build_record(draft: ImageDraft, identity: RecordIdentity, image_id: str, uri: str) -> ImageRecord:
    """Finish a draft: give it its ids and location."""
    position = draft.position
    sizes = draft.pixel_sizes
    names = draft.channel_names
    return ImageRecord(
        plate_key=identity.plate_key, dataset_id=identity.dataset_id, image_id=image_id, image_kind="image",
        format_family=draft.format_family, storage_variant=draft.variant, uri=uri, shape=draft.shape, dtype=draft.dtype,
        fingerprint=draft.fingerprint, format_version=draft.format_version,
        plate_id=position.plate_id if position else None, well_id=position.well_id if position else None,
        site_id=position.site_id if position else None,
        acquisition_id=position.acquisition_id if position else None,
        array_path=None if draft.series is None else f"series/{draft.series}", axes=draft.axes,
        byte_order=draft.byte_order, chunk_shape=draft.chunk_shape, codec=draft.codec, levels=draft.levels,
        channel_names=names if names and any(name is not None for name in names) else None, files=draft.files,
        image_name=draft.name,
        pixel_size_x_um=sizes.x_um, pixel_size_y_um=sizes.y_um, pixel_size_z_um=sizes.z_um,
        time_increment_s=sizes.time_s, stored_bytes=draft.stored_bytes, file_md5=draft.file_md5,
        scan_status="partial" if draft.is_partial else "ok",
        findings=tuple(f"{finding.code}: {finding.message}" for finding in draft.findings),
        acquisition=draft.acquisition, planes=draft.planes,
    )  # fmt: skip


def with_uri(findings: Iterable[Finding], uri: str) -> tuple[Finding, ...]:
    """Name the store in findings that were made below it."""
    return tuple(finding if finding.store_uri else replace(finding, store_uri=uri) for finding in findings)
