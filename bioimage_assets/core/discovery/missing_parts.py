"""Whether a plate has arrived whole, by its own metadata: the first gap in words, or nothing.

Source of truth: OME-NGFF plate, well and multiscales metadata (0.4: ``.zattrs``, 0.5: ``attributes.ome`` of
``zarr.json``), TiffData/UUID@FileName of OME-XML, and the end-of-central-directory record of ZIP files.
Missing chunks are not a gap: Zarr leaves out chunks that hold the fill value only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from html import unescape

from bioimage_assets.core.discovery.found_plate import FoundPlate
from bioimage_assets.core.model.file_kinds import (
    COMPANION_SUFFIX,
    PARTIAL_SUFFIXES,
    ZARR_ARCHIVE_SUFFIXES,
    ZARR_ROOT_DOCUMENTS,
    ZARR_SUFFIXES,
    ZIP_END,
    has_suffix,
)
from bioimage_assets.core.stores.tree import Entry, Tree

# What rsync calls a file that is not there yet.
_RSYNC_NAME = re.compile(r"\..+\.[A-Za-z0-9]{6}")
_FILE_NAME = re.compile(rb'FileName="([^"]{1,1024})"')
_DOCUMENT_BYTES = 16 << 20
_OME_XML_BYTES = 1 << 20  # the XML of an OME-TIFF that names the other files of its set stands in its head
# End record (22 bytes), its comment (at most 65,535) and the ZIP64 locator (20) in front: APPNOTE 4.3.16.
_ZIP_TAIL_BYTES = 66_000
_MAX_WORKERS = 16  # waiting for a share or a bucket, not computing


def find_gap(plate: FoundPlate, files: frozenset[str]) -> str | None:
    """Name the first thing that a plate's own metadata promise and that is not there; None where it is whole.

    ``files`` are the listed paths. Reads the metadata documents of HCS stores, the heads of OME-TIFFs
    that stand for a set, and the tails of archives; no pixel data.

    Raises
    ------
    StoreAccessError
        A document of an object store cannot be read.
    """
    for path in files:
        name = path.rpartition("/")[2]
        if has_suffix(name, PARTIAL_SUFFIXES) or _RSYNC_NAME.fullmatch(name):
            return f"a copy is under way: {path}"
    for store in plate.stores:
        gap = _store_gap(plate.tree, store, files)
        if gap is not None:
            return gap
    return None


def has_marker(plate: FoundPlate, marker: str) -> bool:
    """Tell whether a completion marker is in one of the plate's stores, or beside it as ``<store>.<marker>``.

    The measurements stand for the store of a plate that has none.
    """
    if not marker:
        return False
    own = plate.stores or plate.measurements
    places = [(f"{entry.path}/{marker}", entry.path) for entry in own if entry.is_folder]
    places += [(f"{entry.path}.{marker}", entry.path.rpartition("/")[0]) for entry in own]
    return any(plate.tree.read_head(path, 1, below=folder) is not None for path, folder in places)


def _store_gap(tree: Tree, store: Entry, files: frozenset[str]) -> str | None:
    if not store.is_folder:
        return _archive_gap(tree, store) if has_suffix(store.name, ZARR_ARCHIVE_SUFFIXES) else None
    documents = {f"{store.path}/{document}" for document in ZARR_ROOT_DOCUMENTS}
    if not documents.isdisjoint(files):
        return _zarr_gap(tree, store.path, files)
    if has_suffix(store.name, ZARR_SUFFIXES):
        return f"{store.path} has no root document (zarr.json or .zattrs) yet"
    return _companion_gap(tree, store, files)


def _archive_gap(tree: Tree, store: Entry) -> str | None:
    tail = tree.read_tail(store.path, _ZIP_TAIL_BYTES, below=store.path.rpartition("/")[0])
    return (
        None if tail is None or ZIP_END in tail else f"{store.path} has no end yet: it is no whole ZIP file"
    )


def _zarr_gap(tree: Tree, path: str, files: frozenset[str]) -> str | None:
    """Follow plate, wells and fields down to the array document of every level."""
    root = _read_group(tree, path, path)
    plate = root.get("plate")
    if not isinstance(plate, dict):
        return _levels_gap(path, root, files)
    wells = [f"{path}/{name}" for name in _paths(plate.get("wells"))]
    for well in wells:
        if not _has_document(well, files):
            return f"well {well} is listed by the plate but not there yet"
    fields = []
    for well, document in zip(wells, _read_groups(tree, wells, path), strict=True):
        listed = document.get("well")
        for name in _paths(listed.get("images") if isinstance(listed, dict) else None):
            field = f"{well}/{name}"
            if not _has_document(field, files):
                return f"field {field} is listed by its well but not there yet"
            fields.append(field)
    for field, document in zip(fields, _read_groups(tree, fields, path), strict=True):
        gap = _levels_gap(field, document, files)
        if gap is not None:
            return gap
    return None


def _levels_gap(path: str, document: dict[str, object], files: frozenset[str]) -> str | None:
    images = document.get("multiscales")
    for image in images if isinstance(images, list) else []:
        for level in _paths(image.get("datasets") if isinstance(image, dict) else None):
            array = f"{path}/{level}"
            if f"{array}/.zarray" not in files and f"{array}/zarr.json" not in files:
                return f"level {array} is listed by its image but not there yet"
    return None


def _has_document(path: str, files: frozenset[str]) -> bool:
    """The document that says what the group holds; ``.zgroup`` says nothing, and may come first."""
    return any(f"{path}/{name}" in files for name in ("zarr.json", ".zattrs"))


def _paths(entries: object) -> Iterator[str]:
    """Usable ``path`` values of a list of objects; odd ones are left to the scan, which says so."""
    for entry in entries if isinstance(entries, list) else []:
        path = entry.get("path") if isinstance(entry, dict) else None
        if isinstance(path, str) and path.strip("/") and ".." not in path.split("/"):
            yield path.strip("/")


def _read_groups(tree: Tree, paths: Sequence[str], store: str) -> list[dict[str, object]]:
    if len(paths) < _MAX_WORKERS:
        return [_read_group(tree, path, store) for path in paths]
    with ThreadPoolExecutor(_MAX_WORKERS) as pool:
        return list(pool.map(lambda path: _read_group(tree, path, store), paths))


def _read_group(tree: Tree, path: str, store: str) -> dict[str, object]:
    """OME metadata of a group; empty where its document is not a JSON object, which the scan reports."""
    for name in ("zarr.json", ".zattrs"):
        payload = tree.read_head(f"{path}/{name}", _DOCUMENT_BYTES, below=store)
        if payload is None:
            continue
        try:
            document = json.loads(payload)
        except (ValueError, RecursionError):
            return {}
        if name == "zarr.json" and isinstance(document, dict):
            document = document.get("attributes")
        if not isinstance(document, dict):
            return {}
        ome = document.get("ome")
        return ome if isinstance(ome, dict) else document
    return {}


def _companion_gap(tree: Tree, folder: Entry, files: frozenset[str]) -> str | None:
    """A companion file, or the first OME-TIFF, names the files of its set."""
    inside = sorted(path for path in files if path.startswith(f"{folder.path}/"))
    lead = [path for path in inside if has_suffix(path, COMPANION_SUFFIX)]
    lead = lead or [path for path in inside if has_suffix(path, (".ome.tif", ".ome.tiff"))][:1]
    for path in lead:
        head = tree.read_head(path, _OME_XML_BYTES, below=folder.path) or b""
        if b"<OME" not in head:
            continue
        place = path.rpartition("/")[0]
        for raw in dict.fromkeys(_FILE_NAME.findall(head)):
            name = unescape(raw.decode("utf-8", "replace")).replace("\\", "/")
            named = (
                name.rpartition("/")[2]
                if name.startswith("/") or ":" in name[:3]
                else name.removeprefix("./")
            )
            if f"{place}/{named}" not in files:
                return f"{named} is listed by {path} but not there yet"
    return None
