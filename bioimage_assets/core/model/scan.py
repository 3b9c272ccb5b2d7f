"""What one scan of a store returns: image records, the plate it declares, findings and a fingerprint."""

from __future__ import annotations

from dataclasses import dataclass, field

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.image import ImageRecord


@dataclass(frozen=True, slots=True)
class DeclaredWell:
    """A well as the plate's own metadata declares it.

    ``sites`` are the fields it lists; ``field_count`` the number it promises where only a number is
    known (plate ``field_count``, HTD ``XSites × YSites``), else None.
    """

    well_id: str
    path: str
    sites: tuple[str, ...] = ()
    field_count: int | None = None


@dataclass(frozen=True, slots=True)
class DeclaredPlate:
    """A plate as its metadata declares it, whether or not the images are there."""

    plate_id: str
    wells: tuple[DeclaredWell, ...]
    acquisitions: tuple[str, ...] = ()
    channel_names: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class StoreScan:
    """Everything a metadata scan of one store, file set or folder found; pixel data were not read."""

    uri: str
    dataset_id: str
    plate_key: str
    format_family: str
    images: tuple[ImageRecord, ...]
    findings: tuple[Finding, ...]
    fingerprint: str
    plates: tuple[DeclaredPlate, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageListOptions:
    """How a LoadData table of a watched dataset is read.

    Only images below ``open_below_uri``, a local folder, are opened; images elsewhere become rows as the table names
    them. Rows of another plate than ``plate_name`` are left out where the table names this one, or where it
    ``is_shared`` by several plates.
    """

    open_below_uri: str
    plate_name: str
    is_shared: bool = False


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """How to scan; the defaults suit one store given on its own.

    Parameters
    ----------
    dataset_id
        Default: the store's stem.
    plate_key
        Partition key written into every row. Default ``<stem>/<stem>``.
    dataset_root_uri
        Folder that image ids of stores without plate position are relative to. Default: the store itself.
    file_pattern
        Regular expression with named groups (plate, well, site, channel, z, t, acquisition) for one-channel TIFFs.
    levels
        Only these pyramid levels are read; None for all. ``(0,)`` saves one open per further level.
    include_labels
        Look for label images (one extra open per image).
    recursive
        Look below a folder for stores and TIFFs. False: only the TIFFs that lie in it directly, no store, no subfolder.
    follow_symlinks
        Follow links that lead out of the store.
    file_md5
        Read every TIFF once and store its MD5.
    max_chunk_rows
        A chunk index of more rows than this is refused from its shapes, before it is built.
    observe_chunks
        List what is stored; False gives the logical grid with null presence and sizes.
    max_head_requests
        A web server cannot list its chunks. Where a store has at most this many chunks or shards, it is asked for each
        with one request (and for each shard's index with another); 0 gives the logical grid.
    storage_options
        Passed to the object-store client, e.g. ``{"skip_signature": True}`` for anonymous access.
    plate_name
        What the plate of a folder is called, where its files and sidecars tell one plate of another name.
    channel_names
        Names of channels by what file names call them (``ch5``), as (token, name); they go before those of sidecars.
    image_list
        What becomes of the images that a LoadData table names. None: they are opened wherever they lie.
    """

    dataset_id: str | None = None
    plate_key: str | None = None
    dataset_root_uri: str | None = None
    file_pattern: str | None = None
    levels: tuple[int, ...] | None = None
    include_labels: bool = True
    recursive: bool = True
    follow_symlinks: bool = False
    file_md5: bool = False
    max_chunk_rows: int = 50_000_000
    observe_chunks: bool = True
    max_head_requests: int = 0
    storage_options: dict[str, object] = field(default_factory=dict)
    image_list: ImageListOptions | None = None
    plate_name: str | None = None
    channel_names: tuple[tuple[str, str], ...] = ()
