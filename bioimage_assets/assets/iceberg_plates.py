"""Tables of many plates into one Iceberg commit, with a run id and fingerprints that lead back to the run."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.assets.publish import PlateTable
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.catalog.session import resolve_identifier
from bioimage_assets.core.model.fingerprint import combine_fingerprints
from bioimage_assets.core.tables.schemas import TABLES
from bioimage_assets.resources.project import ProjectResource


def write_iceberg_plates(
    project: ProjectResource, name: str, plates: Mapping[str, PlateTable], *, run_id: str
) -> dict[str, dict[str, Any]]:
    """Replace the plates' rows in one commit; gives metadata per plate (rows, snapshot, table)."""
    if not plates:
        return {}
    schema = TABLES[name].schema
    assert schema is not None, f"{name} has no declared schema"
    reader = pa.RecordBatchReader.from_batches(schema, _batches(plates, schema))
    catalog = project.catalog()
    identifier = resolve_identifier(catalog, project.settings.catalog_namespace, name)
    result = replace_partitions(
        catalog,
        identifier,
        reader,
        sorted(plates),
        schema=schema,
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
        for batch in _plate_batches(plates[plate_key].data):
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
