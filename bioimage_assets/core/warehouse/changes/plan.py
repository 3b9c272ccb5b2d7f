"""One change of one table, planned: which files appear under which names, which go, and what the table then holds.

Locally a partition keeps its file name, and a journal makes the change of several files one step. An object
store has no such step: there a change of several objects puts them under names of their own (with a digest of
the content), which are rows only once the manifest names them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa

from bioimage_assets.core.warehouse.changes.request import WriteRequest
from bioimage_assets.core.warehouse.changes.rewrite_parts import drop_rows
from bioimage_assets.core.warehouse.changes.stage_parts import StagedPart
from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest.changed_partitions import ChangedPartitions
from bioimage_assets.core.warehouse.manifest.layout import COLUMNS_NAME, WHOLE_TABLE, build_part_name
from bioimage_assets.core.warehouse.manifest.partition_records import PartitionEntry
from bioimage_assets.core.warehouse.manifest.records import steps_key
from bioimage_assets.core.warehouse.reading.adopted_parts import add_file
from bioimage_assets.core.warehouse.reading.part_owner import refuse_rows_of_others
from bioimage_assets.core.warehouse.reading.table_state import TableState
from bioimage_assets.core.warehouse.validation.digests import digest_stored


@dataclass(frozen=True, slots=True)
class ReplacedFiles:
    """Files that go, and mixed files (by old name) that come back without the replaced rows."""

    drops: frozenset[str] = frozenset()
    filtered: Mapping[str, StagedPart] | None = None


@dataclass(frozen=True, slots=True)
class TablePlan:
    """``named`` are the new parts by file name, ``puts`` everything that appears, ``drops`` what goes."""

    named: tuple[tuple[str, StagedPart], ...]
    puts: Mapping[str, Path]
    drops: frozenset[str]
    partitions: ChangedPartitions


def find_replaced_files(
    files: RootFiles, request: WriteRequest, state: TableState, folder: Path, target: pa.Schema
) -> ReplacedFiles:
    """Find what a request takes away; mixed files are rewritten into the staging folder."""
    if request.mode == "append":
        return ReplacedFiles()
    if request.mode == "overwrite":
        return ReplacedFiles(frozenset(state.sizes))
    keys = set(request.keys or ())
    for key in request.keys or ():
        refuse_rows_of_others(files, state, key, request.description.partition_column)
    # What a manifest names and the table's folder has not is not a file of the table.
    listed = (name for key in keys & state.partitions.keys() for name in state.partitions[key].files)
    drops = {name for name in listed if name in state.sizes}
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
    return ReplacedFiles(frozenset(drops), filtered)


def plan_change(
    request: WriteRequest,
    state: TableState,
    staged: Sequence[StagedPart],
    gone: ReplacedFiles,
    *,
    has_journal: bool,
    is_same_schema: bool,
) -> TablePlan:
    """Name the new files so that every reader sees the change as one step."""
    filtered = dict(gone.filtered or {})
    rest = {name: name for name in filtered}
    drops = set(gone.drops)
    # Names of files that stay: whatever name a plate's file would have, another plate may use it.
    staying = set(state.sizes) - drops
    if has_journal:
        named = _name_parts(staged, set(staying))
    else:
        # With other columns the manifest has to change in the same step.
        gone_names = drops | set(filtered)
        named = _name_single_object(request, state, staged, gone_names, staying) if is_same_schema else []
        if not named:
            named = _name_objects(request, state, staged)
            rest = {
                name: build_part_name(WHOLE_TABLE, f"-{part.digest[:16]}") for name, part in filtered.items()
            }
    partitions = _merge_partitions(request, state, named, drops, filtered, rest)
    drops |= {name for name, new in rest.items() if name != new}
    puts = {rest[name]: part.path for name, part in filtered.items()} | {n: p.path for n, p in named}
    return TablePlan(tuple(named), puts, frozenset(drops), partitions)


def add_aligned(
    plan: TablePlan, state: TableState, aligned: Mapping[str, StagedPart], *, has_journal: bool
) -> TablePlan:
    """Take older parts that were brought to the new schema into the change; their partitions lose their digest."""
    if not aligned:
        return plan
    taken = {*state.sizes, *plan.puts}
    new: dict[str, str] = {}
    partitions = ChangedPartitions(plan.partitions)
    for key, part in plan.partitions.items():
        copies = {name: replace(aligned[name], key=key) for name in aligned.keys() & set(part.files)}
        for name, copy in copies.items():
            new[name] = name if has_journal else _free_name(copy, f"-{copy.digest[:16]}", taken)
        if copies:
            partitions[key] = _with_copies(part, copies, new)
    puts = {**plan.puts, **{new[name]: part.path for name, part in aligned.items()}}
    drops = plan.drops | {name for name in aligned if new[name] != name}
    return TablePlan(plan.named, puts, drops, partitions)


def _with_copies(
    part: PartitionEntry, copies: Mapping[str, StagedPart], names: Mapping[str, str]
) -> PartitionEntry:
    """A partition some of whose files are replaced by copies, under the names that these get."""
    sizes = [copies[n].size_bytes if n in copies else part.size_of(n) for n in part.files]
    digests = [copies[n].digest if n in copies else part.digest_of(n) for n in part.files]
    files = tuple(names.get(name, name) for name in part.files)
    return replace(part, files=files, digest=None, file_bytes=tuple(sizes), file_digests=tuple(digests))


def _name_parts(staged: Sequence[StagedPart], taken: set[str]) -> list[tuple[str, StagedPart]]:
    """The partition's own name, with a suffix for further parts and where another file has it."""
    return [(_free_name(part, "", taken), part) for part in staged]


def _name_single_object(
    request: WriteRequest, state: TableState, staged: Sequence[StagedPart], gone: set[str], staying: set[str]
) -> list[tuple[str, StagedPart]]:
    """One object that replaces one object, or none, keeps its name: that is one step for everyone. Else empty."""
    if request.mode == "append" or len(staged) != 1:
        return []
    part = staged[0]
    known = state.partitions.get(part.key)
    name = known.files[0] if known is not None and len(known.files) == 1 else build_part_name(part.key)
    # Two renames of objects are two steps, which a reader may see the middle of.
    return [(name, part)] if gone <= {name} and name not in staying else []


def _name_objects(
    request: WriteRequest, state: TableState, staged: Sequence[StagedPart]
) -> list[tuple[str, StagedPart]]:
    """Names with a digest of the content; an object that holds the same bytes already keeps its name."""
    taken = set(state.sizes)
    named: list[tuple[str, StagedPart]] = []
    for part in staged:
        known = state.partitions.get(part.key)
        is_same = known is not None and known.digest == part.digest and len(known.files) == 1
        if known is not None and is_same and request.mode != "append":
            named.append((known.files[0], part))
        else:
            named.append((_free_name(part, f"-{part.digest[:16]}", taken), part))
    return named


def _free_name(part: StagedPart, suffix: str, taken: set[str]) -> str:
    name = build_part_name(part.key, suffix)
    ordinal = 0
    while name in taken:
        ordinal += 1
        # The same bytes appended twice are two files.
        name = build_part_name(part.key, f"-{part.digest[:8]}-{ordinal}")
    taken.add(name)
    return name


def _merge_partitions(
    request: WriteRequest,
    state: TableState,
    names: Sequence[tuple[str, StagedPart]],
    drops: set[str],
    filtered: Mapping[str, StagedPart],
    rest: Mapping[str, str],
) -> ChangedPartitions:
    partitions = ChangedPartitions() if request.mode == "overwrite" else state.partitions
    for key in request.keys or ():
        partitions.pop(key, None)
    if request.keys is not None and WHOLE_TABLE in partitions:
        mixed = partitions.pop(WHOLE_TABLE)
        kept = _shrink(mixed, drops, filtered, rest)
        if kept is not None:
            partitions[WHOLE_TABLE] = kept if set(mixed.files) & {*drops, *filtered} else mixed
    now = datetime.now(UTC).isoformat(timespec="seconds")
    steps = steps_key(request.steps)
    for name, part in names:
        merged = add_file(
            partitions.get(part.key), name, part.row_count, size_bytes=part.size_bytes, digest=part.digest
        )
        # Of several files: the digest of their digests, in the order they came.
        digest = part.digest if len(merged.files) == 1 else _combine(partitions.get(part.key), part)
        partitions[part.key] = replace(
            merged,
            fingerprint=request.fingerprints.get(part.key, merged.fingerprint),
            run_id=request.run_id or merged.run_id,
            steps=steps or merged.steps,
            updated_at=now,
            digest=digest,
        )
    return partitions


def _shrink(
    mixed: PartitionEntry, drops: set[str], filtered: Mapping[str, StagedPart], rest: Mapping[str, str]
) -> PartitionEntry | None:
    """What stays of files that hold rows of several partitions."""
    kept: PartitionEntry | None = None
    for name, rows in zip(mixed.files, mixed.file_rows, strict=True):
        if name not in drops:
            copy = filtered.get(name)
            kept = add_file(
                kept,
                rest.get(name, name),
                rows if copy is None else copy.row_count,
                size_bytes=mixed.size_of(name) if copy is None else copy.size_bytes,
                digest=mixed.digest_of(name) if copy is None else copy.digest,
            )
    return replace(kept, updated_at=mixed.updated_at, digest=None) if kept else None


def _combine(known: PartitionEntry | None, part: StagedPart) -> str | None:
    if known is None or known.digest is None:
        return None
    return blake2b(f"{known.digest}{part.digest}".encode(), digest_size=16).hexdigest()


def add_columns_file(plan: TablePlan, state: TableState, is_needed: bool, staged: Path | None) -> TablePlan:
    """Put the file that names all columns beside the parts, or take it away where all parts have all of them."""
    if staged is not None:
        # Before the parts: whoever lists an object store meanwhile finds their columns.
        return replace(plan, puts={COLUMNS_NAME: staged, **plan.puts})
    if state.has_columns_file and not is_needed:
        return replace(plan, drops=plan.drops | {COLUMNS_NAME})
    return plan


def holds_part(files: RootFiles, state: TableState, name: str, part: StagedPart) -> bool:
    """Whether a file holds these bytes; what the manifest says of it may be of bytes that are damaged by now.

    An object may also be newer, where its writer was killed before the manifest.
    """
    if state.sizes.get(name) != part.size_bytes:
        return False
    return digest_stored(files, f"{state.folder}/{name}") == part.digest


def is_same(
    state: TableState, partitions: ChangedPartitions, known: pa.Schema | None, logical: pa.Schema
) -> bool:
    """Whether the table holds exactly these bytes already."""
    if state.entry is None or state.missing or state.adopted or len(state.partitions) != len(partitions):
        return False
    if known is not None and not known.equals(logical):
        return False
    before = state.partitions
    if partitions.base is not before.base:
        changed = {key: partitions.get(key) for key in {*partitions, *before}}
    else:
        changed = partitions.changes
    for key, part in changed.items():
        old = before.get(key)
        if old is None or part is None:
            if old is not part:
                return False
            continue
        if part.digest is None and part is not old:
            return False
        if (old.files, old.digest, old.fingerprint, old.steps) != (
            part.files,
            part.digest,
            part.fingerprint,
            part.steps,
        ):
            return False
    return True
