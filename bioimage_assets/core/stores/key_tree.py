"""A tree of names that are known already: from one flat listing of a root, or from an inventory of a bucket.

Folder by folder a bucket answers one request per folder; flat, one per 1,000 names however deep they lie
(https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html). What is in the files is read from where they are.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.model.store_paths import is_text
from bioimage_assets.core.stores.tree import Entry, LocalTree, Tree, open_tree

# Sorted by ``path``; what a file's version is differs by where the names come from.
KEYS = pa.schema(
    [
        pa.field("path", pa.large_string(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("mtime_s", pa.float64(), nullable=False),
        pa.field("version", pa.large_string(), nullable=False),
    ]
)
_BATCH_ROWS = 50_000
_AFTER_SLASH = "0"  # the character behind "/"


class KeyTree:
    """Names in memory, about 250 bytes each; folders are what lies between slashes."""

    refused_links: Collection[str] = ()
    links_not_followed: Collection[str] = ()

    def __init__(self, reader: Tree, keys: pa.Table) -> None:
        """Serve ``keys`` (schema ``KEYS``, in any order) of the root that ``reader`` reads."""
        self._reader = reader
        self.root_uri = reader.root_uri
        columns = keys.cast(KEYS).sort_by("path").combine_chunks()
        self._paths, self._sizes, self._times, self._versions = (
            column.chunk(0) if column.num_chunks else pa.array([], column.type) for column in columns.columns
        )

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def names_not_utf8(self) -> Collection[str]:
        return self._reader.names_not_utf8

    def children(self, path: str) -> list[Entry]:
        prefix = f"{path}/" if path else ""
        entries: list[Entry] = []
        number = self._find(prefix)
        while number < len(self) and (found := self._paths[number].as_py()).startswith(prefix):
            name, slash, _ = found[len(prefix) :].partition("/")
            if slash:
                entries.append(Entry(name, f"{prefix}{name}", True))
                number = self._find(f"{prefix}{name}{_AFTER_SLASH}")
            else:
                entries.append(self._entry(number, found))
                number += 1
        return sorted(entries, key=lambda entry: entry.name)

    def walk(self, path: str) -> Iterator[Entry]:
        first, last = self._range(path)
        for start in range(first, last, _BATCH_ROWS):
            rows = slice(start, min(start + _BATCH_ROWS, last))
            columns = (c[rows].to_pylist() for c in (self._paths, self._sizes, self._times, self._versions))
            for found, size, changed, version in zip(*columns, strict=True):
                yield Entry(found.rpartition("/")[2], found, False, size, changed, version)

    def count(self, path: str) -> int:
        """Number of files below a folder."""
        first, last = self._range(path)
        return last - first

    def outline(self, path: str) -> list[str]:
        parts: list[str] = []
        for child in self.children(path):
            below = self.children(child.path) if child.is_folder else []
            parts += [f"{entry.path}\0{entry.size_bytes}\0{entry.version}" for entry in (child, *below)]
        return parts

    def read_tail(self, path: str, max_bytes: int, *, below: str = "") -> bytes | None:
        return self._reader.read_tail(path, max_bytes, below=below)

    def read_head(self, path: str, max_bytes: int, *, below: str = "") -> bytes | None:
        return self._reader.read_head(path, max_bytes, below=below)

    def uri(self, path: str) -> str:
        return self._reader.uri(path)

    def _find(self, text: str) -> int:
        return bisect_left(range(len(self)), text, key=lambda number: self._paths[number].as_py())

    def _range(self, path: str) -> tuple[int, int]:
        return (self._find(f"{path}/"), self._find(f"{path}{_AFTER_SLASH}")) if path else (0, len(self))

    def _entry(self, number: int, path: str) -> Entry:
        columns = (self._sizes, self._times, self._versions)
        size, changed, version = (column[number].as_py() for column in columns)
        return Entry(path.rpartition("/")[2], path, False, size, changed, version)


def list_key_tree(root_uri: str, storage_options: Mapping[str, object] | None = None) -> KeyTree:
    """List a root once, flat: in a bucket one request per 1,000 names.

    Raises
    ------
    StoreError
        The root does not exist, or may not be listed.
    """
    tree = open_tree(root_uri, storage_options)
    if isinstance(tree, LocalTree):
        tree.children("")  # a walk passes over a folder that is not there
    return KeyTree(tree, _collect(tree.walk("")))


def _collect(entries: Iterable[Entry]) -> pa.Table:
    batches: list[pa.RecordBatch] = []
    columns: list[list[object]] = [[], [], [], []]
    for entry in entries:
        if not is_text(entry.path):
            continue
        values = (entry.path, entry.size_bytes, entry.mtime_s, entry.version)
        for column, value in zip(columns, values, strict=True):
            column.append(value)
        if len(columns[0]) == _BATCH_ROWS:
            batches.append(_build_batch(columns))
            columns = [[], [], [], []]
    return pa.Table.from_batches([*batches, _build_batch(columns)], KEYS)


def _build_batch(columns: list[list[object]]) -> pa.RecordBatch:
    arrays = [pa.array(column, field.type) for column, field in zip(columns, KEYS, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=KEYS)


def keep_below(keys: pa.Table, prefix: str) -> pa.Table:
    """Keys below a folder, named from there; all where it is empty. Names of folders themselves (``a/``) are no files."""
    files = keys.filter(pc.invert(pc.ends_with(keys["path"], "/")))
    if not prefix:
        return files
    start = f"{prefix.strip('/')}/"
    kept = files.filter(pc.starts_with(files["path"], start))
    names = pc.utf8_slice_codeunits(kept["path"], len(start))
    return kept.set_column(0, KEYS.field("path"), names.cast(pa.large_string()))
