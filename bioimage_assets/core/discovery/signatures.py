"""Two digests of a plate's files: a shallow one that is cheap enough for every look, and the deep one that decides."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from hashlib import blake2b

from bioimage_assets.core.discovery.found_plate import FoundPlate
from bioimage_assets.core.errors import LimitExceededError
from bioimage_assets.core.model.file_kinds import TIFF_SUFFIXES, has_suffix
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.settings.dataset import DATASET_FILE
from bioimage_assets.core.stores.tree import Entry, Tree

SHALLOW_BYTES = 8  # 64 bits: compared with the last look at the same plate only
_FILES_BETWEEN_LOOKS_AT_THE_CLOCK = 2_000


@dataclass(slots=True)
class FileDigest:
    """Collects (path, size, version) of listed files; the digest does not depend on their order."""

    parts: list[str] = field(default_factory=list)
    newest_mtime_s: float = 0.0

    def add(self, entry: Entry) -> None:
        """Count one file in."""
        self.parts.append(f"{entry.path}\0{entry.size_bytes}\0{entry.version}")
        self.newest_mtime_s = max(self.newest_mtime_s, entry.mtime_s)

    def digest(self) -> str:
        """32 hexadecimal digits."""
        total = blake2b(digest_size=16)
        for part in sorted(self.parts):
            total.update(part.encode(errors="surrogateescape") + b"\1")
        return total.hexdigest()


# Digests of what plates share, by root and the paths of it: looked at once per look at the root.
SharedMemory = MutableMapping[tuple[str, str], FileDigest]


def read_deep(
    plate: FoundPlate, shared: SharedMemory | None = None, *, deadline_s: float | None = None
) -> PlateSource:
    """List every file of a plate: its source, with the signature.

    ``deadline_s`` is a time of ``time.monotonic``.

    Raises
    ------
    StoreAccessError
        A folder cannot be listed.
    LimitExceededError
        The listing was not finished at the deadline.
    """
    common = _read_shared(plate, {} if shared is None else shared)
    stores, measurements = (
        _read_files(plate.tree, entries, deadline_s) for entries in (plate.stores, plate.measurements)
    )
    total = FileDigest([*common.parts, *plate.circumstances, *stores.parts, *measurements.parts])
    kinds = {
        "stores": stores,
        "measurements": measurements,
        "platemaps": FileDigest([part for part in common.parts if not _is_settings(plate, part)]),
        "listing": FileDigest([*plate.circumstances, f"images:{bool(plate.stores)}"]),
    }
    newest = max(digest.newest_mtime_s for digest in (common, stores, measurements))
    signatures = {kind: digest.digest() for kind, digest in kinds.items()}
    return build_source(plate, total.digest(), newest, signatures)


def _read_files(tree: Tree, entries: Iterable[Entry], deadline_s: float | None) -> FileDigest:
    digest = FileDigest()
    for entry in _files(tree, entries):
        digest.add(entry)
        if (
            deadline_s is not None
            and len(digest.parts) % _FILES_BETWEEN_LOOKS_AT_THE_CLOCK == 0
            and time.monotonic() > deadline_s
        ):
            raise LimitExceededError(
                f"Listing the plate took too long; {count_words(len(digest.parts), 'file was', 'files were')} listed."
            )
    return digest


def _is_settings(plate: FoundPlate, part: str) -> bool:
    """Whether a file that a dataset's plates share is its ``dataset.toml``: what it says counts, key by key, not its bytes."""
    path = part.partition("\0")[0]
    return path.rpartition("/")[2] == DATASET_FILE and path.rpartition("/")[0] == plate.dataset.path


def read_shallow(plate: FoundPlate, shared: SharedMemory) -> str:
    """Digest what the plate's folders list down to one level below the store, folder times included.

    A field that is replaced moves the time of its well's folder, which is that deep in a plate.
    """
    total = blake2b(digest_size=SHALLOW_BYTES)
    total.update("\0".join([_read_shared(plate, shared).digest(), *plate.circumstances]).encode())
    for entry in plate.inputs:
        total.update(f"{entry.path}\0{entry.size_bytes}\0{entry.version}\1".encode(errors="surrogateescape"))
        if entry.is_folder:
            for part in sorted(plate.tree.outline(entry.path)):
                total.update(part.encode(errors="surrogateescape") + b"\1")
    return total.hexdigest()


def list_files(plate: FoundPlate) -> frozenset[str]:
    """Paths of all files of a plate's stores, or of its measurements where it has none; relative to the root."""
    return frozenset(entry.path for entry in _files(plate.tree, plate.stores or plate.measurements))


def build_source(
    plate: FoundPlate, signature: str, newest_mtime_s: float, signatures: Mapping[str, str]
) -> PlateSource:
    """Describe a plate to the rest of the project."""
    tree = plate.tree
    return PlateSource(
        plate_key=plate.plate_key,
        dataset_name=plate.dataset_name,
        plate_name=plate.plate_name,
        dataset_uri=tree.uri(plate.dataset.path),
        store_uris=_store_uris(plate),
        measurement_uris=tuple(tree.uri(entry.path) for entry in plate.measurements),
        signature=signature,
        signatures=signatures,
        newest_mtime_s=newest_mtime_s,
        findings=plate.findings,
        shares_image_list=plate.shares_image_list,
        plates_of_dataset=plate.plates_of_dataset,
        gallery=plate.gallery,
    )


def _read_shared(plate: FoundPlate, memory: SharedMemory) -> FileDigest:
    """Settings and platemaps belong to every plate of the dataset, in a gallery of the batch: a change of them is a change of all."""
    key = (plate.tree.root_uri, "\0".join(entry.path for entry in plate.shared))
    digest = memory.get(key)
    if digest is None:
        digest = memory[key] = FileDigest()
        for entry in _files(plate.tree, plate.shared):
            digest.add(entry)
    return digest


def _files(tree: Tree, entries: Iterable[Entry]) -> Iterable[Entry]:
    for entry in entries:
        if entry.is_folder:
            yield from tree.walk(entry.path)
        else:
            yield entry


def _store_uris(plate: FoundPlate) -> tuple[str, ...]:
    """TIFFs that lie loose in the dataset folder are one file set: the folder is scanned, not each file."""
    is_lone = plate.dataset in plate.stores
    loose = [e for e in plate.stores if not e.is_folder and has_suffix(e.name, TIFF_SUFFIXES)]
    uris = [plate.tree.uri(entry.path) for entry in plate.stores if entry not in loose]
    if len(loose) == 1 or is_lone:
        uris.extend(plate.tree.uri(entry.path) for entry in loose)
    elif loose:
        uris.append(plate.tree.uri(plate.dataset.path))
    return tuple(sorted(uris))
