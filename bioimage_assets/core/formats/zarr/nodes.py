"""Reads Zarr groups and arrays by path: one read per node, parsed once per distinct document.

Only ``zarr.json`` (v3) or ``.zattrs``/``.zarray`` (v2) are read; nothing is listed and no format is guessed
below the root. https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html#metadata
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, NamedTuple

from bioimage_assets.core.errors import CorruptStoreError, StoreError
from bioimage_assets.core.formats.parse_errors import FOREIGN_ERRORS, as_store_error
from bioimage_assets.core.formats.zarr.array import ZarrArray
from bioimage_assets.core.formats.zarr.documents import JsonObject, as_object, parse_json_object
from bioimage_assets.core.formats.zarr.repeated_documents import RepeatedDocuments
from bioimage_assets.core.formats.zarr.v2 import build_v2_array
from bioimage_assets.core.formats.zarr.v3 import build_v3_array
from bioimage_assets.core.model.file_kinds import ZARR_ROOT_DOCUMENTS
from bioimage_assets.core.model.store_paths import join_path
from bioimage_assets.core.stores.base import MAX_CONSOLIDATED_BYTES, MAX_DOCUMENT_BYTES, DocumentResult, Store

ZarrFormat = Literal[2, 3]


class GroupNode(NamedTuple):
    """Attributes of one group; ``raw`` is the document they came from. A named tuple: a plate has thousands.

    ``own_name`` is the name of the first image, where ``attributes`` are those of a document that differs in nothing but that.
    """

    path: str
    zarr_format: ZarrFormat
    attributes: JsonObject
    raw: bytes
    consolidated: JsonObject | None = None
    own_name: str | None = None

    @property
    def ome(self) -> JsonObject:
        """OME metadata: below ``ome`` from 0.5 on, the attributes themselves before."""
        nested = self.attributes.get("ome")
        return nested if isinstance(nested, dict) else self.attributes


@dataclass(frozen=True, slots=True)
class ArrayNode:
    """One array with the digest of its document."""

    array: ZarrArray
    digest: bytes


NodeResult = GroupNode | ArrayNode | StoreError | None


def digest_document(raw: bytes) -> bytes:
    """Digest one metadata document."""
    return blake2b(raw, digest_size=16).digest()


class NodeReader:
    """Reads nodes of one store; equal array documents are parsed once."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._similar = RepeatedDocuments()
        self._arrays: dict[ZarrFormat, dict[bytes, ArrayNode | StoreError]] = {2: {}, 3: {}}

    def read_root(self, path: str = "") -> tuple[NodeResult, dict[str, DocumentResult]]:
        """Read a node of unknown format, v3 first; the raw documents come back by key, to compare them later."""
        keys = {name: join_path(path, name) for name in ZARR_ROOT_DOCUMENTS}
        found = self.store.get_many(list(keys.values()), max_bytes=MAX_CONSOLIDATED_BYTES)
        documents = {name: found[key] for name, key in keys.items()}
        # A bucket that may not be listed answers 403 for what is absent, so readable documents come first.
        names = sorted(ZARR_ROOT_DOCUMENTS, key=lambda name: not isinstance(documents[name], bytes))
        first = next((name for name in names if documents[name] is not None), None)
        if first is None:
            return None, found
        if first == "zarr.json":
            return self._build_v3(path, documents[first]), found
        # An array may have .zattrs as well; .zarray decides.
        if first == ".zarray" or isinstance(documents[".zarray"], bytes):
            return self._build_array(path, 2, documents[".zarray"]), found
        attributes = documents[".zattrs"]
        node: NodeResult = self._build_v2_group(path, b"{}" if attributes is None else attributes)
        return node, found

    def read_groups(
        self, paths: Sequence[str], zarr_format: ZarrFormat
    ) -> dict[str, GroupNode | StoreError | None]:
        """Read groups of a known format; None where the document is absent."""
        name = "zarr.json" if zarr_format == 3 else ".zattrs"
        keys = [f"{path}/{name}" if path else name for path in paths]
        found = self.store.get_many(keys, max_bytes=MAX_DOCUMENT_BYTES)
        groups: dict[str, GroupNode | StoreError | None] = {}
        for path, key in zip(paths, keys, strict=True):
            raw = found[key]
            node = self._build_v3(path, raw) if zarr_format == 3 else self._build_v2_group(path, raw)
            if isinstance(node, ArrayNode):
                node = CorruptStoreError(f"{self.store.uri}/{path}: expected a group, found an array.")
            groups[path] = node
        return groups

    def read_arrays(
        self, paths: Sequence[str], zarr_format: ZarrFormat
    ) -> dict[str, ArrayNode | StoreError | None]:
        """Read arrays of a known format; None where the document is absent."""
        name = "zarr.json" if zarr_format == 3 else ".zarray"
        keys = [f"{path}/{name}" if path else name for path in paths]
        found = self.store.get_many(keys, max_bytes=MAX_DOCUMENT_BYTES)
        arrays = self._arrays[zarr_format]
        # Bytes that were met before need no call: the arrays of a plate are a few distinct documents.
        return {
            path: arrays[raw]
            if isinstance(raw := found[key], bytes) and raw in arrays
            else self._build_array(path, zarr_format, raw)
            for path, key in zip(paths, keys, strict=True)
        }

    def _build_v2_group(self, path: str, raw: DocumentResult) -> GroupNode | StoreError | None:
        if raw is None or isinstance(raw, StoreError):
            return raw
        try:
            document, name = self._parse(path, ".zattrs", raw)
            return GroupNode(path, 2, document, raw, None, name)
        except FOREIGN_ERRORS as error:
            return as_store_error(error, self._where(path, ".zattrs"))

    def _build_v3(self, path: str, raw: DocumentResult) -> NodeResult:
        if raw is None or isinstance(raw, StoreError):
            return raw
        try:
            document, name = self._parse(path, "zarr.json", raw)
        except FOREIGN_ERRORS as error:
            return as_store_error(error, self._where(path, "zarr.json"))
        kind = document.get("node_type")
        if kind == "array":
            return self._build_array(path, 3, raw)
        if kind != "group":
            return CorruptStoreError(
                f"{self._where(path, 'zarr.json')}: node_type is {kind!r:.40}, expected group or array."
            )
        consolidated = document.get("consolidated_metadata")
        inline = consolidated if isinstance(consolidated, dict) else None
        return GroupNode(path, 3, as_object(document.get("attributes")), raw, inline, name)

    def _parse(self, path: str, name: str, raw: bytes) -> tuple[JsonObject, str | None]:
        """The document, and the image name where it is that of another image."""
        similar = self._similar.find(raw)
        if similar is not None:
            return similar
        document = parse_json_object(raw, self._where(path, name))
        self._similar.keep(raw, document)
        return document, None

    def _build_array(
        self, path: str, zarr_format: ZarrFormat, raw: DocumentResult
    ) -> ArrayNode | StoreError | None:
        if raw is None or isinstance(raw, StoreError):
            return raw
        arrays = self._arrays[zarr_format]
        if raw not in arrays:
            # By the bytes themselves: thousands of arrays share a few documents.
            arrays[raw] = self._parse_array(path, zarr_format, raw)
        return arrays[raw]

    def _parse_array(self, path: str, zarr_format: ZarrFormat, raw: bytes) -> ArrayNode | StoreError:
        name = "zarr.json" if zarr_format == 3 else ".zarray"
        location = self._where(path, name)
        try:
            document = parse_json_object(raw, location)
            if zarr_format == 3 and document.get("node_type") != "array":
                raise CorruptStoreError(
                    f"{location}: expected an array, found {document.get('node_type')!r:.40}."
                )
            build = build_v3_array if zarr_format == 3 else build_v2_array
            return ArrayNode(build(document, location), digest_document(raw))
        except FOREIGN_ERRORS as error:
            return as_store_error(error, location)

    def _where(self, path: str, name: str) -> str:
        return f"{self.store.uri}/{join_path(path, name)}"
