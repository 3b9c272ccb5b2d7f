"""Whose rows a part holds, by its own footer: a file under another plate's name is never taken for that plate's."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.warehouse.changes.stage_parts import read_partition
from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest.layout import WHOLE_TABLE
from bioimage_assets.core.warehouse.reading.adopted_parts import UNREADABLE_PARQUET, open_part
from bioimage_assets.core.warehouse.reading.table_state import TableState


def find_other_owner(
    metadata: pq.FileMetaData, written_for: str | None, column: str, key: str | None
) -> str | None:
    """A partition key other than ``key`` that a file has rows of, or was written for; None where there is none.

    Parameters
    ----------
    metadata
        Footer of the file; statistics of ``column`` tell the smallest and largest key of its rows.
    written_for
        Partition that the file's own metadata name, None for files of other tools.
    key
        Partition under which the manifest lists the file.
    """
    if key is None or key == WHOLE_TABLE:
        return None
    if written_for is not None and written_for != key:
        return written_for
    names = metadata.schema.names
    if column not in names:
        return None
    position = names.index(column)
    for group in range(metadata.num_row_groups):
        statistics = metadata.row_group(group).column(position).statistics
        if statistics is None or not statistics.has_min_max:
            continue
        for value in (statistics.min, statistics.max):
            if str(value) != key:
                return str(value)
    return None


def refuse_misplaced(files: RootFiles, state: TableState, name: str, schema: pa.Schema) -> None:
    """Look that a part which is about to be read is listed under the partition that it was written for.

    Parameters
    ----------
    schema
        Of the file, with its metadata; files of other tools say nothing there and are read.

    Raises
    ------
    WarehouseError
        It is another partition's: its rows would be taken for those of the plate that was asked for.
    """
    written_for = read_partition(schema)
    listed = state.entry.partitions if state.entry is not None else None
    if written_for is None or not listed:
        return
    part = listed.get(written_for)
    if part is None or name not in part.files:
        raise WarehouseError(
            f"{files.location(f'{state.folder}/{name}')} holds rows of {written_for!r}, and the manifest lists it for another "
            "partition: files were exchanged. Nothing was read. Put each file back under its own name, or move this "
            "one out of the root and build both again."
        )


def refuse_rows_of_others(files: RootFiles, state: TableState, key: str, column: str) -> None:
    """Look at the files that a replacement of one partition would take away; one footer each is read.

    Raises
    ------
    WarehouseError
        A file holds rows of another partition: files were exchanged, or a copy was put under a wrong name.
    """
    part = state.partitions.get(key)
    for name in part.files if part is not None else ():
        if name not in state.sizes:
            continue
        path = f"{state.folder}/{name}"
        try:
            with open_part(files, path, state.sizes[name]) as (parquet, footer):
                other = find_other_owner(parquet.metadata, footer.partition, column, key)
                if footer.partition is None:
                    # Other tools may keep no statistics, or shortened ones.
                    other = _find_other_key(parquet, column, key)
        except UNREADABLE_PARQUET:
            # Unreadable rows are nobody's: to replace them is the way to mend them.
            continue
        if other is not None:
            raise WarehouseError(
                f"{files.location(path)} should hold rows of {key!r} and holds rows of {other!r}; they would be lost. "
                "Nothing was changed. Put each file back under its own name, or move this one out of the root and "
                "build both again."
            )


def _find_other_key(parquet: pq.ParquetFile, column: str, key: str) -> str | None:
    """A partition key other than ``key`` among the rows of a file; the column is read."""
    if key == WHOLE_TABLE or column not in parquet.schema_arrow.names:
        return None
    found = pc.unique(parquet.read(columns=[column]).column(column)).to_pylist()
    return next((str(value) for value in found if str(value) != key), None)
