"""Files of one table become Arrow data: the manifest names the files, the union of their columns is the schema."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from bioimage_assets.core.errors import MissingTableError, UsageError, WarehouseError
from bioimage_assets.core.warehouse.evolution import stored_schema
from bioimage_assets.core.warehouse.files import RootFiles
from bioimage_assets.core.warehouse.layout import JOURNAL_NAME, WHOLE_TABLE
from bioimage_assets.core.warehouse.manifest_file import read_manifest
from bioimage_assets.core.warehouse.state import TableState, load_state, read_logical_schema

READ_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class TableReader:
    """Reads one table of a root."""

    files: RootFiles
    table_name: str

    def names(self, plate_keys: Sequence[str] | None = None) -> tuple[str, ...]:
        """File names, sorted."""
        return _select(self._state(), plate_keys)

    def partition_keys(self) -> tuple[str, ...]:
        """Partition keys, sorted, without the key of unpartitioned rows."""
        return tuple(sorted(key for key in self._state().partitions if key != WHOLE_TABLE))

    def row_count(self) -> int:
        """Rows of the whole table."""
        return sum(part.row_count for part in self._state().partitions.values())

    def schema(self) -> pa.Schema:
        """Stored schema of the whole table."""
        return self._schema(self._state())

    def locations(self, plate_keys: Sequence[str] | None) -> list[str]:
        """Paths or URIs a reader can open."""
        state = self._state()
        return [self.files.location(f"{state.folder}/{name}") for name in _select(state, plate_keys)]

    def read(self, columns: Sequence[str] | None, plate_keys: Sequence[str] | None) -> pa.Table:
        """Read into memory; read again when a writer changed the table meanwhile, at last under the lock."""
        for attempt in range(READ_ATTEMPTS):
            journal, state = self.files.version(JOURNAL_NAME), self._state()
            if journal is None and not state.missing:
                try:
                    table = self._scanner(state, columns, plate_keys).to_table()
                except (pa.ArrowInvalid, OSError) as error:
                    if self._state() == state:
                        raise self._unreadable(error) from error
                    continue
                if self.files.version(JOURNAL_NAME) is None and self._state().entry == state.entry:
                    return table
            # A change is under way, between its files and its manifest.
            time.sleep(0.01 * 2**attempt)
        return self._read_locked(columns, plate_keys)

    def _read_locked(self, columns: Sequence[str] | None, plate_keys: Sequence[str] | None) -> pa.Table:
        try:
            with self.files.exclusive():
                state = self._state()
        except WarehouseError:
            # Without the right to write there is no lock to take; parts are complete all the same.
            state = self._state()
        try:
            return self._scanner(state, columns, plate_keys).to_table()
        except (pa.ArrowInvalid, OSError) as error:
            raise self._unreadable(error) from error

    def batches(
        self, columns: Sequence[str] | None, plate_keys: Sequence[str] | None
    ) -> pa.RecordBatchReader:
        """Stream; two batches of read-ahead bound the memory."""
        return self._scanner(self._state(), columns, plate_keys, read_ahead=2).to_reader()

    def scanner(self, columns: Sequence[str] | None, plate_keys: Sequence[str] | None) -> ds.Scanner:
        """Scanner over the selected files."""
        return self._scanner(self._state(), columns, plate_keys)

    def _state(self) -> TableState:
        manifest, _ = read_manifest(self.files)
        state = load_state(self.files, manifest, self.table_name)
        if state.entry is None:
            raise MissingTableError(f"Missing table: {self.table_name!r} in the warehouse {self.files.uri}.")
        return state

    def _schema(self, state: TableState) -> pa.Schema:
        logical = read_logical_schema(self.files, state)
        if logical is None:
            raise WarehouseError(f"Table {self.table_name!r} of {self.files.uri} has no columns in any file.")
        return stored_schema(logical)

    def _scanner(
        self,
        state: TableState,
        columns: Sequence[str] | None,
        plate_keys: Sequence[str] | None,
        read_ahead: int = 8,
    ) -> ds.Scanner:
        schema = self._schema(state)
        unknown = [name for name in columns or () if name not in schema.names]
        if unknown:
            raise UsageError(f"Table {self.table_name!r} has no column(s) {', '.join(unknown)}.")
        names = _select(state, plate_keys)
        if state.missing:
            raise WarehouseError(
                f"File(s) of table {self.table_name!r} are missing from {self.files.location(state.folder)}: "
                f"{', '.join(state.missing[:5])}. Restore them, or replace their partitions."
            )
        column = (state.entry.partition_column if state.entry else None) or "plate_key"
        mixed = state.partitions.get(WHOLE_TABLE)
        wanted = None
        if plate_keys is not None and mixed is not None and mixed.row_count and column in schema.names:
            wanted = pc.field(column).isin(list(plate_keys))
        dataset = ds.dataset(
            [self.files.arrow_path(f"{state.folder}/{name}") for name in names],
            schema=schema,
            format="parquet",
            filesystem=self.files.filesystem(),
        )
        return dataset.scanner(
            columns=list(columns) if columns is not None else None,
            filter=wanted,
            batch_readahead=read_ahead,
            fragment_readahead=read_ahead,
        )

    def _unreadable(self, error: Exception) -> WarehouseError:
        return WarehouseError(f"Table {self.table_name!r} of {self.files.uri} cannot be read: {error}")


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
