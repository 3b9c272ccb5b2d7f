"""Tables of many plates into one Iceberg commit, with a run id and fingerprints that lead back to the run."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.assets.placed import open_spooled
from bioimage_assets.assets.table_of_plate import PlateTable, Watch
from bioimage_assets.core.catalog.replace import remove_partitions, replace_partitions
from bioimage_assets.core.catalog.session import resolve_identifier, table_exists
from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.model.fingerprint import combine_fingerprints
from bioimage_assets.core.tables.schemas import TABLES
from bioimage_assets.resources.project import ProjectResource


def write_iceberg_plates(
    project: ProjectResource, name: str, plates: Mapping[str, PlateTable], *, run_id: str, watch: Watch
) -> tuple[dict[str, dict[str, Any]], dict[str, BioimageError]]:
    """Replace the plates' rows in one commit; gives metadata per plate (rows, snapshot, table).

    Tables whose columns depend on the measurements take one commit per plate: their schema grows by what
    each plate brings, and a plate whose data fail while they stream keeps the rows it had. The errors of
    such plates come second. ``watch`` is entered for each plate while it is written.

    Raises
    ------
    BioimageError
        The one commit of all plates failed; nothing was changed.
    """
    if not plates:
        return {}, {}
    if TABLES[name].schema is not None:
        return _write(project, name, plates, TABLES[name].schema, run_id), {}
    written: dict[str, dict[str, Any]] = {}
    failures: dict[str, BioimageError] = {}
    for plate_key, table in plates.items():
        try:
            with watch(plate_key):
                written[plate_key] = _write_alone(project, name, plate_key, table, run_id)
        except BioimageError as error:
            failures[plate_key] = error
    return written, failures


def _write_alone(
    project: ProjectResource, name: str, plate_key: str, table: PlateTable, run_id: str
) -> dict[str, Any]:
    data = table.data() if callable(table.data) else table.data
    if data is None:
        return _remove(project, name, plate_key, table)
    resolved = {plate_key: replace(table, data=data)}
    return _write(project, name, resolved, open_spooled(data).schema, run_id)[plate_key]


def _remove(project: ProjectResource, name: str, plate_key: str, table: PlateTable) -> dict[str, Any]:
    """Empty a partition that has no rows any more; a table that does not exist yet stays away."""
    catalog = project.catalog()
    identifier = resolve_identifier(catalog, project.settings.catalog_namespace, name)
    if table_exists(catalog, identifier):
        remove_partitions(catalog, identifier, [plate_key], partition_column=TABLES[name].partition_column)
    rows = table.row_count or 0
    return {**table.metadata, "dagster/partition_row_count": rows, "fingerprint": table.fingerprint}


def _write(
    project: ProjectResource, name: str, plates: Mapping[str, PlateTable], schema: pa.Schema, run_id: str
) -> dict[str, dict[str, Any]]:
    reader = pa.RecordBatchReader.from_batches(schema, _batches(plates, schema))
    catalog = project.catalog()
    identifier = resolve_identifier(catalog, project.settings.catalog_namespace, name)
    result = replace_partitions(
        catalog,
        identifier,
        reader,
        sorted(plates),
        schema=schema,
        partition_column=TABLES[name].partition_column,
        snapshot_properties={
            "dagster.run-id": run_id,
            "bioimage.plates": ",".join(sorted(plates)[:20]),
            "bioimage.plate-count": str(len(plates)),
            "bioimage.fingerprint": combine_fingerprints(table.fingerprint for table in plates.values()),
        },
    )
    return {
        plate_key: {
            **table.metadata,
            **(table.late_metadata() if table.late_metadata else {}),
            "dagster/partition_row_count": result.partition_rows.get(plate_key, 0),
            "dagster/table_name": result.identifier,
            "iceberg_snapshot_id": dg.MetadataValue.text(str(result.snapshot_id)),
            "fingerprint": table.fingerprint,
        }
        for plate_key, table in plates.items()
    }


def _batches(plates: Mapping[str, PlateTable], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Batches of all plates, one plate after the other. Readable once."""
    for plate_key in sorted(plates):
        data = plates[plate_key].data
        for batch in _plate_batches(data() if callable(data) else data):
            yield pa.RecordBatch.from_arrays([batch.column(f.name) for f in schema], schema=schema)


def _plate_batches(data: Any) -> Iterator[pa.RecordBatch]:
    if data is None:
        return
    if isinstance(data, Path):
        with pq.ParquetFile(data) as spooled:
            yield from spooled.iter_batches(batch_size=250_000)
    elif isinstance(data, pa.RecordBatchReader):
        yield from data
    else:
        yield from data.to_batches()
