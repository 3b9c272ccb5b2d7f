"""What differs between two states, as text for people."""

from __future__ import annotations

from bioimage_assets.cli.output import print_table, show_text
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.release.compare.diff_model import ColumnDiff, PartitionDiff, StateDiff, TableDiff

MAX_LINES = 20  # of each kind and table; --json has all
MAX_VALUE = 80  # characters


def print_diff(diff: StateDiff) -> None:
    """Print one line per table that differs, then its plates, wells and columns, the largest changes first."""
    print(f"A: {show_text(diff.label_a)}")
    print(f"B: {show_text(diff.label_b)}")
    print()
    changed = [table for table in diff.tables if not table.is_same]
    if changed:
        header = ("table", "where", "rows A", "rows B", "lost", "added", "changed", "columns", "plates")
        print_table(header, [_sum_table(table) for table in changed])
        for table in changed:
            _print_details(table)
        print()
    count = len(diff.tables) - len(changed)
    print(f"{count} of {count_words(len(diff.tables), 'table')} are the same.")
    for old, new in sorted(diff.renamed.items()):
        print(f"Renamed, with the same measured values: {show_text(old)} -> {show_text(new)}")
    for line in diff.recorded:
        print(f"Recorded: {show_text(line)}")
    for line in diff.notes:
        print(f"Note: {show_text(line)}")


def _sum_table(table: TableDiff) -> tuple[object, ...]:
    rows = [part.rows for part in table.partitions]
    return (
        table.name,
        {"only_a": "only in A", "only_b": "only in B"}.get(table.presence, table.home),
        table.rows_a,
        table.rows_b,
        sum(each.lost for each in rows),
        sum(each.added for each in rows),
        sum(each.changed for each in rows),
        len({column.name for column in table.columns}),
        len(table.partitions) + len(table.lost) + len(table.added) + len(table.renamed),
    )


def _print_details(table: TableDiff) -> None:
    lines = [
        *(f"only in A: {key}" for key in table.lost[:MAX_LINES]),
        *(f"only in B: {key}" for key in table.added[:MAX_LINES]),
        *(f"renamed: {old} -> {new}" for old, new in list(table.renamed.items())[:MAX_LINES]),
        *_cut([_describe_partition(part) for part in table.partitions], "plates"),
        *_cut([_describe_column(column) for column in _sort(table)], "columns"),
    ]
    if lines:
        print(f"\n{table.name} ({table.home})")
        for line in lines:
            print(f"  {show_text(line)}")


def _cut(lines: list[str], what: str) -> list[str]:
    rest = len(lines) - MAX_LINES
    return [*lines[:MAX_LINES], *([f"... and {rest} more {what}: --json has them"] if rest > 0 else [])]


def _sort(table: TableDiff) -> list[ColumnDiff]:
    return sorted(
        table.columns, key=lambda column: (-(column.max_relative or 0), -column.changed, column.name)
    )


def _describe_partition(part: PartitionDiff) -> str:
    rows = part.rows
    words = [
        f"{part.key}: {rows.lost} lost, {rows.added} added, {rows.changed} changed of {part.rows_a} rows"
    ]
    if part.wells:
        names = list(part.wells)
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        words.append(f"wells {', '.join(names[:8])}{more}")
    for what, found in (("lost", part.lost_rows), ("added", part.added_rows)):
        if found:
            words.append(f"{what}: {_show_row(found[0])}")
    return "; ".join(words)


def _show_row(row: object) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.items()) if isinstance(row, dict) else ""


def _cut_value(text: str) -> str:
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}…"


def _describe_column(column: ColumnDiff) -> str:
    words = [column.name]
    if column.change in ("added", "removed"):
        words.append(f"{column.change} ({column.type_b or column.type_a}) in {column.partitions} plates")
        return ": ".join(words)
    found = []
    if column.change == "type":
        found.append(f"{column.type_a} -> {column.type_b}")
    if column.changed:
        found.append(f"{column.changed} value{'s' if column.changed > 1 else ''} changed")
    if column.max_abs is not None:
        found.append(f"by at most {column.max_abs:.6g} ({column.max_relative:.3g} of the value)")
    for count, text in (
        (column.null_to_value, "null before"),
        (column.value_to_null, "null now"),
        (column.nan_changed, "to or from NaN or infinity"),
    ):
        if count:
            found.append(f"{count} {text}")
    if column.example is not None:
        where = _show_row(column.example.row) or column.example.partition
        found.append(
            f"e.g. {where}: {_cut_value(column.example.value_a)} -> {_cut_value(column.example.value_b)}"
        )
    return f"{column.name}: {', '.join(found)}"
