"""Compose one field of view from its files: channels, z and t from the names, y and x from the pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bioimage_assets.core.errors import StoreError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.ome_tiff.image_draft import ImageDraft, PixelSizes
from bioimage_assets.core.formats.plate_folders.channel_guard import (
    find_axes_in_both,
    tell_apart,
    unpadded_token,
)
from bioimage_assets.core.formats.plate_folders.field_acquisition import (
    FieldHeader,
    build_field_acquisition,
)
from bioimage_assets.core.formats.plate_folders.fields import FieldGrid, PlaneFile, count_missing
from bioimage_assets.core.formats.plate_folders.sidecar_facts import SidecarFacts
from bioimage_assets.core.model.file_kinds import PNG_FAMILY
from bioimage_assets.core.model.fingerprint import digest_documents
from bioimage_assets.core.model.image import FileRecord, LevelRecord


@dataclass(frozen=True, slots=True)
class FieldFile:
    """One file of a field with what its header says, or why it says nothing."""

    plane: PlaneFile
    header: ImageDraft | StoreError
    size_bytes: int
    version: str


def compose_field(
    files: Sequence[FieldFile], grid: FieldGrid, sidecars: SidecarFacts, layout: str
) -> ImageDraft | None:
    """Compose one field; None where none of its files can be read.

    The axes are t, c, z as far as the names span them (c always, where names have channels), then the axes of
    each file. Missing and unreadable files leave gaps, never shift their neighbours.
    """
    readable = [file for file in files if isinstance(file.header, ImageDraft)]
    if not readable:
        return None
    first = _most_common_header(readable)
    axes, lead = _lead_axes(grid, first)
    names, equal_names = _channel_names(readable, grid, sidecars, first)
    draft = replace(
        first, key=readable[0].plane.key, variant=f"{'png' if first.format_family == PNG_FAMILY else 'tiff'}-plate-{layout}", axes=axes + first.axes, shape=lead + first.shape,
        chunk_shape=None if first.chunk_shape is None else (1,) * len(lead) + first.chunk_shape, levels=_lead_levels(first, axes, lead, sidecars.sizes),
        series=None, name=None, plan=None, position=None, findings=[], is_partial=False, format_version=None,
        channel_names=names, pixel_sizes=_merge_sizes(first.pixel_sizes, sidecars.sizes),
        stored_bytes=sum(file.header.stored_bytes for file in readable if isinstance(file.header, ImageDraft)),
        fingerprint=digest_documents((file.plane.key, f"{file.size_bytes} {file.version}".encode()) for file in files),
    )  # fmt: skip
    headers = [
        FieldHeader(file.plane, file.header) for file in readable if isinstance(file.header, ImageDraft)
    ]
    draft.acquisition, draft.planes = build_field_acquisition(headers, grid.channels, sidecars)
    draft.files = _file_records(files, grid, draft, first)
    _settle_storage(draft, [file.header for file in readable if isinstance(file.header, ImageDraft)], first)
    if equal_names is not None:
        draft.findings.append(Finding("channel-names-equal", "warning", draft.key, equal_names))
    draft.findings.extend(find_axes_in_both(grid, first, draft.key))
    _note_differences(draft, files, first, grid)
    return draft


def _settle_storage(draft: ImageDraft, headers: Sequence[ImageDraft], first: ImageDraft) -> None:
    """Files of one field may be stored differently; then no single read unit exists, and every codec is named."""
    draft.codec = ",".join(dict.fromkeys(header.codec for header in headers))
    if len({header.chunk_shape for header in headers if header.shape == first.shape}) > 1:
        draft.chunk_shape = None
        draft.levels = tuple(level._replace(chunk_shape=None) for level in draft.levels)
        text = "The files of the field have different strips or tiles; there is no one chunk shape."
        draft.findings.append(Finding("chunking-differs", "info", draft.key, text))


def _most_common_header(files: Sequence[FieldFile]) -> ImageDraft:
    headers = [file.header for file in files if isinstance(file.header, ImageDraft)]
    counts = Counter((header.shape, header.dtype) for header in headers)
    # Not the first: a cut-off or foreign file may be that.
    best = counts.most_common(1)[0][0]
    return next(header for header in headers if (header.shape, header.dtype) == best)


def _lead_axes(grid: FieldGrid, first: ImageDraft) -> tuple[str, tuple[int, ...]]:
    # One z or t in the names is a constant of the naming, one channel is a channel.
    spans = (("t", len(grid.t_values), 2), ("c", len(grid.channels), 1), ("z", len(grid.z_values), 2))
    kept = [(axis, size) for axis, size, least in spans if size >= least and axis not in first.axes]
    return "".join(axis for axis, _ in kept), tuple(size for _, size in kept)


def _lead_levels(
    first: ImageDraft, axes: str, lead: tuple[int, ...], sizes: PixelSizes
) -> tuple[LevelRecord, ...]:
    merged = _merge_sizes(first.pixel_sizes, sizes)
    levels: list[LevelRecord] = []
    for level in first.levels:
        scale = None
        if merged.x_um is not None and merged.y_um is not None:
            ratio = {
                axis: first.shape[n] / level.shape[n] for n, axis in enumerate(first.axes) if axis in "yx"
            }
            of_axis = {
                "y": merged.y_um * ratio["y"], "x": merged.x_um * ratio["x"], "z": merged.z_um or 1.0, "t": merged.time_s or 1.0,
            }  # fmt: skip
            scale = tuple(of_axis.get(axis, 1.0) for axis in axes + first.axes)
        chunk = None if level.chunk_shape is None else (1,) * len(lead) + level.chunk_shape
        levels.append(level._replace(shape=lead + level.shape, chunk_shape=chunk, scale=scale))
    return tuple(levels)


def _merge_sizes(own: PixelSizes, sidecar: PixelSizes) -> PixelSizes:
    """The image's own calibration wins over the sidecar's."""
    if own.x_um is not None:
        return own._replace(z_um=own.z_um if own.z_um is not None else sidecar.z_um)
    return sidecar._replace(time_s=own.time_s or sidecar.time_s)


def _channel_names(
    files: Sequence[FieldFile], grid: FieldGrid, sidecars: SidecarFacts, first: ImageDraft
) -> tuple[tuple[str | None, ...] | None, str | None]:
    """Names of the channels by index, and what to say where two of them would be equal.

    The names of files that hold several channels themselves say nothing of these.
    """
    if not grid.channels or "c" in first.axes:
        return first.channel_names, None
    own: dict[int, str] = {}
    for file in files:
        if isinstance(file.header, ImageDraft) and file.plane.c is not None:
            names = file.header.channel_names
            if names is not None and len(names) == 1 and names[0]:
                own[file.plane.c] = names[0]
    is_distinct = len(set(own.values())) == len(own)  # "Camera 1" for every channel is not a channel name
    chosen = [
        sidecars.channel_names.get(unpadded_token(token))
        or (own.get(number) if is_distinct else None)
        or token
        for number, token in enumerate(grid.channels)
    ]
    return tell_apart(chosen, grid.channels)


def _file_records(
    files: Sequence[FieldFile], grid: FieldGrid, draft: ImageDraft, first: ImageDraft
) -> tuple[FileRecord, ...]:
    """Where each file stands; along an axis that the files hold themselves, one value in the names says nothing."""
    names = draft.channel_names
    c_axis = "" if "c" in first.axes and len(grid.channels) < 2 else "c"
    z_axis = "" if "z" in first.axes and len(grid.z_values) < 2 else "z"
    t_axis = "" if "t" in first.axes and len(grid.t_values) < 2 else "t"
    records = [
        FileRecord(
            file.plane.key, _name_at(names, file.plane.c), "image" if isinstance(file.header, ImageDraft) else "missing",
            file.plane.c if c_axis else None, _index_on(draft, z_axis, file.plane.z), _index_on(draft, t_axis, file.plane.t),
            None if draft.format_family == PNG_FAMILY else file.plane.page or 0,
        )
        for file in files
    ]  # fmt: skip
    for c, z, t in count_missing([file.plane for file in files], grid):
        records.append(
            FileRecord(
                "", _name_at(names, c), "missing", c, _index_on(draft, "z", z), _index_on(draft, "t", t)
            )
        )
    return tuple(records)


def _name_at(names: tuple[str | None, ...] | None, c: int | None) -> str | None:
    return names[c] if names is not None and c is not None and c < len(names) else None


def _index_on(draft: ImageDraft, axis: str, index: int | None) -> int | None:
    return index if axis and axis in draft.axes else None


def _note_differences(
    draft: ImageDraft, files: Sequence[FieldFile], first: ImageDraft, grid: FieldGrid
) -> None:
    for file in files:
        key, header = file.plane.key, file.header
        if not isinstance(header, ImageDraft):
            draft.findings.append(Finding("file-unreadable", "error", key, str(header)))
            continue
        for finding in header.findings:
            draft.findings.append(replace(finding, location=key))
        draft.is_partial = draft.is_partial or header.is_partial
        if (header.shape, header.dtype) != (first.shape, first.dtype):
            text = f"This file is {header.dtype} {header.shape}, the others of its field are {first.dtype} {first.shape}."
            draft.findings.append(Finding("file-shape-differs", "error", key, text))
    missing = [record for record in draft.files if record.role == "missing" and not record.path]
    if missing:
        named: Mapping[str, int] = Counter(record.channel or "?" for record in missing)
        text = f"{len(missing)} of {grid.place_count} files of the field are missing: {dict(named)}."
        draft.findings.append(Finding("file-missing", "error", draft.key, text))
    draft.is_partial = draft.is_partial or any(finding.severity == "error" for finding in draft.findings)
