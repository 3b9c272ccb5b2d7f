"""A Cytomining-compatible Parquet warehouse root: named tables of atomically replaced partitions, and a manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

import pyarrow as pa
import pyarrow.dataset as ds

from bioimage_assets.core.arrow_frames import ArrowData
from bioimage_assets.core.errors import MissingTableError, UsageError, WarehouseError, WarehouseRoleError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.warehouse.changes.remove import remove_partitions
from bioimage_assets.core.warehouse.changes.request import WriteMode, WriteRequest
from bioimage_assets.core.warehouse.changes.sources import open_sources
from bioimage_assets.core.warehouse.changes.stage_parts import TableDescription
from bioimage_assets.core.warehouse.changes.write import write_table
from bioimage_assets.core.warehouse.files.bucket_files import object_files
from bioimage_assets.core.warehouse.files.local_files import LocalRootFiles
from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest.describe import TableWords, WholeTableWords, describe_table
from bioimage_assets.core.warehouse.manifest.detect import detect_layout, resolve_table_name
from bioimage_assets.core.warehouse.manifest.layout import Layout, namespace_of
from bioimage_assets.core.warehouse.manifest.manifest_file import read_manifest
from bioimage_assets.core.warehouse.manifest.records import WarehouseManifest
from bioimage_assets.core.warehouse.manifest.roles import check_role, check_role_namespace
from bioimage_assets.core.warehouse.manifest.views import are_views_outdated, write_views
from bioimage_assets.core.warehouse.reading.listed import ListedPartitions, read_listed
from bioimage_assets.core.warehouse.reading.read import TableReader
from bioimage_assets.core.warehouse.reading.table_state import load_state
from bioimage_assets.core.warehouse.results import TableWrite


def open_warehouse(
    root: str | Path,
    *,
    layout: Layout | None = None,
    storage_options: Mapping[str, object] | None = None,
) -> Warehouse:
    """Open a root; nothing is created before the first write.

    Parameters
    ----------
    root
        Local folder, ``file://`` or object-store URI.
    layout
        Layout of a *new* root, flat by default. An existing root keeps the layout it has
        (``convert_layout`` changes it).

    Examples
    --------
    >>> warehouse = open_warehouse("warehouse-root")
    >>> warehouse.read("image_assets", plate_keys=["screen/BR001"]).num_rows
    1
    """
    uri = str(root)
    remote = "://" in uri and not uri.startswith("file://")
    files: RootFiles = object_files(uri.rstrip("/"), storage_options or {}) if remote else LocalRootFiles(uri)
    # A writer that was killed may have left its change on record: it is finished before anything is read.
    files.recover()
    # An existing root keeps its layout, whatever the caller would choose for a new one.
    found = detect_layout(files)
    return Warehouse(files, found or layout or "flat")


def load_warehouse_manifest(root: str | Path) -> WarehouseManifest:
    """Read the manifest of a root; an empty one where there is none. ManifestError where it is broken.

    Examples
    --------
    >>> load_warehouse_manifest("warehouse-root").entry("image_assets").role
    'image_assets'
    """
    return open_warehouse(root).manifest()


@dataclass(frozen=True, slots=True)
class Warehouse:
    """An open root. Holds no state of the tables: every call sees what other processes wrote."""

    files_at: RootFiles
    layout: Layout

    @property
    def root(self) -> str:
        """Absolute path or URI of the root."""
        return self.files_at.uri

    def manifest(self) -> WarehouseManifest:
        """The manifest as it is now; empty where none was written yet.

        Entries of partitions are read when they are asked for. Files that a writer replaces meanwhile stay for five minutes, or
        sixteen changes of the table; later it is a ManifestError, and the manifest has to be asked for again.
        """
        return read_manifest(self.files_at)[0]

    def listed(self, table_name: str, plate_keys: Sequence[str] | None = None) -> ListedPartitions:
        """What the manifest says of some partitions, or of all, and the calls that made them; none where there is no such table."""
        return read_listed(self.files_at, self.layout, table_name, plate_keys)

    def tables(self) -> tuple[str, ...]:
        """Names of all tables in the manifest, sorted."""
        return _name_tables(self.manifest())

    def has_table(self, table_name: str) -> bool:
        """Whether a table has files."""
        try:
            return self._reader(table_name).has_rows()
        except (MissingTableError, UsageError):
            # A name that no table of this root can have is the name of none.
            return False

    def resolve(self, table_name: str, role: str | None = None, namespace: str | None = None) -> str:
        """Name under which a table is, or would be, kept in this root."""
        return resolve_table_name(self.manifest(), self.layout, table_name, role, namespace)

    def partitions(self, table_name: str) -> tuple[str, ...]:
        """Partition keys that a table holds, sorted."""
        return self._reader(table_name).partition_keys()

    def partitions_with_rows(self, table_name: str) -> tuple[str, ...]:
        """Partition keys of which a table has a row, sorted; a partition that was built empty is none of them."""
        entries = self.listed(table_name).partitions
        empty = {key for key, part in entries.items() if not part.row_count}
        return tuple(key for key in self.partitions(table_name) if key not in empty)

    def find_partitions(self, table_name: str, plate_keys: Sequence[str]) -> tuple[str, ...]:
        """Those of some partition keys that a table holds; none where there is no such table.

        Costs the same however many other partitions the table has.
        """
        try:
            return self._reader(table_name).find_partitions(plate_keys)
        except MissingTableError:
            return ()

    def row_count(self, table_name: str) -> int:
        """Rows of a whole table."""
        return self._reader(table_name).row_count()

    def schema(self, table_name: str) -> pa.Schema:
        """Stored schema of a table: the union of all its parts."""
        return self._reader(table_name).schema()

    def read(
        self,
        table_name: str,
        *,
        columns: Sequence[str] | None = None,
        plate_keys: Sequence[str] | None = None,
    ) -> pa.Table:
        """Read a table or some of its partitions; rows of one state of the table, never of two.

        A whole table has the columns of all its partitions, null where a plate has no such column. Partitions
        that are named have their own columns, whatever else the table holds; columns that are asked for by name are
        null where only other plates have them.
        """
        return self._reader(table_name).read(columns, plate_keys)

    def batches(
        self,
        table_name: str,
        *,
        columns: Sequence[str] | None = None,
        plate_keys: Sequence[str] | None = None,
    ) -> pa.RecordBatchReader:
        """Stream a table in bounded memory; rows of one state of the table, never of two.

        Local files are held open. Where that is not possible (object stores, or more files than a quarter of
        what the process may open) and one of them is replaced before the stream ends, it ends with WarehouseError.
        """
        return self._reader(table_name).batches(columns, plate_keys)

    def scanner(
        self,
        table_name: str,
        *,
        columns: Sequence[str] | None = None,
        plate_keys: Sequence[str] | None = None,
    ) -> ds.Scanner:
        """Arrow scanner over a table, for filters and engines of the caller's own.

        Rows of one state of the table where its files are held open (see :meth:`batches`); else each file is complete.
        """
        return self._reader(table_name).scanner(columns, plate_keys)

    def dataset(self, table_name: str, *, plate_keys: Sequence[str] | None = None) -> ds.Dataset:
        """Arrow dataset over one state of a table, which DuckDB and polars scan, too; see :meth:`scanner`."""
        return self._reader(table_name).dataset(plate_keys)

    def files(self, table_name: str, plate_keys: Sequence[str] | None = None) -> list[str]:
        """Paths or URIs of the Parquet files of a table or of some partitions; empty where there are none.

        The list is of one state; who opens the files later may find some replaced by newer ones, each complete.
        """
        try:
            return self._reader(table_name).locations(plate_keys)
        except MissingTableError:
            return []

    def replace_partitions(
        self,
        table_name: str,
        data: ArrowData | Mapping[str, ArrowData],
        plate_keys: Sequence[str],
        *,
        fingerprint: str | Mapping[str, str] | None = None,
        run_id: str | None = None,
        steps: Sequence[Mapping[str, object]] = (),
        **described: Unpack[TableWords],
    ) -> TableWrite:
        """Replace exactly the rows of these partitions; a second run over the same data changes nothing.

        A partition without rows keeps a part of zero rows. Data without the partition column get it when
        one partition is written. Each partition is stored with the columns of its own data. ``steps`` are the calls that
        made the rows, in order (plain values), kept in the manifest entry. Role, join keys and levels of the project's own tables are known; what else
        may be said of a table: :class:`TableWords`.

        Raises
        ------
        SchemaConflictError, WarehouseRoleError, UsageError
            Before anything is written.
        """
        keys = tuple(dict.fromkeys(plate_keys))
        if not keys:
            raise UsageError(f"Table {table_name!r}: no partition to replace was named.")
        if isinstance(data, Mapping) and not set(data) <= set(keys):
            raise UsageError(
                f"Table {table_name!r}: data for partition(s) that were not named: {set(data) - set(keys)}."
            )
        prints = dict.fromkeys(keys, fingerprint) if isinstance(fingerprint, str) else dict(fingerprint or {})
        description = describe_table(table_name, **described)
        return self._write("replace", table_name, data, description, keys, prints, run_id, steps=steps)

    def overwrite(
        self,
        table_name: str,
        data: ArrowData | Mapping[str, ArrowData],
        **words: Unpack[WholeTableWords],
    ) -> TableWrite:
        """Replace a whole table and nothing else; its old schema does not bind."""
        return self._write_whole("overwrite", table_name, data, **words)

    def append(
        self,
        table_name: str,
        data: ArrowData | Mapping[str, ArrowData],
        **words: Unpack[WholeTableWords],
    ) -> TableWrite:
        """Add rows as further parts; the same data twice are twice there, since that was asked for."""
        return self._write_whole("append", table_name, data, **words)

    def remove_partitions(self, table_name: str, plate_keys: Sequence[str]) -> TableWrite:
        """Remove partitions; the table stays, with a part of zero rows where nothing else is left.

        Partitions, or a table, that are not there are not an error: nothing changes.
        """
        name = self.resolve(table_name)
        manifest = self.manifest()
        entry = load_state(self.files_at, manifest, name, keys=plate_keys).entry
        if entry is None:
            return TableWrite(name, 0, 0, {}, (), False, generation=manifest.generation)
        return remove_partitions(
            self.files_at, name, tuple(plate_keys), entry.partition_column or "plate_key"
        )

    def _check_role(self, table_name: str, role: str, namespace: str | None) -> None:
        """The vocabulary binds a namespaced root; a flat one takes any role, as the seeds do."""
        if not role.strip():
            raise WarehouseRoleError(f"Table {table_name!r} needs a role.")
        said = namespace_of(table_name) or namespace
        if self.layout == "namespaced":
            check_role(role)
        if said is not None and (self.layout == "namespaced" or role == "quality_control"):
            check_role_namespace(role, said.split(".")[0])

    def _reader(self, table_name: str) -> TableReader:
        return TableReader(self.files_at, table_name, self.layout)

    def _write_whole(
        self,
        mode: WriteMode,
        table_name: str,
        data: ArrowData | Mapping[str, ArrowData],
        run_id: str | None = None,
        namespace: str | None = None,
        **described: Unpack[TableWords],
    ) -> TableWrite:
        description = describe_table(table_name, **described)
        return self._write(mode, table_name, data, description, None, {}, run_id, namespace)

    def _write(
        self,
        mode: WriteMode,
        table_name: str,
        data: ArrowData | Mapping[str, ArrowData],
        described: TableDescription,
        keys: tuple[str, ...] | None,
        fingerprints: Mapping[str, str],
        run_id: str | None,
        namespace: str | None = None,
        steps: Sequence[Mapping[str, object]] = (),
    ) -> TableWrite:
        self._check_role(table_name, described.role, namespace)
        manifest = self.manifest()
        name = resolve_table_name(manifest, self.layout, table_name, described.role, namespace)
        where = f"Table {name!r} of {self.root}"
        sources = open_sources(data, where, column=described.partition_column, keys=keys)
        # Views name tables: they change only where tables come or go.
        before = _name_tables(manifest)
        written = write_table(
            self.files_at,
            WriteRequest(name, mode, sources, described, keys, fingerprints, run_id, self.layout, steps),
        )
        if written.changed and (len(self.tables()) != len(before) or are_views_outdated(self.files_at)):
            try:
                write_views(self.files_at)
            except WarehouseError as error:
                # The rows are there; the views can be made again at any time.
                text = f"The views are not up to date, `bioimage-assets maintain` writes them: {error}"
                finding = Finding("views-not-written", "warning", name, text, self.root)
                return replace(written, findings=(*written.findings, finding))
        return written


def _name_tables(manifest: WarehouseManifest) -> tuple[str, ...]:
    return tuple(sorted(entry.table_name for entry in manifest.tables if not entry.is_announced))
