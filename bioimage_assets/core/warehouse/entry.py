"""The schema of a table after a change: older parts brought to it, its sidecar, and the manifest entry."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.warehouse.align import stage_aligned
from bioimage_assets.core.warehouse.evolution import (
    added_columns,
    changed_columns,
    spell_types,
    stored_schema,
)
from bioimage_assets.core.warehouse.files import RootFiles
from bioimage_assets.core.warehouse.layout import SCHEMAS_DIR
from bioimage_assets.core.warehouse.manifest import PartitionEntry, WarehouseTableManifestEntry
from bioimage_assets.core.warehouse.parts import StagedPart
from bioimage_assets.core.warehouse.request import WriteRequest
from bioimage_assets.core.warehouse.state import TableState


@dataclass(frozen=True, slots=True)
class OlderParts:
    """Files that stay: copies ``aligned`` to the new schema by file name, those left ``unaligned``, what to say of it."""

    aligned: Mapping[str, StagedPart] = field(default_factory=dict)
    unaligned: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def align_older_parts(
    files: RootFiles,
    request: WriteRequest,
    state: TableState,
    known: pa.Schema | None,
    logical: pa.Schema,
    gone: Collection[str],
    folder: Path,
) -> OlderParts:
    """Bring the files that stay to the new schema, in the staging folder: they change together with the rest."""
    if known is None or state.entry is None:
        return OlderParts()
    staying = {name: size for name, size in state.sizes.items() if name not in gone}
    grown = added_columns(known, logical)
    retyped = changed_columns(known, logical)
    stale = staying if grown or retyped or state.entry.schema_file is None else {
        name: size for name, size in staying.items() if name in state.entry.unaligned_files
    }  # fmt: skip
    if not stale:
        return OlderParts()
    if not retyped and sum(stale.values()) > request.align_max_bytes:
        message = (
            f"{len(stale)} older file(s) of {request.table_name} lack column(s) that came later "
            f"({', '.join(grown[:5])}). Readers that list the folder need union_by_name until `maintain` ran."
        )
        finding = Finding("unaligned-files", "warning", request.table_name, message, files.uri)
        return OlderParts({}, tuple(sorted(stale)), (finding,))
    return OlderParts(stage_aligned(files, state.folder, sorted(stale), stored_schema(logical), folder))


def stage_schema(
    files: RootFiles, table_name: str, logical: pa.Schema, folder: Path
) -> tuple[str, dict[str, Path]]:
    """Sidecar with the logical schema: a Parquet file of zero rows, named by its content."""
    digest = blake2b(logical.serialize().to_pybytes(), digest_size=6).hexdigest()
    path = f"{SCHEMAS_DIR}/{table_name}-{digest}.parquet"
    if files.read(path) is not None:
        return path, {}
    staged = folder / "schema"
    pq.write_table(logical.empty_table(), staged)
    return path, {path: staged}


def build_entry(
    known: WarehouseTableManifestEntry | None,
    request: WriteRequest,
    logical: pa.Schema,
    partitions: Mapping[str, PartitionEntry],
    schema_file: str,
    unaligned: tuple[str, ...],
) -> WarehouseTableManifestEntry:
    said = request.description
    base = known or WarehouseTableManifestEntry(request.table_name, said.role)
    return replace(
        base,
        role=said.role or base.role,
        format="parquet",
        join_keys=said.join_keys or base.join_keys,
        columns=tuple(logical.names),
        column_types=spell_types(logical),
        row_count=sum(part.row_count for part in partitions.values()),
        source_type=said.source_type or base.source_type,
        source_ref=said.source_ref or base.source_ref,
        analysis_level=said.analysis_level or base.analysis_level,
        object_type=said.object_type or base.object_type,
        snapshot_id=said.snapshot_id if said.snapshot_id is not None else base.snapshot_id,
        partition_column=said.partition_column,
        partitions=dict(sorted(partitions.items())),
        schema_file=schema_file,
        unaligned_files=unaligned,
        updated_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
