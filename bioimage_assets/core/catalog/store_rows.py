"""Which partitions a store to be registered fills: its scanned images, and its chunk rows to stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from bioimage_assets.core.errors import IdentityError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.identity import build_plate_key, store_stem
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.scan.scanner import drop_duplicates
from bioimage_assets.core.scan.stores import ScannedStore, scan_stores
from bioimage_assets.core.stores.open import absolute_uri
from bioimage_assets.core.tables.acquisition_planes import build_acquisition_planes
from bioimage_assets.core.tables.image_assets import build_image_assets


@dataclass(slots=True)
class StoreRows:
    """One store, scanned; ``chunk_row_count`` is filled while its chunk rows are streamed."""

    uri: str
    plate_key: str
    images: pa.Table
    planes: pa.Table
    findings: tuple[Finding, ...]
    stores: tuple[ScannedStore, ...] = ()
    chunk_row_count: int = 0
    warnings: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.warnings = tuple(
            f"{finding.store_uri or self.uri}: {finding.code}: {finding.message}"
            for finding in self.findings
            if finding.severity != "info"
        )

    def stream_chunks(self, levels: Sequence[int] | None = None) -> Iterator[pa.RecordBatch]:
        """Chunk rows of the store, listed while they are read. StoreChangedError where it changed meanwhile."""
        self.chunk_row_count = 0
        for store in self.stores:
            for batch in store.plan_chunks(store.scan.images, levels=levels):
                self.chunk_row_count += batch.num_rows
                yield batch


def scan_store_rows(uri: str, options: ScanOptions | None = None) -> StoreRows:
    """Scan a store, or a folder of stores as one partition; StoreError where nothing can be read.

    A store given on its own is the partition ``<stem>/<stem>``; ``options`` may say otherwise.
    """
    location = absolute_uri(uri)
    chosen = options or ScanOptions()
    dataset_id = chosen.dataset_id or store_stem(location)
    plate_key = chosen.plate_key or build_plate_key(dataset_id, store_stem(location))
    chosen = replace(chosen, dataset_id=dataset_id, plate_key=plate_key)
    stores, findings = scan_stores(location, chosen)
    kept, clashes = drop_duplicates([store.scan for store in stores])
    images = [image for scan in kept for image in scan.images]
    return StoreRows(
        uri=location,
        plate_key=plate_key,
        images=build_image_assets(images),
        planes=build_acquisition_planes(images),
        findings=(*findings, *clashes, *(item for scan in kept for item in scan.findings)),
        stores=tuple(replace(store, scan=scan) for store, scan in zip(stores, kept, strict=True)),
    )


def check_distinct(rows: Sequence[StoreRows]) -> None:
    """Raise IdentityError where two different stores would be the same partition or share an image id."""
    owners: dict[tuple[str, str], str] = {}
    for store in rows:
        columns = (store.images["dataset_id"].to_pylist(), store.images["image_id"].to_pylist())
        for key in zip(*columns, strict=True):
            other = owners.setdefault(key, store.uri)
            if other != store.uri:
                raise IdentityError(
                    f"{other} and {store.uri} would both be image {key[1]!r} of dataset {key[0]!r}; nothing was written. "
                    "Register them with different dataset_id values, or rename one."
                )


def is_below(uri: str, store_uri: str) -> bool:
    """Tell whether an image's URI is a store or inside one."""
    # With the slash: ``plate1`` is not below ``plate``.
    return uri == store_uri or uri.startswith(f"{store_uri.rstrip('/')}/")
