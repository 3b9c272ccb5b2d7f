"""Compares a manifest entry with the table's files: presence, footers, rows, columns, partitions."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from bioimage_assets.core.errors import BioimageError, WarehouseError
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.warehouse.changes.stage_parts import PartFooter
from bioimage_assets.core.warehouse.columns.evolution import (
    is_even,
    logical_schema,
    spell_type,
    stored_schema,
    stored_type,
    union_all,
)
from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest.layout import COLUMNS_NAME
from bioimage_assets.core.warehouse.manifest.records import WarehouseTableManifestEntry
from bioimage_assets.core.warehouse.reading.adopted_parts import UNREADABLE_PARQUET, open_part, read_footer
from bioimage_assets.core.warehouse.reading.part_owner import find_other_owner
from bioimage_assets.core.warehouse.reading.table_state import TableFolder, describe_size


def check_table_files(
    files: RootFiles,
    entry: WarehouseTableManifestEntry,
    found_folder: TableFolder,
    errors: list[str],
    warnings: list[str],
) -> None:
    """Compare one entry with its files; every footer is read once."""
    name = entry.table_name
    folder, sizes = found_folder.path, found_folder.sizes
    named = {file: (key, part) for key, part in (entry.partitions or {}).items() for file in part.files}
    errors += [
        describe_size(name, f"{folder}/{file}", sizes[file], part.size_of(file))
        for file, (_, part) in sorted(named.items())
        if file in sizes and part.size_of(file) not in (0, sizes[file])
    ]
    footers: dict[str, PartFooter] = {}
    for file in sorted(sizes):
        found = _read(files, f"{folder}/{file}", entry, named[file][0] if file in named else None, errors)
        if found is not None:
            footers[file] = found
    errors += [
        f"File of table {name} is missing: {folder}/{file}" for file in sorted(set(named) - set(sizes))
    ]
    if entry.partitions is not None:
        errors += [
            f"Manifest table {name} does not name the file {folder}/{file}."
            for file in sorted(set(sizes) - set(named))
        ]
        _check_partition_rows(entry, footers, errors)
    total = sum(footer.row_count for footer in footers.values())
    if entry.row_count is not None and len(footers) == len(sizes) and entry.row_count != total:
        errors.append(
            f"Manifest table {name} records row_count {entry.row_count}; its files hold {total} rows."
        )
    named_columns = _read_columns_file(files, found_folder, errors)
    _check_columns(entry, footers, named_columns, errors, warnings)
    warnings += [
        f"Folder {folder!r} holds {stranger!r}, which is no Parquet; pycytominer skips such a table."
        for stranger in files.list_other_files(folder)
    ]


def _read_columns_file(files: RootFiles, folder: TableFolder, errors: list[str]) -> frozenset[str]:
    """Columns that the file beside the parts names; none where there is no such file."""
    if not folder.has_columns_file:
        return frozenset()
    path = f"{folder.path}/{COLUMNS_NAME}"
    try:
        footer = read_footer(files, path)
    except WarehouseError as error:
        errors.append(f"{error} It holds no rows; `maintain` writes it again.")
        return frozenset()
    if footer.row_count:
        errors.append(
            f"{path} should name columns only, but holds {count_words(footer.row_count, 'row')}, which are nobody's."
        )
    return frozenset(footer.schema.names)


def _read(
    files: RootFiles, path: str, entry: WarehouseTableManifestEntry, key: str | None, errors: list[str]
) -> PartFooter | None:
    try:
        with open_part(files, path) as (parquet, footer):
            foreign = find_other_owner(
                parquet.metadata, footer.partition, entry.partition_column or "plate_key", key
            )
    except UNREADABLE_PARQUET as error:
        errors.append(f"File of table {entry.table_name} is no readable Parquet: {path} ({error})")
        return None
    if not len(footer.schema):
        errors.append(f"File of table {entry.table_name} has no columns: {path}")
    if foreign:
        errors.append(f"File of table {entry.table_name} holds rows of {foreign}, not only of {key}: {path}")
    said = footer.description
    if said is not None and said.role and entry.role and said.role != entry.role:
        errors.append(
            f"Manifest table {entry.table_name} has role {entry.role!r} but {path} was written with role {said.role!r}."
        )
    return footer


def _check_partition_rows(
    entry: WarehouseTableManifestEntry, footers: Mapping[str, PartFooter], errors: list[str]
) -> None:
    for key, part in (entry.partitions or {}).items():
        if not all(file in footers for file in part.files):
            continue
        held = sum(footers[file].row_count for file in part.files)
        if held != part.row_count:
            errors.append(
                f"Manifest table {entry.table_name} records {count_words(part.row_count, 'row')} for {key}; its files hold {held}."
            )


def _check_columns(
    entry: WarehouseTableManifestEntry,
    footers: Mapping[str, PartFooter],
    named_columns: frozenset[str],
    errors: list[str],
    warnings: list[str],
) -> None:
    name = entry.table_name
    try:
        schema = union_all((logical_schema(f.schema, name) for f in footers.values() if len(f.schema)), name)
    except BioimageError as error:
        errors.append(f"The files of table {name} do not fit together: {error}")
        return
    if schema is None or not entry.columns:
        return
    held = {*schema.names, *named_columns}
    surplus = sorted(set(entry.columns) - held)
    lacking = sorted(held - set(entry.columns))
    if surplus:
        errors.append(f"Manifest table {name} names column(s) that no file has: {', '.join(surplus[:5])}.")
    if lacking:
        errors.append(
            f"Manifest table {name} does not name column(s) of its files: {', '.join(lacking[:5])}."
        )
    for column, kind in entry.column_types.items():
        if column in schema.names and kind.replace("<element: ", "<item: ") not in _spellings(
            schema.field(column).type
        ):
            errors.append(
                f"Manifest table {name} says column {column!r} is {kind}; its files have {schema.field(column).type}."
            )
    table = stored_schema(schema)
    uneven = sorted(file for file, footer in footers.items() if not is_even(footer.schema, table))
    if uneven and not held <= named_columns:
        warnings.append(
            f"{len(uneven)} file(s) of table {name} have not all of its columns ({uneven[0]} first), and no file "
            f"{COLUMNS_NAME} names all of them: pandas sees those of the first file only. Run `maintain`."
        )


def _spellings(kind: pa.DataType) -> set[str]:
    """How the manifest may spell the type of a stored column; an empty column is stored as text."""
    words = {spell_type(kind), spell_type(stored_type(kind))}
    return (
        words | {"null"} if pa.types.is_string(kind) else words | {spell_type(kind).replace("string", "null")}
    )
