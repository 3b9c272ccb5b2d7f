"""Export tables made elsewhere (pycytominer, coSMicQC, embeddings, reports) to a warehouse root.

The functions keep the seeds' names, arguments and results; ``docs/upstream-differences.md`` lists what differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.arrow_frames import TableOrStream
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.joins.aliases import ResolvedColumns, resolve_profile_columns
from bioimage_assets.core.joins.sources import ProfileSource, open_profiles
from bioimage_assets.core.model.identity import normalize_site, normalize_well
from bioimage_assets.core.warehouse.manifest.layout import MANIFEST_NAME, NAMESPACES, namespace_of
from bioimage_assets.core.warehouse.results import CytominingWarehouseResult, TableWrite
from bioimage_assets.core.warehouse.root import Warehouse, open_warehouse

CANONICAL_COLUMNS = ("dataset_id", "image_id", "plate_id", "well_id", "site_id")


def export_table_to_cytomining_warehouse(
    table: object,
    warehouse_root: str | Path,
    *,
    table_name: str,
    role: str,
    join_keys: Sequence[str] | None = None,
    source_type: str | None = None,
    source_ref: str | None = None,
    mode: str = "append",
    default_namespace: str | None = None,
) -> CytominingWarehouseResult:
    """Write any table into a root under a name and a role.

    Parameters
    ----------
    table
        Path, folder or glob pattern of Parquet or CSV, Arrow, pandas or polars table, or list of rows.
    mode
        ``append`` adds a part; ``overwrite`` replaces this table and nothing else, in one step.
    default_namespace
        Namespace of a bare name in a namespaced root; inferred from the role where it is not given.

    Raises
    ------
    SchemaConflictError
        The rows do not fit the table that is there; nothing was written.

    Examples
    --------
    >>> rows = pa.table({"dataset_id": ["ds"], "image_id": ["ds:0"], "embedding_0": [0.1]})
    >>> export_table_to_cytomining_warehouse(
    ...     rows, "warehouse-root", table_name="embeddings", role="embeddings", join_keys=["dataset_id", "image_id"]
    ... ).row_counts
    {'embeddings': 1}
    """
    check_mode(mode)
    source = open_profiles(table)
    warehouse = open_for_export(warehouse_root, table_name)
    written = write_export(
        warehouse, table_name, _reader(source), mode, role=role, join_keys=join_keys,
        source_type=source_type or "custom", source_ref=source_ref or describe_source(table),
        namespace=default_namespace,
    )  # fmt: skip
    return build_result(warehouse, [written])


def export_profiles_to_cytomining_warehouse(
    profiles: object,
    warehouse_root: str | Path,
    *,
    table_name: str = "profiles",
    role: str = "profiles",
    profile_dataset_id: str | None = None,
    join_keys: Sequence[str] | None = None,
    source_type: str = "profiles",
    source_ref: str | None = None,
    alias_map: Mapping[str, object] | None = None,
    mode: str = "append",
) -> CytominingWarehouseResult:
    """Write a profile table into a root, with canonical key columns beside the original ones.

    ``dataset_id image_id plate_id well_id site_id`` are appended as text where an alias column holds them
    (wells and sites normalised); a column of that name that is there already is kept as it is.
    ``profile_dataset_id`` is the dataset of a table that names none. Other arguments as in
    ``export_table_to_cytomining_warehouse``.

    Examples
    --------
    >>> export_profiles_to_cytomining_warehouse("data/profiles.parquet", "of-profiles", table_name="mine").row_counts
    {'mine': 4}
    """
    check_mode(mode)
    source = open_profiles(profiles)
    resolved = resolve_profile_columns(source.schema.names, alias_map, profile_dataset_id)
    schema = _canonical_schema(source.schema, resolved, profile_dataset_id)
    reader = pa.RecordBatchReader.from_batches(
        schema, _canonical_batches(source, schema, resolved, profile_dataset_id)
    )
    warehouse = open_for_export(warehouse_root, table_name)
    namespace = "quality_control" if role == "quality_control" else "profiles"
    written = write_export(
        warehouse, table_name, reader, mode, role=role,
        join_keys=tuple(join_keys) if join_keys is not None else default_join_keys(schema.names),
        source_type=source_type, source_ref=source_ref or describe_source(profiles), namespace=namespace,
    )  # fmt: skip
    return build_result(
        warehouse, [written], [f"{finding.code}: {finding.message}" for finding in resolved.findings]
    )


def write_export(
    warehouse: Warehouse,
    table_name: str,
    data: TableOrStream,
    mode: str,
    *,
    role: str,
    join_keys: Sequence[str] | None,
    source_type: str,
    source_ref: str,
    namespace: str | None = None,
    snapshot_id: int | None = None,
) -> TableWrite:
    """Overwrite or append one table of an export."""
    write = warehouse.overwrite if mode == "overwrite" else warehouse.append
    return write(
        table_name, data, role=role, join_keys=join_keys, source_type=source_type, source_ref=source_ref,
        namespace=namespace if namespace_of(table_name) is None else None, snapshot_id=snapshot_id,
    )  # fmt: skip


def open_for_export(warehouse_root: str | Path, *table_names: str | None) -> Warehouse:
    """Open a root; names dotted with a namespace of the specification make a *new* root a namespaced one."""
    spaces = {namespace_of(name) for name in table_names if name is not None}
    return open_warehouse(warehouse_root, layout="namespaced" if spaces & NAMESPACES else None)


def check_mode(mode: str) -> None:
    """Raise UsageError for anything but the two modes."""
    if mode not in ("overwrite", "append"):
        raise UsageError("mode must be either 'overwrite' or 'append'.")


def build_result(
    warehouse: Warehouse, written: Sequence[TableWrite], warnings: Sequence[str] = ()
) -> CytominingWarehouseResult:
    """Sum up an export as the seeds do."""
    notes = [
        *warnings,
        *(f"{finding.code}: {finding.message}" for write in written for finding in write.findings),
    ]
    return CytominingWarehouseResult(
        warehouse_root=warehouse.root,
        tables_written=[write.table_name for write in written],
        row_counts={write.table_name: write.row_count for write in written},
        manifest_path=f"{warehouse.root}/{MANIFEST_NAME}",
        warnings=notes,
    )


def describe_source(source: object) -> str:
    """Name a source for the manifest: its path, or the kind of table it is, never its content."""
    if isinstance(source, str | Path):
        return str(source)
    if isinstance(source, list | tuple) and source and all(isinstance(item, str | Path) for item in source):
        return str(source[0]) if len(source) == 1 else f"{source[0]} and {len(source) - 1} more"
    return f"in-memory {type(source).__module__.split('.')[0]}.{type(source).__name__}"


def default_join_keys(names: Sequence[str]) -> tuple[str, ...]:
    """Keys a profile table joins on: the image where it is known, else the well, else the dataset."""
    for keys in (("dataset_id", "image_id"), ("dataset_id", "plate_id", "well_id"), ("plate_id", "well_id")):
        if set(keys) <= set(names):
            return keys
    return tuple(key for key in ("dataset_id",) if key in names)


def _reader(source: ProfileSource) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(source.schema, source.batches())


def _canonical_schema(schema: pa.Schema, resolved: ResolvedColumns, dataset_id: str | None) -> pa.Schema:
    fields = list(schema)
    for name in CANONICAL_COLUMNS:
        if name in schema.names:
            continue
        if resolved.get(name) is not None or (name == "dataset_id" and dataset_id is not None):
            fields.append(pa.field(name, pa.string()))
    return pa.schema(fields)


def _canonical_batches(
    source: ProfileSource, schema: pa.Schema, resolved: ResolvedColumns, dataset_id: str | None
) -> Iterator[pa.RecordBatch]:
    added = schema.names[len(source.schema) :]
    for batch in source.batches():
        columns = list(batch.columns)
        for name in added:
            alias = resolved.get(name)
            if alias is None:
                columns.append(pa.repeat(pa.scalar(dataset_id, pa.string()), batch.num_rows))
            else:
                columns.append(_canonical_values(batch.column(alias), name))
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _canonical_values(column: pa.Array, name: str) -> pa.Array:
    """Spell a key column as text; each distinct value is looked at once."""
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    words = pa.array([_spell(value, name) for value in column.dictionary.to_pylist()], pa.string())
    return words.take(column.indices)


def _spell(value: object, name: str) -> str | None:
    if value is None:
        return None
    if name == "well_id":
        return normalize_well(value) or str(value)
    # Numbers stored as floats (pandas with a missing value) lose their ".0", texts keep their zeros.
    return str(value) if isinstance(value, str) and name != "site_id" else normalize_site(value)
