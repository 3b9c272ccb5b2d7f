"""Reads the entries of a table's partitions from their files, each bucket when one of its keys is asked for."""

from __future__ import annotations

from collections.abc import Collection, ItemsView, Iterator, Mapping, Sequence, ValuesView
from functools import cached_property
from threading import Lock

from bioimage_assets.core.errors import ManifestError
from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest.layout import WHOLE_TABLE, split_index_path
from bioimage_assets.core.warehouse.manifest.partition_index import (
    MAX_BUCKET_BYTES,
    MAX_INDEX_BYTES,
    Bucket,
    PartitionIndex,
    parse_bucket,
    parse_index,
)
from bioimage_assets.core.warehouse.manifest.partition_records import (
    IndexedPartitions,
    OpenPartitions,
    PartitionEntry,
)

# Files that never change, parsed, by root and path: a look at all plates reads what changed since the last one.
_PARSED: dict[tuple[str, str], PartitionIndex | Bucket] = {}
_MAX_PARSED = 8192  # of 13 tables of 10,000 plates
_LOCK = Lock()


class EntriesGoneError(ManifestError):
    """Raise when a file of entries that a manifest names is not there: the manifest is outdated, or the file lost."""


def open_partitions_of(files: RootFiles) -> OpenPartitions:
    """How the entries of a root's manifest find their partitions."""
    return lambda path: StoredPartitions(files, path)


def forget_entries(uri: str) -> None:
    """Let the next look at a root read its files again, whatever this process knows of them."""
    with _LOCK:
        for at in [at for at in _PARSED if at[0] == uri]:
            del _PARSED[at]


class StoredPartitions(IndexedPartitions):
    """Partitions of one table as one version of its index names them; sorted by key.

    Raises :class:`EntriesGoneError` or ManifestError from whatever needs a file that is gone or damaged.
    """

    def __init__(self, files: RootFiles, index_path: str) -> None:
        self.index_path = index_path
        self._files = files
        self._known: dict[str, Bucket] = {}

    @cached_property
    def index(self) -> PartitionIndex:
        """The index, read once."""
        found = _recall(self._files.uri, self.index_path)
        if isinstance(found, PartitionIndex):
            return found
        folder, name = split_index_path(self.index_path) or ("", "")
        (payload,) = self._files.read_documents([self.index_path], MAX_INDEX_BYTES)
        where = self._files.location(self.index_path)
        index = parse_index(_need(payload, where), folder, name, where)
        _remember(self._files.uri, self.index_path, index)
        return index

    def load(self, keys: Collection[str] | None = None) -> dict[str, Bucket]:
        """Buckets that hold these keys (None: all) by their bits; what is not known yet is read at once."""
        wanted = (
            self.index.buckets if keys is None else {self.index.find_bucket(key) for key in keys} - {None}
        )
        names = {str(bits): self._path(str(bits)) for bits in wanted if bits not in self._known}
        for bits, path in names.items():
            found = _recall(self._files.uri, path)
            if isinstance(found, Bucket):
                self._known[bits] = found
        missing = [bits for bits in names if bits not in self._known]
        payloads = self._files.read_documents([names[bits] for bits in missing], MAX_BUCKET_BYTES)
        for bits, payload in zip(missing, payloads, strict=True):
            self._known[bits] = self._parse(bits, payload)
            _remember(self._files.uri, names[bits], self._known[bits])
        return {str(bits): self._known[str(bits)] for bits in wanted}

    def choose(self, keys: Collection[str]) -> dict[str, PartitionEntry]:
        """Those of some partitions that are there."""
        self.load(keys)
        return {key: self[key] for key in dict.fromkeys(keys) if key in self}

    @property
    def row_count(self) -> int:
        """Rows of all partitions, as the index says."""
        return self.index.row_count

    @property
    def steps(self) -> StoredSteps:
        """Calls that made the partitions."""
        return StoredSteps(self)

    def __getitem__(self, key: str) -> PartitionEntry:
        if key == WHOLE_TABLE and not self.index.has_mixed:
            raise KeyError(key)
        for bucket in self.load([key]).values():
            return bucket.partitions[key]
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def items(self) -> ItemsView[str, PartitionEntry]:
        """All partitions; no key is looked for."""
        return self._all.items()

    def values(self) -> ValuesView[PartitionEntry]:
        """The same without keys."""
        return self._all.values()

    @cached_property
    def _all(self) -> dict[str, PartitionEntry]:
        found: dict[str, PartitionEntry] = {}
        for bucket in self.load().values():
            found.update(bucket.partitions.items())
        return {key: found[key] for key in sorted(found)}

    def __len__(self) -> int:
        return self.index.partition_count

    def __eq__(self, other: object) -> bool:
        if isinstance(other, StoredPartitions):
            # Files are named by their content.
            return other.index_path == self.index_path
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]

    def _path(self, bits: str) -> str:
        return f"{self.index_path.rpartition('/')[0]}/{self.index.buckets[bits].name}"

    def _parse(self, bits: str, payload: bytes | None) -> Bucket:
        ref, where = self.index.buckets[bits], self._files.location(self._path(bits))
        bucket = parse_bucket(_need(payload, where), self.index.folder, bits, ref.name, where)
        if bucket.describe(ref.digest) != ref:
            raise ManifestError(
                f"{where} holds other numbers of partitions, files or rows than {self._files.location(self.index_path)} says. "
                "`bioimage-assets maintain` writes both anew from the files."
            )
        return bucket


class StoredSteps(Mapping[str, Sequence[Mapping[str, object]]]):
    """Calls by the key that the partitions give; all buckets are read for them."""

    def __init__(self, partitions: StoredPartitions) -> None:
        self._partitions = partitions

    def __getitem__(self, key: str) -> Sequence[Mapping[str, object]]:
        return self._all[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, StoredSteps):
            return self._partitions == other._partitions
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def _all(self) -> dict[str, Sequence[Mapping[str, object]]]:
        found = {
            name: calls for bucket in self._partitions.load().values() for name, calls in bucket.steps.items()
        }
        return dict(sorted(found.items()))


def _need(payload: bytes | None, where: str) -> bytes:
    if payload is None:
        raise EntriesGoneError(
            f"{where} is missing, which the manifest names for the partitions of a table. Read again if somebody writes to "
            "the root; else `bioimage-assets maintain` writes the entries anew from the files."
        )
    return payload


def remember_entries(uri: str, found: Mapping[str, PartitionIndex | Bucket]) -> None:
    """Keep what was just written, by root-relative path, so that nobody of this process reads it again."""
    for path, record in found.items():
        _remember(uri, path, record)


def _recall(uri: str, path: str) -> PartitionIndex | Bucket | None:
    return _PARSED.get((uri, path))


def _remember(uri: str, path: str, found: PartitionIndex | Bucket) -> None:
    with _LOCK:
        while len(_PARSED) >= _MAX_PARSED:
            del _PARSED[next(iter(_PARSED))]
        _PARSED[uri, path] = found
