"""Object tables are checked by their keys alone: restarts, lost parents, and cells that the image table promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.csv_staging import StagedTable
from bioimage_assets.core.measurements.engine import ROW_GROUP_ROWS
from bioimage_assets.core.measurements.join_plan import JoinPlan
from bioimage_assets.core.sql import quote_identifier, quote_literal


def staged_relation(table: StagedTable) -> str:
    """SQL of a staged table with its row numbers (``file_row_number``)."""
    paths = ", ".join(quote_literal(path) for path in table.paths)
    return f"read_parquet([{paths}], union_by_name=true, file_row_number=true)"


def key_table(name: str) -> str:
    """Quoted name of the table of an object table's keys."""
    return quote_identifier(f"keys_{name}")


def object_number(table: StagedTable) -> str:
    """SQL of an object's number: ObjectNumber, else ``Number_Object_Number``; MeasurementError without either."""
    slot = table.slot("object") or table.slot("number-object")
    if slot is None:
        raise MeasurementError(
            f"The table {table.name} has no ObjectNumber column, so its objects have no names."
        )
    return f"{slot}::BIGINT"


def build_keys(
    connection: duckdb.DuckDBPyConnection, table: StagedTable, folder: Path
) -> tuple[StagedTable, list[Finding]]:
    """Load the keys of one object table (``unit block image object seq`` and its parents) into the engine.

    An ImageNumber that starts again inside one table (two runs written into one file) is told apart by a
    ``block`` number, so that its objects can never be joined crosswise. Rows without a number are left
    out and counted.
    """
    image = table.slot("image")
    if image is None:
        raise MeasurementError(
            f"The table {table.name} has no ImageNumber column, so its objects have no image."
        )
    findings: list[Finding] = []
    name = key_table(table.name)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT unit, block, {image} AS image, {object_number(table)} AS object, "
        f"file_row_number AS seq FROM {staged_relation(table)}"
    )
    total, keyed, distinct = _one_row(
        connection,
        f"SELECT count(*), count(*) FILTER (image IS NOT NULL AND object IS NOT NULL), "
        f"count(DISTINCT (unit, image, object)) FILTER (image IS NOT NULL AND object IS NOT NULL) FROM {name}",
    )
    if keyed < total:
        text = f"{total - keyed} row(s) of {table.name} have no ImageNumber or ObjectNumber and are left out."
        findings.append(Finding("rows-without-key", "error", table.name, text))
    if distinct < keyed:
        table = _number_blocks(connection, table, folder)
        restarts = _one_row(connection, f"SELECT count(DISTINCT (unit, image)) FROM {name} WHERE block > 0")[
            0
        ]
        text = (
            f"{restarts} ImageNumber(s) start again inside {table.name}: {keyed - distinct} object number(s) occur more than "
            "once. The runs are told apart by their order in the file; convert one plate at a time."
        )
        findings.append(Finding("duplicated-image-numbers", "error", table.name, text))
    return table, findings


def _number_blocks(connection: duckdb.DuckDBPyConnection, table: StagedTable, folder: Path) -> StagedTable:
    """Write the staged table again with the number of restarts of each image before the row."""
    name = key_table(table.name)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT unit, (sum(restart) OVER (PARTITION BY unit, image ORDER BY seq))::BIGINT "
        "AS block, image, object, seq FROM (SELECT *, CASE WHEN object <= lag(object) OVER "
        f"(PARTITION BY unit, image ORDER BY seq) THEN 1 ELSE 0 END AS restart FROM {name})"
    )
    target = str(folder / f"{table.name}-blocks.parquet")
    connection.execute(
        f"COPY (SELECT s.* EXCLUDE (block, file_row_number), k.block FROM {staged_relation(table)} s JOIN {name} k "
        f"ON s.unit = k.unit AND s.file_row_number = k.seq ORDER BY s.unit, s.file_row_number) TO {quote_literal(target)} "
        f"(FORMAT parquet, COMPRESSION lz4, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"
    )
    return replace(table, paths=(target,))


def check_parents(connection: duckdb.DuckDBPyConnection, plan: JoinPlan) -> list[Finding]:
    """Findings for cells whose parent is not there, and for parents that no cell points to."""
    findings = []
    for link in plan.links:
        child = plan.tables[link.child]
        parent = key_table(link.parent)
        number = link.slot or object_number(child)
        same = f"p.unit = c.unit AND p.block = c.block AND p.image = c.{child.slot('image')} AND p.object = c.{number}"
        lost = _one_row(
            connection, f"SELECT count(*) FROM {staged_relation(child)} c ANTI JOIN {parent} p ON {same}"
        )[0]
        if lost:
            text = f"{lost} of {child.row_count} {link.child} have no {link.parent}; their {link.parent} features are null."
            findings.append(Finding("missing-parent", "error", f"{link.child} → {link.parent}", text))
        free = _one_row(
            connection, f"SELECT count(*) FROM {parent} p ANTI JOIN {staged_relation(child)} c ON {same}"
        )[0]
        if free:
            text = f"{free} of {plan.tables[link.parent].row_count} {link.parent} belong to no {link.child} and are left out."
            findings.append(Finding("unjoined-objects", "warning", link.parent, text))
    return findings


def count_objects(connection: duckdb.DuckDBPyConnection, name: str) -> dict[tuple[int, int, int], int]:
    """Objects per (unit, block, image) of one object table."""
    rows = connection.execute(
        f"SELECT unit, block, image, count(*) FROM {key_table(name)} "
        "WHERE image IS NOT NULL AND object IS NOT NULL GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    return {(unit, block, image): count for unit, block, image, count in rows}


def check_counts(
    promised: dict[tuple[int, int, int], int],
    found: dict[tuple[int, int, int], int],
    name: str,
    units: Sequence[str],
) -> list[Finding]:
    """Compare the image table's ``Count_<name>`` with the objects that are there, image by image."""
    short = {key: (count, found.get(key, 0)) for key, count in promised.items() if found.get(key, 0) != count}
    findings = []
    if short:
        key, (expected, seen) = next(iter(short.items()))
        lost = sum(max(expected - seen, 0) for expected, seen in short.values())
        extra = sum(max(seen - expected, 0) for expected, seen in short.values())
        text = (
            f"The image table promises other numbers of {name} than are there in {len(short)} image(s): {lost} missing, {extra} "
            f"too many; first ImageNumber {key[2]}{_of_unit(key[0], units)}: {expected} promised, {seen} found."
        )
        findings.append(Finding("cells-missing" if lost else "cells-unexpected", "error", name, text))
    return findings


def check_images(
    listed: set[tuple[int, int, int]], found: dict[tuple[int, int, int], int], name: str, units: Sequence[str]
) -> list[Finding]:
    """Findings for objects of images that the image table does not list."""
    unknown = [key for key in found if key not in listed]
    if not unknown:
        return []
    first = unknown[0]
    text = (
        f"{len(unknown)} image(s) of {name} are not in the image table, first ImageNumber {first[2]}"
        f"{_of_unit(first[0], units)}; their cells have no file names."
    )
    return [Finding("image-not-listed", "error", name, text)]


def _of_unit(unit: int, units: Sequence[str]) -> str:
    return f" of {units[unit]}" if len(units) > 1 else ""


def _one_row(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[int, ...]:
    row = connection.execute(sql).fetchone()
    return tuple(int(value or 0) for value in row or ())
