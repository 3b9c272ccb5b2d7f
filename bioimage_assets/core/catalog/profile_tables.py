"""Register a Parquet file of profiles as rows of a catalog table; registering it again replaces them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from bioimage_assets.core.catalog.evolution import PARTITION_COLUMN
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.catalog.session import CatalogLike, open_catalog, resolve_identifier
from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.parquet_checksums import checked_format
from bioimage_assets.core.stores.open import absolute_uri, local_path

# Partition column of profiles that do not say which plate they are of.
SOURCE_COLUMN = "profile_source"


def register_profile_table(
    path: str, catalog: CatalogLike, namespace: str | Sequence[str], *, table_name: str = "profiles"
) -> int:
    """Put a Parquet file (or folder) of profiles into the catalog in one commit; give its number of rows.

    Rows with a ``plate_key`` replace those plates. Others get the column ``profile_source``, the path they
    came from, and replace what was registered from there, so registering twice changes nothing.
    MeasurementError where the file cannot be read as Parquet.

    Examples
    --------
    >>> register_profile_table("data/cells.parquet", "embedded", "bioimage.cytotable")
    4
    """
    opened = open_catalog(catalog)
    location = absolute_uri(path)
    try:
        dataset = pads.dataset(local_path(location) or location, format=checked_format())
    except (OSError, pa.ArrowException) as error:
        raise MeasurementError(f"{location} cannot be read as a Parquet table: {error}") from error
    identifier = resolve_identifier(opened, namespace, table_name)
    if PARTITION_COLUMN in dataset.schema.names:
        keys = pc.unique(dataset.to_table(columns=[PARTITION_COLUMN])[PARTITION_COLUMN]).to_pylist()
        reader = dataset.scanner().to_reader()
        return replace_partitions(opened, identifier, reader, keys).row_count if keys else 0
    reader = _with_source(dataset.scanner().to_reader(), location)
    return replace_partitions(
        opened, identifier, reader, [location], partition_column=SOURCE_COLUMN
    ).row_count


def _with_source(reader: pa.RecordBatchReader, source: str) -> pa.RecordBatchReader:
    schema = reader.schema.append(pa.field(SOURCE_COLUMN, pa.string(), nullable=False))

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in reader:
            column = pa.repeat(pa.scalar(source, pa.string()), batch.num_rows)
            yield pa.RecordBatch.from_arrays([*batch.columns, column], schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())
