"""The present snapshots of a catalog, or the files of a release's catalog tables, in; tables to be compared out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pafs
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import PyArrowFileIO

from bioimage_assets.core.catalog.browse import list_catalog_tables
from bioimage_assets.core.catalog.retry import catalog_errors
from bioimage_assets.core.catalog.session import resolve_identifier
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.parquet_checksums import checked_format
from bioimage_assets.core.release.compare.state import ComparedTable, PartitionFiles
from bioimage_assets.core.release.gather_catalog import partition_of, refuse_other_forms
from bioimage_assets.core.release.layout import CATALOG_DIR
from bioimage_assets.core.release.record import ReleasedTable, ReleaseRecord, TableHome
from bioimage_assets.core.warehouse.manifest.layout import is_file_name

Tables = Mapping[tuple[TableHome, str], ComparedTable]


def list_catalog_state(catalog: Catalog, namespace: str | Sequence[str]) -> Tables:
    """All tables of a namespace that have a snapshot; no data file is opened."""
    found: dict[tuple[TableHome, str], ComparedTable] = {}
    for name in list_catalog_tables(catalog, namespace):
        table = _list_table(catalog, namespace, name)
        if table is not None:
            found["catalog", name] = table
    return found


def _list_table(catalog: Catalog, namespace: str | Sequence[str], name: str) -> ComparedTable | None:
    identifier = resolve_identifier(catalog, namespace, name)
    with catalog_errors(f"Reading {'.'.join(identifier)}"):
        table = catalog.load_table(identifier)
        snapshot = table.current_snapshot()
        if snapshot is None:
            return None
        io = table.io
        if not isinstance(io, PyArrowFileIO):
            raise UsageError(
                f"Table {'.'.join(identifier)} is read by {type(io).__name__}, expected PyArrowFileIO."
            )
        files: dict[str, list[str]] = {}
        rows: dict[str, int] = {}
        tokens: dict[str, list[str]] = {}
        for task in table.scan(snapshot_id=snapshot.snapshot_id).plan_files():
            refuse_other_forms(table, task)
            key = partition_of(table, task)
            files.setdefault(key, []).append(task.file.file_path)
            rows[key] = rows.get(key, 0) + task.file.record_count
            tokens.setdefault(key, []).append(
                _token(task.file.file_path.rpartition("/")[2], task.file.file_size_in_bytes)
            )
    partitions = {key: PartitionFiles(rows[key], " ".join(sorted(tokens[key]))) for key in sorted(files)}
    return ComparedTable(name, "catalog", partitions, partial(_open_data_files, io, files))


def _token(name: str, size_bytes: int) -> str:
    """Data files of Iceberg have unique names, and never change."""
    return f"{name}:{size_bytes}"


def _open_data_files(io: PyArrowFileIO, files: Mapping[str, Sequence[str]], key: str | None) -> ds.Dataset:
    locations = [path for each in ([key] if key is not None else sorted(files)) for path in files[each]]
    parts = [PyArrowFileIO.parse_location(location, io.properties) for location in sorted(locations)]
    scheme, netloc, _ = parts[0]
    return open_files([path for _, _, path in parts], io.fs_by_scheme(scheme, netloc))


def list_released_catalog(folder: Path, record: ReleaseRecord) -> Tables:
    """The catalog's tables of a release, from its own files: neither the catalog nor its tags are asked."""
    found: dict[tuple[TableHome, str], ComparedTable] = {}
    for table in record.tables:
        if table.home == "catalog":
            found["catalog", table.name] = _list_released(folder, table)
    return found


def _list_released(folder: Path, table: ReleasedTable) -> ComparedTable:
    # A release may come from anybody: its names lead into its own folder.
    names = [table.name, *(name for part in table.partitions.values() for name in part)]
    if not all(is_file_name(name) for name in names):
        raise UsageError(
            f"{folder}: the record names files of {table.name} outside of the release. Do not use it."
        )
    place = folder / CATALOG_DIR / table.name
    files = {key: [str(place / name) for name in part] for key, part in table.partitions.items()}
    partitions = {}
    for key, paths in files.items():
        if lost := [path for path in paths if not Path(path).is_file()]:
            raise UsageError(f"{lost[0]} is missing, which the release names. Restore it from a copy.")
        tokens = sorted(_token(Path(path).name, Path(path).stat().st_size) for path in paths)
        partitions[key] = PartitionFiles(table.partition_rows.get(key, 0), " ".join(tokens))
    return ComparedTable(table.name, "catalog", partitions, partial(_open_local_files, files))


def _open_local_files(files: Mapping[str, Sequence[str]], key: str | None) -> ds.Dataset:
    paths = [path for each in ([key] if key is not None else sorted(files)) for path in files[each]]
    return open_files(sorted(paths), pafs.LocalFileSystem())


def open_files(paths: Sequence[str], filesystem: pafs.FileSystem) -> ds.Dataset:
    """Parquet files as one dataset with the columns of all of them."""
    form = checked_format()
    found = ds.dataset(list(paths), format=form, filesystem=filesystem)
    schemas = [fragment.physical_schema.remove_metadata() for fragment in found.get_fragments()]
    schema = pa.unify_schemas(schemas, promote_options="permissive")
    return ds.dataset(list(paths), schema=schema, format=form, filesystem=filesystem)
