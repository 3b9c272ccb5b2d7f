"""Which files below a table its metadata still name, and which of them nothing names any more."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow.fs as pafs
from pyiceberg.catalog import Catalog
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import ManifestFile
from pyiceberg.table import Table
from pyiceberg.utils.concurrent import ExecutorFactory

from bioimage_assets.core.catalog.session import Identifier
from bioimage_assets.core.errors import CatalogError

# When a table was made (milliseconds since 1970) whose folder held the files of a table before it.
OLDER_FILES_PROPERTY = "bioimage.older-files-before-ms"
# Everything a table writes is in one of these folders; nothing else below its location is touched.
_OWN_FOLDERS = ("data", "metadata")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file below a table's location; ``path`` is the location without its scheme."""

    path: str
    uri: str
    size_bytes: int
    modified_at: datetime | None


def find_orphans(catalog: Catalog, identifier: Identifier, older_than: datetime) -> list[StoredFile]:
    """Files that no snapshot and no metadata version names, last changed before ``older_than``.

    The folder is listed before the metadata are read, so what is committed in between counts as named.
    Files whose age is unknown are kept, and those of a table that was in the same folder before, whose catalog entry was lost:
    it may be brought back.
    """
    table = catalog.load_table(identifier)
    # Before the metadata are read: a commit in between is then named, never listed and unknown.
    listed = list(list_files(table))
    named = referenced_paths(catalog.load_table(identifier))
    made_at = datetime.fromtimestamp(int(table.properties.get(OLDER_FILES_PROPERTY, 0)) / 1000, UTC)
    return [
        file
        for file in listed
        if file.path not in named
        and file.modified_at is not None
        and made_at <= file.modified_at < older_than
    ]


def list_files(table: Table) -> Iterator[StoredFile]:
    """All data and metadata files below a table's location."""
    if not isinstance(table.io, PyArrowFileIO):
        raise CatalogError(
            f"Files of {'.'.join(table.name())} cannot be listed through {type(table.io).__name__}; set the catalog "
            "property py-io-impl to pyiceberg.io.pyarrow.PyArrowFileIO."
        )
    check_location(table)
    yield from list_files_below(table)


def list_files_below(table: Table) -> Iterator[StoredFile]:
    """Files below a location that is a table's own; one that is not made yet has no metadata to tell it by."""
    assert isinstance(table.io, PyArrowFileIO)
    scheme, netloc, root = table.io.parse_location(table.location())
    filesystem = table.io.fs_by_scheme(scheme, netloc)
    for folder in _OWN_FOLDERS:
        selector = pafs.FileSelector(f"{root.rstrip('/')}/{folder}", recursive=True, allow_not_found=True)
        for entry in filesystem.get_file_info(selector):
            if entry.type == pafs.FileType.File and (scheme != "file" or not _is_linked(entry.path, root)):
                uri = f"{table.location().rstrip('/')}{entry.path[len(root.rstrip('/')) :]}"
                yield StoredFile(entry.path, uri, entry.size, entry.mtime)


def check_location(table: Table) -> None:
    """Look that a table's metadata lie below the location that they name, before anything there is taken for the table's.

    Metadata may come from anybody, and name any folder as theirs; whoever made them could not put them there.

    Raises
    ------
    CatalogError
        The metadata lie elsewhere; both places are named.
    """
    place = posixpath.dirname(posixpath.normpath(_path(table.io, table.metadata_location)))
    root = posixpath.normpath(_path(table.io, table.location()))
    if place != f"{root.rstrip('/')}/metadata":
        raise CatalogError(
            f"Table {'.'.join(table.name())} says that its files lie in {table.location()}, but its metadata are "
            f"{table.metadata_location}. Nothing was removed or rewritten: what lies there cannot be told from other "
            "files. Copy its rows into a table of your own catalog."
        )


def _is_linked(path: str, root: str) -> bool:
    """Whether a local file is reached through a link below a table's location: it may be anybody's."""
    real_root = os.path.realpath(root)
    return os.path.realpath(path) != f"{real_root.rstrip('/')}{path[len(root.rstrip('/')) :]}"


def referenced_paths(table: Table) -> set[str]:
    """Paths of every file that the present metadata, its snapshots and its earlier versions name."""
    metadata = table.metadata
    named = {table.metadata_location, *(entry.metadata_file for entry in metadata.metadata_log)}
    named.update(file.statistics_path for file in (*metadata.statistics, *metadata.partition_statistics))
    manifests: dict[str, ManifestFile] = {}
    for snapshot in table.snapshots():
        named.add(snapshot.manifest_list)
        manifests.update((manifest.manifest_path, manifest) for manifest in snapshot.manifests(table.io))
    named.update(manifests)
    for paths in ExecutorFactory.get_or_create().map(
        lambda one: _live_paths(one, table.io), manifests.values()
    ):
        named.update(paths)
    return {_path(table.io, location) for location in named}


def _live_paths(manifest: ManifestFile, io: FileIO) -> list[str]:
    return [entry.data_file.file_path for entry in manifest.fetch_manifest_entry(io, discard_deleted=True)]


def _path(io: FileIO, location: str) -> str:
    return PyArrowFileIO.parse_location(location, io.properties)[2]
