"""Which files an OME-TIFF set consists of, by the names and UUIDs of its TiffData blocks.

Source of truth: ome.xsd 2016-06, TiffData/UUID@FileName ("relative path recommended") and the OME-TIFF
specification ("the UUID is authoritative where a file was renamed").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from bioimage_assets.core.errors import StoreChangedError, StoreError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.ome_tiff.ome_model import OmeImage, OmeTiffData
from bioimage_assets.core.formats.ome_tiff.ome_xml import read_root_uuid
from bioimage_assets.core.formats.ome_tiff.tiff_file import TiffFile, open_tiff
from bioimage_assets.core.model.file_kinds import TIFF_FILE_SUFFIXES, has_suffix
from bioimage_assets.core.model.store_paths import is_safe_path
from bioimage_assets.core.stores.base import Store, StoredObject

# A renamed file is looked for in at most this many neighbours, as each must be opened for its UUID.
MAX_RENAME_PROBES = 256


@dataclass(slots=True)
class FileSet:
    """Files of one OME document: name in the XML to key in the store, None where it is missing or refused."""

    document_key: str
    is_companion: bool
    keys: dict[str, str | None] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    heads: dict[str, StoredObject] = field(default_factory=dict)

    @staticmethod
    def neighbour(key: str, name: str) -> str | None:
        """Key of a file named relative to another one; None where it would leave the store.

        An absolute name stands for the file of that name beside the document: sets are moved as a whole.
        """
        name = name.replace("\\", "/")
        if name.startswith("/") or name[1:3] == ":/" or "://" in name:
            name = name.rpartition("/")[2]
        parts = [part for part in name.split("/") if part != "."]
        folder = key.rpartition("/")[0]
        path = "/".join(([folder] if folder else []) + parts)
        return path if parts and is_safe_path(path) else None

    def names_of(self, image: OmeImage) -> list[str]:
        """Names of an image's files in the XML, in order of their first plane; empty name: the document itself."""
        if len(image.tiff_data) < 2:
            return [image.tiff_data[0].file_name or ""] if image.tiff_data else [""]
        return list(dict.fromkeys([block.file_name or "" for block in image.tiff_data]))

    def key_of(self, name: str) -> str | None:
        """Key of one name; a companion file holds no planes itself."""
        if name == "":
            return None if self.is_companion else self.document_key
        return self.keys.get(name)

    def present_of(self, image: OmeImage) -> list[str]:
        """Keys of the files that are there, in order, each once."""
        keys = [self.key_of(name) for name in self.names_of(image)]
        return list(dict.fromkeys([key for key in keys if key is not None]))

    def blocks_of(self, image: OmeImage) -> dict[str, list[OmeTiffData]]:
        """TiffData blocks of an image by the file that holds them; an image without any has one for all its planes."""
        blocks: dict[str, list[OmeTiffData]] = {}
        for block in image.tiff_data or (OmeTiffData(0, 0, 0, 0, None),):
            key = self.key_of(block.file_name or "")
            if key is not None:
                blocks.setdefault(key, []).append(block)
        return blocks

    def missing_of(self, image: OmeImage) -> list[str]:
        """Names of the files that are not there or were refused."""
        if not self.keys:  # every name of an image has its entry
            return []
        return [name for name in self.names_of(image) if name and self.keys.get(name) is None]

    def open(
        self, store: Store, key: str, own: TiffFile | None, listed: Mapping[str, int]
    ) -> AbstractContextManager[TiffFile]:
        """Open one file of the set; the file that carries the XML is open already."""
        if own is not None and own.key == key:
            return nullcontext(own)
        return open_tiff(store, key, listed.get(key), self.heads.get(key))


def resolve_files(
    store: Store,
    images: Iterable[OmeImage],
    key: str,
    is_companion: bool,
    listed: Mapping[str, int],
    own: tuple[str, str] | None = None,
) -> FileSet:
    """Find every file that some images name: by name, and by UUID where it was renamed; ``own`` is the open one's."""
    files = FileSet(key, is_companion)
    wanted: dict[str, str | None] = {}
    for image in images:
        for block in image.tiff_data:
            if block.file_name is not None:
                wanted.setdefault(block.file_name, block.uuid)
    if not wanted:
        return files
    for name, uuid in wanted.items():
        if own is not None and uuid == own[1]:
            files.keys[name] = own[0]  # the UUID is authoritative: this very file, whatever its name now is
            continue
        found = FileSet.neighbour(key, name)
        if found is None:
            text = f"The OME-XML names {name!r}, which lies outside the store; it was not opened."
            files.findings.append(Finding("file-outside-store", "warning", key, text))
        elif not _exists(store, found, listed, files.heads):
            found = None
        files.keys[name] = found
    _find_renamed(store, files, wanted, listed)
    return files


def _exists(store: Store, key: str, listed: Mapping[str, int], heads: dict[str, StoredObject]) -> bool:
    if listed:
        return key in listed
    try:
        heads[key] = store.head(key)
    except StoreError:
        return False
    return True


def _find_renamed(
    store: Store, files: FileSet, wanted: Mapping[str, str | None], listed: Mapping[str, int]
) -> None:
    if not listed and not store.can_list:  # a web server only answers for names it is asked for
        return
    lost = {uuid: name for name, uuid in wanted.items() if uuid and files.keys.get(name) is None}
    if not lost:
        return
    document_key = files.document_key
    folder = document_key.rpartition("/")[0]
    taken = {key for key in files.keys.values() if key is not None} | {document_key}
    if listed:
        candidates = [key for key in listed if key.rpartition("/")[0] == folder]
    else:
        candidates = [f"{folder}/{name}" if folder else name for name in store.list_folders(folder)[1]]
    for key in [key for key in candidates if key not in taken and is_tiff_name(key)][:MAX_RENAME_PROBES]:
        try:
            with open_tiff(store, key, listed.get(key)) as part:
                uuid = read_root_uuid(part.description(), key)
        except StoreChangedError:
            raise
        except StoreError:
            continue
        name = lost.pop(uuid, None) if uuid else None
        if name is not None:
            files.keys[name] = key
            text = f"{name!r} was renamed to {key!r}; its UUID identifies it."
            files.findings.append(Finding("file-renamed", "info", document_key, text))
        if not lost:
            return


def is_tiff_name(key: str) -> bool:
    """Tell whether a file name has a TIFF suffix (OME-TIFF specification: also .tf2 .tf8 .btf)."""
    return has_suffix(key, TIFF_FILE_SUFFIXES)
