"""Stack the well profiles of several plates, whatever types their platemaps gave to a column."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from bioimage_assets.core.findings import Finding


def stack_wells(tables: Sequence[pa.Table]) -> tuple[pa.Table, list[Finding]]:
    """Put tables below each other; columns that some lack are null there.

    A column that is text on one plate and numbers on another becomes text (``0.3``, ``10``), and a finding says so.
    """
    kinds: dict[str, list[pa.DataType]] = {}
    for table in tables:
        for field in table.schema:
            kinds.setdefault(field.name, []).append(field.type)
    mixed = [name for name, found in kinds.items() if _is_text_and_numbers(found)]
    findings = []
    if mixed:
        message = (
            f"{len(mixed)} column(s) hold text on some plates and numbers on others: {', '.join(mixed[:4])}. They are text "
            "here; write the same kind of value in all platemaps of the dataset."
        )
        findings.append(Finding("column-of-two-types", "warning", ", ".join(mixed[:4]), message))
    alike = [_numbers_as_text(table, mixed) for table in tables]
    return pa.concat_tables(alike, promote_options="permissive"), findings


def _is_text_and_numbers(kinds: Sequence[pa.DataType]) -> bool:
    has_text = any(pa.types.is_string(kind) or pa.types.is_large_string(kind) for kind in kinds)
    return has_text and any(pa.types.is_floating(kind) or pa.types.is_integer(kind) for kind in kinds)


def _numbers_as_text(table: pa.Table, names: Sequence[str]) -> pa.Table:
    for name in names:
        if name in table.column_names and not pa.types.is_string(table[name].type):
            values = [None if value is None else f"{value:g}" for value in table[name].to_pylist()]
            table = table.set_column(table.column_names.index(name), name, pa.array(values, pa.string()))
    return table
