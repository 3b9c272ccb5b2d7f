"""Hold on to the files of one committed state of a table, whatever writers do meanwhile.

A look at a root counts only if no change was under way before and after it and the manifest is still the
same one: otherwise it is repeated, at last under the writers' lock. Local files are opened within that look,
and an open file stays what it was when a rename takes its name away. Objects, and tables of more files than
one process should hold open, are compared by their versions after they were read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa
import pyarrow.dataset as ds

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.parquet_checksums import check_names, checked_format
from bioimage_assets.core.warehouse.changes.interrupted_change import read_interrupted_change
from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest.layout import JOURNAL_NAME
from bioimage_assets.core.warehouse.manifest.manifest_file import given_manifest, mark_manifest
from bioimage_assets.core.warehouse.reading.part_owner import refuse_misplaced
from bioimage_assets.core.warehouse.reading.table_state import TableState

LOOKS = 6  # a look starts over when a commit comes in between

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ConsistentParts:
    """Files of one state of one table; ``handles`` is None where they are not held open."""

    state: TableState
    schema: pa.Schema
    names: tuple[str, ...]
    versions: Mapping[str, str]
    handles: tuple[pa.NativeFile, ...] | None

    def dataset(self, files: RootFiles) -> ds.FileSystemDataset:
        """The files as an Arrow dataset, in the order of their names."""
        parquet = checked_format()
        if self.handles is not None:
            # From open handles: a file that is replaced meanwhile is read to its end as it was.
            fragments = [parquet.make_fragment(handle) for handle in self.handles]
            dataset = ds.FileSystemDataset(fragments, self.schema, parquet)
        else:
            paths = [files.arrow_path(f"{self.state.folder}/{name}") for name in self.names]
            dataset = ds.dataset(paths, schema=self.schema, format=parquet, filesystem=files.filesystem())
            fragments = list(dataset.get_fragments())
        for name, fragment in zip(self.names, fragments, strict=True):
            schema = fragment.physical_schema  # whose footer is read once, here or by the scan
            check_names(schema)
            refuse_misplaced(files, self.state, name, schema)
        return dataset

    def is_unchanged(self, files: RootFiles) -> bool:
        """Whether what was read since these files were opened is what was there then."""
        if self.handles is not None:
            return True
        found = files.versions_of(self.state.folder, self.names)
        return all(found.get(name) == self.versions[name] for name in self.names)


def open_consistent_parts(
    files: RootFiles, state: TableState, schema: pa.Schema, names: tuple[str, ...], keep_open: bool = True
) -> ConsistentParts:
    """Open, or note the versions of, some files of a table. Call within a look."""
    handles = files.open_parts(state.folder, names) if keep_open else None
    versions = files.versions_of(state.folder, names) if handles is None else {}
    gone = [name for name in names if name not in versions] if handles is None else []
    if gone:
        raise WarehouseError(f"{files.location(f'{state.folder}/{gone[0]}')} vanished while it was opened.")
    return ConsistentParts(state, schema, names, versions, handles)


def read_one_state(files: RootFiles, look: Callable[[], T]) -> T:
    """Give what a look finds in one committed state of the root; the look reads and changes nothing.

    Raises
    ------
    WarehouseError
        What the look raised; or, without the right to write, a change of several files that a killed writer
        left half-way.
    """
    for attempt in range(LOOKS):
        mark = _mark(files)
        if mark is not None:
            try:
                found = look()
            except (WarehouseError, FileNotFoundError):
                if _mark(files) == mark:
                    raise
            else:
                if _mark(files) == mark:
                    return found
        # A change is under way; it takes milliseconds.
        time.sleep(0.002 * 2**attempt)
    with ExitStack() as held:
        try:
            held.enter_context(files.exclusive())
        except WarehouseError:
            return _look_at_interrupted_change(files, look)
        return look()


def _mark(files: RootFiles) -> str | None:
    """What tells one state of a root from the next; None while a change is under way."""
    return mark_manifest(files) if files.version(JOURNAL_NAME) is None else None


def _look_at_interrupted_change(files: RootFiles, look: Callable[[], T]) -> T:
    """Look where the writer is dead and the reader may not finish its change."""
    # Nothing is journalled in an object store.
    journal = files.read(JOURNAL_NAME) if files.is_local else None
    if journal is None:
        return look()
    with given_manifest(files, read_interrupted_change(files, journal[0])):
        found = look()
    if files.read(JOURNAL_NAME) != journal:
        raise WarehouseError(f"{files.uri} changed while it was read. Read it again.")
    return found
