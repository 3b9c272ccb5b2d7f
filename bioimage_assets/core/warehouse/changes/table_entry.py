"""A table after a change: types of older parts, the file that names all columns, the schema's sidecar, the manifest entry."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.core.parquet_checksums import write_parquet_table
from bioimage_assets.core.warehouse.changes.request import WriteRequest
from bioimage_assets.core.warehouse.changes.rewrite_parts import stage_aligned
from bioimage_assets.core.warehouse.changes.stage_parts import StagedPart
from bioimage_assets.core.warehouse.columns.evolution import (
    changed_columns,
    is_even,
    keeps_numbers,
    spell_types,
    stored_schema,
)
from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest.changed_partitions import ChangedPartitions
from bioimage_assets.core.warehouse.manifest.layout import SCHEMAS_DIR
from bioimage_assets.core.warehouse.manifest.records import WarehouseTableManifestEntry, steps_key
from bioimage_assets.core.warehouse.reading.table_state import TableState


def touches_older_parts(state: TableState, known: pa.Schema | None, logical: pa.Schema) -> bool:
    """Whether files that stay may have to be rewritten, so that all of them have to be known."""
    if known is None or state.entry is None:
        return False
    return bool(changed_columns(known, logical)) or state.entry.schema_file is None


def retype_older_parts(
    files: RootFiles,
    state: TableState,
    known: pa.Schema | None,
    logical: pa.Schema,
    gone: Collection[str],
    folder: Path,
) -> Mapping[str, StagedPart]:
    """Copies of the files that stay, where a column of theirs gets another type; they change together with the rest."""
    if not touches_older_parts(state, known, logical):
        return {}
    staying = sorted(name for name in state.sizes if name not in gone)
    return stage_aligned(files, state.folder, staying, stored_schema(logical), folder)


def stage_columns_file(
    state: TableState,
    known: pa.Schema | None,
    logical: pa.Schema,
    staged: Sequence[StagedPart],
    stays: bool,
    folder: Path,
) -> tuple[bool, Path | None]:
    """Whether a table needs a file that names all its columns, and that file where it is not there yet as it should be.

    ``stays``: rows that are there already stay, in their parts or in rewritten ones. The file holds no rows.
    """
    table = stored_schema(logical)
    is_needed = (stays and (state.has_columns_file or not _leaves_parts_even(known, logical))) or any(
        not is_even(pq.read_schema(part.path), table) for part in staged
    )
    is_there = state.has_columns_file and known is not None and known.equals(logical) and not state.adopted
    if not is_needed or is_there:
        return is_needed, None
    path = folder / "columns"
    write_parquet_table(table.empty_table(), path)
    return True, path


def _leaves_parts_even(known: pa.Schema | None, logical: pa.Schema) -> bool:
    """Whether parts that had all columns of a table have them after its schema changed, too."""
    if known is None:
        return True
    kinds = {field.name: field.type for field in known}
    return kinds.keys() == set(logical.names) and not any(
        keeps_numbers(kinds[field.name], field.type) for field in logical
    )


def stage_schema(
    files: RootFiles, table_name: str, logical: pa.Schema, folder: Path
) -> tuple[str, dict[str, Path]]:
    """Sidecar with the logical schema: a Parquet file of zero rows, named by its content."""
    # Named by content: a reader of an older manifest finds its own schema.
    digest = blake2b(logical.serialize().to_pybytes(), digest_size=6).hexdigest()
    path = f"{SCHEMAS_DIR}/{table_name}-{digest}.parquet"
    if files.read(path) is not None:
        return path, {}
    staged = folder / "schema"
    write_parquet_table(logical.empty_table(), staged)
    return path, {path: staged}


def build_entry(
    known: WarehouseTableManifestEntry | None,
    request: WriteRequest,
    logical: pa.Schema,
    partitions: ChangedPartitions,
    schema_file: str,
) -> WarehouseTableManifestEntry:
    """Manifest entry of a table after a change, with its partitions as they will be."""
    said = request.description
    base = known or WarehouseTableManifestEntry(request.table_name, said.role)
    return replace(
        base,
        role=said.role or base.role,
        format="parquet",
        join_keys=said.join_keys or base.join_keys,
        columns=tuple(logical.names),
        column_types=spell_types(logical),
        row_count=partitions.row_count,
        source_type=said.source_type or base.source_type,
        source_ref=said.source_ref or base.source_ref,
        analysis_level=said.analysis_level or base.analysis_level,
        object_type=said.object_type or base.object_type,
        snapshot_id=said.snapshot_id if said.snapshot_id is not None else base.snapshot_id,
        partition_column=said.partition_column,
        partitions=partitions,
        partition_count=None,
        partition_index=None,
        schema_file=schema_file,
        steps={},
        updated_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def collect_steps(
    known: WarehouseTableManifestEntry | None, request: WriteRequest
) -> dict[str, Sequence[Mapping[str, object]]]:
    """Calls that made partitions of a change: those of the request, and of an entry that holds its partitions itself."""
    key = steps_key(request.steps)
    before = known.steps if known is not None and known.partition_index is None else {}
    return {**before, **({key: request.steps} if key is not None else {})}
