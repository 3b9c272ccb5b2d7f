"""Bring a root into order: finish interrupted changes, remove leftovers, agree on columns, correct the manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from bioimage_assets.core.errors import ManifestError, WarehouseError
from bioimage_assets.core.parquet_checksums import write_parquet_table
from bioimage_assets.core.warehouse.changes.rewrite_parts import align_parts, has_types_of
from bioimage_assets.core.warehouse.changes.stage_parts import PartFooter
from bioimage_assets.core.warehouse.changes.table_entry import stage_schema
from bioimage_assets.core.warehouse.changes.write import MAX_ATTEMPTS
from bioimage_assets.core.warehouse.columns.evolution import is_even, spell_types, stored_schema
from bioimage_assets.core.warehouse.files.root_files import ManifestChangedError, RootFiles
from bioimage_assets.core.warehouse.maintain_entries import (
    list_entries_files,
    store_entries,
    without_lost_entries,
)
from bioimage_assets.core.warehouse.manifest.detect import list_table_folders
from bioimage_assets.core.warehouse.manifest.layout import (
    COLUMNS_NAME,
    INTERNAL_DIR,
    MANIFEST_NAME,
    SCHEMAS_DIR,
    Layout,
)
from bioimage_assets.core.warehouse.manifest.manifest_file import forget_root, read_manifest
from bioimage_assets.core.warehouse.manifest.partition_records import PartitionEntry
from bioimage_assets.core.warehouse.manifest.records import WarehouseManifest, WarehouseTableManifestEntry
from bioimage_assets.core.warehouse.manifest.roles import SPEC_VERSION
from bioimage_assets.core.warehouse.manifest.views import write_views
from bioimage_assets.core.warehouse.reading.adopted_parts import read_footer
from bioimage_assets.core.warehouse.reading.table_state import (
    TableState,
    describe_size,
    find_copies,
    load_state,
    read_logical_schema,
)
from bioimage_assets.core.warehouse.root import open_warehouse

# Objects that no manifest names may belong to a write that is under way.
LEFTOVER_AGE_S = 86_400.0


@dataclass(frozen=True, slots=True)
class MaintenanceReport:
    """What maintenance found and did.

    ``entries_rebuilt`` names tables whose entries of partitions could not be read and were made from the files (runs and
    calls are forgotten). ``problems`` are what it could not repair: missing and unreadable files, tables whose parts contradict.
    """

    warehouse_root: str
    is_recovered: bool = False
    leftovers_removed: int = 0
    tables_corrected: tuple[str, ...] = ()
    files_aligned: int = 0
    columns_files_written: int = 0
    manifest_kept_aside: str | None = None
    entries_rebuilt: tuple[str, ...] = ()
    problems: tuple[str, ...] = field(default_factory=tuple)

    def to_dict(self) -> dict[str, object]:
        """Plain dictionary."""
        return asdict(self)

    def to_json(self, **json_options: object) -> str:
        """JSON text; keyword arguments go to ``json.dumps``."""
        return json.dumps(self.to_dict(), **json_options)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class UnevenParts:
    """Parts of one table whose columns have other types than the table's."""

    folder: str
    names: tuple[str, ...]
    schema: pa.Schema


@dataclass(slots=True)
class Corrections:
    """The manifest as the files say it should be, what parts are still to be rewritten, what cannot be repaired."""

    manifest: WarehouseManifest
    problems: list[str] = field(default_factory=list)
    uneven: dict[str, UnevenParts] = field(default_factory=dict)
    columns_files: int = 0
    entries_rebuilt: list[str] = field(default_factory=list)

    @property
    def uneven_count(self) -> int:
        """Number of parts to be rewritten."""
        return sum(len(parts.names) for parts in self.uneven.values())


def maintain_warehouse(
    root: str | Path, *, storage_options: Mapping[str, object] | None = None
) -> MaintenanceReport:
    """Bring a root into order; idempotent, safe beside readers and writers, deletes no row.

    Every footer is read once. Files that are missing or unreadable are reported, and stay in the manifest
    so that the validator keeps naming them.

    Examples
    --------
    >>> maintain_warehouse("warehouse-root").problems
    ()
    """
    warehouse = open_warehouse(root, storage_options=storage_options)
    is_recovered = warehouse.files_at.recover()
    for _ in range(MAX_ATTEMPTS):
        try:
            return _maintain(warehouse.files_at, warehouse.layout, is_recovered)
        except ManifestChangedError:
            continue
    raise WarehouseError(
        f"The manifest of {warehouse.root} changed under {MAX_ATTEMPTS} attempts to correct it."
    )


def _maintain(files: RootFiles, layout: Layout, is_recovered: bool) -> MaintenanceReport:
    # Under the lock from the first look on: a writer in between would be corrected away.
    with files.staging() as folder, files.exclusive():
        aside = _put_aside(files, folder)
        # What this process knows of the root may not be what its files hold.
        forget_root(files.uri)
        manifest, version = read_manifest(files)
        leftovers = files.remove_leftovers()
        found = _correct(files, manifest, folder)
        following = found.manifest
        if _changed(manifest, following) or aside:
            following = replace(
                following,
                generation=manifest.generation + 1,
                layout=manifest.layout or layout,
                warehouse_spec_version=manifest.warehouse_spec_version or SPEC_VERSION,
            )
            files.commit(None, following.to_bytes(), version, None)
        if found.uneven:
            # The manifest has forgotten their digests by now: a kill between two files leaves no wrong claim.
            _align(files, found.uneven, folder)
        corrected = _changed(manifest, following)
        # After the manifest: until then the one before still named them.
        leftovers += files.remove_unused(SCHEMAS_DIR, _used_sidecars(following))
        leftovers += files.remove_unused_entries(list_entries_files(following), LEFTOVER_AGE_S)
    if following.tables:
        write_views(files)
    return MaintenanceReport(
        files.uri,
        is_recovered,
        leftovers,
        corrected,
        found.uneven_count,
        found.columns_files,
        aside,
        tuple(found.entries_rebuilt),
        tuple(found.problems),
    )


def _align(files: RootFiles, uneven: Mapping[str, UnevenParts], folder: Path) -> None:
    """Bring the columns of parts to their tables' types."""
    for number, parts in enumerate(uneven.values()):
        staging = folder / f"align-{number}"
        staging.mkdir()
        align_parts(files, parts.folder, parts.names, parts.schema, staging)


def _put_aside(files: RootFiles, folder: Path) -> str | None:
    try:
        read_manifest(files)
    except ManifestError:
        found = files.read(MANIFEST_NAME)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        kept = f"{INTERNAL_DIR}/broken-manifest-{stamp}.json"
        copy = folder / "broken"
        copy.write_bytes(found[0] if found else b"")
        files.replace_file(kept, copy)
        files.remove_file(MANIFEST_NAME)
        return kept
    return None


def _correct(files: RootFiles, manifest: WarehouseManifest, folder: Path) -> Corrections:
    found = Corrections(manifest)
    manifest = replace(
        manifest,
        tables=tuple(without_lost_entries(entry, found.entries_rebuilt) for entry in manifest.tables),
    )
    entries: dict[str, WarehouseTableManifestEntry] = {}
    copies = find_copies(files, manifest)
    found.problems += [
        f"Folder {folder!r} holds copies of the files of table {table}, left by a conversion that was cut off. "
        "Remove it when no conversion is under way."
        for folder, table in sorted(copies.items())
    ]
    covered = {*_folders(files, manifest), *(folder.replace("/", ".") for folder in copies)}
    names = [entry.table_name for entry in manifest.tables]
    names += [name for name in list_table_folders(files) if name not in covered]
    for name in dict.fromkeys(names):
        known = manifest.entry(name)
        try:
            state = load_state(files, manifest, name)
            if state.entry is not None:
                entries[name] = _correct_table(files, state, folder, found)
            elif known is not None and not _forget_announced(files, state):
                entries[name] = known
        except WarehouseError as error:
            found.problems.append(str(error))
            if known is not None:
                entries[name] = known
    found.manifest = replace(manifest, tables=tuple(sorted(entries.values(), key=lambda e: e.table_name)))
    return found


def _forget_announced(files: RootFiles, state: TableState) -> bool:
    """Whether a table that was never made can go from the manifest: what its writer left is old, and gone."""
    # Old ones only: a slow writer may be about to name younger ones.
    removed = files.remove_old_parts(state.folder, state.leftovers, LEFTOVER_AGE_S)
    return removed == len(state.leftovers)


def _folders(files: RootFiles, manifest: WarehouseManifest) -> list[str]:
    """Tables whose data an entry of another name covers already."""
    return [
        load_state(files, manifest, e.table_name, adopt=False).folder.replace("/", ".")
        for e in manifest.tables
    ]


def _correct_table(
    files: RootFiles, state: TableState, staging: Path, found: Corrections
) -> WarehouseTableManifestEntry:
    """Recount from the footers; parts whose columns have other types than the table's are noted."""
    assert state.entry is not None
    entry = state.entry
    found.problems += [
        f"File of table {state.table_name} is missing: {state.folder}/{name}" for name in state.missing
    ]
    logical = read_logical_schema(files, replace(state, adopted=tuple(sorted(state.sizes))))
    if logical is None:
        found.problems.append(f"Table {state.table_name} has no columns in any file.")
        return entry
    is_clear = files.remove_old_parts(state.folder, state.leftovers, LEFTOVER_AGE_S) == len(state.leftovers)
    footers = {name: read_footer(files, f"{state.folder}/{name}") for name in sorted(state.sizes)}
    if not state.missing:  # columns that no part has any more are those of plates that are gone
        held = {name for footer in footers.values() for name in footer.schema.names}
        logical = pa.schema([field for field in logical if field.name in held])
    target = stored_schema(logical)
    uneven = tuple(name for name, footer in footers.items() if not has_types_of(footer.schema, target))
    _name_columns(files, state, footers, target, staging, found)
    path, puts = stage_schema(files, state.table_name, logical, staging)
    for target_path, staged in puts.items():
        files.replace_file(target_path, staged)
    if uneven:
        found.uneven[state.table_name] = UnevenParts(state.folder, uneven, target)
    partitions = {
        key: _note_bytes(_recount(part, footers, set(uneven)), state, footers, set(uneven), found)
        for key, part in state.partitions.items()
    }
    corrected = replace(
        entry, columns=tuple(logical.names), column_types=spell_types(logical), schema_file=path,
        gone_files={} if is_clear else entry.gone_files, format="parquet",
    )  # fmt: skip
    return store_entries(files, corrected, partitions, staging)


def _name_columns(
    files: RootFiles,
    state: TableState,
    footers: Mapping[str, PartFooter],
    target: pa.Schema,
    staging: Path,
    found: Corrections,
) -> None:
    """Let a file of zero rows name all columns where the parts have not the same ones; else none is there."""
    path = f"{state.folder}/{COLUMNS_NAME}"
    if all(is_even(footer.schema, target) for footer in footers.values()):
        if state.has_columns_file:
            files.remove_file(path)
            found.columns_files += 1
        return
    if state.has_columns_file:
        with suppress(WarehouseError):  # a damaged one is written again
            if read_footer(files, path).schema.equals(target):
                return
    staged = staging / f"columns-{state.table_name}"
    write_parquet_table(target.empty_table(), staged)
    files.replace_file(path, staged)
    found.columns_files += 1


def _recount(part: PartitionEntry, footers: Mapping[str, PartFooter], uneven: set[str]) -> PartitionEntry:
    """Rows and fingerprint as the files say; what was said of other bytes is forgotten."""
    claimed = (
        dict(zip(part.files, part.file_rows, strict=True)) if len(part.file_rows) == len(part.files) else {}
    )
    counts = tuple(
        footers[name].row_count if name in footers else claimed.get(name, 0) for name in part.files
    )
    prints = {
        footers[name].fingerprint for name in part.files if name in footers and footers[name].table_name
    }
    is_newer = len(part.files) == 1 and bool(prints) and prints != {part.fingerprint}
    if counts == part.file_rows and not uneven.intersection(part.files) and not is_newer:
        return part
    fingerprint = prints.pop() if is_newer else part.fingerprint
    return replace(part, file_rows=counts, row_count=sum(counts), digest=None, fingerprint=fingerprint)


def _note_bytes(
    part: PartitionEntry,
    state: TableState,
    footers: Mapping[str, PartFooter],
    uneven: set[str],
    found: Corrections,
) -> PartitionEntry:
    """Sizes as the files have them; of files that this project wrote anew, or is about to, no digest is known.

    A file of another size that another program wrote stays in the manifest as it was: it is a problem, not a correction.
    """
    sizes, digests = list(part.file_bytes), list(part.file_digests)
    for number, name in enumerate(part.files):
        size = state.sizes.get(name, 0)
        if name in uneven:
            sizes[number], digests[number] = 0, ""
        elif size and sizes[number] and size != sizes[number] and footers[name].table_name is None:
            text = describe_size(state.table_name, f"{state.folder}/{name}", size, sizes[number])
            found.problems.append(text)
        elif size and size != sizes[number]:
            # A manifest of an earlier version has no sizes: the digest may still hold.
            digests[number] = digests[number] if not sizes[number] else ""
            sizes[number] = size
    if (tuple(sizes), tuple(digests)) == (part.file_bytes, part.file_digests):
        return part
    digest = part.digest if tuple(digests) == part.file_digests else None
    return replace(part, file_bytes=tuple(sizes), file_digests=tuple(digests), digest=digest)


def _changed(before: WarehouseManifest, after: WarehouseManifest) -> tuple[str, ...]:
    return tuple(e.table_name for e in after.tables if before.entry(e.table_name) != e)


def _used_sidecars(manifest: WarehouseManifest) -> set[str]:
    return {
        entry.schema_file.rsplit("/", 1)[-1] for entry in manifest.tables if entry.schema_file is not None
    }
