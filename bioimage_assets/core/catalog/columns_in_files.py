"""Which columns the data files of a plate have, read from the table's manifests alone.

Iceberg gives every column of the table to every reader, null where a file lacks it
(https://iceberg.apache.org/spec/#column-projection). Plates of different measurements share a table, so whoever reads
plates by their keys is given the columns that their files hold.
"""

from __future__ import annotations

from collections.abc import Iterable

from pyiceberg.schema import Schema, index_by_id
from pyiceberg.table import FileScanTask


def find_columns_in_files(tasks: Iterable[FileScanTask], schema: Schema) -> list[str] | None:
    """Names of top-level columns in any of the files, in the order of the files; None where a file does not say.

    A file says it by the sizes of its columns, which are listed by the ids of its leaves.
    """
    top_level = {number: field.name for field in schema.fields for number in index_by_id(Schema(field))}
    held: dict[str, None] = {}
    for task in tasks:
        sizes = task.file.column_sizes
        if not sizes:
            return None
        held |= dict.fromkeys(top_level[number] for number in sizes if number in top_level)
    return list(held)
