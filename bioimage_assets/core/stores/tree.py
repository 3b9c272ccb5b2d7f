"""A watched root as a tree of names, sizes and change times: local folders or object-store prefixes."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import obstore
from obstore.exceptions import BaseError as ObstoreError

from bioimage_assets.core.errors import StoreAccessError, StoreError, StoreNotFoundError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.store_paths import is_text, show_name
from bioimage_assets.core.storage_options import follows_symlinks
from bioimage_assets.core.stores.clients import open_client
from bioimage_assets.core.stores.files_in_folder import ContainedFolder
from bioimage_assets.core.stores.links import is_link_loop
from bioimage_assets.core.stores.open import local_path


@dataclass(frozen=True, slots=True)
class Entry:
    """One name below a folder. ``version`` is the change time in ns (local) or the ETag (object store)."""

    name: str
    path: str
    is_folder: bool
    size_bytes: int = 0
    mtime_s: float = 0.0
    version: str = ""


# Tells of a path below a root whether a link to a folder there is followed.
FollowsLinks = Callable[[str], bool]


def follow_no_links(path: str) -> bool:
    """Follow none."""
    return False


class Tree(Protocol):
    """What discovery needs of a place; paths are relative to the root, ``""`` being the root itself.

    ``names_not_utf8`` is what listings left out so far because its name is not text.
    """

    root_uri: str

    @property
    def names_not_utf8(self) -> Collection[str]:
        """Paths, with � where the name is not UTF-8."""
        ...

    @property
    def links_not_followed(self) -> Collection[str]:
        """Paths of links among listed entries that lead to folders, or to nothing."""

    @property
    def refused_links(self) -> Collection[str]:
        """Paths of documents that were not read, because a link on the way leads out of their store."""
        ...

    def children(self, path: str) -> list[Entry]:
        """Entries of one folder sorted by name; one listing request."""
        ...

    def walk(self, path: str) -> Iterator[Entry]:
        """All files below a folder, in no order."""
        ...

    def outline(self, path: str) -> list[str]:
        """What the folder and the folders right below it list: path, size and version of each entry."""
        ...

    def read_tail(self, path: str, max_bytes: int, *, below: str = "") -> bytes | None:
        """Last bytes of a file, None where there is no such file; see :meth:`read_head`."""
        ...

    def read_head(self, path: str, max_bytes: int, *, below: str = "") -> bytes | None:
        """First bytes of a file, None where there is no such file.

        ``below`` is the folder of the store that the file is of: like a scan, no look at a root follows a link that leads out of it.
        """
        ...

    def uri(self, path: str) -> str:
        """Full location of a path."""
        ...


class LocalTree:
    """A local folder. Anything but regular files is left out; ``follows`` says of which links to folders are followed, by path."""

    def __init__(self, root: Path, follows: FollowsLinks | None = None) -> None:
        self._follows = follows or follow_no_links
        self.root = root.absolute()
        self.root_uri = str(self.root)
        self._prefix = f"{self.root_uri.rstrip('/')}/"
        self.names_not_utf8: set[str] = set()
        self.refused_links: set[str] = set()
        self.links_not_followed: set[str] = set()
        self._folders: dict[str, ContainedFolder] = {}

    def children(self, path: str) -> list[Entry]:
        folder = f"{self._prefix}{path}" if path else self.root_uri
        try:
            with os.scandir(folder) as listing:
                entries = [entry for item in listing if (entry := self._entry(item, path, notes_links=True))]
        except FileNotFoundError as error:
            raise StoreNotFoundError(
                f"The watched folder {folder} does not exist; create it or set BIOIMAGE_INCOMING."
            ) from error
        except OSError as error:  # not allowed, an input/output error of a share, no folder at all
            raise StoreAccessError(f"The folder {folder} could not be read: {error.strerror}.") from error
        return sorted(entries, key=lambda entry: entry.name)

    def outline(self, path: str) -> list[str]:
        parts: list[str] = []
        for folder in self._outline_folder(path, parts):
            self._outline_folder(folder, parts)
        return parts

    def _outline_folder(self, path: str, parts: list[str]) -> list[str]:
        """Describe one folder without building entries: this runs for every plate of every look at a root."""
        folders = []
        try:
            with os.scandir(f"{self._prefix}{path}") as listing:
                for item in listing:
                    below = f"{path}/{item.name}"
                    try:
                        if self._is_folder(item, below):
                            folders.append(below)
                            status = item.stat()
                            parts.append(f"{below}/\0{status.st_mtime_ns}")
                        else:
                            status = item.stat()
                            parts.append(f"{below}\0{status.st_size}\0{status.st_mtime_ns}")
                    except OSError:  # a dangling link, or gone between listing and stat
                        continue
        except OSError:  # no folder, gone, or not to be read: the deep look says which
            return []
        return folders

    def _entry(self, item: os.DirEntry[str], parent: str, *, notes_links: bool = False) -> Entry | None:
        path = f"{parent}/{item.name}" if parent else item.name
        if not is_text(path):
            self.names_not_utf8.add(show_name(path))
            return None
        try:
            if self._is_folder(item, path):
                own = item.stat()
                return Entry(item.name, path, True, 0, own.st_mtime, str(own.st_mtime_ns))
            status: os.stat_result | None = item.stat()
        except OSError:  # a dangling link, or gone between listing and stat: as if it were not there
            status = None
        if status is None or not stat.S_ISREG(status.st_mode):
            if notes_links and item.is_symlink():
                self.links_not_followed.add(show_name(path))
            return None
        return Entry(item.name, path, False, status.st_size, status.st_mtime, str(status.st_mtime_ns))

    def _is_folder(self, item: os.DirEntry[str], path: str) -> bool:
        """Tell a folder; a link to one where it is followed and does not lead back to where it was met."""
        if item.is_dir(follow_symlinks=False):
            return True
        if not item.is_symlink() or not item.is_dir():
            return False
        return self._follows(path) and not is_link_loop(self.root_uri, item.path)

    def walk(self, path: str) -> Iterator[Entry]:
        pending = [path]
        while pending:
            try:
                entries = self.children(pending.pop())
            except StoreNotFoundError:  # removed while walking: its parent's time changed too
                continue
            for entry in entries:
                if entry.is_folder:
                    pending.append(entry.path)
                else:
                    yield entry

    def read_head(self, path: str, max_bytes: int, *, below: str = "") -> bytes | None:
        return self._read(path, max_bytes, below, from_end=False)

    def read_tail(self, path: str, max_bytes: int, *, below: str = "") -> bytes | None:
        return self._read(path, max_bytes, below, from_end=True)

    def _read(self, path: str, max_bytes: int, below: str, *, from_end: bool) -> bytes | None:
        key = path[len(below) + 1 :] if below else path
        try:
            folder = self._folder(below)
            try:
                return folder.read_end(key, max_bytes, from_end=from_end)
            except StoreAccessError:
                if folder.is_link_outside(key):
                    self.refused_links.add(path)
                return None
        except StoreError:
            return None

    def _folder(self, below: str) -> ContainedFolder:
        """The folder of a store, opened by the rules of a scan; the last one is kept, since a plate asks for thousands of documents."""
        folder = self._folders.get(below)
        if folder is None:
            place = f"{self._prefix}{below}" if below else self.root_uri
            folder = ContainedFolder(place, follow_symlinks=self._follows(below))
            self._folders = {below: folder}
        return folder

    def uri(self, path: str) -> str:
        return f"{self._prefix}{path}" if path else self.root_uri


class ObjectTree:
    """A prefix of an object store, listed one delimiter level at a time."""

    names_not_utf8: Collection[str] = ()  # names arrive as text
    refused_links: Collection[str] = ()  # there are none
    links_not_followed: Collection[str] = ()

    def __init__(self, root_uri: str, storage_options: Mapping[str, object] | None = None) -> None:
        self.root_uri = root_uri.rstrip("/")
        self._store = open_client(self.root_uri, storage_options or {})

    def _list(self, path: str) -> obstore.ListResult[Sequence[obstore.ObjectMeta]]:
        try:
            return obstore.list_with_delimiter(self._store, path or None)
        except (ObstoreError, FileNotFoundError, PermissionError) as error:
            raise StoreAccessError(
                f"{self.uri(path)} could not be listed: {error}. Check the address and credentials."
            ) from error

    def children(self, path: str) -> list[Entry]:
        result = self._list(path)
        folders = [
            Entry(p.rstrip("/").rsplit("/", 1)[-1], p.rstrip("/"), True) for p in result["common_prefixes"]
        ]
        files = [self._file(meta) for meta in result["objects"]]
        return sorted(folders + files, key=lambda entry: entry.name)

    @staticmethod
    def _file(meta: obstore.ObjectMeta) -> Entry:
        version = meta.get("e_tag") or meta["last_modified"].isoformat()
        path = meta["path"]
        return Entry(
            path.rsplit("/", 1)[-1], path, False, meta["size"], meta["last_modified"].timestamp(), version
        )

    def walk(self, path: str) -> Iterator[Entry]:
        try:
            for batch in obstore.list(self._store, prefix=path or None):
                for meta in batch:
                    yield self._file(meta)
        except (ObstoreError, FileNotFoundError, PermissionError) as error:
            raise StoreAccessError(f"{self.uri(path)} could not be listed: {error}.") from error

    def read_head(self, path: str, max_bytes: int, *, below: str = "") -> bytes | None:
        try:
            return bytes(obstore.get_range(self._store, path, start=0, length=max_bytes))
        except FileNotFoundError:
            return None
        except ObstoreError as error:
            raise StoreAccessError(f"{self.uri(path)} could not be read: {error}.") from error

    def outline(self, path: str) -> list[str]:
        """Object stores keep no times of folders: a change inside a field is left to the deep look."""
        parts = []
        for child in self.children(path):
            parts.append(f"{child.path}\0{child.size_bytes}\0{child.version}")
            if child.is_folder:
                below = self.children(child.path)
                parts += [f"{entry.path}\0{entry.size_bytes}\0{entry.version}" for entry in below]
        return parts

    def read_tail(self, path: str, max_bytes: int, *, below: str = "") -> bytes | None:
        try:
            size = obstore.head(self._store, path)["size"]
            start = max(0, size - max_bytes)
            return bytes(obstore.get_range(self._store, path, start=start, length=size - start))
        except FileNotFoundError:
            return None
        except ObstoreError as error:
            raise StoreAccessError(f"{self.uri(path)} could not be read: {error}.") from error

    def uri(self, path: str) -> str:
        return f"{self.root_uri}/{path}" if path else self.root_uri


def find_refused_links(tree: Tree) -> tuple[Finding, ...]:
    """Say which documents were not read, because a link on the way leads out of their store."""
    paths = sorted(tree.refused_links)
    if not paths:
        return ()
    text = (
        f"{len(paths)} document(s) lie behind a link that leads out of their store; not followed, as in a scan. Put the "
        "file itself there."
    )
    return (Finding("link-refused", "warning", show_name(paths[0]), text, tree.root_uri),)


def open_tree(
    root_uri: str,
    storage_options: Mapping[str, object] | None = None,
    follows: FollowsLinks | None = None,
) -> Tree:
    """Open a watched root; anything with a URL scheme other than ``file`` is an object store.

    ``follows`` tells of a path of a local root whether a link to a folder there is followed; by default the options say it
    for all (``follow_symlinks``).
    """
    path = local_path(root_uri)
    if path is None:
        return ObjectTree(root_uri, storage_options)
    follows_all = follows_symlinks(storage_options)
    return LocalTree(Path(path), follows or (lambda _: follows_all))
