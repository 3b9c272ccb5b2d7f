"""A plate of image files or of several stores over HTTP as one OME-Zarr 0.5: documents, stored bytes, and decoded chunks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import orjson
import pyarrow as pa
import zarr
from zarr.core.sync import sync

from bioimage_assets.browse.decoded_arrays import DecodedArray, Opened, decode_if_needed
from bioimage_assets.browse.kept import Kept
from bioimage_assets.browse.virtual_references import DOCUMENT, PlateReferences
from bioimage_assets.core.errors import KeyMissingError
from bioimage_assets.core.formats.parse_errors import foreign_file
from bioimage_assets.core.virtual import zarr_codec
from bioimage_assets.core.virtual.model import WHOLE_FILE, VirtualArray
from bioimage_assets.core.virtual.multiscale_metadata import Window
from bioimage_assets.core.virtual.ome_metadata import build_group_documents
from bioimage_assets.core.virtual.plan import plan_virtual_plate
from bioimage_assets.core.virtual.reference_store import ReferenceStore
from bioimage_assets.core.virtual.source_reader import SourceReader

_KEPT_ARRAYS = 64
__all__ = ["VirtualObjects", "plan_objects", "zarr_codec"]  # whose import registers the codec


class VirtualObjects:
    """Objects of a virtual plate by key. Only files that the plate's rows name are read, each while it is what it was when planned."""

    def __init__(
        self,
        plate_key: str,
        groups: Mapping[str, Mapping[str, object]],
        references: PlateReferences,
        storage_options: Mapping[str, object],
    ) -> None:
        self._plate_key = plate_key
        self._groups = groups
        self._references = references
        self._reader = SourceReader(references.sources, plate_key, storage_options, compare_times=True)
        self._store = ReferenceStore(references, self._reader, plate_key, lambda: self._store)
        self._opened: Kept[Opened] = Kept(_KEPT_ARRAYS)
        self._decoded = {path: decode_if_needed(array) for path, array in references.arrays.items()}
        self._arrays_in: dict[str, list[str]] = {}
        for path in references.arrays:
            self._arrays_in.setdefault(path.rpartition("/")[0], []).append(path)

    def head(self, key: str) -> int:
        """Bytes of an object; KeyMissingError where there is none."""
        document = self._find_document(key)
        if document is not None:
            return len(document)
        array, inside, decoded = self._find_array(key)
        if decoded is not None:
            decoded.read_coords(inside)
            return decoded.chunk_bytes
        return self._place(f"{array.path}/{inside}")[2]

    def read(self, key: str, offset: int, length: int) -> bytes:
        """A part of an object."""
        document = self._find_document(key)
        if document is not None:
            return document[offset : offset + length]
        array, inside, decoded = self._find_array(key)
        if decoded is None:
            source, start, _ = self._place(f"{array.path}/{inside}")
            found: bytes = sync(self._reader.read(source, start + offset, length))
            return found
        coords = decoded.read_coords(inside)
        with foreign_file(f"{self._plate_key}, {array.path}"):
            return decoded.read(self._open(array), coords)[offset : offset + length]

    def _find_document(self, key: str) -> bytes | None:
        path, _, name = key.rpartition("/")
        if name != DOCUMENT:
            return None
        if path in self._groups:
            return orjson.dumps(self._build_group(path))
        if path not in self._decoded:
            raise KeyMissingError(f"{self._plate_key}: no group or array {path!r:.200}.")
        return orjson.dumps(self._build_array(path))

    def _build_array(self, path: str) -> Mapping[str, object]:
        decoded = self._decoded[path]
        return decoded.build_document() if decoded else self._references.arrays[path].metadata_v3 or {}

    def _build_group(self, path: str) -> dict[str, object]:
        """Document of a group; that of an image names its arrays, since a web server cannot list them."""
        group: dict[str, object] = {"zarr_format": 3, "node_type": "group", "attributes": self._groups[path]}
        arrays = self._arrays_in.get(path)
        if arrays:
            inside = {array.rpartition("/")[2]: self._build_array(array) for array in arrays}
            group["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": inside}
        return group

    def _find_array(self, key: str) -> tuple[VirtualArray, str, DecodedArray | None]:
        found = self._references.find_array(key)
        if found is None:
            raise KeyMissingError(f"{self._plate_key}: nothing at {key!r:.200}.")
        array, inside = found
        return array, inside, self._decoded[array.path]

    def _place(self, key: str) -> tuple[int, int, int]:
        """Source, offset and size of a chunk that is passed on."""
        found = self._references.find(key)
        if found is None or isinstance(found, bytes):
            raise KeyMissingError(f"{self._plate_key}: no chunk {key!r:.200}.")
        size = found.size
        if size == WHOLE_FILE:
            known = self._references.sources[found.source].size_bytes
            whole: bytes = b"" if known is not None else sync(self._reader.read(found.source, 0, WHOLE_FILE))
            size = (len(whole) if known is None else known) - found.offset
        return found.source, found.offset, size

    def _open(self, array: VirtualArray) -> Opened:
        return self._opened.get(array.path, lambda: zarr.open_array(self._store, path=array.path, mode="r"))


def plan_objects(
    plate_key: str,
    images: pa.Table,
    chunk_index: Iterable[pa.RecordBatch],
    limits: Sequence[tuple[float, float]],
    storage_options: Mapping[str, object],
) -> VirtualObjects:
    """Plan a plate from its stored rows; no image file is opened for it. ``limits`` are what channels are shown with."""
    plate = plan_virtual_plate(images, chunk_index, storage_options=storage_options)
    windows = [Window(low, high) for low, high in limits]
    shown = {image.image_id: windows for image in plate.images}
    groups = build_group_documents(images, plate, "0.5", shown)
    return VirtualObjects(plate_key, groups, PlateReferences(plate), storage_options)
