"""Overwrite snapshots whose manifests stay small: what a commit rewrites does not grow with the number of plates.

A replaced file must leave the manifest that names it, and that manifest is written again as a whole
(https://iceberg.apache.org/spec/#manifests). PyIceberg merges manifests up to 8 MB, so that each commit would rewrite
the entries of thousands of plates. Here a manifest names about ``CLUSTER_FILES`` files of neighbouring partitions.

PyIceberg 0.12.0 also keeps a manifest that names removed files only in every later snapshot: ``_OverwriteFiles`` finds no
file in it that is to be removed now, and takes that for "nothing changed". After five overwrites of one file a snapshot
has five manifests, four of them dead. This module can go once such an overwrite leaves one manifest and PyIceberg limits a
manifest's entries; till then pyproject.toml holds PyIceberg below 0.13, because the class below overrides private methods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

from pyiceberg.manifest import (
    DataFileContent,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
)
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update.snapshot import _OverwriteFiles
from pyiceberg.typedef import KeyDefaultDict
from pyiceberg.utils.concurrent import ExecutorFactory

CLUSTER_FILES = 32  # plates whose manifest entries one commit rewrites: some tens of kB instead of up to 8 MB
MERGE_COUNT = 20  # as many small manifests as a reader may meet before a commit joins them
_SMALL_FILES = CLUSTER_FILES // 2


class ClusteredReplace(_OverwriteFiles):
    """PyIceberg's overwrite snapshot with small manifests; each manifest is read once a commit."""

    @cached_property
    def _entries_by_path(self) -> dict[str, list[ManifestEntry]]:
        return {}

    @cached_property
    def _evaluators(self) -> dict[int, Callable[[ManifestFile], bool]]:
        return KeyDefaultDict(self._build_manifest_evaluator)

    def _existing_manifests(self) -> list[ManifestFile]:
        """Manifests of the snapshot before, without the removed files and those that named nothing else."""
        kept: list[ManifestFile] = []
        for manifest in self._manifests_before():
            entries = self._live_entries(manifest) if self._may_hold_removed(manifest) else []
            remaining = [entry for entry in entries if entry.data_file not in self._deleted_data_files]
            if len(remaining) == len(entries):
                kept.append(manifest)
            else:
                kept.extend(self._write_clusters(manifest.partition_spec_id, remaining))
        return kept

    def _deleted_entries(self) -> list[ManifestEntry]:
        """Entries that record the removed files."""
        manifests = [manifest for manifest in self._manifests_before() if self._may_hold_removed(manifest)]
        return [
            _copy_entry(entry, ManifestEntryStatus.DELETED, self._snapshot_id)
            for entries in ExecutorFactory.get_or_create().map(self._live_entries, manifests)
            for entry in entries
            if entry.data_file.content == DataFileContent.DATA and entry.data_file in self._deleted_data_files
        ]

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        """Leave out manifests that name no live file, and join small ones once there are many of them."""
        live = [
            manifest
            for manifest in manifests
            if manifest.has_added_files()
            or manifest.has_existing_files()
            or manifest.added_snapshot_id == self._snapshot_id
        ]
        small = [manifest for manifest in live if self._is_small(manifest)]
        by_spec: dict[int, list[ManifestFile]] = {}
        for manifest in small if len(small) >= MERGE_COUNT else ():
            by_spec.setdefault(manifest.partition_spec_id, []).append(manifest)
        joined = {manifest.manifest_path for group in by_spec.values() for manifest in group}
        result = [manifest for manifest in live if manifest.manifest_path not in joined]
        for spec_id, group in by_spec.items():
            entries = [entry for manifest in group for entry in self._live_entries(manifest)]
            result.extend(self._write_clusters(spec_id, entries))
        return result

    def _manifests_before(self) -> Sequence[ManifestFile]:
        snapshot = self._transaction.table_metadata.snapshot_by_name(name=self._target_branch)
        return snapshot.manifests(io=self._io) if snapshot is not None else ()

    def _may_hold_removed(self, manifest: ManifestFile) -> bool:
        if self._operation is not Operation.OVERWRITE:  # nothing is removed
            return False
        return self._evaluators[manifest.partition_spec_id](manifest)

    def _live_entries(self, manifest: ManifestFile) -> list[ManifestEntry]:
        known = self._entries_by_path.get(manifest.manifest_path)
        if known is None:
            known = manifest.fetch_manifest_entry(io=self._io, discard_deleted=True)
            self._entries_by_path[manifest.manifest_path] = known
        return known

    def _is_small(self, manifest: ManifestFile) -> bool:
        """Tell whether a manifest of an earlier snapshot names few files; this snapshot's own stay as they are."""
        count = (manifest.added_files_count or 0) + (manifest.existing_files_count or 0)
        return (
            manifest.content == ManifestContent.DATA
            and manifest.added_snapshot_id != self._snapshot_id
            and count < _SMALL_FILES
        )

    def _write_clusters(self, spec_id: int, entries: Iterable[ManifestEntry]) -> list[ManifestFile]:
        """Write live entries of earlier snapshots, those of neighbouring partitions into one manifest."""
        ordered = sorted(
            entries, key=lambda entry: (str(entry.data_file.partition), entry.data_file.file_path)
        )
        written = []
        for start in range(0, len(ordered), CLUSTER_FILES):
            with self.new_manifest_writer(self.spec(spec_id)) as writer:
                for entry in ordered[start : start + CLUSTER_FILES]:
                    writer.add_entry(_copy_entry(entry, ManifestEntryStatus.EXISTING, entry.snapshot_id))
            written.append(writer.to_manifest_file())
        return written


def _copy_entry(entry: ManifestEntry, status: ManifestEntryStatus, snapshot_id: int | None) -> ManifestEntry:
    return ManifestEntry.from_args(
        status=status,
        snapshot_id=snapshot_id,
        sequence_number=entry.sequence_number,
        file_sequence_number=entry.file_sequence_number,
        data_file=entry.data_file,
    )
