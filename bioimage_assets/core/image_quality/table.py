"""Turns the images of a plate, and what was measured of them, into the table ``image_quality``: a row per field and channel."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa

from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.image_quality.fields import QualityField, list_fields, name_channel
from bioimage_assets.core.image_quality.flags import KINDS, FieldFlags, judge_fields
from bioimage_assets.core.image_quality.limits import read_limits
from bioimage_assets.core.image_quality.measured import read_measured_quality
from bioimage_assets.core.image_quality.measures import MEASURES, PlaneMeasures, measure_plane
from bioimage_assets.core.image_quality.quality_findings import list_findings
from bioimage_assets.core.image_quality.read_fields import PlaneReader
from bioimage_assets.core.image_quality.read_plan import ReadPlan, plan_reads
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.tables.schemas import IMAGE_QUALITY

Source = Literal["pixels", "measured", "not_read"]

# A store that is out of reach answers each request after a long wait.
MAX_UNREADABLE = 8
_NOTHING_MEASURED, _NOT_JUDGED = PlaneMeasures(), FieldFlags()


@dataclass(frozen=True, slots=True)
class QualityRow:
    """One field and channel: where its measures come from, and at which level and size (pixels) they were made."""

    field: QualityField
    channel: str | None
    source: Source
    measures: PlaneMeasures = _NOTHING_MEASURED
    level: int | None = None
    height_px: int | None = None
    width_px: int | None = None
    flags: FieldFlags = _NOT_JUDGED


@dataclass(frozen=True, slots=True)
class ImageQuality:
    """The table of a plate, what is odd about it, and what reading it cost (stored pieces and bytes)."""

    table: pa.Table
    findings: tuple[Finding, ...]
    pieces_read: int
    bytes_read: int


def build_image_quality(
    image_assets: pa.Table | None,
    measured_images: pa.Table | None,
    settings: DatasetSettings,
    *,
    plate_key: str,
    dataset_id: str,
    profile_site_offset: int = 0,
    storage_options: Mapping[str, object] | None = None,
) -> ImageQuality:
    """Measure the fields of a plate and flag those that are bad.

    Fields that CellProfiler measured are not read. Others are, each once and whole, at the coarsest level that serves,
    within the budget of the settings; what is not read is a row with the source ``not_read``. Never fails because of pixels.
    """
    fields = [] if image_assets is None else list_fields(image_assets)
    measured = read_measured_quality(measured_images, fields, profile_site_offset=profile_site_offset)
    rows = [QualityRow(plane.field, plane.channel, "measured", plane.measures) for plane in measured.planes]
    done = {plane.field.image_id for plane in measured.planes}
    open_fields = [field for field in fields if field.image_id not in done]
    plan = _plan(open_fields, settings)
    with PlaneReader(storage_options) as reader:
        read, unreadable = _read_planned(open_fields, plan, reader)
        cost = reader.count
    rows += [
        row for number in range(len(open_fields)) for row in read.get(number, _not_read(open_fields[number]))
    ]
    rows = _judge(rows, settings)
    findings = list_findings([row.source for row in rows], len(fields), plan, unreadable, measured, settings)
    return ImageQuality(
        _to_table(rows, plate_key, dataset_id), tuple(findings), cost.pieces, cost.stored_bytes
    )


def _plan(fields: Sequence[QualityField], settings: DatasetSettings) -> ReadPlan:
    readable = [number for number, field in enumerate(fields) if field.geometry is not None]
    budget = settings.image_read_budget_mb * 1_000_000 if settings.measure_image_quality else 0
    return plan_reads(fields, readable, budget_bytes=budget, min_side_px=settings.image_min_side_px)


def _read_planned(
    fields: Sequence[QualityField], plan: ReadPlan, reader: PlaneReader
) -> tuple[dict[int, list[QualityRow]], list[tuple[QualityField, str]]]:
    """Rows of the fields that were read, by number, and those that could not be, with the reason."""
    rows: dict[int, list[QualityRow]] = {}
    unreadable = [(field, field.reason) for field in fields if field.geometry is None]
    failed = 0
    for planned in plan.reads:
        field = fields[planned.number]
        if failed >= MAX_UNREADABLE > len(rows):
            unreadable.append((field, f"not tried: the first {failed} fields could not be read"))
            continue
        try:
            rows[planned.number] = _measure(field, planned.level, reader)
        except BioimageError as error:
            failed += 1
            unreadable.append((field, str(error)))
    return rows, unreadable


def _measure(field: QualityField, level: int, reader: PlaneReader) -> list[QualityRow]:
    assert field.geometry is not None, "only fields that can be read are planned"
    planes = reader.read(field.geometry, level)
    return [
        QualityRow(
            field, name_channel(field, index), "pixels", measure_plane(plane), level, plane.shape[0], plane.shape[1]
        )
        for index, plane in enumerate(planes)
    ]  # fmt: skip


def _not_read(field: QualityField) -> list[QualityRow]:
    return [QualityRow(field, name_channel(field, index), "not_read") for index in range(len(field.channels))]


def _judge(rows: Sequence[QualityRow], settings: DatasetSettings) -> list[QualityRow]:
    """Each row with its flags: compared within channel, source and size, since levels differ in detail."""
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        if row.source != "not_read":
            groups[row.channel, row.source, row.level, row.height_px, row.width_px].append(number)
    limits, judged = read_limits(settings), list(rows)
    for numbers in groups.values():
        flags = judge_fields([rows[number].measures for number in numbers], limits)
        for number, own in zip(numbers, flags, strict=True):
            judged[number] = replace(rows[number], flags=own)
    return judged


def _to_table(rows: Sequence[QualityRow], plate_key: str, dataset_id: str) -> pa.Table:
    columns: dict[str, list[object]] = {
        "plate_key": [plate_key] * len(rows),
        "dataset_id": [dataset_id] * len(rows),
        **{name: [getattr(row.field, name) for row in rows] for name in _PLACES},
        **{name: [getattr(row, name) for row in rows] for name in _HOW},
        **{name: [_finite(getattr(row.measures, name)) for row in rows] for name in MEASURES},
        **{f"flag_{kind}": [getattr(row.flags, kind) for row in rows] for kind in KINDS},
        "is_flagged": [row.flags.is_flagged for row in rows],
        "reasons": [list(row.flags.reasons) for row in rows],
    }
    return pa.table({name: columns[name] for name in IMAGE_QUALITY.names}, schema=IMAGE_QUALITY)


_PLACES = ("plate_id", "well_id", "site_id", "acquisition_id", "image_id")
_HOW = ("channel", "source", "level", "height_px", "width_px")


def _finite(value: float) -> float | None:
    """Null where there is no number; what is beyond all measure (a contrast without noise) is null as well."""
    return value if math.isfinite(value) else None
