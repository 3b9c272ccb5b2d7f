"""What a warehouse needs from the place of its root, be it a local folder or an object store."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.fs as pafs

from bioimage_assets.core.errors import WarehouseError


class ManifestChangedError(WarehouseError):
    """Raise when another writer changed the manifest meanwhile; the write is planned again."""


@dataclass(frozen=True, slots=True)
class TableChange:
    """Files of one table's folder that appear or are replaced (``puts``: name → finished local file) and vanish."""

    folder: str
    puts: Mapping[str, Path] = field(default_factory=dict)
    drops: frozenset[str] = frozenset()
    extra_puts: Mapping[str, Path] = field(default_factory=dict)  # root-relative path -> finished local file
    extra_drops: tuple[str, ...] = ()  # root-relative paths of files that nobody needs any more


@dataclass(frozen=True, slots=True)
class FolderGlance:
    """What a look at a table's folder tells that costs the same for ten parts and for ten thousand.

    ``part_count`` is None where counting takes requests; ``strangers``: parts that other tools named were met.
    """

    part_count: int | None
    has_columns_file: bool
    strangers: bool = False


class RootFiles(Protocol):
    """Reading, listing and the one atomic way to change a root."""

    uri: str
    is_local: bool

    def exists(self) -> bool:
        """Whether anything is at the root."""
        ...

    def read(self, path: str) -> tuple[bytes, str] | None:
        """Bytes of a small file and a version token, None where there is none."""
        ...

    def version(self, path: str) -> str | None:
        """Token that changes whenever the file does, None where finding out costs as much as reading."""
        ...

    def list_parts(self, folder: str) -> dict[str, int]:
        """Parquet files directly in a folder with their sizes; empty where the folder is missing."""
        ...

    def read_documents(self, paths: Sequence[str], max_bytes: int) -> list[bytes | None]:
        """Bytes of many small files, at once where that is faster; WarehouseError for a larger one, None for one that is gone."""
        ...

    def glance(self, folder: str, expected: int) -> FolderGlance:
        """Look at a folder that should have so many parts, without listing it where there is another way."""
        ...

    def sizes_of(self, folder: str, names: Collection[str]) -> dict[str, int]:
        """Bytes of some files of a folder; those that are not there are left out."""
        ...

    def versions_of(self, folder: str, names: Collection[str]) -> dict[str, str]:
        """As :meth:`list_versions`, of some files."""
        ...

    def list_versions(self, folder: str) -> dict[str, str]:
        """Parquet files directly in a folder with a token each that changes whenever the file does."""
        ...

    def open_parts(self, folder: str, names: Sequence[str]) -> tuple[pa.NativeFile, ...] | None:
        """Open files that stay what they are; None where the place, or their number, does not allow that."""
        ...

    def list_folders(self, folder: str) -> list[str]:
        """Folders directly in a folder, without internal ones, sorted."""
        ...

    def list_other_files(self, folder: str) -> list[str]:
        """Files directly in a folder that are not Parquet, sorted."""
        ...

    def filesystem(self) -> pafs.FileSystem:
        """Arrow file system that reads the root."""
        ...

    def arrow_path(self, path: str) -> str:
        """Path of a root-relative path for :meth:`filesystem`."""
        ...

    def location(self, path: str) -> str:
        """Absolute path or URI of a root-relative path, as a user would open it."""
        ...

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """One writer at a time where the place can promise that; finishes or undoes what a killed writer left."""
        ...

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Local folder for files in the making, removed afterwards."""
        ...

    def replace_file(self, path: str, staged: Path) -> None:
        """Put one finished file in place, atomically."""
        ...

    def put_documents(self, puts: Mapping[str, Path]) -> None:
        """Put small finished files in place by their root-relative paths, through no link."""
        ...

    def commit(
        self,
        change: TableChange | None,
        manifest: bytes,
        version: str | None,
        entry: Mapping[str, object] | None,
    ) -> None:
        """Apply a change and then the manifest.

        ``version`` is the token of the manifest that ``manifest`` was made from (None: there was none);
        ``entry`` is the changed table's new entry, so that a killed change can be finished.
        """
        ...

    def write_text(self, path: str, content: str) -> None:
        """Write a small derived file (views, README), atomically."""
        ...

    def recover(self) -> bool:
        """Finish what a killed writer left; True where there was something."""
        ...

    def remove_leftovers(self) -> int:
        """Remove staging folders whose writer is dead; the number removed."""
        ...

    def remove_file(self, path: str) -> None:
        """Remove one file; no error where it is gone."""
        ...

    def remove_unused(self, folder: str, used: set[str]) -> int:
        """Remove Parquet files of an internal folder that are not in use; the number removed."""
        ...

    def remove_unused_entries(self, used: Collection[str], age_s: float) -> int:
        """Remove files of entries of partitions whose root-relative paths are not in use, in a bucket those that are so old."""
        ...

    def remove_old_parts(self, folder: str, names: Sequence[str], age_s: float) -> int:
        """Remove objects that belong to nothing, if they are that old; the number removed."""
        ...

    def move_folders(self, moves: Mapping[str, str], manifest: bytes, version: str | None) -> None:
        """Move table folders (root-relative, old to new) and switch the manifest, as one change."""
        ...
