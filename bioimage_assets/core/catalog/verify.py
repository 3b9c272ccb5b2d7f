"""Verify data files of Iceberg tables to their last page: sizes and rows by the manifests, pages by their checksums.

Iceberg keeps no digest of a data file (https://iceberg.apache.org/spec/#manifests); its size, its rows and the checksums
of its pages stand for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import FileFormat
from pyiceberg.table import Table

from bioimage_assets.core.catalog.lost_files import read_presence
from bioimage_assets.core.catalog.retry import catalog_errors
from bioimage_assets.core.catalog.session import Identifier
from bioimage_assets.core.parquet_checksums import check_names, decode_all, open_parquet
from bioimage_assets.core.phrases import count_words

_REMEDY = "Build its plate again, or bring the file back from a copy"


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """One data file of the present snapshot of a table."""

    table: Table
    location: str
    size_bytes: int
    row_count: int
    is_parquet: bool


def list_data_files(catalog: Catalog, identifier: Identifier) -> list[CatalogFile]:
    """Data files of the present snapshot, by location."""
    with catalog_errors(f"Listing the files of {'.'.join(identifier)}"):
        table = catalog.load_table(identifier)
        files = [task.file for task in table.scan().plan_files()]
    found = [
        CatalogFile(
            table, f.file_path, f.file_size_in_bytes, f.record_count, f.file_format == FileFormat.PARQUET
        )
        for f in files
    ]
    return sorted(found, key=lambda file: file.location)


def check_data_file(file: CatalogFile) -> str | None:
    """Read one file; what is wrong with it, None where nothing is."""
    name = ".".join(file.table.name())
    try:
        source = file.table.io.new_input(file.location)
        # Cheaper than reading, and what a cut-off copy fails first.
        if len(source) != file.size_bytes:
            return (
                f"Data file of {name} has {len(source)} bytes, its manifest says {file.size_bytes}: {file.location}. "
                f"{_REMEDY}."
            )
        if not file.is_parquet:
            return None
        with source.open() as stream, open_parquet(stream) as parquet:
            check_names(parquet.schema_arrow)
            rows = decode_all(parquet)
    except (pa.ArrowException, OSError) as error:
        return f"Data file of {name} is damaged: {file.location} ({' '.join(str(error).split())}). {_REMEDY}."
    if rows != file.row_count:
        return f"Data file of {name} holds {count_words(rows, 'row')}, its manifest says {file.row_count}: {file.location}. {_REMEDY}."
    return None


def check_catalog_table(catalog: Catalog, identifier: Identifier) -> list[str]:
    """What is lost or damaged of a table; every data file of its present snapshot is read."""
    found = read_presence(catalog, identifier)
    if found.unreadable is not None:
        return [f"Table {'.'.join(identifier)}: {found.unreadable}. {_REMEDY}."]
    if found.is_missing:
        return []
    return find_damaged(list_data_files(catalog, identifier))


def find_damaged(files: Sequence[CatalogFile]) -> list[str]:
    """What is wrong with data files, one sentence each."""
    return [problem for problem in map(check_data_file, files) if problem is not None]
