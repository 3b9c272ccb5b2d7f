"""Rewrites stored parts one by one: with other types of their columns, or without some rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.parquet_checksums import open_parquet
from bioimage_assets.core.warehouse.changes.stage_parts import PartWriter, StagedPart
from bioimage_assets.core.warehouse.columns.casting import conform
from bioimage_assets.core.warehouse.columns.evolution import own_schema
from bioimage_assets.core.warehouse.files.root_files import RootFiles


def align_parts(
    files: RootFiles, folder: str, names: Sequence[str], schema: pa.Schema, staging: Path
) -> None:
    """Bring the columns of parts to the types of the table, each part atomically, last name first.

    A part keeps its own columns. Rows do not change; a kill between two files is harmless.
    """
    # Readers take a table's types from its first part: it changes last.
    for name in sorted(names, reverse=True):
        for part in stage_aligned(files, folder, [name], schema, staging).values():
            files.replace_file(f"{folder}/{name}", part.path)


def stage_aligned(
    files: RootFiles, folder: str, names: Sequence[str], schema: pa.Schema, staging: Path
) -> dict[str, StagedPart]:
    """Copy those parts whose columns have other types than the table's; by file name, nothing is put in place."""
    staged: dict[str, StagedPart] = {}
    for name in sorted(names):
        path = f"{folder}/{name}"
        with _open(files, path) as parquet:
            if not has_types_of(parquet.schema_arrow, schema):
                staged[name] = _copy(parquet, staging / f"aligned-{name}", schema, path, None)
    return staged


def has_types_of(part: pa.Schema, table: pa.Schema) -> bool:
    """Whether the columns of a part have the types that its table gives them."""
    return all(field.type.equals(own.type) for field, own in zip(part, own_schema(part, table), strict=True))


def rewrite_part(part: StagedPart, target: Path, schema: pa.Schema) -> StagedPart:
    """Bring a staged part's columns to the types of another schema."""
    with open_parquet(part.path) as parquet:
        if has_types_of(parquet.schema_arrow, schema):
            return part
        copied = _copy(parquet, target, schema, part.key, None)
    return StagedPart(part.key, copied.path, copied.row_count, copied.digest)


def drop_rows(
    files: RootFiles, path: str, target: Path, schema: pa.Schema, column: str, keys: Collection[str]
) -> StagedPart | None:
    """Copy a part of mixed partitions without the rows of some; None where it has none of them.

    A part of zero rows is returned as it is, so that the caller may drop it.
    """
    with _open(files, path) as parquet:
        # Such a part only keeps the columns for readers.
        if parquet.metadata.num_rows == 0:
            return StagedPart("", target, 0, "")
        if column not in parquet.schema_arrow.names:
            return None
        present = pc.unique(parquet.read(columns=[column]).column(column)).cast(pa.string()).to_pylist()
        if not set(present) & set(keys):
            return None
        return _copy(parquet, target, schema, path, (column, keys))


def _copy(
    parquet: pq.ParquetFile,
    target: Path,
    table_schema: pa.Schema,
    where: str,
    without: tuple[str, Collection[str]] | None,
) -> StagedPart:
    schema = own_schema(parquet.schema_arrow.remove_metadata(), table_schema)
    metadata = {
        # Both describe the old types; PyArrow writes the first anew.
        k: v
        for k, v in (parquet.metadata.metadata or {}).items()
        if k not in (b"ARROW:schema", b"pandas")
    }
    writer = PartWriter("", target, schema, metadata, where)
    for batch in parquet.iter_batches():
        rows = pa.Table.from_batches([batch])
        if without is not None:
            values = pa.array(sorted(without[1]), pa.string())
            found = pc.is_in(rows.column(without[0]).cast(pa.string()), value_set=values)
            rows = rows.filter(pc.invert(found))
        writer.add(conform(rows, schema, where))
    return writer.close()


def _open(files: RootFiles, path: str) -> pq.ParquetFile:
    try:
        return open_parquet(files.arrow_path(path), filesystem=files.filesystem())
    except (pa.ArrowInvalid, OSError) as error:
        raise WarehouseError(f"{files.location(path)} is no readable Parquet file ({error}).") from error
