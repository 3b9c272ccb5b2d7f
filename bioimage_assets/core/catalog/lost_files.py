"""Which data files of an Iceberg table are lost, and how many rows of each partition are there.

Told by the manifests of the present snapshot and by listings of the folders that they name; no data file is opened.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow.fs as pafs
from pydantic import ValidationError
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from bioimage_assets.core.catalog.evolution import identity_column
from bioimage_assets.core.catalog.filters import partition_filter
from bioimage_assets.core.catalog.retry import call_with_retry, catalog_errors
from bioimage_assets.core.catalog.session import Identifier
from bioimage_assets.core.errors import CatalogError

# Above so many folders the whole table is listed at once, unless it has so many more files that this costs more: a bucket
# gives a thousand names per request, and a folder is a request.
_MAX_FOLDERS = 8
_FILES_PER_FOLDER = 500
# A file that another process is about to remove or to put in place is looked for again.
_LOOK_AGAIN_S = 2.0


@dataclass(frozen=True, slots=True)
class CatalogPresence:
    """What is there of one table.

    ``rows`` by partition; ``lost`` is a sentence by partition some of whose files are not there as they were written.
    ``unreadable``: why no row of the table can be read, where its metadata are lost. ``is_missing``: the catalog has no
    such table.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    lost: Mapping[str, str] = field(default_factory=dict)
    unreadable: str | None = None
    is_missing: bool = False


def read_presence(
    catalog: Catalog, identifier: Identifier, keys: Sequence[str] | None = None
) -> CatalogPresence:
    """Look at a table, or at some of its partitions.

    Raises
    ------
    CatalogError
        The catalog itself cannot be asked; nothing is known of the table then.
    """
    name = ".".join(identifier)
    try:
        with catalog_errors(f"Looking for the files of {name}"):
            return call_with_retry(
                lambda: _look(catalog, identifier, keys),
                deadline_s=_LOOK_AGAIN_S,
                retryable=_is_lost_metadata,
            )
    except CatalogError as error:
        cause = error.__cause__
        if isinstance(cause, NoSuchTableError | NoSuchNamespaceError):
            return CatalogPresence(is_missing=True)
        if cause is not None and _is_lost_metadata(cause):
            return CatalogPresence(unreadable=f"the metadata of {name} are lost ({_first_line(cause)})")
        raise


def release_unreadable(
    catalog: Catalog, identifier: Identifier, keys: Sequence[str] | None = None
) -> str | None:
    """Take a table whose metadata on these partitions are lost out of the catalog, so that it can be made again.

    Gives what was lost; None where the metadata are there, and nothing is done.

    Its files stay where they are: a table made in the same place never removes files that are older than itself.
    """
    found = read_presence(catalog, identifier, keys)
    if found.unreadable is None:
        return None
    with catalog_errors(f"Releasing {'.'.join(identifier)}"):
        catalog.drop_table(identifier)
    return found.unreadable


def _look(catalog: Catalog, identifier: Identifier, keys: Sequence[str] | None) -> CatalogPresence:
    table = catalog.load_table(identifier)
    column = identity_column(table)
    wanted = AlwaysTrue() if keys is None or column is None else partition_filter(column, keys)
    files = [task.file for task in table.scan(row_filter=wanted).plan_files()]
    sizes = _list_sizes(table, files)
    rows: dict[str, int] = defaultdict(int)
    lost: dict[str, str] = {}
    for file in files:
        key = str(file.partition[0]) if len(file.partition) else ""
        rows[key] += file.record_count
        problem = None if sizes is None else _find_problem(file, sizes.get(_path(table, file.file_path)))
        if problem is not None:
            lost.setdefault(key, problem)
    return CatalogPresence(dict(rows), lost)


def _find_problem(file: DataFile, found: int | None) -> str | None:
    if found is None:
        return f"{file.file_path} is missing"
    if found != file.file_size_in_bytes:
        return f"{file.file_path} has {found} bytes, not the {file.file_size_in_bytes} that were written"
    return None


def _list_sizes(table: Table, files: Sequence[DataFile]) -> dict[str, int] | None:
    """Sizes of the files in the folders of data files, by path; None where the store cannot be listed from here."""
    if not isinstance(table.io, PyArrowFileIO):
        return None
    folders = {_path(table, file.file_path).rpartition("/")[0] for file in files}
    if len(folders) > max(_MAX_FOLDERS, _count_files(table) // _FILES_PER_FOLDER):
        folders = {_common_folder(folders)}
    scheme, netloc, _ = table.io.parse_location(table.location())
    filesystem = table.io.fs_by_scheme(scheme, netloc)
    sizes: dict[str, int] = {}
    for folder in sorted(folders):
        selector = pafs.FileSelector(folder, recursive=True, allow_not_found=True)
        sizes |= {
            entry.path: entry.size
            for entry in filesystem.get_file_info(selector)
            if entry.type == pafs.FileType.File
        }
    return sizes


def _count_files(table: Table) -> int:
    """Data files of the present snapshot as its summary says; 0 where it does not."""
    snapshot = table.current_snapshot()
    summary = snapshot.summary if snapshot is not None else None
    return int((summary["total-data-files"] if summary is not None else None) or 0)


def _common_folder(folders: set[str]) -> str:
    first, last = min(folders).split("/"), max(folders).split("/")
    shared = 0
    while shared < min(len(first), len(last)) and first[shared] == last[shared]:
        shared += 1
    return "/".join(first[:shared])


def _path(table: Table, location: str) -> str:
    return PyArrowFileIO.parse_location(location, table.io.properties)[2]


def _is_lost_metadata(error: BaseException) -> bool:
    return isinstance(error, FileNotFoundError | ValidationError)


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
