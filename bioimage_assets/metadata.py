"""What every materialisation says in the UI: rows, columns, lineage, snapshots, findings and pictures."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

MAX_LISTED_COLUMNS = 120
MAX_LISTED_FINDINGS = 20
MAX_INLINE_PICTURE_BYTES = 60_000


def build_table_schema(schema: Any) -> dg.TableSchema:
    """Column schema panel of an Arrow schema; very wide tables list their first columns only."""
    columns = [
        dg.TableColumn(
            field.name,
            str(field.type),
            constraints=dg.TableColumnConstraints(nullable=field.nullable),
        )
        for field in list(schema)[:MAX_LISTED_COLUMNS]
    ]
    hidden = len(schema) - len(columns)
    constraints = dg.TableConstraints(other=[f"and {hidden} more columns"]) if hidden > 0 else None
    return dg.TableSchema(columns=columns, constraints=constraints)


def build_column_lineage(columns: Iterable[str], upstream: str) -> dg.TableColumnLineage:
    """Lineage of columns that are carried over from one upstream table under the same name."""
    return dg.TableColumnLineage(
        {
            name: [dg.TableColumnDep(asset_key=dg.AssetKey(upstream), column_name=name)]
            for name in list(columns)[:MAX_LISTED_COLUMNS]
        }
    )


def build_findings_markdown(findings: Sequence[Any]) -> dg.MetadataValue:
    """Markdown table of findings, errors first."""
    if not findings:
        return dg.MetadataValue.md("No findings.")
    order = {"error": 0, "warning": 1, "info": 2}
    rows = sorted(findings, key=lambda finding: order.get(finding.severity, 3))
    lines = ["| severity | code | where | message |", "|---|---|---|---|"]
    lines += [
        f"| {f.severity} | `{f.code}` | {_cell(f.location or f.store_uri)} | {_cell(f.message)} |"
        for f in rows[:MAX_LISTED_FINDINGS]
    ]
    if len(rows) > MAX_LISTED_FINDINGS:
        lines.append(f"\n… and {len(rows) - MAX_LISTED_FINDINGS} more in the table `scan_findings`.")
    return dg.MetadataValue.md("\n".join(lines))


def build_counts_markdown(
    counts: Mapping[str, object], header: tuple[str, str] = ("what", "count")
) -> dg.MetadataValue:
    """Markdown table of two columns."""
    lines = [f"| {header[0]} | {header[1]} |", "|---|---|"]
    lines += [f"| {_cell(str(name))} | {_cell(str(count))} |" for name, count in counts.items()]
    return dg.MetadataValue.md("\n".join(lines))


def build_picture_markdown(png: bytes, title: str) -> dg.MetadataValue:
    """Inline picture; one that is too large for the event log is left to the file beside the warehouse."""
    if len(png) > MAX_INLINE_PICTURE_BYTES:
        return dg.MetadataValue.text(f"{title}: {len(png)} bytes, see the report folder")
    encoded = base64.b64encode(png).decode("ascii")
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{encoded})")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
