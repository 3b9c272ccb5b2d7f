"""What a plate's page shows of the quality of its fields: maps of flags and measures, and the flagged fields with their reasons."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pyarrow as pa

from bioimage_assets.core.image_quality.flags import KINDS
from bioimage_assets.core.image_quality.summary import QualitySummary, summarize_fields
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.pictures.browse_links import NO_LINKS, BrowseLinks
from bioimage_assets.core.pictures.drawing import Drawing, NotDrawn, try_to_make
from bioimage_assets.core.pictures.geometry import PlateGeometry
from bioimage_assets.core.pictures.page_parts import ReportSection, ReportTable
from bioimage_assets.core.pictures.plate_map import WellValues, draw_plate_heatmaps
from bioimage_assets.core.pictures.well_numbers import clip_numbers
from bioimage_assets.core.settings.dataset import DatasetSettings

_TITLE = "Image quality"
_MAX_ROWS = 200
_MAX_CHANNELS = 6


def build_quality_section(
    rows: pa.Table | None,
    settings: DatasetSettings,
    links: BrowseLinks = NO_LINKS,
    geometry: PlateGeometry | None = None,
) -> tuple[ReportSection, ...]:
    """The section about ``image_quality``; none where the plate has no such table."""
    if rows is None or rows.num_rows == 0:
        return ()
    text = try_to_make(_TITLE, lambda: describe_quality(summarize_fields(rows), settings))
    pictures = (
        *((text,) if isinstance(text, NotDrawn) else ()),
        try_to_make(_TITLE, lambda: draw_image_quality(rows, _TITLE, geometry=geometry)),
    )
    table = try_to_make("Table of flagged fields", lambda: build_flagged_table(rows, links))
    return (ReportSection(_TITLE, text if isinstance(text, str) else "", pictures, (table,)),)


def describe_quality(summary: QualitySummary, settings: DatasetSettings) -> str:
    """How many fields were judged, how many are flagged and for what, and what becomes of their cells."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in summary.by_kind.items() if count)
    sources = ", ".join(f"{count} {_SOURCE_WORDS[name]}" for name, count in summary.by_source.items())
    done = "fail quality control" if settings.image_flags else "are kept (image_flags is off)"
    if not summary.judged:
        return f"None of {count_words(summary.fields, 'field')} was judged ({sources})."
    flagged = count_words(summary.flagged, "is flagged", "are flagged")
    return (
        f"Of {count_words(summary.judged, 'judged field')} {flagged}{f': {kinds}' if kinds else ''}; their cells {done}. "
        f"Of all {count_words(summary.fields, 'field')}: {sources}."
    )


_SOURCE_WORDS = {"pixels": "read", "measured": "as CellProfiler measured them", "not_read": "not read"}


def draw_image_quality(rows: pa.Table, title: str, *, geometry: PlateGeometry | None = None) -> Drawing:
    """Maps of a plate: flagged fields of each well, and the median focus of each channel."""
    summary = summarize_fields(rows)
    if not summary.per_well:
        return NotDrawn(title, "no field of a known well was judged")
    counts: dict[str, float | None] = {well: float(count) for well, count in summary.per_well.items()}
    panels = [WellValues("Flagged fields", counts, "count"), *_focus_panels(rows)]
    caption = (
        "Fields of each well with a flag in any channel, and the median focus of its fields (detail ratio; of fields that "
        "CellProfiler measured the power slope) against the plate's median, in robust deviations: blue is less sharp."
    )
    return draw_plate_heatmaps("image_quality", title, caption, panels, geometry=geometry, columns=3)


def _focus_panels(rows: pa.Table) -> list[WellValues]:
    panels = []
    names = ["well_id", "channel", "detail_ratio", "power_log_log_slope"]
    by_channel: dict[str, list[dict[str, object]]] = defaultdict(list)
    for row in rows.select(names).to_pylist():
        if row["well_id"] is not None:
            by_channel[row["channel"] or ""].append(row)
    for channel, own in list(by_channel.items())[:_MAX_CHANNELS]:
        column = (
            "detail_ratio" if any(row["detail_ratio"] is not None for row in own) else "power_log_log_slope"
        )
        wells: dict[str, list[float]] = defaultdict(list)
        for row in own:
            if row[column] is not None:
                wells[str(row["well_id"])].append(float(str(row[column])))
        medians = {well: float(np.median(clip_numbers(np.array(own)))) for well, own in wells.items()}
        if medians:
            panels.append(WellValues(f"Focus {channel}".strip(), _as_deviations(medians), "signed"))
    return panels


def _as_deviations(values: dict[str, float]) -> dict[str, float | None]:
    numbers = np.array(list(values.values()))
    centre = float(np.median(numbers))
    spread = 1.4826 * float(np.median(np.abs(numbers - centre)))
    return {well: (value - centre) / spread if spread > 0 else 0.0 for well, value in values.items()}


def build_flagged_table(rows: pa.Table, links: BrowseLinks = NO_LINKS) -> ReportTable | None:
    """Flagged fields with channel and reason, each a link to its pixels; None where there is none."""
    names = [
        "well_id",
        "site_id",
        "image_id",
        "channel",
        "is_flagged",
        "reasons",
        *(f"flag_{kind}" for kind in KINDS),
    ]
    flagged = [row for row in rows.select(names).to_pylist() if row["is_flagged"]]
    if not flagged:
        return None
    shown = tuple(
        (links.well(row["well_id"]), row["site_id"], links.image(row["image_id"]), row["channel"], "; ".join(row["reasons"] or ()))
        for row in flagged[:_MAX_ROWS]
    )  # fmt: skip
    more = f" (the first {_MAX_ROWS} of {len(flagged)})" if len(flagged) > _MAX_ROWS else ""
    return ReportTable(
        f"Flagged fields{more}", ("well", "site", "image", "channel", "why"), shown, is_folded=True
    )
