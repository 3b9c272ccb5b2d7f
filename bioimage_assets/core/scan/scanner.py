"""The scanner's front door: records, tables and chunk rows of a URI or a plate. Pixels are never read.

Source of truth for columns: ``bioimage_assets.core.tables.schemas``; for layouts: https://ngff.openmicroscopy.org/.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from bioimage_assets.core.errors import IdentityError, StoreChangedError, StoreError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.acquisition_checks import find_acquisition_doubts
from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.model.fingerprint import combine_fingerprints
from bioimage_assets.core.model.identity import build_plate_key, store_stem
from bioimage_assets.core.model.image import ImageRecord, split_repeated_images
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.model.scan import DeclaredPlate, ImageListOptions, ScanOptions, StoreScan
from bioimage_assets.core.model.suffix_ids import tell_suffixes_apart
from bioimage_assets.core.scan.channel_names import find_equal_channel_names
from bioimage_assets.core.scan.stores import ScannedStore, map_stores, scan_stores
from bioimage_assets.core.stores.open import absolute_uri, local_path
from bioimage_assets.core.tables.acquisition_planes import build_acquisition_planes
from bioimage_assets.core.tables.image_assets import build_image_assets
from bioimage_assets.core.tables.schemas import CHUNK_INDEX
from bioimage_assets.core.tables.stored_bytes import StoredSums, with_stored_bytes


@dataclass(frozen=True, slots=True)
class PlateScan:
    """Everything one plate partition holds.

    ``planes`` are rows of ``acquisition_planes``. ``chunks`` is a stream to be read once, None where it was not asked for. ``chunk_findings`` gives what
    was found while it was read (corrupt shards) and ``stored_sums`` the bytes that were listed; both are
    complete only after its end.
    """

    images: pa.Table
    planes: pa.Table
    chunks: pa.RecordBatchReader | None
    findings: tuple[Finding, ...]
    fingerprint: str
    plates: tuple[DeclaredPlate, ...]
    chunk_log: FindingLog = field(default_factory=lambda: FindingLog(""))
    stored_sums: StoredSums = field(default_factory=dict)

    def chunk_findings(self) -> tuple[Finding, ...]:
        """Findings of the chunk stream so far."""
        return self.chunk_log.findings()

    def images_with_stored_bytes(self) -> pa.Table:
        """``images`` with ``stored_bytes`` of Zarr images as well, once the chunk stream was read to its end."""
        return with_stored_bytes(self.images, self.stored_sums)


def scan_store_records(uri: str, options: ScanOptions | None = None) -> StoreScan:
    """Scan one store, or every store below a folder, into records.

    Raises
    ------
    StoreError
        Nothing is there, or the store cannot be read. Below a folder an unreadable store is a finding.

    Examples
    --------
    >>> scan_store_records("data/screen/P1.ome.zarr").images[0].image_id
    'P1:A01:0'
    """
    options = options or ScanOptions()
    stores, findings = scan_stores(uri, options)
    kept, clashes = _compare_stores(stores)
    if len(stores) == 1 and not findings:
        return replace(kept[0], findings=(*kept[0].findings, *clashes))
    location = absolute_uri(uri)
    dataset_id = options.dataset_id or store_stem(location)
    return StoreScan(
        uri=location,
        dataset_id=dataset_id,
        plate_key=options.plate_key or build_plate_key(dataset_id, store_stem(location)),
        format_family="+".join(sorted({scan.format_family for scan in kept})) or "none",
        images=tuple(image for scan in kept for image in scan.images),
        findings=(*findings, *clashes, *(item for scan in kept for item in scan.findings)),
        fingerprint=combine_fingerprints(f"{scan.uri[len(location) :]}:{scan.fingerprint}" for scan in kept),
        plates=tuple(plate for scan in kept for plate in scan.plates),
    )


def scan_image_assets(
    uri: str, *, dataset_id: str | None = None, options: ScanOptions | None = None
) -> pa.Table:
    """Scan a store or folder into the ``image_assets`` table, one row per image.

    Raises
    ------
    StoreError
        As scan_store_records.

    Examples
    --------
    >>> scan_image_assets("data/screen/P1.ome.zarr", dataset_id="screen")["image_id"][0].as_py()
    'P1:A01:0'
    """
    return build_image_assets(scan_store_records(uri, _with_dataset(options, dataset_id)).images)


def scan_acquisition_planes(
    uri: str, *, dataset_id: str | None = None, options: ScanOptions | None = None
) -> pa.Table:
    """Scan a store or folder into the ``acquisition_planes`` table, one row per plane whose metadata say how it was taken.

    Raises
    ------
    StoreError
        As scan_store_records.

    Examples
    --------
    >>> scan_acquisition_planes("data/experiment.zarr").num_rows  # its metadata say nothing of how it was taken
    0
    """
    return build_acquisition_planes(scan_store_records(uri, _with_dataset(options, dataset_id)).images)


def scan_chunk_index(
    uri: str,
    *,
    dataset_id: str | None = None,
    levels: Sequence[int] | None = None,
    options: ScanOptions | None = None,
) -> pa.RecordBatchReader:
    """Scan a store or folder into a stream of ``chunk_index`` rows.

    Metadata are read before this returns; the listing of what is stored runs while the stream is read.

    Raises
    ------
    StoreError
        As scan_store_records.
    LimitExceededError
        The index would hold more rows than ``options.max_chunk_rows``; nothing was listed.
    StoreChangedError
        While streaming: a root document changed after the scan; what was read must not be published.

    Examples
    --------
    >>> scan_chunk_index("data/experiment.zarr", levels=[0]).read_all()["chunk_key"].to_pylist()
    ['0.0.0', '0.1.0', '1.0.0', '1.1.0']
    """
    wanted = _with_dataset(options, dataset_id)
    if levels is not None and wanted.levels is None:
        wanted = replace(wanted, levels=tuple(levels))
    stores, _ = scan_stores(uri, wanted)
    return _read_chunks(stores, drop_duplicates([store.scan for store in stores])[0], levels, None)


def scan_plate_source(
    source: PlateSource, options: ScanOptions | None = None, *, with_chunks: bool = True
) -> PlateScan:
    """Scan all stores of a plate; one that cannot be read is an error finding, the others are kept.

    A plate without stores has no rows. Images that a LoadData table names are opened only below the dataset.

    Raises
    ------
    LimitExceededError
        The chunk index would hold more rows than ``options.max_chunk_rows``.
    StoreChangedError
        A store changed while it was scanned; nothing of the plate should be published.
    """
    options = options or ScanOptions()
    options = replace(
        options,
        dataset_id=options.dataset_id or source.dataset_name,
        plate_key=options.plate_key or source.plate_key,
        dataset_root_uri=options.dataset_root_uri or source.dataset_uri,
        image_list=ImageListOptions(source.dataset_uri, source.plate_name, source.shares_image_list),
        plate_name=options.plate_name if source.gallery is None else source.plate_name,
    )
    stores: list[ScannedStore] = []
    findings: list[Finding] = []

    def scan_one(uri: str) -> tuple[list[ScannedStore], tuple[Finding, ...]]:
        # the dataset folder as a store means the TIFFs that lie loose in it: its subfolders are plates of their own
        is_loose = uri.rstrip("/") == source.dataset_uri.rstrip("/")
        return _scan_or_note(uri, replace(options, recursive=False) if is_loose else options)

    is_remote = any(local_path(uri) is None for uri in source.store_uris)
    for found, problems in map_stores(scan_one, source.store_uris, is_remote=is_remote):
        stores.extend(found)
        findings.extend(problems)
    unread = tuple(findings)
    for store in stores:
        findings.extend(store.find_unlisted_folders(with_fields=with_chunks))
    kept, clashes = _compare_stores(stores)
    log = FindingLog(source.store_uris[0] if source.store_uris else source.dataset_uri)
    # Where only some levels are read, their bytes are not those of the image.
    sums: dict[str, dict[str, int]] | None = {} if options.levels is None else None
    images = [image for scan in kept for image in scan.images]
    return PlateScan(
        images=build_image_assets(images),
        planes=build_acquisition_planes(images),
        chunks=_read_chunks(stores, kept, options.levels, log, sums) if with_chunks else None,
        findings=(*findings, *clashes, *(item for scan in kept for item in scan.findings)),
        fingerprint=_combine(kept, unread),
        plates=tuple(plate for scan in kept for plate in scan.plates),
        chunk_log=log,
        stored_sums={} if sums is None else sums,
    )


def _scan_or_note(uri: str, options: ScanOptions) -> tuple[list[ScannedStore], tuple[Finding, ...]]:
    """Scan one store of a plate; what cannot be read or distinguished is an error finding."""
    try:
        return scan_stores(uri, options)
    except StoreChangedError:
        raise
    except StoreError as error:
        return [], (Finding("unreadable-store", "error", "", str(error), uri),)
    except IdentityError as error:
        return [], (Finding("ambiguous-identity", "error", "", str(error), uri),)


def _compare_stores(stores: Sequence[ScannedStore]) -> tuple[list[StoreScan], list[Finding]]:
    """Scans without repeated images, and what only all of their images together show."""
    kept, found = drop_duplicates([store.scan for store in stores])
    found += find_equal_channel_names(kept)
    found += find_acquisition_doubts(image for scan in kept for image in scan.images)
    return kept, found


def drop_duplicates(scans: Sequence[StoreScan]) -> tuple[list[StoreScan], list[Finding]]:
    """Keep the first of images that share dataset and image id; each further one is an error finding.

    Files whose names differ in their suffix only are kept, with ids that differ.
    """
    owners: dict[tuple[str, str], ImageRecord] = {}
    findings: list[Finding] = []
    kept: list[StoreScan] = []
    for scan in scans:
        told, differing = tell_suffixes_apart(scan.images, owners)
        images, repeated = split_repeated_images(told, owners)
        findings += [*differing, *(_clash(owner, image) for owner, image in repeated)]
        is_same = len(images) == len(scan.images) and not differing
        kept.append(scan if is_same else replace(scan, images=tuple(images)))
    return kept, findings


def _clash(kept: ImageRecord, refused: ImageRecord) -> Finding:
    message = (
        f"{refused.uri} ({refused.array_path or 'root'}) and {kept.uri} ({kept.array_path or 'root'}) would both be image "
        f"{refused.image_id!r} of dataset {refused.dataset_id!r}; the first is kept. Rename the plate or image of one "
        "store, or put them below different dataset folders (dataset_id)."
    )
    return Finding("duplicate-image-id", "error", refused.image_id, message, refused.uri)


def _read_chunks(
    stores: Sequence[ScannedStore],
    scans: Sequence[StoreScan],
    levels: Sequence[int] | None,
    log: FindingLog | None,
    sums: dict[str, dict[str, int]] | None = None,
) -> pa.RecordBatchReader:
    """Check all limits now, stream store after store later."""
    streams = [
        store.plan_chunks(
            scan.images,
            levels=levels,
            log=log,
            stored=None if sums is None else sums.setdefault(scan.uri, {}),
        )
        for store, scan in zip(stores, scans, strict=True)
    ]
    return pa.RecordBatchReader.from_batches(CHUNK_INDEX, _chain(streams))


def _chain(streams: Iterable[Iterator[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
    for stream in streams:
        yield from stream


def _combine(scans: Sequence[StoreScan], findings: Sequence[Finding]) -> str:
    unread = [f"{finding.store_uri}:{finding.code}" for finding in findings]
    return combine_fingerprints([*(f"{scan.uri}:{scan.fingerprint}" for scan in scans), *unread])


def _with_dataset(options: ScanOptions | None, dataset_id: str | None) -> ScanOptions:
    options = options or ScanOptions()
    return options if dataset_id is None else replace(options, dataset_id=dataset_id)
