"""Store the tables of many plates: one commit for all of them in the catalog, one file per plate in the warehouse.

A plate that cannot be stored keeps the rows it had and costs no other plate anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.core.catalog.landing import CommitResult
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.model.fingerprint import combine_fingerprints
from bioimage_assets.core.model.table_specs import HOMES, TABLES
from bioimage_assets.core.storage import built_tables
from bioimage_assets.core.storage.built_tables import BuiltTable, record_built
from bioimage_assets.core.storage.page_index import write_index
from bioimage_assets.core.storage.pages import write_page
from bioimage_assets.core.storage.plate_files import remove_plate_files, write_plate_files
from bioimage_assets.core.storage.plate_table import (
    Page,
    PlateFiles,
    PlateTable,
    StoredTable,
    TableData,
    Watch,
)
from bioimage_assets.core.storage.step_keys import build_step_key
from bioimage_assets.core.storage.tables import ProjectTables, drop_partitions
from bioimage_assets.core.tables.schemas import TABLE_SCHEMAS
from bioimage_assets.core.tables.text_columns import add_chunk_text_columns, add_image_text_columns

Stored = dict[str, StoredTable]
Failures = dict[str, BioimageError]
Write = Callable[[ProjectTables, str, str, PlateTable, str], StoredTable]

# Rows of a spooled table that are in memory at a time.
_SPOOLED_ROWS = 250_000
_PLANES = "acquisition_planes"
# A snapshot's summary is copied into every later metadata file: names of a few plates are enough to find the run.
_NAMED_PLATES = 20


def replace_tables(
    tables: ProjectTables, name: str, plates: Mapping[str, PlateTable], *, run_id: str, watch: Watch
) -> tuple[Stored, Failures]:
    """Replace a table of some plates or datasets; gives what is stored of each, and the errors of the others.

    ``watch`` is entered for each plate while it is written. In the catalog all plates are one commit, unless the columns
    depend on what was measured: then each plate is its own, since the schema grows by what it brings.
    """
    if not plates:
        return {}, {}
    is_in_catalog = name in TABLES and tables.is_in_catalog(name)
    if is_in_catalog and name in TABLE_SCHEMAS:
        return _commit_together(tables, name, plates, run_id)
    write = _commit if is_in_catalog else _WRITERS[HOMES[name]]
    stored, failures = _store_each(tables, name, plates, run_id, watch, write)
    return _store_index(tables, stored, failures) if HOMES[name] == "page" else (stored, failures)


def record_tables(
    tables: ProjectTables,
    built: Mapping[str, Mapping[str, PlateTable]],
    stored: Mapping[str, Stored],
    run_id: str,
) -> None:
    """Write down which of the stored tables are no part of the root, in one change; forget what was written of the others.

    Asked after the tables of a step are stored: what is not written down, because a run was killed, is built again.
    """
    kept = {
        (name, key): _kept_in(tables, name, built[name][key]) for name, done in stored.items() for key in done
    }
    rows = [
        BuiltTable(key, name, place, stored[name][key].row_count or 0, stored[name][key].fingerprint)
        for (name, key), place in kept.items()
        if place is not None
    ]
    record_built(tables.warehouse, rows, run_id)
    with_part = [
        build_step_key(key, name)
        for (name, key), place in kept.items()
        if place is None
        and HOMES[name] != "page"  # files that are there are marked: an older record would contradict them
    ]
    drop_partitions(tables.warehouse, built_tables.NAME, with_part)


def open_spooled(data: TableData) -> TableData:
    """Turn a spooled Parquet file into a stream; anything else stays as it is."""
    if not isinstance(data, Path):
        return data
    spooled = pq.ParquetFile(data)
    return pa.RecordBatchReader.from_batches(spooled.schema_arrow, spooled.iter_batches(_SPOOLED_ROWS))


def add_text_columns(name: str, data: TableData) -> TableData:
    """Add the text columns that readers of the seeds' warehouse expect of the two catalog tables."""
    if name == "image_assets" and isinstance(data, pa.Table):
        return add_image_text_columns(data)
    if name == "chunk_index" and isinstance(data, pa.Table | pa.RecordBatchReader):
        return add_chunk_text_columns(data)
    return data


def list_copied(tables: ProjectTables) -> tuple[str, ...]:
    """Tables of the catalog that are copied to the warehouse root, ``image_assets`` last."""
    return tuple(name for name in ("chunk_index", "image_assets") if tables.is_in_catalog(name))


def _store_each(
    tables: ProjectTables,
    name: str,
    plates: Mapping[str, PlateTable],
    run_id: str,
    watch: Watch,
    write: Write,
) -> tuple[Stored, Failures]:
    stored: Stored = {}
    failures: Failures = {}
    for key, table in plates.items():
        try:
            with watch(key):
                stored[key] = _describe(table, write(tables, name, key, table, run_id))
        except BioimageError as error:
            failures[key] = error
    return stored, failures


def _store_index(tables: ProjectTables, stored: Stored, failures: Failures) -> tuple[Stored, Failures]:
    """Make the index of all pages once for all that were stored; where it cannot be written, none of them counts as stored."""
    try:
        write_index(tables.settings.reports_dir)
    except BioimageError as error:
        return {}, failures | dict.fromkeys(stored, error)
    return stored, failures


def _describe(table: PlateTable, stored: StoredTable) -> StoredTable:
    """With what the builder says about the table, some of it only after its rows were written."""
    late = table.late_metadata() if table.late_metadata else {}
    return replace(stored, metadata={**stored.metadata, **table.metadata, **late})


def _write_part(tables: ProjectTables, name: str, key: str, table: PlateTable, run_id: str) -> StoredTable:
    """One file of the warehouse; none where the plate has no such table."""
    rows, uri = table.rows(), f"{tables.settings.warehouse_uri}/{name}"
    if rows is None:
        drop_partitions(tables.warehouse, name, [key])
        return StoredTable(table.row_count or 0, table.fingerprint, uri=uri)
    written = tables.warehouse.replace_partitions(
        name,
        add_text_columns(name, open_spooled(rows)),
        [key],
        source_type="dagster_asset",
        source_ref=name,
        fingerprint=table.fingerprint,
        run_id=run_id,
        steps=table.steps,
    )
    count = written.row_count if table.row_count is None else table.row_count
    return StoredTable(count, table.fingerprint, uri=uri)


def _write_copy(tables: ProjectTables, name: str, key: str, table: PlateTable, run_id: str) -> StoredTable:
    """The plate's rows of the catalog as files of the warehouse."""
    settings, counts = tables.settings, {}
    for copied in list_copied(tables):
        rows = tables.stream(copied, key) if copied == "chunk_index" else tables.read(copied, key)
        written = tables.warehouse.replace_partitions(
            copied,
            add_text_columns(copied, rows),
            [key],
            source_type="catalog",
            source_ref=f"{settings.catalog_name}:{settings.catalog_namespace}.{copied}",
            fingerprint=table.fingerprint,
            run_id=run_id,
        )
        counts[f"{copied}_rows"] = written.row_count
    counts |= _copy_planes(tables, key, table, run_id)
    images = counts.get("image_assets_rows", 0) if counts else tables.count("image_assets", key)
    return StoredTable(images, table.fingerprint, counts, uri=settings.warehouse_uri)


def _copy_planes(tables: ProjectTables, key: str, table: PlateTable, run_id: str) -> dict[str, int]:
    """Planes of a plate whose metadata say how they were taken; other plates have no part of that table."""
    if not tables.is_in_catalog(_PLANES):
        return {}
    rows = tables.find(_PLANES, key)
    if rows is None:
        if tables.warehouse.has_table(_PLANES):
            drop_partitions(tables.warehouse, _PLANES, [key])
        return {}
    settings = tables.settings
    written = tables.warehouse.replace_partitions(
        _PLANES, rows, [key], source_type="catalog", fingerprint=table.fingerprint, run_id=run_id,
        source_ref=f"{settings.catalog_name}:{settings.catalog_namespace}.{_PLANES}",
    )  # fmt: skip
    return {f"{_PLANES}_rows": written.row_count}


def _write_page(tables: ProjectTables, name: str, key: str, table: PlateTable, run_id: str) -> StoredTable:
    page = table.rows()
    assert isinstance(page, Page), f"{name} of {key} is a page"
    path = write_page(tables.settings.reports_dir, key, page, table.fingerprint, run_id)
    return StoredTable(None, table.fingerprint, uri=str(path.absolute()))


def _write_files(tables: ProjectTables, name: str, key: str, table: PlateTable, run_id: str) -> StoredTable:
    """Files beside the warehouse; none, and none of before, where the plate has no such files."""
    settings, files = tables.settings, table.rows()
    if files is None:
        remove_plate_files(settings.virtual_plates_uri, key, settings.storage_options)
        return StoredTable(None, table.fingerprint)
    assert isinstance(files, PlateFiles), f"{name} of {key} are files"
    uri, metadata = write_plate_files(
        settings.virtual_plates_uri, key, files, table.fingerprint, settings.storage_options
    )
    return StoredTable(None, table.fingerprint, metadata, uri=uri)


_WRITERS: Mapping[str, Write] = {
    "catalog": _write_part,
    "warehouse": _write_part,
    "copy": _write_copy,
    "page": _write_page,
    "files": _write_files,
}


def _commit_together(
    tables: ProjectTables, name: str, plates: Mapping[str, PlateTable], run_id: str
) -> tuple[Stored, Failures]:
    """All plates in one commit of the catalog; where it fails, nothing was changed."""
    try:
        return _commit_rows(tables, name, plates, TABLE_SCHEMAS[name], run_id), {}
    except BioimageError as refusal:
        return {}, dict.fromkeys(plates, refusal)


def _commit(tables: ProjectTables, name: str, key: str, table: PlateTable, run_id: str) -> StoredTable:
    rows = table.rows()
    if rows is None:
        tables.remove(name, [key])
        return StoredTable(table.row_count or 0, table.fingerprint)
    data = open_spooled(rows)
    assert isinstance(data, pa.Table | pa.RecordBatchReader)
    return _commit_rows(tables, name, {key: replace(table, data=data)}, data.schema, run_id)[key]


def _commit_rows(
    tables: ProjectTables, name: str, plates: Mapping[str, PlateTable], schema: pa.Schema, run_id: str
) -> Stored:
    catalog, identifier = tables.identify(name)
    reader = pa.RecordBatchReader.from_batches(schema, _batches(plates, schema))
    result = replace_partitions(
        catalog,
        identifier,
        reader,
        sorted(plates),
        schema=schema,
        partition_column=TABLES[name].partition_column,
        snapshot_properties={
            "dagster.run-id": run_id,
            "bioimage.plates": ",".join(sorted(plates)[:_NAMED_PLATES]),
            "bioimage.plate-count": str(len(plates)),
            "bioimage.fingerprint": combine_fingerprints(table.fingerprint for table in plates.values()),
        },
    )
    return {key: _describe(table, _read_commit(result, key, table)) for key, table in plates.items()}


def _read_commit(result: CommitResult, key: str, table: PlateTable) -> StoredTable:
    return StoredTable(
        result.partition_rows.get(key, 0),
        table.fingerprint,
        table_name=result.identifier,
        snapshot_id=result.snapshot_id,
    )


def _batches(plates: Mapping[str, PlateTable], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Batches of all plates, one plate after the other. Readable once."""
    for key in sorted(plates):
        rows = plates[key].rows()
        if rows is None:
            continue
        data = open_spooled(rows)
        assert isinstance(data, pa.Table | pa.RecordBatchReader)
        for batch in data if isinstance(data, pa.RecordBatchReader) else data.to_batches():
            yield pa.RecordBatch.from_arrays([batch.column(f.name) for f in schema], schema=schema)


def _kept_in(tables: ProjectTables, name: str, table: PlateTable) -> str | None:
    """Where a table is that is not a part of the root; None for a part, and for pages and files, which say themselves what they are made of."""
    if HOMES[name] == "page":
        return None
    if HOMES[name] == "files":
        return None if table.data is not None else "nowhere"
    if HOMES[name] == "copy":
        return None if list_copied(tables) else "in place"
    if tables.is_in_catalog(name):
        return "catalog"
    if table.data is None:
        return "in place" if table.row_count else "nowhere"
    return None
