"""Which image each staged object is of; fields that were measured before are left out of all tables."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.columns import join_names
from bioimage_assets.core.measurements.csv_staging import StagedTable
from bioimage_assets.core.measurements.image_table import ImageTable
from bioimage_assets.core.measurements.measured_twice import (
    MeasuredImage,
    build_place,
    choose_images,
    image_files,
    is_file_column,
    is_image_identity_column,
)
from bioimage_assets.core.measurements.model import PlateContext
from bioimage_assets.core.measurements.object_keys import (
    RepeatedRows,
    count_objects,
    drop_images,
    staged_relation,
)

ImageKey = tuple[int, int, int]
_POSITION = ("Metadata_Plate", "Metadata_Well", "Metadata_Site")


@dataclass(frozen=True, slots=True)
class ObjectImages:
    """Object tables of one plate with their image table; ``repeats`` says what each table holds more than once.

    ``units`` are the names of the folders or table numbers, as ``unit_label`` calls them.
    """

    tables: tuple[StagedTable, ...]
    repeats: Mapping[str, RepeatedRows]
    images: ImageTable | None
    units: tuple[str, ...]
    unit_label: str = ""


def find_relisted(images: ImageTable | None) -> frozenset[tuple[int, int]]:
    """Image numbers that an image table lists more than once, by unit."""
    keys = images.image_keys() if images is not None else []
    return frozenset((unit, image) for unit, block, image in keys if block and image is not None)


def keep_one_analysis(
    connection: duckdb.DuckDBPyConnection, found: ObjectImages, driver: StagedTable, context: PlateContext
) -> tuple[ObjectImages, list[Finding]]:
    """Leave out the images of fields that were measured before, by the dataset's rule; all tables then agree.

    Reads the position columns of ``driver`` (one row per cell). MeasurementError where the rule is ``error``.
    """
    keys, rows, measured = _list_images(connection, found, driver, context)
    copied = [(key, count) for key, count in found.repeats[driver.name].copies.items()] or _copies_of_others(
        found
    )
    first_place = {
        (unit, image): one for (unit, _, image), one in reversed(list(zip(keys, measured, strict=True)))
    }
    copies = [
        MeasuredImage(
            first_place[key].place if key in first_place else None,
            f"{_name_analysis(found, (key[0], 0, key[1]))}, the same rows again", count, is_copy=True,
        )
        for key, count in copied
    ]  # fmt: skip
    choice = choose_images([*measured, *copies], context)
    kept = choice.kept[: len(keys)]
    dropped = [key for key, stays in zip(keys, kept, strict=True) if not stays]
    covered = {(keys[i][0], keys[i][2]) for i in choice.repeated if i < len(keys)} | {
        key for key, _ in copied
    }
    findings = [*choice.findings, *_report_restarts(found, covered)]
    tables = _drop(connection, found.tables, dropped, context.staging_dir) if dropped else found.tables
    images = _take_rows(found.images, keys, rows, kept, choice.repeated)
    return replace(found, tables=tables, images=images), findings


def _copies_of_others(found: ObjectImages) -> list[tuple[tuple[int, int], int]]:
    """Copied rows of the first other table that has some."""
    return next((list(one.copies.items()) for one in found.repeats.values() if one.copies), [])


def _list_images(
    connection: duckdb.DuckDBPyConnection, found: ObjectImages, driver: StagedTable, context: PlateContext
) -> tuple[list[ImageKey], list[int | None], list[MeasuredImage]]:
    """All images in the order of folders and rows: those of the image table, then those that only the objects know.

    Also gives the row of the image table that tells of each: a second run has that of the first where it has none.
    """
    counts = count_objects(connection, driver.name)
    images = found.images
    rows = (
        {key: row for row, key in enumerate(images.image_keys()) if key[2] is not None}
        if images is not None
        else {}
    )
    relisted = find_relisted(images)
    own = _own_columns(connection, driver, context)
    listed = _ListedColumns.of(images, context)
    names = list(dict.fromkeys((*listed.apart, *(name for name in own.names if name not in _POSITION))))
    measured: list[MeasuredImage] = []
    found_rows: list[int | None] = []
    keys = sorted(dict.fromkeys((*rows, *counts)), key=lambda key: key[0])
    for key in keys:
        row = rows.get(key)
        if row is None and key[1] and (key[0], key[2]) not in relisted:
            row = rows.get((key[0], 0, key[2]))  # a second run under the one row of its image
        found_rows.append(row)
        mine = own.values.get(key, {})
        position = [listed.position(name, row) or mine.get(name) for name in _POSITION]
        others = [(name, listed.apart_value(name, row) or mine.get(name)) for name in names]
        place = build_place(position[0], position[1], position[2], others, context)
        measured.append(
            MeasuredImage(place, _name_analysis(found, key), counts.get(key, 0), listed.files(row))
        )
    return keys, found_rows, measured


@dataclass(frozen=True, slots=True)
class _ListedColumns:
    """Columns of an image table that say where and from which files an image is."""

    positions: Mapping[str, list[str | None]]
    apart: Mapping[str, list[object]]
    file_names: Mapping[str, list[str | None]]

    @classmethod
    def of(cls, images: ImageTable | None, context: PlateContext) -> _ListedColumns:
        if images is None:
            return cls({}, {}, {})
        columns = images.table.column_names
        position = (images.plate, images.well, images.site)
        return cls(
            {name: values.to_pylist() for name, values in zip(_POSITION, position, strict=True)},
            {
                name.removeprefix("Image_"): images.table[name].to_pylist()
                for name in columns if is_image_identity_column(name, context)
            },
            {name: images.table[name].to_pylist() for name in columns if is_file_column(name)},
        )  # fmt: skip

    def position(self, name: str, row: int | None) -> str | None:
        return self.positions[name][row] if row is not None else None

    def apart_value(self, name: str, row: int | None) -> str | None:
        value = self.apart[name][row] if row is not None and name in self.apart else None
        return None if value is None else str(value)

    def files(self, row: int | None) -> frozenset[str]:
        if row is None:
            return frozenset()
        return image_files((name, values[row]) for name, values in self.file_names.items())


@dataclass(frozen=True, slots=True)
class _OwnColumns:
    """Position columns of the object table itself, one value per image."""

    names: tuple[str, ...]
    values: Mapping[ImageKey, Mapping[str, str | None]]


def _own_columns(
    connection: duckdb.DuckDBPyConnection, driver: StagedTable, context: PlateContext
) -> _OwnColumns:
    chosen = {
        column.output: f"c{i}"
        for i, column in enumerate(driver.columns)
        if column.role == "text"
        and (column.output in _POSITION or is_image_identity_column(column.output, context))
    }
    if not chosen:
        return _OwnColumns((), {})
    listed = ", ".join(f"min({slot})" for slot in chosen.values())
    image = driver.slot("image")
    rows = connection.execute(
        f"SELECT unit, block, {image}, {listed} FROM {staged_relation(driver)} WHERE {image} IS NOT NULL "
        f"GROUP BY unit, block, {image}"
    ).fetchall()
    return _OwnColumns(
        tuple(chosen), {(row[0], row[1], row[2]): dict(zip(chosen, row[3:], strict=True)) for row in rows}
    )


def _name_analysis(found: ObjectImages, key: ImageKey) -> str:
    unit, block, image = key
    name = f"{found.unit_label}{found.units[unit]} " if len(found.units) > 1 else ""
    return f"{name}ImageNumber {image}" + (f", run {block + 1}" if block else "")


def _report_restarts(found: ObjectImages, covered: set[tuple[int, int]]) -> Iterator[Finding]:
    """Image numbers that start again and are not a field measured twice: runs of several plates in one file."""
    tables = {
        name: {key: n for key, n in one.restarts.items() if key not in covered}
        for name, one in found.repeats.items()
    }
    if found.images is not None:
        tables = {"Image": dict.fromkeys(find_relisted(found.images) - covered, 0), **tables}
    numbers = {key for restarts in tables.values() for key in restarts}
    if numbers:
        named = [name for name, restarts in tables.items() if restarts]
        objects = max(sum(restarts.values()) for restarts in tables.values())
        text = (
            f"{len(numbers)} ImageNumber(s) start again inside {join_names(named)}: {objects} object number(s) occur more than "
            "once. The runs are told apart by their order in the file; give each run a folder or TableNumber of its own."
        )
        yield Finding("duplicated-image-numbers", "error", named[0], text)


def _drop(
    connection: duckdb.DuckDBPyConnection,
    tables: Sequence[StagedTable],
    dropped: Sequence[ImageKey],
    folder: Path,
) -> tuple[StagedTable, ...]:
    columns = (pa.array(values, pa.int64()) for values in zip(*dropped, strict=True))
    gone = pa.table(dict(zip(("unit", "block", "image"), columns, strict=True)))
    return tuple(drop_images(connection, table, gone, folder) for table in tables)


def _take_rows(
    images: ImageTable | None,
    keys: Sequence[ImageKey],
    rows: Sequence[int | None],
    kept: Sequence[bool],
    repeated: Collection[int],
) -> ImageTable | None:
    """The image table of the kept images; a run that is listed under the number of another has a row of its own."""
    if images is None or not repeated:
        return images
    listed = images.image_keys()
    taken: list[int] = []
    blocks: list[int] = []
    rows_of_images = set()
    for i, (key, row) in enumerate(zip(keys, rows, strict=True)):
        rows_of_images |= {row}
        if row is not None and kept[i] and (listed[row] == key or i in repeated):
            taken.append(row)
            blocks.append(key[1])
    without = [row for row in range(len(listed)) if row not in rows_of_images]  # rows without an image number
    return images.take([*taken, *without], [*blocks, *(listed[row][1] for row in without)])
