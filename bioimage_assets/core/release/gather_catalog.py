"""The present snapshots of a catalog's tables in; their data files below a release."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import FileFormat
from pyiceberg.table import FileScanTask, Table

from bioimage_assets.core.catalog.browse import list_catalog_tables
from bioimage_assets.core.catalog.evolution import identity_column
from bioimage_assets.core.catalog.retry import call_with_retry, catalog_errors
from bioimage_assets.core.catalog.session import Identifier, resolve_identifier
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.model.table_specs import TABLES
from bioimage_assets.core.release.layout import CATALOG_DIR
from bioimage_assets.core.release.place_files import flush, place_file
from bioimage_assets.core.release.record import ReleasedTable
from bioimage_assets.core.warehouse.manifest.layout import WHOLE_TABLE

_LOOK_AGAIN_S = 5.0  # maintenance may remove a file of an older snapshot between planning and placing


def gather_catalog(
    catalog: Catalog, namespace: str | Sequence[str], release: Path
) -> tuple[ReleasedTable, ...]:
    """Place the data files of every table's present snapshot below ``catalog/<table>/``; tables without a snapshot are left out.

    Raises
    ------
    CatalogError
        A table cannot be read.
    UsageError
        A snapshot holds what plain Parquet files cannot say: rows that are deleted beside the data, other file formats.
    """
    found = []
    for name in list_catalog_tables(catalog, namespace):
        identifier = resolve_identifier(catalog, namespace, name)
        with catalog_errors(f"Releasing {'.'.join(identifier)}"):
            table = call_with_retry(
                partial(_gather_table, catalog, identifier, release),
                deadline_s=_LOOK_AGAIN_S,
                retryable=lambda error: isinstance(error, FileNotFoundError),
            )
        if table is not None:
            found.append(table)
    return tuple(found)


def _gather_table(catalog: Catalog, identifier: Identifier, release: Path) -> ReleasedTable | None:
    table = catalog.load_table(identifier)
    snapshot = table.current_snapshot()
    if snapshot is None:
        return None
    name = identifier[-1]
    folder = f"{CATALOG_DIR}/{name}"
    if (release / folder).exists():
        shutil.rmtree(release / folder)
    tasks = list(table.scan(snapshot_id=snapshot.snapshot_id).plan_files())
    partitions: dict[str, list[str]] = {}
    rows: Counter[str] = Counter()
    for task in tasks:
        refuse_other_forms(table, task)
        file_name = task.file.file_path.rpartition("/")[2]
        _place_data_file(table, task.file.file_path, release / folder / file_name)
        key = partition_of(table, task)
        partitions.setdefault(key, []).append(file_name)
        rows[key] += task.file.record_count
    return ReleasedTable(
        name=name,
        home="catalog",
        role=TABLES[name].role if name in TABLES else "",
        row_count=rows.total(),
        partition_count=len(partitions),
        folder=folder,
        identifier=identifier,
        snapshot_id=snapshot.snapshot_id,
        partitions={key: tuple(sorted(names)) for key, names in sorted(partitions.items())},
        partition_rows=dict(rows),
    )


def refuse_other_forms(table: Table, task: FileScanTask) -> None:
    """UsageError where a file's rows are not just what stands in its Parquet."""
    if task.delete_files or task.file.file_format != FileFormat.PARQUET:
        raise UsageError(
            f"Table {'.'.join(table.name())} holds {'rows deleted beside their file' if task.delete_files else task.file.file_format}, "
            "which another tool wrote; a release holds plain Parquet files. Rewrite the table with that tool first."
        )


def partition_of(table: Table, task: FileScanTask) -> str:
    """Key of a data file's partition; that of rows of no partition where the table is laid out otherwise."""
    is_keyed = identity_column(table) is not None and len(task.file.partition)
    return str(task.file.partition[0]) if is_keyed else WHOLE_TABLE


def _place_data_file(table: Table, location: str, target: Path) -> None:
    # PyIceberg takes the path of a file URI as it stands: nothing in it is quoted.
    scheme, _, path = PyArrowFileIO.parse_location(location, table.io.properties)
    if scheme == "file":
        place_file(Path(path), target)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with table.io.new_input(location).open() as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy)
    flush(target)
