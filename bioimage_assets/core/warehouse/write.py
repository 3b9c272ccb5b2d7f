"""One change of one table: stage parts, agree with the table's schema, put them in place, tell the manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.core.errors import UsageError, WarehouseError, WarehouseRoleError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.warehouse.align import align_parts, drop_rows, rewrite_part
from bioimage_assets.core.warehouse.evolution import (
    added_columns,
    changed_columns,
    spell_type,
    stored_schema,
    union_all,
    union_schemas,
)
from bioimage_assets.core.warehouse.files import ManifestChangedError, RootFiles, TableChange
from bioimage_assets.core.warehouse.layout import SCHEMAS_DIR, WHOLE_TABLE, Layout, build_part_name
from bioimage_assets.core.warehouse.manifest import (
    PartitionEntry,
    WarehouseManifest,
    WarehouseTableManifestEntry,
)
from bioimage_assets.core.warehouse.manifest_file import read_manifest, remember_manifest
from bioimage_assets.core.warehouse.parts import PartStager, StagedPart, TableDescription
from bioimage_assets.core.warehouse.results import TableWrite
from bioimage_assets.core.warehouse.sources import PartSource
from bioimage_assets.core.warehouse.state import TableState, add_file, load_state, read_logical_schema

WriteMode = Literal["replace", "overwrite", "append", "remove"]
MAX_ATTEMPTS = 50


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """What to write and how.

    ``keys`` are the partitions that a ``replace`` exchanges for the given rows, or that a ``remove``
    takes away; None in the other modes.
    """

    table_name: str
    mode: WriteMode
    sources: Sequence[PartSource]
    description: TableDescription
    keys: tuple[str, ...] | None = None
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    run_id: str | None = None
    align_max_bytes: int = 2 << 30
    layout: Layout | None = None


def write_table(files: RootFiles, request: WriteRequest) -> TableWrite:
    """Carry out a request; complete or without any effect.

    Raises
    ------
    SchemaConflictError
        The data do not fit the table; nothing was written.
    WarehouseRoleError
        The table has another role, analysis level or object type.
    UsageError
        Rows outside the given partitions, or without a key.
    """
    where = f"Table {request.table_name!r} of {files.uri}"
    incoming = union_all((source.schema for source in request.sources), where)
    manifest, _ = read_manifest(files)
    if incoming is None and request.mode == "remove":
        incoming = read_logical_schema(files, load_state(files, manifest, request.table_name))
    if incoming is None:
        raise UsageError(f"{where}: there is nothing to write.")
    target = _target_schema(files, manifest, request, incoming, where)
    schema = stored_schema(target)
    with files.staging() as folder:
        staged = _stage(folder, request, target) if request.mode != "remove" else []
        for _ in range(MAX_ATTEMPTS):
            try:
                with files.exclusive():
                    return _publish(files, request, incoming, staged, schema, folder)
            except ManifestChangedError:
                continue
    raise WarehouseError(
        f"{where}: the manifest changed under {MAX_ATTEMPTS} attempts; the table keeps its rows."
    )


def _target_schema(
    files: RootFiles, manifest: WarehouseManifest, request: WriteRequest, incoming: pa.Schema, where: str
) -> pa.Schema:
    if request.mode == "overwrite":
        return incoming
    state = load_state(files, manifest, request.table_name)
    _check_description(state.entry, request)
    return union_schemas(read_logical_schema(files, state), incoming, where)


def _stage(folder: Path, request: WriteRequest, logical: pa.Schema) -> list[StagedPart]:
    empty = [field.name for field in logical if pa.types.is_null(field.type)]
    stager = PartStager(
        folder,
        stored_schema(logical),
        request.table_name,
        request.description,
        request.keys,
        request.fingerprints,
        empty,
    )
    finished = False
    try:
        for source in request.sources:
            stager.stage(source.batches(), source.only_key)
        parts = stager.finish()
        finished = True
        return parts
    finally:
        if not finished:
            stager.abandon()


def _publish(
    files: RootFiles,
    request: WriteRequest,
    incoming: pa.Schema,
    staged: list[StagedPart],
    staged_schema: pa.Schema,
    folder: Path,
) -> TableWrite:
    """Under the lock: settle the schema again, then commit."""
    manifest, version = read_manifest(files)
    state = load_state(files, manifest, request.table_name, adopt=request.mode != "overwrite")
    _check_description(state.entry, request)
    where = f"Table {request.table_name!r} of {files.uri}"
    overwrite = request.mode == "overwrite"
    known = None if overwrite else read_logical_schema(files, state)
    logical = union_schemas(known, incoming, where)
    target = stored_schema(logical)
    if not target.equals(staged_schema):
        # Another writer added columns while this one was staging.
        staged = [rewrite_part(part, folder / f"again-{i:05d}", target) for i, part in enumerate(staged)]
    drops, filtered = _superseded(files, request, state, folder, target)
    if not staged and not filtered and not set(state.sizes) - drops:
        # Nothing is left: a part of zero rows keeps the columns for readers that list the folder.
        staged = _stage(folder, replace(request, keys=None, mode="append"), logical)
    names = _name_parts(request, state, staged)
    puts = {name: part.path for name, part in names}
    puts = {**{name: part.path for name, part in filtered.items()}, **puts}
    partitions = _merge_partitions(request, state, names, drops, filtered)
    is_whole = all(state.sizes.get(name) == part.path.stat().st_size for name, part in names)
    if is_whole and request.mode != "append" and _same(state, partitions, known, logical):
        return _result(request, staged, partitions, (), False, (), manifest.generation, ())
    unaligned, aligned, findings = _align(
        files, request, state, known, logical, puts, drops | set(filtered), folder
    )
    partitions = {
        key: replace(part, digest=None) if aligned.intersection(part.files) else part
        for key, part in partitions.items()
    }
    schema_file, schema_puts = stage_schema(files, request.table_name, logical, folder)
    entry = _build_entry(state.entry, request, logical, partitions, schema_file, unaligned)
    following = replace(manifest, layout=manifest.layout or request.layout).with_entry(entry)
    change = TableChange(state.folder, puts, frozenset(drops), schema_puts)
    files.commit(change, following.to_bytes(), version, entry.to_dict())
    remember_manifest(files, following)
    added = added_columns(known, logical) if known is not None else ()
    return _result(
        request, staged, partitions, tuple(n for n, _ in names), True, added, following.generation, findings
    )


def _check_description(entry: WarehouseTableManifestEntry | None, request: WriteRequest) -> None:
    """Role, level and object kind of a table stay what they are (E5, E6, P3)."""
    if entry is None or request.mode == "overwrite":
        return
    for name in ("role", "analysis_level", "object_type", "partition_column"):
        known, new = getattr(entry, name), getattr(request.description, name)
        if known and new and known != new and not (name == "partition_column" and entry.partitions is None):
            raise WarehouseRoleError(
                f"Table {request.table_name!r} has {name} {known!r}; this write says {new!r}. "
                "Write to another table, or overwrite this one."
            )


def _name_parts(
    request: WriteRequest, state: TableState, staged: Sequence[StagedPart]
) -> list[tuple[str, StagedPart]]:
    """Final file names: the partition's own name, with a suffix for further parts."""
    taken = set(state.sizes) if request.mode == "append" else set()
    named: list[tuple[str, StagedPart]] = []
    for part in staged:
        name = build_part_name(part.key)
        ordinal = 0
        while name in taken:
            ordinal += 1
            name = build_part_name(part.key, f"-{part.digest[:8]}-{ordinal}")
        taken.add(name)
        named.append((name, part))
    return named


def _superseded(
    files: RootFiles, request: WriteRequest, state: TableState, folder: Path, target: pa.Schema
) -> tuple[set[str], dict[str, StagedPart]]:
    """Files that go, and files of mixed partitions that come back without the replaced rows."""
    if request.mode == "append":
        return set(), {}
    if request.mode == "overwrite":
        return set(state.sizes), {}
    keys = set(request.keys or ())
    drops = {
        name for key in keys for name in (state.partitions[key].files if key in state.partitions else ())
    }
    filtered: dict[str, StagedPart] = {}
    mixed = state.partitions.get(WHOLE_TABLE)
    for number, name in enumerate(mixed.files if mixed else ()):
        if name not in state.sizes:
            continue
        part = drop_rows(
            files, f"{state.folder}/{name}", folder / f"rest-{number:05d}", target,
            request.description.partition_column, keys,
        )  # fmt: skip
        if part is not None and part.row_count:
            filtered[name] = part
        elif part is not None:
            drops.add(name)
    return drops, filtered


def _merge_partitions(
    request: WriteRequest,
    state: TableState,
    names: Sequence[tuple[str, StagedPart]],
    drops: set[str],
    filtered: Mapping[str, StagedPart],
) -> dict[str, PartitionEntry]:
    partitions = {} if request.mode == "overwrite" else state.partitions
    for key in request.keys or ():
        partitions.pop(key, None)
    if request.keys is not None and WHOLE_TABLE in partitions:
        rest = _shrink(partitions.pop(WHOLE_TABLE), drops, filtered)
        partitions |= {WHOLE_TABLE: rest} if rest is not None else {}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for name, part in names:
        merged = add_file(partitions.get(part.key), name, part.row_count)
        digest = part.digest if len(merged.files) == 1 else _combine(partitions.get(part.key), part)
        partitions[part.key] = replace(
            merged,
            fingerprint=request.fingerprints.get(part.key, merged.fingerprint),
            run_id=request.run_id or merged.run_id,
            updated_at=now,
            digest=digest,
        )
    return partitions


def _shrink(
    mixed: PartitionEntry, drops: set[str], filtered: Mapping[str, StagedPart]
) -> PartitionEntry | None:
    """What stays of files that hold rows of several partitions."""
    kept: PartitionEntry | None = None
    for name, rows in zip(mixed.files, mixed.file_rows, strict=True):
        if name not in drops:
            kept = add_file(kept, name, filtered[name].row_count if name in filtered else rows)
    return replace(kept, updated_at=mixed.updated_at, digest=None) if kept else None


def _combine(known: PartitionEntry | None, part: StagedPart) -> str | None:
    if known is None or known.digest is None:
        return None
    return blake2b(f"{known.digest}{part.digest}".encode(), digest_size=16).hexdigest()


def _same(
    state: TableState, partitions: Mapping[str, PartitionEntry], known: pa.Schema | None, logical: pa.Schema
) -> bool:
    """Whether the table holds exactly these bytes already."""
    if state.entry is None or state.missing or state.adopted or state.partitions.keys() != partitions.keys():
        return False
    if known is not None and not known.equals(logical):
        return False
    for key, part in partitions.items():
        old = state.partitions[key]
        if part.digest is None and part is not old:
            return False
        if (old.files, old.digest, old.fingerprint) != (part.files, part.digest, part.fingerprint):
            return False
    return True


def _align(
    files: RootFiles,
    request: WriteRequest,
    state: TableState,
    known: pa.Schema | None,
    logical: pa.Schema,
    puts: Mapping[str, Path],
    gone: set[str],
    folder: Path,
) -> tuple[tuple[str, ...], frozenset[str], tuple[Finding, ...]]:
    """Bring the files that stay to the new schema: those left behind, those rewritten, and what to say about it."""
    if known is None or state.entry is None:
        return (), frozenset(), ()
    staying = {name: size for name, size in state.sizes.items() if name not in puts and name not in gone}
    grown = added_columns(known, logical)
    retyped = changed_columns(known, logical)
    stale = staying if grown or retyped or state.entry.schema_file is None else {
        name: size for name, size in staying.items() if name in state.entry.unaligned_files
    }  # fmt: skip
    if not stale:
        return (), frozenset(), ()
    if not retyped and sum(stale.values()) > request.align_max_bytes:
        message = (
            f"{len(stale)} older file(s) of {request.table_name} lack column(s) that came later "
            f"({', '.join(grown[:5])}). Readers that list the folder need union_by_name until `maintain` ran."
        )
        finding = Finding("unaligned-files", "warning", request.table_name, message, files.uri)
        return tuple(sorted(stale)), frozenset(), (finding,)
    align_parts(files, state.folder, sorted(stale), stored_schema(logical), folder)
    return (), frozenset(stale), ()


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


def _build_entry(
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
        column_types={field.name: spell_type(field.type) for field in logical},
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


def _result(
    request: WriteRequest,
    staged: Sequence[StagedPart],
    partitions: Mapping[str, PartitionEntry],
    names: tuple[str, ...],
    changed: bool,
    added: tuple[str, ...],
    generation: int,
    findings: tuple[Finding, ...],
) -> TableWrite:
    rows: dict[str, int] = {}
    for part in staged:
        rows[part.key] = rows.get(part.key, 0) + part.row_count
    total = sum(part.row_count for part in partitions.values())
    return TableWrite(
        request.table_name, sum(rows.values()), total, rows, names, changed, added, generation, findings
    )
