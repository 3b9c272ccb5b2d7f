"""Read a stored table into Arrow: the manifest names the files, the union of their columns is the schema.

A whole table has the columns of all its partitions. Partitions that are read by their keys have their own columns,
whatever other plates of the table have: two screens in one root never see each other's features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from bioimage_assets.core.errors import MissingTableError, UsageError, WarehouseError
from bioimage_assets.core.warehouse.columns.evolution import stored_schema
from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest.detect import resolve_table_name
from bioimage_assets.core.warehouse.manifest.layout import WHOLE_TABLE, Layout
from bioimage_assets.core.warehouse.manifest.manifest_file import read_manifest
from bioimage_assets.core.warehouse.reading.adopted_parts import read_footer
from bioimage_assets.core.warehouse.reading.consistent_read import (
    ConsistentParts,
    open_consistent_parts,
    read_one_state,
)
from bioimage_assets.core.warehouse.reading.table_state import (
    TableState,
    load_state,
    read_logical_schema,
    read_own_schema,
)
from bioimage_assets.core.warehouse.validation.digests import find_bad_pages

READ_ATTEMPTS = 5  # a read starts over when its files are replaced meanwhile

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TableReader:
    """Reads one table of a root; whatever is read is of one committed state of it."""

    files: RootFiles
    table_name: str
    layout: Layout = "flat"

    def has_rows(self) -> bool:
        """Whether the table has parts."""
        state = read_one_state(self.files, lambda: self._load(()))
        return state.is_partial or bool(_select(state, None))

    def partition_keys(self) -> tuple[str, ...]:
        """Partition keys, sorted, without the key of unpartitioned rows."""
        return tuple(sorted(key for key in self._state().partitions if key != WHOLE_TABLE))

    def find_partitions(self, plate_keys: Sequence[str]) -> tuple[str, ...]:
        """Those of some partitions that the table holds, in the given order; the other ones are not looked at."""
        partitions = self._state(plate_keys).partitions
        return tuple(key for key in dict.fromkeys(plate_keys) if key in partitions)

    def row_count(self) -> int:
        """Rows of the whole table."""
        return sum(part.row_count for part in self._state().partitions.values())

    def schema(self) -> pa.Schema:
        """Stored schema of the whole table."""
        return read_one_state(self.files, lambda: self._schema(self._load(())))

    def locations(self, plate_keys: Sequence[str] | None) -> list[str]:
        """Paths or URIs a reader can open."""
        state = self._state(plate_keys)
        return [self.files.location(f"{state.folder}/{name}") for name in _select(state, plate_keys)]

    def read(self, columns: Sequence[str] | None, plate_keys: Sequence[str] | None) -> pa.Table:
        """Read into memory; again where files that were not held open changed meanwhile, at last under the lock."""
        for _ in range(READ_ATTEMPTS):
            table = self._try_read(self._open_parts(plate_keys, columns), columns, plate_keys)
            if table is not None:
                return table
        with self.files.exclusive():
            table = self._try_read(self._open_parts(plate_keys, columns), columns, plate_keys)
        if table is None:
            raise self._changed()
        return table

    def batches(
        self, columns: Sequence[str] | None, plate_keys: Sequence[str] | None
    ) -> pa.RecordBatchReader:
        """Stream; two batches of read-ahead bound the memory."""
        parts = self._open_parts(plate_keys, columns)
        scanner = self._open(parts, lambda: self._scan(parts, columns, plate_keys, read_ahead=2))
        return pa.RecordBatchReader.from_batches(
            scanner.projected_schema, self._stream(parts, scanner.to_reader())
        )

    def scanner(self, columns: Sequence[str] | None, plate_keys: Sequence[str] | None) -> ds.Scanner:
        """Scanner over the selected files."""
        parts = self._open_parts(plate_keys, columns)
        return self._open(parts, lambda: self._scan(parts, columns, plate_keys))

    def dataset(self, plate_keys: Sequence[str] | None) -> ds.Dataset:
        """Dataset over the selected files."""
        parts = self._open_parts(plate_keys)
        return self._open(parts, lambda: self._dataset(parts, plate_keys))

    def _state(self, plate_keys: Sequence[str] | None = None) -> TableState:
        return read_one_state(self.files, lambda: self._load(plate_keys))

    def _load(self, plate_keys: Sequence[str] | None = None) -> TableState:
        manifest, _ = read_manifest(self.files)
        # Resolved with every look: a conversion of the layout may rename the table meanwhile.
        name = resolve_table_name(manifest, self.layout, self.table_name, None, None)
        state = load_state(self.files, manifest, name, keys=plate_keys)
        if state.entry is None:
            raise MissingTableError(f"Missing table: {name!r} in the warehouse {self.files.uri}.")
        return state

    def _schema(self, state: TableState) -> pa.Schema:
        logical = read_logical_schema(self.files, state)
        if logical is None:
            raise WarehouseError(f"Table {self.table_name!r} of {self.files.uri} has no columns in any file.")
        return stored_schema(logical)

    def _schema_of(
        self,
        state: TableState,
        names: Sequence[str],
        plate_keys: Sequence[str] | None,
        columns: Sequence[str] | None,
    ) -> pa.Schema:
        """Columns of the chosen files: whole partitions have their own ones, and null where another column is asked for."""
        schema = self._schema(state)
        if plate_keys is None or not state.has_columns_file:
            return schema
        own = read_own_schema(self.files, state, names)
        if own is None:
            return schema
        others = [schema.field(n) for n in columns or () if n in schema.names and n not in own.names]
        return pa.schema([*stored_schema(own), *others])

    def _open_parts(
        self, plate_keys: Sequence[str] | None, columns: Sequence[str] | None = None
    ) -> ConsistentParts:
        def look() -> ConsistentParts:
            state = self._load(plate_keys)
            names = _select(state, plate_keys)
            return open_consistent_parts(
                self.files, state, self._schema_of(state, names, plate_keys, columns), names
            )

        parts = read_one_state(self.files, look)
        missing = _missing(parts.state, plate_keys)
        if missing:
            raise WarehouseError(
                f"File(s) of table {self.table_name!r} are missing from {self.files.location(parts.state.folder)}: "
                f"{', '.join(missing[:5])}. Restore them, or replace their partitions."
            )
        return parts

    def _open(self, parts: ConsistentParts, make: Callable[[], T]) -> T:
        """Open the files; a damaged footer is this project's error."""
        try:
            return make()
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(parts, error) from error

    def _try_read(
        self, parts: ConsistentParts, columns: Sequence[str] | None, plate_keys: Sequence[str] | None
    ) -> pa.Table | None:
        """Read the files; None where they changed meanwhile."""
        try:
            table = self._scan(parts, columns, plate_keys).to_table()
        except (pa.ArrowException, OSError) as error:
            if parts.is_unchanged(self.files):
                raise self._unreadable(parts, error) from error
            return None
        return table if parts.is_unchanged(self.files) else None

    def _stream(self, parts: ConsistentParts, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        try:
            yield from reader
        except (pa.ArrowException, OSError) as error:
            if parts.is_unchanged(self.files):
                raise self._unreadable(parts, error) from error
        if not parts.is_unchanged(self.files):
            raise self._changed()

    def _dataset(self, parts: ConsistentParts, plate_keys: Sequence[str] | None) -> ds.Dataset:
        dataset = parts.dataset(self.files)
        column = (parts.state.entry.partition_column if parts.state.entry else None) or "plate_key"
        mixed = parts.state.partitions.get(WHOLE_TABLE)
        if plate_keys is not None and mixed is not None and mixed.row_count and column in parts.schema.names:
            return dataset.filter(pc.field(column).isin(list(plate_keys)))
        return dataset

    def _scan(
        self,
        parts: ConsistentParts,
        columns: Sequence[str] | None,
        plate_keys: Sequence[str] | None,
        read_ahead: int = 8,
    ) -> ds.Scanner:
        unknown = [name for name in columns or () if name not in parts.schema.names]
        if unknown:
            raise UsageError(f"Table {self.table_name!r} has no column(s) {', '.join(unknown)}.")
        return self._dataset(parts, plate_keys).scanner(
            columns=list(columns) if columns is not None else None,
            batch_readahead=read_ahead,
            fragment_readahead=read_ahead,
        )

    def _unreadable(self, parts: ConsistentParts, error: Exception) -> WarehouseError:
        where = f"Table {self.table_name!r} of {self.files.uri} cannot be read"
        for name in parts.names:
            try:
                read_footer(self.files, f"{parts.state.folder}/{name}")
            except WarehouseError as found:
                return WarehouseError(f"{where}: {found}")
        for name in parts.names:  # the footers are whole: some page is not
            path = f"{parts.state.folder}/{name}"
            wrong = find_bad_pages(self.files, path)
            if wrong is not None:
                return WarehouseError(
                    f"{where}: {self.files.location(path)} is damaged ({' '.join(wrong.split())}). Restore it, or build "
                    "its partition again."
                )
        return WarehouseError(f"{where}: {error}")

    def _changed(self) -> WarehouseError:
        return WarehouseError(
            f"Table {self.table_name!r} of {self.files.uri} was changed while it was read, so that its rows would be "
            "of two states. Read it again."
        )


def _missing(state: TableState, plate_keys: Sequence[str] | None) -> list[str]:
    """Files that are named in vain; of named partitions only theirs, so that a lost plate costs itself alone."""
    if plate_keys is None:
        return list(state.missing)
    partitions = state.partitions
    parts = (partitions[key] for key in {*plate_keys, WHOLE_TABLE} if key in partitions)
    return sorted({name for part in parts for name in part.files} & set(state.missing))


def _select(state: TableState, plate_keys: Sequence[str] | None) -> tuple[str, ...]:
    partitions = state.partitions
    if plate_keys is None:
        keys = list(partitions)
    else:
        keys = [key for key in dict.fromkeys(plate_keys) if key in partitions]
        column = state.entry.partition_column if state.entry else None
        if WHOLE_TABLE in partitions and (column or "plate_key") in (
            state.entry.columns if state.entry else ()
        ):
            keys.append(WHOLE_TABLE)
    return tuple(sorted({name for key in keys for name in partitions[key].files if name in state.sizes}))
