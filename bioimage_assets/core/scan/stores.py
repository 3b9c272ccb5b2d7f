"""Which stores a URI holds, scanned: a Zarr folder, archive or prefix, a TIFF file, or a folder of several.

Which reader applies follows from what is at the URI: Zarr metadata at the root, the name of a TIFF,
else a folder that is searched for stores. https://ngff.openmicroscopy.org/ and
https://ome-model.readthedocs.io/en/stable/ome-tiff/specification.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.errors import (
    IdentityError,
    StoreChangedError,
    StoreError,
    StoreNotFoundError,
    UnsupportedStoreError,
)
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.image_ids import path_below
from bioimage_assets.core.formats.ome_tiff.chunks import build_tiff_chunks
from bioimage_assets.core.formats.ome_tiff.scan import scan_tiff
from bioimage_assets.core.formats.ome_zarr.unlisted_folders import note_unlisted_folders
from bioimage_assets.core.formats.ome_zarr.walk import ZarrScan, check_unchanged, scan_zarr_store
from bioimage_assets.core.formats.parse_errors import foreign_file
from bioimage_assets.core.formats.plate_folders.load_data import is_load_data
from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets.core.formats.png.chunks import build_png_chunks
from bioimage_assets.core.model.file_kinds import (
    PNG_FAMILY,
    TIFF_SUFFIXES,
    has_suffix,
)
from bioimage_assets.core.model.foreign_kinds import (
    explain_single_file,
    find_foreign,
    find_images_not_read,
)
from bioimage_assets.core.model.identity import build_plate_key, store_stem, without_query
from bioimage_assets.core.model.image import LISTED, ImageRecord
from bioimage_assets.core.model.scan import ScanOptions, StoreScan
from bioimage_assets.core.scan.chunk_rows import build_zarr_chunks, check_row_limit, plan_chunk_arrays
from bioimage_assets.core.scan.folder_entries import find_stores, has_zarr_root
from bioimage_assets.core.scan.listings import IndexedArray, count_objects
from bioimage_assets.core.scan.refused_chunks import RefusedChunks
from bioimage_assets.core.scan.xml_beside import read_xml_beside
from bioimage_assets.core.stores.base import Store
from bioimage_assets.core.stores.links import find_left_out, find_links_not_followed
from bioimage_assets.core.stores.open import (
    absolute_uri,
    is_archive,
    is_local_file,
    local_path,
    open_store,
)

REMOTE_STORES_AT_ONCE = 16  # each has requests of its own in flight

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class ScannedStore:
    """One scanned store; ``zarr`` and ``options`` are what its chunk rows are built from."""

    scan: StoreScan
    options: ScanOptions
    zarr: ZarrScan | None = None

    def plan_chunks(
        self,
        images: Sequence[ImageRecord],
        *,
        levels: Sequence[int] | None = None,
        log: FindingLog | None = None,
        stored: dict[str, int] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Check the row limit at once, then give the chunk rows of some of its images as a lazy stream.

        ``stored`` is filled with the bytes of the stored objects of each Zarr array while the stream is read.

        Raises
        ------
        LimitExceededError
            The shapes ask for more rows than ``max_chunk_rows``; nothing was listed.
        StoreChangedError
            While streaming: the root document changed after the scan.
        """
        if self.scan.format_family == PNG_FAMILY:
            options = self.options if levels is None else replace(self.options, levels=tuple(levels))
            return build_png_chunks(replace(self.scan, images=tuple(images)), options)
        if self.zarr is None:
            return self._stream_tiff(images, levels)
        planned = plan_chunk_arrays(images, self.zarr.arrays, levels)
        check_row_limit(planned, self.options.max_chunk_rows, self.scan.uri)
        return self._stream_zarr(self.zarr, planned, log, stored)

    def find_unlisted_folders(self, *, with_fields: bool = True) -> tuple[Finding, ...]:
        """List the folders of a plate and say which are not in its metadata; nothing for other stores.

        Without fields one listing per row, and none at all where a listing costs a round trip.
        """
        wells = [well.path for plate in self.scan.plates for well in plate.wells]
        if self.zarr is None or not wells or not self.options.observe_chunks:
            return ()
        log = FindingLog(self.scan.uri)
        store = self._open_listed(self.zarr)
        try:
            if store.can_list and (with_fields or not store.is_remote):
                fields = self.zarr.field_paths if with_fields else None
                note_unlisted_folders(store, dict.fromkeys(wells), fields, log)
        finally:
            store.close()
        return log.findings()

    def _open_listed(self, zarr: ZarrScan) -> Store:
        """Open the store to list it; a bucket that denies that is taken for the web server that it then is."""
        store = open_for_scan(self.scan.uri, self.options)
        store.can_list = store.can_list and not zarr.denies_absent
        return store

    def _stream_zarr(
        self,
        zarr: ZarrScan,
        planned: Sequence[IndexedArray],
        log: FindingLog | None,
        stored: dict[str, int] | None,
    ) -> Iterator[pa.RecordBatch]:
        if not self.options.observe_chunks:
            yield from build_zarr_chunks(None, planned, log=log)
            return
        store = self._open_listed(zarr)
        # A web server is asked object by object, if these are few enough to be polite.
        is_observed = store.can_list or 0 < count_objects(planned) <= self.options.max_head_requests
        if not is_observed and log is not None:
            message = (
                "The server cannot list what it holds; presence and sizes of chunks stay empty. It could be asked "
                f"for each of the {count_objects(planned):,} chunks or shards (max_head_requests)."
            )
            log.note("chunks-not-listed", "info", "", message)
        try:
            with foreign_file(self.scan.uri):
                refused = RefusedChunks(store.links_not_followed)
                listed = store if is_observed else None
                for batch in build_zarr_chunks(listed, planned, log=log, stored=stored):
                    yield refused.clear(batch)
            if log is not None:
                links = store.links_not_followed
                for finding in find_links_not_followed(links, self.scan.uri, holds_pixels=True):
                    log.note(finding.code, finding.severity, finding.location, finding.message)
            # After the last row: who reads to the end knows that all of it is of one state.
            check_unchanged(store, zarr.root_documents, self.scan.uri)
        finally:
            store.close()

    def _stream_tiff(
        self, images: Sequence[ImageRecord], levels: Sequence[int] | None
    ) -> Iterator[pa.RecordBatch]:
        opened = tuple(image for image in images if image.scan_status != LISTED)
        for batch in build_tiff_chunks(replace(self.scan, images=opened), self.options):
            wanted = (
                batch
                if levels is None
                else batch.filter(pc.is_in(batch["level"], pa.array(levels, pa.int32())))
            )
            if wanted.num_rows:
                yield wanted


def scan_stores(uri: str, options: ScanOptions) -> tuple[list[ScannedStore], tuple[Finding, ...]]:
    """Scan every store at or below a URI; a store below a folder that cannot be read is a finding.

    Raises
    ------
    StoreError
        Nothing is there, or the one store that the URI names cannot be read.
    """
    location = absolute_uri(uri)
    with foreign_file(location):
        return _scan_location(location, options)


def _scan_location(location: str, options: ScanOptions) -> tuple[list[ScannedStore], tuple[Finding, ...]]:
    """Scan by what is at a location: one TIFF, one LoadData table, one Zarr store, or a folder of any of them."""
    if is_tiff(location):
        return [ScannedStore(scan_tiff(location, options), options)], ()
    if is_load_data(location) and (local_path(location) is None or is_local_file(location)):
        return [ScannedStore(scan_plate_folder(location, options), options)], ()
    if local_path(location) is None and find_foreign(without_query(location)) is not None:
        raise UnsupportedStoreError(explain_single_file(location))
    store = open_for_scan(location, options)
    try:
        try:
            return [_scan_zarr(store, location, options)], ()
        # Not a Zarr node: the root document of one is looked for first, since a folder is listed at a cost.
        except UnsupportedStoreError:
            if is_archive(location):
                return [_scan_archive_below(store, location, options)], ()
            return _scan_folder(store, location, options)
    finally:
        store.close()


def open_for_scan(uri: str, options: ScanOptions) -> Store:
    """Open a store the way the options ask for."""
    return open_store(uri, storage_options=options.storage_options, follow_symlinks=options.follow_symlinks)


def is_tiff(uri: str) -> bool:
    """Tell a TIFF or companion file by its name; a local folder of that name is none."""
    if not has_suffix(without_query(uri), TIFF_SUFFIXES):
        return False
    return local_path(uri) is None or is_local_file(uri)


def _scan_zarr(
    store: Store, uri: str, options: ScanOptions, *, group_key: str | None = None, root_path: str = ""
) -> ScannedStore:
    scan = scan_zarr_store(
        store,
        options,
        uri=uri,
        base_id=path_below(uri, options.dataset_root_uri),
        group_key=group_key,
        root_path=root_path,
        xml_beside=read_xml_beside(uri, options),
    )
    return ScannedStore(scan.scan, options, scan)


def _scan_archive_below(store: Store, uri: str, options: ScanOptions) -> ScannedStore:
    """Scan a zipped folder: RFC-9 asks for the root document at the root of the archive."""
    folders, _ = store.list_folders("")
    roots = [folder for folder in folders if has_zarr_root(store, folder)]
    if len(roots) != 1:
        raise UnsupportedStoreError(
            f"{uri}: the archive holds {len(roots)} Zarr stores one level down, expected one."
        )
    scanned = _scan_zarr(store, uri, options, root_path=roots[0])
    message = f"The store lies in the folder {roots[0]!r} of the archive instead of at its root."
    finding = Finding("zipped-folder", "warning", roots[0], message, uri)
    return replace(scanned, scan=replace(scanned.scan, findings=(*scanned.scan.findings, finding)))


def _scan_folder(
    store: Store, uri: str, options: ScanOptions
) -> tuple[list[ScannedStore], tuple[Finding, ...]]:
    """Scan all stores below a folder; folders that hold TIFFs go to the file-set reader as a whole."""
    options = replace(
        options,
        dataset_id=options.dataset_id or store_stem(uri),
        dataset_root_uri=options.dataset_root_uri or uri,
    )
    if not options.recursive:
        return [ScannedStore(scan_plate_folder(uri, options), options)], ()
    # Names only: each store is opened when it is scanned.
    found = list(find_stores(store))
    if not found and store.list_folders() == ([], []):
        left_out = find_left_out(store, uri)
        if any(finding.code == "name-not-utf8" for finding in left_out):
            raise UnsupportedStoreError(f"{uri}: {left_out[0].message}")
        why = left_out[0].message if left_out else "nothing is there, or the folder is empty."
        raise StoreNotFoundError(f"{uri}: {why}")

    def scan_below(path: str) -> ScannedStore | Finding:
        return _scan_child(f"{uri}/{path}", path, options)

    paths = [path for path, kind in found if kind == "zarr"]
    results = list(map_stores(scan_below, paths, is_remote=store.is_remote))
    scanned = [item for item in results if isinstance(item, ScannedStore)]
    findings = [item for item in results if isinstance(item, Finding)]
    if any(kind == "tiff" for _, kind in found) or all(kind == "foreign" for _, kind in found):
        try:
            with foreign_file(uri):
                scanned.append(ScannedStore(scan_plate_folder(uri, options), options))
        except StoreChangedError:
            raise
        except StoreError as error:
            if not results:
                raise
            findings.append(Finding("unreadable-store", "error", "", str(error), uri))
    else:  # the scan of a folder of TIFFs says both itself
        findings.extend(find_left_out(store, uri))
        findings.extend(find_images_not_read((path for path, kind in found if kind == "foreign"), uri))
    return scanned, tuple(findings)


def map_stores(scan: Callable[[str], Result], uris: Sequence[str], *, is_remote: bool) -> Iterator[Result]:
    """Scan stores in order, several at once where each costs round trips."""
    if not is_remote or len(uris) < 2:
        yield from map(scan, uris)
        return
    with ThreadPoolExecutor(REMOTE_STORES_AT_ONCE) as pool:
        yield from pool.map(scan, uris)


def _scan_child(uri: str, path: str, options: ScanOptions) -> ScannedStore | Finding:
    """Scan one store of a folder; a store that is not a plate belongs to the partition of its folder."""
    folder = store_stem(uri.rpartition("/")[0])
    group_key = build_plate_key(options.dataset_id or folder, folder)
    try:
        with foreign_file(uri), closing(open_for_scan(uri, options)) as store:
            if is_archive(uri) and not has_zarr_root(store):
                return _scan_archive_below(store, uri, options)
            return _scan_zarr(store, uri, options, group_key=group_key)
    except StoreChangedError:
        raise
    except StoreError as error:
        return Finding("unreadable-store", "error", path, str(error), uri)
    except IdentityError as error:
        return Finding("ambiguous-identity", "error", path, str(error), uri)
