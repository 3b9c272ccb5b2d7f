"""Partitions of a table with some of them changed: what nobody touched is neither read nor copied."""

from __future__ import annotations

from collections.abc import Collection, ItemsView, Iterator, Mapping, MutableMapping, ValuesView

from bioimage_assets.core.warehouse.manifest.partition_records import IndexedPartitions, PartitionEntry


class ChangedPartitions(MutableMapping[str, PartitionEntry]):
    """Partitions as they were (``base``), and those that are different since; None stands for one that is gone.

    Sorted by key.
    """

    def __init__(self, base: Mapping[str, PartitionEntry] | None = None) -> None:
        if isinstance(base, ChangedPartitions):
            self.base: Mapping[str, PartitionEntry] = base.base
            self.changes: dict[str, PartitionEntry | None] = dict(base.changes)
        else:
            self.base, self.changes = base if base is not None else {}, {}

    def __getitem__(self, key: str) -> PartitionEntry:
        if key not in self.changes:
            return self.base[key]
        found = self.changes[key]
        if found is None:
            raise KeyError(key)
        return found

    def __contains__(self, key: object) -> bool:
        return self.changes[key] is not None if key in self.changes else key in self.base

    def __setitem__(self, key: str, part: PartitionEntry) -> None:
        self.changes[key] = part

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        self.changes[key] = None

    def __iter__(self) -> Iterator[str]:
        kept = {key for key in self.base if key not in self.changes}
        return iter(sorted(kept | {key for key, part in self.changes.items() if part is not None}))

    def items(self) -> ItemsView[str, PartitionEntry]:
        """All partitions."""
        found = {**dict(self.base.items()), **self.changes}
        return {key: part for key, part in sorted(found.items()) if part is not None}.items()

    def values(self) -> ValuesView[PartitionEntry]:
        """The same without keys."""
        return dict(self.items()).values()

    def __len__(self) -> int:
        count = len(self.base)
        for key, part in self.changes.items():
            count += (part is not None) - (key in self.base)
        return count

    @property
    def row_count(self) -> int:
        """Rows of all partitions."""
        base = self.base
        if not isinstance(base, IndexedPartitions):
            return sum(part.row_count for part in self.values())
        count = base.row_count
        for key, part in self.changes.items():
            old = base.get(key)
            count += (part.row_count if part is not None else 0) - (old.row_count if old is not None else 0)
        return count

    def has_files_beside(self, names: Collection[str]) -> bool:
        """Whether any partition has a file of another name; partitions that nobody touched have."""
        if len(self.base) > sum(key in self.base for key in self.changes):
            return True
        return any(name not in names for part in self.values() for name in part.files)
