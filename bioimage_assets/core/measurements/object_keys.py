"""Checks of object tables by their keys alone: restarts, lost parents, cells that the image table promised."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.findings import Finding, Severity
from bioimage_assets.core.measurements.columns import join_names
from bioimage_assets.core.measurements.csv_staging import StagedTable
from bioimage_assets.core.measurements.duckdb_engine import ROW_GROUP_ROWS
from bioimage_assets.core.measurements.join_plan import JoinPlan, ParentLink
from bioimage_assets.core.sql import quote_identifier, quote_literal
from bioimage_assets.core.sql_files import file_literal, parquet_relation


def staged_relation(table: StagedTable) -> str:
    """SQL of a staged table with its row numbers (``file_row_number``)."""
    return parquet_relation(table.paths, "file_row_number = true")


def _numbered_relation(table: StagedTable) -> str:
    """The same with the number of the staged file (``file``): two files of one folder may hold rows of equal numbers."""
    paths = ", ".join(file_literal(path) for path in table.paths)
    files = parquet_relation(table.paths, "file_row_number = true", "filename = true")
    return f"(SELECT * EXCLUDE (filename), list_position([{paths}], filename) AS file FROM {files})"


def key_table(name: str) -> str:
    """Quoted name of the table of an object table's keys."""
    return quote_identifier(f"keys_{name}")


def object_number(table: StagedTable) -> str:
    """SQL of an object's number: ObjectNumber, else ``Number_Object_Number``; MeasurementError without either."""
    slot = table.slot("object") or table.slot("number-object")
    if slot is None:
        raise MeasurementError(_describe_missing(table, "ObjectNumber"))
    return f"{slot}::BIGINT"


def _describe_missing(table: StagedTable, column: str) -> str:
    where = f"{table.given}: " if table.given else ""
    return (
        f"{where}the table {table.name} has no {column} column; expected ImageNumber and ObjectNumber in each row, found "
        f"{join_names((one.source for one in table.columns), 8)}. Export it with both, or move it away."
    )


@dataclass(frozen=True, slots=True)
class RepeatedRows:
    """What one object table holds more than once, by (unit, ImageNumber).

    ``copies`` counts rows that are equal to an earlier row in every column, ``restarts`` objects of an image number
    that starts again, which are distinguished by their ``block``.
    """

    copies: Mapping[tuple[int, int], int] = field(default_factory=dict)
    restarts: Mapping[tuple[int, int], int] = field(default_factory=dict)


def build_keys(
    connection: duckdb.DuckDBPyConnection,
    table: StagedTable,
    folder: Path,
    *,
    with_copies: bool = False,
    relisted: Collection[tuple[int, int]] = (),
) -> tuple[StagedTable, RepeatedRows, list[Finding]]:
    """Load the keys of one object table (``unit block image object seq`` and its parents) into the engine.

    An ImageNumber that starts again inside one table (two runs written into one file) is distinguished by a
    ``block`` number, so that its objects can never be joined crosswise. Rows without a number are left
    out and counted. Rows that are there again, equal in every column, are counted and left out, unless ``with_copies``;
    not those of images that the image table lists more than once (``relisted``), which are runs of their own.
    """
    image = table.slot("image")
    if image is None:
        raise MeasurementError(_describe_missing(table, "ImageNumber"))
    findings: list[Finding] = []
    name = key_table(table.name)
    _load_keys(connection, table, staged_relation(table))
    total, keyed, distinct = _one_row(
        connection,
        f"SELECT count(*), count(*) FILTER (image IS NOT NULL AND object IS NOT NULL), "
        f"count(DISTINCT (unit, image, object)) FILTER (image IS NOT NULL AND object IS NOT NULL) FROM {name}",
    )
    if keyed < total:
        text = f"{total - keyed} row(s) of {table.name} have no ImageNumber or ObjectNumber and are left out."
        findings.append(Finding("rows-without-key", "error", table.name, text))
    if distinct == keyed:
        return table, RepeatedRows(), findings
    _load_keys(connection, table, _numbered_relation(table), ", file")
    copies = {} if with_copies else _find_copies(connection, table, relisted)
    if copies:
        connection.execute(f"DELETE FROM {name} k USING copies c WHERE k.file = c.file AND k.seq = c.seq")
    restarts = _number_blocks(connection, table)
    return (
        _write_again(connection, table, folder / f"{table.name}-blocks.parquet"),
        RepeatedRows(copies, restarts),
        findings,
    )


def _load_keys(
    connection: duckdb.DuckDBPyConnection, table: StagedTable, relation: str, more: str = ""
) -> None:
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {key_table(table.name)} AS SELECT unit, block, {table.slot('image')} AS image, "
        f"{object_number(table)} AS object, file_row_number AS seq{more} FROM {relation}"
    )


def _find_copies(
    connection: duckdb.DuckDBPyConnection, table: StagedTable, relisted: Collection[tuple[int, int]]
) -> dict[tuple[int, int], int]:
    """Put rows that are equal to an earlier one of their object in every column into the table ``copies``; counts them.

    A row without any measured value tells nothing: it is not a copy.
    """
    slots = [f"c{i}" for i in range(len(table.columns))]
    measured = [f"c{i}" for i, column in enumerate(table.columns) if column.kind == pa.float64()]
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE copies (unit BIGINT, image BIGINT, file BIGINT, seq BIGINT)"
    )
    if not measured:
        return {}
    unit, image = zip(*relisted, strict=True) if relisted else ((), ())
    connection.register(
        "relisted", pa.table({"unit": pa.array(unit, pa.int64()), "image": pa.array(image, pa.int64())})
    )
    name = key_table(table.name)
    connection.execute(
        f"INSERT INTO copies SELECT unit, image, file, seq FROM (SELECT unit, {table.slot('image')} AS image, file, "
        f"file_row_number AS seq, "
        f"row_number() OVER (PARTITION BY unit, {table.slot('image')}, {object_number(table)}, hash({', '.join(slots)}) "
        f"ORDER BY file, file_row_number) AS nth FROM {_numbered_relation(table)} WHERE coalesce({', '.join(measured)}) IS NOT NULL "
        f"AND (unit, {table.slot('image')}, {object_number(table)}) IN (SELECT (unit, image, object) FROM {name} "
        "WHERE image IS NOT NULL AND object IS NOT NULL GROUP BY unit, image, object HAVING count(*) > 1)) r "
        "WHERE nth > 1 AND (unit, image) NOT IN (SELECT (unit, image) FROM relisted)"
    )
    rows = connection.execute("SELECT unit, image, count(*) FROM copies GROUP BY ALL ORDER BY ALL").fetchall()
    return {(unit, image): count for unit, image, count in rows}


def _number_blocks(connection: duckdb.DuckDBPyConnection, table: StagedTable) -> dict[tuple[int, int], int]:
    """Number the restarts of each image before its rows; counts the objects that are there more than once."""
    name = key_table(table.name)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT unit, (sum(restart) OVER (PARTITION BY unit, image ORDER BY file, seq))::BIGINT "
        "AS block, image, object, file, seq FROM (SELECT *, CASE WHEN object <= lag(object) OVER "
        f"(PARTITION BY unit, image ORDER BY file, seq) THEN 1 ELSE 0 END AS restart FROM {name})"
    )
    rows = connection.execute(
        f"SELECT unit, image, count(*) - count(DISTINCT object) FROM {name} WHERE image IS NOT NULL AND object IS NOT NULL "
        "GROUP BY unit, image HAVING max(block) > 0 ORDER BY ALL"
    ).fetchall()
    return {(unit, image): count for unit, image, count in rows}


def _write_again(connection: duckdb.DuckDBPyConnection, table: StagedTable, target: Path) -> StagedTable:
    """Write the rows whose keys are still there, each with its block, in the same order, and load the keys of these."""
    connection.execute(
        f"COPY (SELECT s.* EXCLUDE (block, file, file_row_number), k.block FROM {_numbered_relation(table)} s "
        f"JOIN {key_table(table.name)} k ON s.file = k.file AND s.file_row_number = k.seq "
        f"ORDER BY s.unit, s.file, s.file_row_number) TO {quote_literal(str(target))} "
        f"(FORMAT parquet, COMPRESSION lz4, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"
    )
    written = replace(table, paths=(str(target),), row_count=pq.read_metadata(target).num_rows)
    _load_keys(connection, written, staged_relation(written))
    return written


def drop_images(
    connection: duckdb.DuckDBPyConnection, table: StagedTable, dropped: pa.Table, folder: Path
) -> StagedTable:
    """Leave the objects of some images (``unit block image``) out of a table and its keys; the rest is written again."""
    connection.register("dropped_images", dropped)
    _load_keys(connection, table, _numbered_relation(table), ", file")
    connection.execute(
        f"DELETE FROM {key_table(table.name)} k USING dropped_images d "
        "WHERE k.unit = d.unit AND k.block = d.block AND k.image = d.image"
    )
    return _write_again(connection, table, folder / f"{table.name}-kept.parquet")


def check_parents(connection: duckdb.DuckDBPyConnection, plan: JoinPlan) -> tuple[JoinPlan, list[Finding]]:
    """Findings for cells whose parent is not there, and for parents that no cell points to.

    A table that names its parents itself stays in the plan only where no parent has several of its objects.
    """
    findings: list[Finding] = []
    several = {}
    for link in plan.links:
        if link.back_slot is not None and (counted := _count_siblings(connection, plan, link)):
            several[link.parent] = _report_siblings(link, counted)
    plan = plan.without(several)
    for link in plan.links:
        findings += _check_link(connection, plan, link)
    return plan, [*several.values(), *findings]


def _check_link(connection: duckdb.DuckDBPyConnection, plan: JoinPlan, link: ParentLink) -> list[Finding]:
    child, parent = plan.tables[link.child], plan.tables[link.parent]
    number = link.slot or object_number(child)
    image, own, parents = "image", "object", f"{key_table(parent.name)} p"
    if link.back_slot is not None:
        image, own, parents = parent.slot("image") or "", link.back_slot, f"{staged_relation(parent)} p"
    same = f"p.unit = c.unit AND p.block = c.block AND p.{image} = c.{child.slot('image')} AND p.{own} = c.{number}"
    children = f"{staged_relation(child)} c"
    findings = []
    lost = _one_row(connection, f"SELECT count(*) FROM {children} ANTI JOIN {parents} ON {same}")[0]
    if lost:
        effect = (
            "features that it leads to" if parent.name in plan.connecting else f"their {parent.name} features"
        )
        text = f"{lost} of {child.row_count} {child.name} have no {parent.name}; {effect} are null."
        # An object that names its parent need not be there for each: not every cell has a spot.
        severity: Severity = "warning" if link.back_slot else "error"
        findings.append(Finding("missing-parent", severity, f"{child.name} → {parent.name}", text))
    free = _one_row(connection, f"SELECT count(*) FROM {parents} ANTI JOIN {children} ON {same}")[0]
    if free:
        text = f"{free} of {parent.row_count} {parent.name} belong to no {child.name} and are left out."
        findings.append(Finding("unjoined-objects", "warning", parent.name, text))
    return findings


def _count_siblings(
    connection: duckdb.DuckDBPyConnection, plan: JoinPlan, link: ParentLink
) -> tuple[int, int] | None:
    """How many parents have more than one object of a table that points back to them, and the most that one has."""
    table = plan.tables[link.parent]
    parents, most = _one_row(
        connection,
        f"SELECT count(*), max(n) FROM (SELECT count(*) AS n FROM {staged_relation(table)} WHERE {link.back_slot} > 0 "
        f"AND {object_number(table)} IS NOT NULL GROUP BY unit, block, {table.slot('image')}, {link.back_slot} HAVING n > 1)",
    )
    return (parents, most) if parents else None


def _report_siblings(link: ParentLink, counted: tuple[int, int]) -> Finding:
    parents, most = counted
    text = (
        f"{parents} of the {link.child} have more than one of the {link.parent} (up to {most}, by Parent_{link.child}); expected one "
        f"per cell, so {link.parent} are not joined. Let CellProfiler's RelateObjects calculate per-parent means, which become "
        f"columns of {link.child} (Mean_{link.parent}_…), or leave {link.parent} out of `[measurements] compartments`."
    )
    return Finding("several-objects-per-cell", "error", f"{link.child} → {link.parent}", text)


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
