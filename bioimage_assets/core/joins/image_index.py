"""The images of a join as look-up tables, one per linking rule.

Source of truth: DESIGN.md section 5. Only images and bare arrays are candidates, never labels.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import unquote

import pyarrow as pa

from bioimage_assets.core.errors import ContractError
from bioimage_assets.core.joins.keys import normalize_path, normalize_text
from bioimage_assets.core.model.identity import (
    build_seed_image_id,
    normalize_site,
    normalize_well,
    store_stem,
)
from bioimage_assets.core.model.image import LISTED, is_in_files

LINKABLE_KINDS = ("image", "array")
_KEY_COLUMNS = (
    "plate_key", "dataset_id", "plate_id", "well_id", "site_id", "acquisition_id", "image_id", "image_kind",
    "format_family", "uri", "array_path", "levels", "files", "file_md5", "scan_status",
)  # fmt: skip
_DIGEST = re.compile(r"[0-9a-fA-F]{32}")

Rows = tuple[int, ...]

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class ImageKey:
    """What linking needs of one image; ``row`` is its row in the image table, ``scope`` its plate partition.

    ``is_listed``: a LoadData table names it; its files are not read.
    """

    row: int
    scope: str
    has_plate_key: bool
    dataset_id: str | None
    plate_id: str | None
    well_id: str | None
    site_id: str | None
    acquisition_id: str | None
    image_id: str
    uri: str | None
    is_zarr: bool
    array_paths: tuple[str, ...]
    file_paths: tuple[str, ...]
    md5s: tuple[str, ...]
    is_listed: bool = False


def read_image_keys(image_assets: pa.Table) -> tuple[ImageKey, ...]:
    """Read the linkable rows of an image table; columns that it lacks count as null.

    ContractError when there is no ``image_id``.
    """
    if "image_id" not in image_assets.column_names:
        raise ContractError(
            f"The image table has no image_id column (found {', '.join(image_assets.column_names) or 'none'})."
        )
    narrow = image_assets.select([name for name in _KEY_COLUMNS if name in image_assets.column_names])
    keys = []
    for row, record in enumerate(narrow.to_pylist()):
        if record.get("image_kind") in (None, *LINKABLE_KINDS) and record["image_id"] is not None:
            keys.append(_build_key(row, record))
    return tuple(keys)


def _build_key(row: int, record: dict[str, object]) -> ImageKey:
    dataset, plate = normalize_text(record.get("dataset_id")), normalize_text(record.get("plate_id"))
    uri = normalize_path(record.get("uri"))
    files = [f for f in _records(record.get("files")) if f.get("role") in (None, "image")]
    levels = (
        []
        if is_in_files(record.get("format_family"))  # levels of files are page numbers, not array paths
        else [str(level["path"]) for level in _records(record.get("levels")) if level.get("path")]
    )
    array_path = normalize_text(record.get("array_path"))
    paths = (
        tuple(normalize_path(f"{uri}/{f['path']}") or "" for f in files) if files else (uri,) if uri else ()
    )
    # Of a set of files, joined by commas in the order of its files.
    digests = _DIGEST.findall(str(record.get("file_md5") or ""))
    return ImageKey(
        row=row,
        has_plate_key=record.get("plate_key") is not None,
        scope=normalize_text(record.get("plate_key")) or f"{dataset or ''}/{plate or ''}",
        dataset_id=dataset,
        plate_id=plate,
        well_id=normalize_well(record.get("well_id")),
        site_id=normalize_site(record.get("site_id")),
        acquisition_id=normalize_text(record.get("acquisition_id")),
        image_id=str(record["image_id"]),
        uri=uri,
        is_zarr="zarr" in str(record.get("format_family") or ""),
        array_paths=tuple(dict.fromkeys([*([array_path] if array_path else []), *levels])),
        file_paths=paths,
        md5s=tuple(digest.lower() for digest in digests),
        is_listed=record.get("scan_status") == LISTED,
    )


def _records(value: object) -> list[dict[str, object]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


class ImageIndex:
    """Look-ups from canonical keys to image rows; several rows mean that the key is ambiguous."""

    def __init__(self, images: Sequence[ImageKey], digests: Iterable[tuple[str, int]] = ()) -> None:
        self.images = {image.row: image for image in images}
        self.has_plate_keys = any(image.has_plate_key for image in images)
        self.scopes = tuple(dict.fromkeys(image.scope for image in images))
        self.datasets = frozenset(image.dataset_id for image in images if image.dataset_id)
        self._rows_by: dict[tuple[str, ...], dict[tuple[str, ...], Rows]] = {}
        self._dataset_by_stem = _collect(
            (store_stem(image.uri), image.dataset_id) for image in images if image.uri and image.dataset_id
        )
        self._scope_datasets = frozenset((image.scope, image.dataset_id) for image in images)
        # None is one of them: with an image without plate, no plate is implied.
        plates = {image.plate_id for image in images}
        self.implied_plate = next(iter(plates)) if len(plates) == 1 and len(self.scopes) == 1 else None
        self.scopes_by_plate = _collect(
            (name, image.scope) for image in images for name in plate_names(image)
        )
        self.by_image_id = _collect((image.image_id, image.row) for image in images)
        self.by_seed_id = _collect((name, image.row) for image in images for name in seed_ids(image))
        self.by_well = _collect(((i.scope, i.well_id), i.row) for i in images if i.well_id)
        self.by_site = _collect(((i.scope, i.well_id, i.site_id), i.row) for i in images if i.well_id)
        self.by_path = _collect((path, image.row) for image in images for path in full_paths(image))
        self._by_file_name = _collect(
            ((image.scope, name), image.row) for image in images for name in file_names(image)
        )
        known = [(digest, image.row) for image in images for digest in image.md5s]
        self.by_md5 = _collect([*known, *digests])

    def find_file_name(self, scope: str, name: str) -> Rows:
        """Images of one plate that a file name means: as it is written, else its last part."""
        whole = self._by_file_name.get((scope, name))
        # As written first: per-site folders repeat the last part.
        return whole or self._by_file_name.get((scope, name.rpartition("/")[2]), ())

    def rows_by(self, keys: tuple[str, ...]) -> dict[tuple[str, ...], Rows]:
        """Image rows by any choice of canonical keys; made once per choice."""
        if keys not in self._rows_by:
            images = self.images.values()
            self._rows_by[keys] = _collect((tuple(getattr(i, key) for key in keys), i.row) for i in images)
        return self._rows_by[keys]

    def resolve_dataset(self, name: str | None) -> str | None:
        """Dataset that a profile means: its id, or the stem of a store (the seeds' dataset id) of one dataset."""
        if name is None or name in self.datasets:
            return name
        owners = self._dataset_by_stem.get(name, ())
        return owners[0] if len(owners) == 1 else name

    def scopes_of_plate(
        self, plate: str | None, dataset: str | None, plate_key: str | None = None
    ) -> tuple[str, ...]:
        """Partitions that a plate name means; no name means the only plate there is, if there is only one.

        A row's own ``plate_key`` leaves at most that partition.
        """
        scopes = self.scopes if plate is None else self.scopes_by_plate.get(plate, ())
        if plate_key is not None and self.has_plate_keys:
            scopes = (plate_key,) if plate_key in scopes else ()
        if dataset is not None and len(scopes) > 1:
            scopes = tuple(scope for scope in scopes if (scope, dataset) in self._scope_datasets)
        return scopes if plate is not None or len(scopes) == 1 else ()


def plate_names(image: ImageKey) -> tuple[str, ...]:
    """Every text a profile may use for the image's plate: its own name and the store or folder name."""
    folder = image.scope.rpartition("/")[2]
    names = (image.plate_id, folder, unquote(folder))
    return tuple(dict.fromkeys(name for name in names if name))


def image_groups(image: ImageKey) -> tuple[str, ...]:
    """Paths of a Zarr image inside its store that a file name may use: the image group and its arrays."""
    groups = [path.rpartition("/")[0] for path in image.array_paths if "/" in path]
    return tuple(dict.fromkeys((*groups, *image.array_paths)))


def full_paths(image: ImageKey) -> tuple[str, ...]:
    """Every location of the image's pixels: its files, and its place inside a store."""
    return (*image.file_paths, *(f"{image.uri}/{group}" for group in image_groups(image) if image.uri))


def file_names(image: ImageKey) -> tuple[str, ...]:
    """Names of the image's files, and ``<store>/<image group>`` for an image in a store."""
    names = [path.rpartition("/")[2] for path in image.file_paths]
    store = image.uri.rpartition("/")[2] if image.uri else ""
    return (*names, *(f"{store}/{group}" for group in image_groups(image) if store))


def seed_ids(image: ImageKey) -> tuple[str, ...]:
    """Ids that the array form of the seeds gives to any level of the image."""
    if image.uri is None:
        return ()
    names = [build_seed_image_id(image.uri, path) for path in image.array_paths]
    if not image.array_paths or image.array_paths[0] == "series/0":
        names.append(store_stem(image.uri))
    return tuple(name for name in dict.fromkeys(names) if name != image.image_id)


def _collect(pairs: Iterable[tuple[K, V]]) -> dict[K, tuple[V, ...]]:
    grouped: dict[K, dict[V, None]] = defaultdict(dict)
    for key, value in pairs:
        grouped[key][value] = None
    return {key: tuple(values) for key, values in grouped.items()}
