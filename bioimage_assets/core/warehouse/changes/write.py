"""Write one change of one table: stage parts, settle the schema, put them in place, record them in the manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.types as pt

from bioimage_assets.core.errors import UsageError, WarehouseError, WarehouseRoleError
from bioimage_assets.core.warehouse.changes.plan import (
    add_aligned,
    add_columns_file,
    find_replaced_files,
    holds_part,
    is_same,
    plan_change,
)
from bioimage_assets.core.warehouse.changes.request import WriteRequest
from bioimage_assets.core.warehouse.changes.rewrite_parts import rewrite_part
from bioimage_assets.core.warehouse.changes.stage_entries import stage_entries
from bioimage_assets.core.warehouse.changes.stage_parts import PartColumns, PartStager, StagedPart
from bioimage_assets.core.warehouse.changes.table_entry import (
    build_entry,
    collect_steps,
    retype_older_parts,
    stage_columns_file,
    stage_schema,
    touches_older_parts,
)
from bioimage_assets.core.warehouse.columns.evolution import (
    added_columns,
    own_schema,
    spell_types,
    stored_schema,
    union_all,
    union_schemas,
)
from bioimage_assets.core.warehouse.files.bucket_commit import announce_table, find_gone
from bioimage_assets.core.warehouse.files.root_files import ManifestChangedError, RootFiles, TableChange
from bioimage_assets.core.warehouse.manifest.layout import find_entry_folder
from bioimage_assets.core.warehouse.manifest.manifest_file import read_manifest, remember_manifest
from bioimage_assets.core.warehouse.manifest.records import WarehouseTableManifestEntry
from bioimage_assets.core.warehouse.reading.consistent_read import read_one_state
from bioimage_assets.core.warehouse.reading.table_state import (
    complete_state,
    find_taken_names,
    load_state,
    read_listed_schema,
    read_logical_schema,
)
from bioimage_assets.core.warehouse.results import TableWrite

MAX_ATTEMPTS = 50  # lost races for the manifest of a bucket, which has no lock


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
    if find_entry_folder(request.table_name) is None:
        raise UsageError(f"{where}: the name can be no folder below the root. Nothing was written.")
    incoming = union_all((source.schema for source in request.sources), where)
    # Without the lock: staging takes minutes, and the schema is settled again under it.
    known = (
        read_one_state(files, lambda: _known_schema(files, request)) if request.mode != "overwrite" else None
    )
    if incoming is None and request.mode == "remove":
        incoming = known
    if incoming is None:
        raise UsageError(f"{where}: there is nothing to write.")
    target = union_schemas(known, incoming, where)
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


def _known_schema(files: RootFiles, request: WriteRequest) -> pa.Schema | None:
    """Columns of the table as the manifest has them; what other tools put beside its parts is met under the lock."""
    manifest = read_manifest(files)[0]
    entry = manifest.entry(request.table_name)
    known = read_listed_schema(files, entry) if entry is not None else None
    if known is not None:
        _check_description(entry, request)
        return known
    state = load_state(files, manifest, request.table_name, keys=request.keys)
    _check_description(state.entry, request)
    return read_logical_schema(files, state)


def _stage(folder: Path, request: WriteRequest, logical: pa.Schema) -> list[StagedPart]:
    """Stage parts with the columns of their own data, in the types of the table."""
    own = [_part_columns(source.schema, logical) for source in request.sources]
    where = request.table_name
    everything = union_all((source.schema for source in request.sources), where) or logical
    without_rows: dict[str | None, PartColumns] = {None: _part_columns(everything, logical)}
    for source, columns in zip(request.sources, own, strict=True):
        if source.given_for is not None:
            without_rows[source.given_for] = columns
    stager = PartStager(folder, where, request.description, request.keys, request.fingerprints, without_rows)
    finished = False
    try:
        for source, columns in zip(request.sources, own, strict=True):
            stager.stage(source.batches(), source.only_key, columns)
        parts = stager.finish()
        finished = True
        return parts
    finally:
        if not finished:
            stager.abandon()


def _part_columns(incoming: pa.Schema, logical: pa.Schema) -> PartColumns:
    """Columns of data as their part stores them."""
    empty = tuple(field.name for field in incoming if pt.is_null(field.type))
    return PartColumns(stored_schema(own_schema(incoming, logical)), empty)


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
    state = load_state(
        files, manifest, request.table_name, adopt=request.mode != "overwrite", keys=request.keys
    )
    _check_description(state.entry, request)
    where = f"Table {request.table_name!r} of {files.uri}"
    overwrite = request.mode == "overwrite"
    known = None if overwrite else read_logical_schema(files, state)
    logical = union_schemas(known, incoming, where)
    target = stored_schema(logical)
    if not target.equals(staged_schema):
        # Another writer changed the type of a column while this one was staging.
        staged = [rewrite_part(part, folder / f"again-{i:05d}", target) for i, part in enumerate(staged)]
    if state.is_partial and touches_older_parts(state, known, logical):
        state = complete_state(files, state)
    gone = find_replaced_files(files, request, state, folder, target)
    if not staged and not gone.filtered and not state.is_partial and not set(state.sizes) - gone.drops:
        # Nothing is left: a part of zero rows keeps the columns for readers that list the folder.
        staged = _stage(folder, replace(request, keys=None, mode="append", sources=()), logical)
    # Objects that other first writers just put there are adopted, but no manifest says anything of their columns yet.
    entered = manifest.entry(request.table_name)
    is_same_schema = entered is None or dict(entered.column_types) == spell_types(logical)
    # After the files that go were found: these are other partitions', and stay.
    taken = find_taken_names(files, state, {part.key for part in staged})
    state = replace(state, sizes={**state.sizes, **taken})
    plan = plan_change(
        request, state, staged, gone, has_journal=files.is_local, is_same_schema=is_same_schema
    )
    is_known = request.mode != "append" and is_same(state, plan.partitions, known, logical)
    if is_known and all(holds_part(files, state, name, part) for name, part in plan.named):
        return _result(request, staged, plan.partitions.row_count, (), False, (), manifest.generation)
    leaving = {*plan.puts, *plan.drops, *(gone.filtered or ())}
    retyped = retype_older_parts(files, state, known, logical, leaving, folder)
    plan = add_aligned(plan, state, retyped, has_journal=files.is_local)
    schema_file, schema_puts = stage_schema(files, request.table_name, logical, folder)
    entry = build_entry(state.entry, request, logical, plan.partitions, schema_file)
    entry = replace(entry, gone_files=find_gone(files, state, plan.drops))
    manifest = replace(manifest, layout=manifest.layout or request.layout)
    if not files.is_local and len(plan.puts) + len(plan.drops) > 1:
        # A bucket has no step of several objects: readers are warned before the first.
        manifest, version = announce_table(files, manifest, version, state, entry)
    stays = plan.partitions.has_files_beside({name for name, _ in plan.named})
    is_needed, columns_file = stage_columns_file(state, known, logical, staged, stays, folder)
    plan = add_columns_file(plan, state, is_needed, columns_file)
    # What the manifest has, also where files were adopted or everything is overwritten.
    before = manifest.entry(request.table_name)
    entries = stage_entries(files, entry, before, collect_steps(state.entry, request), folder)
    following = manifest.with_entry(entries.entry)
    change = TableChange(state.folder, plan.puts, plan.drops, {**schema_puts, **entries.puts}, entries.drops)
    files.commit(change, following.to_bytes(), version, entries.entry.to_stored_dict())
    remember_manifest(files, following)
    added = added_columns(known, logical) if known is not None else ()
    return _result(
        request,
        staged,
        plan.partitions.row_count,
        tuple(n for n, _ in plan.named),
        True,
        added,
        following.generation,
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


def _result(
    request: WriteRequest,
    staged: Sequence[StagedPart],
    total: int,
    names: tuple[str, ...],
    changed: bool,
    added: tuple[str, ...],
    generation: int,
) -> TableWrite:
    rows: dict[str, int] = {}
    for part in staged:
        rows[part.key] = rows.get(part.key, 0) + part.row_count
    return TableWrite(request.table_name, sum(rows.values()), total, rows, names, changed, added, generation)
