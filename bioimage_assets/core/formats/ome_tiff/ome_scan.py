"""Scan an OME document and the TIFFs it names into drafts, one per Image element.

Source of truth: OME-TIFF specification; ome.xsd 2016-06.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from bioimage_assets.core.errors import CorruptStoreError, StoreChangedError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.ome_tiff.acquired_images import AcquiredImages
from bioimage_assets.core.formats.ome_tiff.filesets import FileSet, resolve_files
from bioimage_assets.core.formats.ome_tiff.image_draft import ImageDraft, PixelSizes, build_image_draft
from bioimage_assets.core.formats.ome_tiff.ome_model import OmeDocument, OmeImage
from bioimage_assets.core.formats.ome_tiff.ome_plates import read_ome_plates
from bioimage_assets.core.formats.ome_tiff.plane_facts import PlaneFacts
from bioimage_assets.core.formats.ome_tiff.planes import (
    MAX_DECLARED_PLANES,
    MAX_DECLARED_RATIO,
    MAX_NAMED_CHANNELS,
    PlanePlan,
    PlaneRun,
    build_block_runs,
    count_outside,
    leading_axes,
)
from bioimage_assets.core.formats.ome_tiff.tiff_file import TiffFile
from bioimage_assets.core.formats.parse_errors import FOREIGN_ERRORS, as_store_error
from bioimage_assets.core.model.fingerprint import digest_documents
from bioimage_assets.core.model.image import FileRecord
from bioimage_assets.core.model.scan import DeclaredPlate
from bioimage_assets.core.stores.base import Store


@dataclass(slots=True)
class FileScan:
    """What one TIFF (or companion file) and the files it claims contain.

    ``claimed`` names every file that belongs to one of its images, so that none is read twice;
    ``sample_indexes`` are the raw WellSample indexes in the order of ``drafts``.
    """

    drafts: list[ImageDraft] = field(default_factory=list)
    sample_indexes: list[int | None] = field(default_factory=list)
    plates: tuple[DeclaredPlate, ...] = ()
    findings: list[Finding] = field(default_factory=list)
    claimed: set[str] = field(default_factory=set)
    fingerprint: str = ""
    kind: str = "plain"


class OmeContext(NamedTuple):
    """One OME document, where it was found, the open TIFF that carries or belongs to it, and the digest of both.

    ``own_uuid`` is that of the open TIFF, by which the document may know it under another name.
    """

    store: Store
    document: OmeDocument
    key: str
    is_companion: bool
    tiff: TiffFile | None
    listed: Mapping[str, int]
    fingerprint: str
    own_uuid: str | None = None

    @property
    def own(self) -> tuple[str, str] | None:
        """Key and UUID of the open TIFF."""
        return (self.tiff.key, self.own_uuid) if self.tiff is not None and self.own_uuid else None


def scan_document(context: OmeContext, scan: FileScan, only_key: str | None) -> None:
    """Turn the images of an OME document into drafts; one bad image never costs the others.

    With ``only_key`` only images with a plane in that file are kept.
    """
    document = context.document
    if document.repair is not None:
        text = "The OME-XML is no valid UTF-8; it was read as Latin-1."
        scan.findings.append(Finding("ome-xml-encoding", "info", context.key, text))
    images = list(enumerate(document.images))
    if only_key is not None:
        images = [(number, image) for number, image in images if _names_file(context, image, only_key)]
        if document.images and not images:
            scan.findings.append(_note_elsewhere(document, only_key))
    files = resolve_files(
        context.store,
        [image for _, image in images],
        context.key,
        context.is_companion,
        context.listed,
        context.own,
    )
    scan.findings.extend(files.findings)
    plates = read_ome_plates(document, context.key)
    scan.plates = plates.plates
    scan.findings.extend(plates.findings)
    sharing: Mapping[str, int] = {}
    if len(images) > 1:
        # A file with several images: each needs its number in its id.
        sharing = Counter(key for _, image in images for key in files.present_of(image))
    acquired = AcquiredImages(document, context.key)
    for number, image in images:
        try:
            draft = _build_image_draft(context, image, files, scan)
        except StoreChangedError:
            raise
        except FOREIGN_ERRORS as error:
            place = f"{context.key}#{number}"
            scan.findings.append(
                Finding("image-unreadable", "error", place, str(as_store_error(error, place)))
            )
            continue
        draft.series = number if sharing.get(draft.key, 0) > 1 else None
        position = plates.positions.get(image.ome_id)
        draft.position = position.position if position else None
        acquired.add(draft, image, position)
        draft.format_version = document.schema_version
        scan.drafts.append(draft)
        scan.sample_indexes.append(position.sample_index if position else None)
    scan.findings.extend(acquired.findings())


def _note_elsewhere(document: OmeDocument, key: str) -> Finding:
    """Say that a file's OME-XML speaks of other files only."""
    names = list(
        dict.fromkeys(
            block.file_name for image in document.images for block in image.tiff_data if block.file_name
        )
    )
    is_outside = any(FileSet.neighbour(key, name) is None for name in names)
    where = "which lies outside its folder and was not opened" if is_outside else "not this one"
    text = (
        f"The planes of its OME-XML lie in {len(names)} other files, first {names[0] if names else ''!r}, {where}; the row comes from its "
        "pages alone. Put the files of a set into one folder, under the names that its OME-XML gives them."
    )
    return Finding("file-outside-store" if is_outside else "planes-elsewhere", "warning", key, text)


def _names_file(context: OmeContext, image: OmeImage, key: str) -> bool:
    """Tell whether an image has planes in a file, by name or, for the file that carries the XML, by UUID."""
    is_own = key == context.key
    if not image.tiff_data or (is_own and image.tiff_data[0].file_name is None):
        return is_own
    return any(
        (is_own and block.file_name is None)
        or (block.uuid is not None and (key, block.uuid) == context.own)
        or (block.file_name is not None and FileSet.neighbour(context.key, block.file_name) == key)
        for block in image.tiff_data
    )


def _build_image_draft(context: OmeContext, image: OmeImage, files: FileSet, scan: FileScan) -> ImageDraft:
    facts = PlaneFacts()
    prints: list[str] = []
    plan, is_believed = _collect_planes(context, image, files, facts, prints)
    scan.claimed.update(files.present_of(image))
    first = plan.runs[0].key if plan.runs else context.key
    digest = digest_documents(
        [
            (f"image {image.ome_id}", context.fingerprint.encode()),
            ("files", repr(sorted(prints)).encode()),
        ]
    )
    sizes = PixelSizes(*image.pixel_sizes_um, image.time_increment_s)
    draft = build_image_draft(first, "ome-tiff", plan, facts, sizes, digest)
    draft.name = image.name
    draft.stage_name = None if image.acquisition is None else image.acquisition.stage_name
    draft.channel_names = _channel_names(image, plan)
    _note_contradictions(draft, image, plan, facts, is_believed)
    missing = files.missing_of(image)
    is_set = len(image.tiff_data) > 1 and len(files.names_of(image)) > 1
    if is_set or draft.key != context.key:
        draft.variant = "ome-tiff-set"
    if is_set:
        draft.files = _file_records(plan, draft.channel_names, missing)
    if missing:
        draft.is_partial = True
        text = f"{len(missing)} files of the set are missing, first {missing[0]!r}."
        draft.findings.append(Finding("file-missing", "error", draft.key, text))
    return draft


def _collect_planes(
    context: OmeContext, image: OmeImage, files: FileSet, facts: PlaneFacts, prints: list[str]
) -> tuple[PlanePlan, bool]:
    """Open each file of an image once; tell whether the declared sizes were believed."""
    runs: list[PlaneRun] = []
    blocks = files.blocks_of(image)
    axes, sizes = leading_axes(image, 1) if not blocks else ("", ())
    page_count = 0
    for position, (key, own_blocks) in enumerate(blocks.items()):
        with files.open(context.store, key, context.tiff, context.listed) as part:
            if position == 0:
                samples = (
                    part.geometry(part.ifds[0]).samples
                    if not own_blocks
                    else _samples_at(part, own_blocks[0].ifd)
                )
                axes, sizes = leading_axes(image, samples)
            own = build_block_runs(own_blocks, key, len(part.ifds), axes, sizes)
            plan = PlanePlan(axes, sizes, tuple(own))
            page_count = len(part.ifds)
            # One file that has a fraction of the planes it claims: the sizes are not its own.
            is_implausible = plan.declared_count > MAX_DECLARED_RATIO * max(1, plan.found_count)
            if own and is_implausible and len(blocks) == 1 and not files.missing_of(image):
                plan = PlanePlan("i", (page_count,), (PlaneRun(key, 0, 0, page_count),))
                facts.add_pages(part, plan.runs)
                prints.append(f"{key} {part.size_bytes} {part.version}")
                return plan, False
            facts.add_pages(part, own)
            prints.append(f"{key} {part.size_bytes} {part.version}")
            runs.extend(own)
    if len(blocks) != 1:
        plan = PlanePlan(axes, sizes, tuple(runs))
    files_named = len(blocks) + len(files.missing_of(image))
    if plan.declared_count > MAX_DECLARED_PLANES * max(files_named, plan.found_count):
        raise CorruptStoreError(
            f"{context.key}: image {image.ome_id!r} declares {plan.declared_count:,} planes, {plan.found_count:,} of them have "
            f"a page in {files_named} files. Write the sizes of its OME-XML again."
        )
    return plan, True


def _samples_at(part: TiffFile, ifd: int) -> int:
    return part.geometry(part.ifds[ifd if ifd < len(part.ifds) else 0]).samples


def _channel_names(image: OmeImage, plan: PlanePlan) -> tuple[str | None, ...] | None:
    count = plan.sizes[plan.axes.index("c")] if "c" in plan.axes else 1
    if count > MAX_NAMED_CHANNELS:
        return None
    # Writers leave out Channel elements, or keep those of the whole acquisition.
    names = (image.channel_names + (None,) * count)[:count]
    return names if any(names) else None


def _file_records(
    plan: PlanePlan, names: tuple[str | None, ...] | None, missing: list[str]
) -> tuple[FileRecord, ...]:
    records: list[FileRecord] = []
    by_key: dict[str, list[PlaneRun]] = {}
    for run in plan.runs:
        by_key.setdefault(run.key, []).append(run)
    for key, runs in by_key.items():
        where: dict[str, int | None] = {}
        for axis in "czt":
            values = {value for run in runs for value in plan.axis_values(axis, run)}
            where[axis] = values.pop() if len(values) == 1 and plan.size_of(axis) > 1 else None
        channel = names[where["c"]] if names is not None and where["c"] is not None else None
        records.append(
            FileRecord(
                key, channel, "image", where["c"], where["z"], where["t"], min(r.first_ifd for r in runs)
            )
        )
    records.extend(FileRecord(name, None, "missing") for name in missing)
    return tuple(records)


def _note_contradictions(
    draft: ImageDraft, image: OmeImage, plan: PlanePlan, facts: PlaneFacts, is_believed: bool
) -> None:
    geometry = facts.geometry
    if geometry is not None and (image.size_x, image.size_y) != (geometry.width, geometry.height):
        text = (
            f"OME-XML declares {image.size_x} x {image.size_y} pixels, the pages have {geometry.width} x {geometry.height}; "
            "the pages are right."
        )
        draft.findings.append(Finding("ome-xml-size-differs", "warning", draft.key, text))
    if is_believed and (outside := count_outside(image.tiff_data, plan)):
        sizes = ", ".join(f"{axis.upper()} {size}" for axis, size in zip(plan.axes, plan.sizes, strict=True))
        text = (
            f"{outside} of {len(image.tiff_data)} TiffData blocks name planes beyond the declared sizes ({sizes}); these planes are "
            "left out. Correct SizeC, SizeZ or SizeT of the OME-XML if they belong to the image."
        )
        draft.findings.append(Finding("tiff-data-outside", "warning", draft.key, text))
    if not is_believed:
        text = (
            f"OME-XML declares {image.size_t} x {image.size_c} x {image.size_z} planes, {plan.declared_count} exist; "
            "the declaration is not believed and the pages are a plain stack."
        )
        draft.findings.append(Finding("ome-xml-planes-implausible", "warning", draft.key, text))
        draft.is_partial = True
