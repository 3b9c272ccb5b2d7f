"""How a plate was imaged, on its page: when, with what, and where the fields of a well lie."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.model.image import axis_names
from bioimage_assets.core.phrases import count_words, join_words
from bioimage_assets.core.pictures.drawing import NotDrawn, try_to_make
from bioimage_assets.core.pictures.field_layout import FieldBox, build_field_layout
from bioimage_assets.core.pictures.geometry import well_place
from bioimage_assets.core.pictures.page_parts import InlineDrawing, ReportSection, ReportTable

TITLE = "Acquisition"
_COLUMNS = ("image_kind", "acquisition")
_MOST_NAMED = 3
_OF_FIELD = ["plate_id", "well_id", "site_id", "acquisition_id", "axes", "shape", "pixel_size_x_um", "pixel_size_y_um", "acquisition"]  # fmt: skip
Row = Mapping[str, object]


def build_acquisition_section(images: pa.Table | None) -> tuple[ReportSection, ...]:
    """The section of a plate whose images say anything of how they were taken; else none."""
    made = try_to_make(TITLE, lambda: _build_section(images))
    return (ReportSection(TITLE, "", (made,)),) if isinstance(made, NotDrawn) else made


def _build_section(images: pa.Table | None) -> tuple[ReportSection, ...]:
    if images is None or not set(_COLUMNS) <= set(images.column_names):
        return ()
    known = images.filter(
        pc.and_(pc.equal(images["image_kind"], "image"), pc.is_valid(images["acquisition"]))
    )
    if not known.num_rows:
        return ()
    facts = known["acquisition"].combine_chunks()
    table = try_to_make("How the plate was imaged", lambda: _build_facts(known, facts))
    channels = try_to_make("Channels", lambda: _build_channels(known))
    fields = try_to_make("Fields of a well", lambda: _lay_out(known))
    if isinstance(fields, tuple):
        drawing, places = fields
        return (
            ReportSection(TITLE, _describe_times(facts), tables=(table, channels, places), inline=(drawing,)),
        )
    return (ReportSection(TITLE, _describe_times(facts), tables=(table, channels, fields)),)


def _describe_times(facts: pa.StructArray) -> str:
    times = facts.field("acquired_at").drop_null()
    if not len(times):
        return "When the plate was imaged is not in its metadata."
    ends = pc.min_max(times).as_py()
    first, last = ends["min"], ends["max"]
    share = (
        ""
        if len(times) == len(facts)
        else f" ({len(times):,} of {count_words(len(facts), 'field')} say when)"
    )
    if first == last:
        return f"Imaged at {_moment(first)} UTC{share}."
    return f"Imaged from {_moment(first)} to {_moment(last)} UTC, first field to last, in {_duration(last - first)}{share}."


def _moment(value: datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}"


def _duration(span: timedelta) -> str:
    seconds = round(span.total_seconds())
    if seconds < 120:
        return count_words(seconds, "second")
    if seconds < 120 * 60:
        return count_words(round(seconds / 60), "minute")
    hours = round(seconds / 3600, 1)
    return f"{hours:g} hours" if hours < 48 else f"{hours / 24:.1f} days"


def _build_facts(known: pa.Table, facts: pa.StructArray) -> ReportTable | None:
    rows: list[tuple[object, ...]] = [
        (label, _distinct(facts.field(name), unit))
        for label, name, unit in (
            ("instrument", "instrument", ""), ("objective", "objective", ""), ("magnification", "magnification", "x"),
            ("numerical aperture", "numerical_aperture", ""), ("binning", "binning", ""),
        )
    ]  # fmt: skip
    rows.append(("pixel size", _distinct(known["pixel_size_x_um"], " µm")))
    rows.append(("said by", _distinct(facts.field("source"), "")))
    shown = tuple(row for row in rows if row[1] is not None)
    return ReportTable("How the plate was imaged", ("", "value"), shown) if shown else None


def _distinct(values: pa.Array | pa.ChunkedArray, unit: str) -> str | None:
    """All distinct values, or some of them and their number."""
    found = [
        f"{v:g}{unit}" if isinstance(v, float) else str(v)
        for v in values.unique().to_pylist()
        if v is not None
    ]
    if not found:
        return None
    more = len(found) - _MOST_NAMED
    return join_words(found[:_MOST_NAMED] + ([f"{more:,} more"] if more > 0 else []))


def _build_channels(known: pa.Table) -> ReportTable | None:
    """Exposure, wavelengths and contrast by channel name; values that differ between fields are a range."""
    found: dict[str, dict[str, list[object]]] = defaultdict(lambda: defaultdict(list))
    columns = ("exposures_s", "excitation_nm", "emission_nm", "contrast_methods")
    for row in known.select(["channel_names", "acquisition"]).to_pylist():
        lists = [row["acquisition"][name] or () for name in columns]
        names = row["channel_names"] or ()
        for number in range(max(map(len, lists))):
            name = (names[number] if number < len(names) else None) or f"channel {number}"
            for column, values in zip(columns, lists, strict=True):
                value = values[number] if number < len(values) else None
                if value is not None and value not in found[name][column][-1:]:
                    found[name][column].append(value)
    if not found:
        return None
    rows = tuple(
        (
            name, _span(of["exposures_s"], 1000, " ms"), _span(of["excitation_nm"], 1, " nm"), _span(of["emission_nm"], 1, " nm"),
            join_words(list(dict.fromkeys(map(str, of["contrast_methods"])))[:_MOST_NAMED]),
        )
        for name, of in found.items()
    )  # fmt: skip
    return ReportTable("Channels", ("channel", "exposure", "excitation", "emission", "contrast"), rows)


def _span(values: Iterable[object], factor: float, unit: str) -> str:
    numbers = [float(value) * factor for value in values if isinstance(value, int | float)]
    if not numbers:
        return ""
    low, high = f"{min(numbers):.4g}", f"{max(numbers):.4g}"
    return f"{low}{unit}" if low == high else f"{low} to {high}{unit}"


def _lay_out(known: pa.Table) -> tuple[InlineDrawing, ReportTable] | None:
    """The well with the most fields that have a place, of one acquisition; None where no well has two."""
    wells: dict[tuple[object, ...], list[Row]] = defaultdict(list)
    for row in known.select(_OF_FIELD).to_pylist():
        facts = row["acquisition"]
        if row["well_id"] and facts["stage_x_um"] is not None and facts["stage_y_um"] is not None:
            wells[row["plate_id"], row["well_id"], row["acquisition_id"]].append(row)
    if not wells:
        return None
    ordered = sorted(wells, key=lambda well: well_place(str(well[1])) or (0, 0))
    chosen = max(ordered, key=lambda well: len(wells[well]))
    boxes = _build_boxes(wells[chosen])
    if len({(box.x_um, box.y_um) for box in boxes}) < 2:
        return None
    places = tuple((box.site, box.x_um, box.y_um) for box in boxes)
    title = f"Places of the fields of well {chosen[1]} (µm)"
    return build_field_layout(str(chosen[1]), boxes), ReportTable(
        title, ("site", "x", "y"), places, is_folded=True
    )


def _build_boxes(rows: Sequence[Row]) -> list[FieldBox]:
    boxes: dict[tuple[object, ...], FieldBox] = {}
    for row in rows:
        facts, shape, names = row["acquisition"], row["shape"], axis_names(str(row["axes"] or ""))
        sizes: list[float] = []
        for axis in "xy":
            pixel_um = row[f"pixel_size_{axis}_um"]
            if isinstance(pixel_um, float) and axis in names and isinstance(shape, list):
                sizes.append(pixel_um * shape[names.index(axis)])
        if isinstance(facts, dict):
            x, y, site = facts["stage_x_um"], facts["stage_y_um"], str(row["site_id"] or "")
            width, height = sizes if len(sizes) == 2 else (0.0, 0.0)
            boxes.setdefault((site, x, y), FieldBox(site, x, y, width, height))
    return list(boxes.values())
