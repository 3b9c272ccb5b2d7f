"""Writes the entries of a table's partitions for one change: the buckets that it touches, and the index that names them all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest.changed_partitions import ChangedPartitions
from bioimage_assets.core.warehouse.manifest.layout import (
    PARTITIONS_DIR,
    WHOLE_TABLE,
    entries_folder,
)
from bioimage_assets.core.warehouse.manifest.partition_index import (
    Bucket,
    BucketRef,
    PartitionIndex,
    cut_bucket,
    digest_entries,
    name_index,
)
from bioimage_assets.core.warehouse.manifest.partition_records import PartitionEntry
from bioimage_assets.core.warehouse.manifest.records import WarehouseTableManifestEntry
from bioimage_assets.core.warehouse.manifest.stored_partitions import (
    EntriesGoneError,
    StoredPartitions,
    remember_entries,
)

KEEP_S = 300.0
"""Files of entries that newer ones replaced stay so long, for whoever holds an older manifest."""
MAX_KEPT = 32  # of them, those of the last sixteen changes: a busy table would name thousands

Steps = Mapping[str, Sequence[Mapping[str, object]]]


@dataclass(frozen=True, slots=True)
class StagedEntries:
    """Entry of the table as the manifest stores it, files to be put in place before it, and files to be removed after it."""

    entry: WarehouseTableManifestEntry
    puts: Mapping[str, Path] = field(default_factory=dict)
    drops: tuple[str, ...] = ()


def stage_entries(
    files: RootFiles,
    entry: WarehouseTableManifestEntry,
    before: WarehouseTableManifestEntry | None,
    steps: Steps,
    folder: Path,
) -> StagedEntries:
    """Write what is new of a table's partitions into the staging folder.

    Parameters
    ----------
    entry
        The table as it will be, with all its partitions.
    before
        The table as the manifest has it: where its partitions are changed ones of these, only the buckets of the changes
        are written. An entry of an earlier version, which holds its partitions itself, gets all its buckets.
    steps
        Calls that made the changed partitions, or all of them.
    """
    base = _stored(before)
    index = base.index if base is not None else PartitionIndex(entries_folder(entry.table_name))
    partitions = entry.partitions or {}
    if base is not None and isinstance(partitions, ChangedPartitions) and partitions.base is base:
        following, written = _change_buckets(base, partitions.changes, steps)
    else:
        following = {}
        written = cut_bucket(Bucket("", dict(partitions), steps))
    payloads: dict[str, bytes] = {}
    remembered: dict[str, PartitionIndex | Bucket] = {}
    for bucket in written:
        payload = bucket.to_bytes(index.folder)
        ref = bucket.describe(digest_entries(payload))
        following[bucket.bits] = ref
        remembered[ref.name] = bucket
        if not index.has_bucket_named(ref.name):
            payloads[ref.name] = payload
    old_name = base.index_path.rpartition("/")[2] if base is not None else None
    changed = PartitionIndex(index.folder, following, WHOLE_TABLE in partitions)
    retired, expired = _retire(index, changed, old_name)
    changed = replace(changed, retired=retired)
    payload = changed.to_bytes()
    name = name_index(payload)
    payloads[name] = payload
    remembered[name] = changed
    below = f"{PARTITIONS_DIR}/{index.folder}"
    puts = {
        f"{below}/{file}": _write(folder / f"entries-{number:05d}", content, is_flushed=files.is_local)
        for number, (file, content) in enumerate(payloads.items())
    }
    remember_entries(files.uri, {f"{below}/{file}": found for file, found in remembered.items()})
    stored = StoredPartitions(files, f"{below}/{name}")
    told = replace(
        entry, partitions=stored, partition_index=stored.index_path, partition_count=changed.partition_count,
        row_count=changed.row_count, steps=stored.steps,
    )  # fmt: skip
    return StagedEntries(told, puts, tuple(f"{below}/{file}" for file in expired))


def _stored(entry: WarehouseTableManifestEntry | None) -> StoredPartitions | None:
    """Partitions of an entry in the files beside the manifest; None where there are none that can be read."""
    found = entry.partitions if entry is not None else None
    if isinstance(found, ChangedPartitions):
        found = found.base
    if not isinstance(found, StoredPartitions):
        return None
    try:
        _ = found.index
    except EntriesGoneError:
        return None
    return found


def _change_buckets(
    base: StoredPartitions, changes: Mapping[str, PartitionEntry | None], steps: Steps
) -> tuple[dict[str, BucketRef], list[Bucket]]:
    """Buckets that stay, and those that the changes make."""
    index = base.index
    known = base.load(list(changes))
    touched: dict[str, dict[str, PartitionEntry]] = {}
    for key, part in changes.items():
        bits = index.find_bucket(key)
        if bits is None and part is None:
            continue
        if bits is None:
            bits = index.place_bucket(key)
            # Further new keys may belong to it.
            index = replace(index, buckets={**index.buckets, bits: BucketRef(bits, "", 0, 0, 0)})
        if bits not in touched:
            touched[bits] = dict(known[bits].partitions) if bits in known else {}
        if part is None:
            touched[bits].pop(key, None)
        else:
            touched[bits][key] = part
    staying = {bits: ref for bits, ref in base.index.buckets.items() if bits not in touched}
    written: list[Bucket] = []
    for bits, parts in touched.items():
        calls = {**(known[bits].steps if bits in known else {}), **steps}
        written += cut_bucket(Bucket(bits, dict(sorted(parts.items())), calls))
    return staying, written


def _retire(
    index: PartitionIndex, following: PartitionIndex, old_name: str | None
) -> tuple[dict[str, str], list[str]]:
    """Files that are let go with the time, and those whose time is over."""
    now = datetime.now(UTC)
    let_go = {ref.name for bits, ref in index.buckets.items() if following.buckets.get(bits) is not ref}
    let_go |= {old_name} if old_name is not None else set()
    kept = {**index.retired, **dict.fromkeys(let_go, now.isoformat(timespec="seconds"))}
    ordered = sorted((time, name) for name, time in kept.items() if not following.has_bucket_named(name))
    limit = (now - timedelta(seconds=KEEP_S)).isoformat(timespec="seconds")
    fresh = [(time, name) for time, name in ordered if time >= limit][-MAX_KEPT:]
    retired = {name: time for time, name in fresh}
    return retired, [name for _, name in ordered if name not in retired]


def _write(path: Path, payload: bytes, *, is_flushed: bool) -> Path:
    with path.open("wb") as stream:
        stream.write(payload)
        if is_flushed:
            stream.flush()
            os.fsync(stream.fileno())
    return path
