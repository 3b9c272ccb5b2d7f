"""What every materialisation says in the UI: rows, columns, lineage, snapshots, findings and pictures."""

import base64
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from bioimage_assets.core.browse_link import NEEDS, build_browse_url
from bioimage_assets.core.catalog.column_docs import describe_column
from bioimage_assets.core.model.compartments import COMPARTMENT_PREFIXES
from bioimage_assets.core.phrases import count_words

# Everything here is stored with every materialisation of every plate: bytes count (docs/capacity.md).
MAX_LISTED_COLUMNS = 60
MAX_LISTED_FINDINGS = 20
EXPLAIN = "\n`bioimage-assets explain CODE` says why a code appears and what to do."
MAX_LOCATION_CHARACTERS = 48
# An event is one row of the instance's database, read by every page that lists it.
MAX_INLINE_PICTURE_BYTES = 60_000
# The UI shows Markdown in place below this many characters, and a link to it above.
MAX_IN_PLACE_CHARACTERS = 999


def build_table_schema(schema: Any) -> dg.TableSchema:
    """Column panel of an Arrow schema, with words about each column.

    Features are counted by compartment, not listed: a plate has hundreds, and their names say what they are.
    """
    listed = [field for field in schema if not field.name.startswith(COMPARTMENT_PREFIXES)][
        :MAX_LISTED_COLUMNS
    ]
    columns = [
        dg.TableColumn(
            field.name,
            str(field.type),
            description=describe_column(field.name),
            constraints=dg.TableColumnConstraints(nullable=field.nullable),
        )
        for field in listed
    ]
    notes = _count_unlisted([field.name for field in schema], len(listed))
    return dg.TableSchema(columns=columns, constraints=dg.TableConstraints(other=notes) if notes else None)


def _count_unlisted(names: list[str], listed_count: int) -> list[str]:
    counts = {prefix.rstrip("_"): sum(n.startswith(prefix) for n in names) for prefix in COMPARTMENT_PREFIXES}
    notes = [
        f"{count_words(count, 'feature')} of {compartment}" for compartment, count in counts.items() if count
    ]
    others = len(names) - listed_count - sum(counts.values())
    return [*notes, f"{others} more columns"] if others > 0 else notes


def build_column_lineage(schema: Any, upstreams: Mapping[str, Iterable[str]]) -> dg.TableColumnLineage:
    """Where the listed columns come from: the first upstream table that has a column of that name."""
    deps: dict[str, list[dg.TableColumnDep]] = {}
    for table, columns in upstreams.items():
        known = set(columns)
        for field in schema:
            if (
                field.name in known
                and not field.name.startswith(COMPARTMENT_PREFIXES)
                and len(deps) < MAX_LISTED_COLUMNS
            ):
                deps.setdefault(field.name, [dg.TableColumnDep(dg.AssetKey(table), field.name)])
    return dg.TableColumnLineage(deps)


def build_findings_markdown(findings: Sequence[Any]) -> dg.MetadataValue:
    """Markdown table of findings, errors first."""
    if not findings:
        return dg.MetadataValue.md("No findings.")
    order = {"error": 0, "warning": 1, "info": 2}
    rows = sorted(findings, key=lambda finding: order.get(finding.severity, 3))
    lines = ["| severity | code | message | where |", "|---|---|---|---|"]
    lines += [
        f"| {f.severity} | `{f.code}` | {_cell(f.message)} | {_cell(_end_of(f.location or f.store_uri))} |"
        for f in rows[:MAX_LISTED_FINDINGS]
    ]
    if len(rows) > MAX_LISTED_FINDINGS:
        lines.append(f"\n… and {len(rows) - MAX_LISTED_FINDINGS} more in the table `scan_findings`.")
    lines.append(EXPLAIN)
    return dg.MetadataValue.md("\n".join(lines))


def build_groups_markdown(groups: Sequence[Any]) -> dg.MetadataValue:
    """Markdown table of stored findings, one line per code with its count and first places."""
    lines = ["| severity | code | count | message | where |", "|---|---|---|---|---|"]
    lines += [
        f"| {group.severity} | `{group.code}` | {group.count} | {_cell(group.message)} | {_cell(', '.join(group.places[:5]))} |"
        for group in groups
    ]
    return dg.MetadataValue.md("\n".join([*lines, EXPLAIN]))


def build_counts_markdown(
    counts: Mapping[str, object], header: tuple[str, str] = ("what", "count")
) -> dg.MetadataValue:
    """Markdown table of two columns."""
    lines = [f"| {header[0]} | {header[1]} |", "|---|---|"]
    lines += [f"| {_cell(str(name))} | {_cell(str(count))} |" for name, count in counts.items()]
    return dg.MetadataValue.md("\n".join(lines))


def build_browse_metadata(base_url: str, plate_key: str) -> dict[str, object]:
    """Link to the pixels of a plate, which leads somewhere while `bioimage-assets browse` runs."""
    return {"pixels": dg.MetadataValue.url(build_browse_url(base_url, plate_key))}


def build_cell_links_metadata(links: Mapping[str, Sequence[tuple[str, str]]]) -> dict[str, object]:
    """The worst cells of each condition, (name, address), as links; nothing where there is none."""
    lines = [
        f"- {_cell(condition)}: {', '.join(f'[{_escape_link(name)}](<{address}>)' for name, address in cells)}"
        for condition, cells in links.items()
        if cells
    ]
    return {"worst_cells": dg.MetadataValue.md("\n".join([*lines, "", NEEDS]))} if lines else {}


def build_picture_markdown(png: bytes, title: str) -> dg.MetadataValue:
    """Inline picture; one that is too large for the event log is left to the file beside the warehouse."""
    if len(png) > MAX_INLINE_PICTURE_BYTES:
        return dg.MetadataValue.text(f"{title}: {len(png)} bytes, see the report folder")
    encoded = base64.b64encode(png).decode("ascii")
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{encoded})")


def build_plate_tile(values: Mapping[str, float | None], words: str) -> dg.MetadataValue:
    """Plate map with row letters and column numbers, in the metadata table itself where it is short enough, else behind a link.

    ``words`` say what the numbers are; lowest and highest are added.
    """
    from bioimage_assets.core.pictures.geometry import choose_geometry
    from bioimage_assets.core.pictures.well_tile import COLOURS, build_well_tile

    known = [value for value in values.values() if value is not None and math.isfinite(value)]
    if not known:
        return dg.MetadataValue.md(f"{words}: none")
    text = f"{words}: {min(known):.4g} (dark) to {max(known):.4g} (bright), {count_words(len(known), 'well')}"
    geometry = choose_geometry(values)
    drawn = [f"![{words}]({build_well_tile(geometry, values, colours=count)})\n\n{text}" for count in COLOURS]
    in_place = (tile for tile in drawn if len(tile) <= MAX_IN_PLACE_CHARACTERS)
    return dg.MetadataValue.md(next(in_place, drawn[0]))


def _end_of(text: str) -> str:
    """The end of a long path, which says most; a long word would push the message out of sight."""
    return text if len(text) <= MAX_LOCATION_CHARACTERS else f"…{text[-MAX_LOCATION_CHARACTERS:]}"


def _escape_link(text: str) -> str:
    """A name as the text of a link: nothing in it is Markdown or HTML."""
    return re.sub(r"([\\`*_{}\[\]()#+!|<>&~])", r"\\\1", " ".join(text.split()))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
