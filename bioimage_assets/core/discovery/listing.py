"""A watched root becomes plates: which stores, measurements and settings belong to which partition.

The layout is the convention of the README ("Your own data"); nothing but names, sizes, change times
and the first bytes of a Zarr store's root document is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from bioimage_assets.core.discovery.tree import Entry, Tree, open_tree
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.identity import build_plate_key, store_stem
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.settings.dataset import DATASET_FILE

ZARR_SUFFIXES = (".zarr", ".ozx", ".zarr.zip")
TIFF_SUFFIXES = (".tif", ".tiff", ".tf2", ".tf8", ".btf", ".companion.ome")
MEASUREMENT_SUFFIXES = (".parquet", ".csv", ".csv.gz", ".sqlite", ".db", ".npz")
MEASUREMENTS_FOLDER = "measurements"
# Folders of a dataset that never hold a plate's images.
RESERVED_FOLDERS = frozenset(
    {
        "platemaps",
        "metadata",
        MEASUREMENTS_FOLDER,
        "truth",
        "segmentation",
        "masks",
        "profiles",
        "quality_control",
    }
)
IGNORED_PREFIXES = ("._", ".", "_", "~")
IGNORED_NAMES = frozenset({"Thumbs.db", "desktop.ini", "lost+found"})
_ZARR_ROOT_DOCUMENTS = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
_ROOT_DOCUMENT_HEAD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Discovery:
    """Plates found below a root, sorted by key, and what was odd about the root."""

    sources: tuple[PlateSource, ...]
    findings: tuple[Finding, ...] = ()


@dataclass(slots=True)
class _Signature:
    """Collects (path, size, version) of listed files; the digest does not depend on their order."""

    parts: list[str] = field(default_factory=list)
    newest_mtime_s: float = 0.0

    def add(self, entry: Entry) -> None:
        self.parts.append(f"{entry.path}\0{entry.size_bytes}\0{entry.version}")
        self.newest_mtime_s = max(self.newest_mtime_s, entry.mtime_s)

    def extend(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self.add(entry)

    def digest(self) -> str:
        total = blake2b(digest_size=16)
        for part in sorted(self.parts):
            total.update(part.encode() + b"\1")
        return total.hexdigest()


def discover_plates(
    root_uri: str,
    *,
    storage_options: Mapping[str, Any] | None = None,
    datasets: Iterable[str] | None = None,
) -> Discovery:
    """List a watched root and tell its plates.

    Parameters
    ----------
    root_uri
        Local folder or object-store prefix.
    datasets
        Look only at these dataset folders (names as on disk); all where None.

    Raises
    ------
    StoreNotFoundError
        The root does not exist.
    StoreAccessError
        The root may not be listed.
    """
    tree = open_tree(root_uri, storage_options)
    wanted = None if datasets is None else set(datasets)
    sources: list[PlateSource] = []
    findings: list[Finding] = []
    for entry in _visible(tree.children("")):
        name = store_stem(entry.name)
        if wanted is not None and name not in wanted and entry.name not in wanted:
            continue
        if _is_store_file(entry) or (entry.is_folder and _is_zarr(tree, entry)):
            sources.append(_lone_store(tree, entry))
        elif entry.is_folder:
            found = _dataset_sources(tree, entry)
            sources.extend(found.sources)
            findings.extend(found.findings)
    unique, clashes = _refuse_clashes(sources)
    return Discovery(tuple(unique), tuple(findings + clashes))


def _visible(entries: Iterable[Entry]) -> list[Entry]:
    return [e for e in entries if not e.name.startswith(IGNORED_PREFIXES) and e.name not in IGNORED_NAMES]


def _is_store_file(entry: Entry) -> bool:
    return not entry.is_folder and entry.name.lower().endswith((*TIFF_SUFFIXES, ".ozx", ".zarr.zip"))


def _is_zarr(tree: Tree, entry: Entry) -> bool:
    if entry.name.lower().endswith(ZARR_SUFFIXES):
        return True
    names = {child.name for child in tree.children(entry.path) if not child.is_folder}
    return not names.isdisjoint(_ZARR_ROOT_DOCUMENTS)


def _is_plate_store(tree: Tree, entry: Entry) -> bool:
    """Tell an HCS store by the ``plate`` key of its root document, without parsing the document."""
    if not entry.is_folder:
        return True  # an archive: its root document is not to be had by listing; taken as a plate of its own
    for name in ("zarr.json", ".zattrs"):
        head = tree.read_head(f"{entry.path}/{name}", _ROOT_DOCUMENT_HEAD_BYTES)
        if head is not None:
            return b'"plate"' in head
    return False


def _lone_store(tree: Tree, entry: Entry) -> PlateSource:
    signature = _Signature()
    signature.extend(tree.walk(entry.path) if entry.is_folder else [entry])
    stem = store_stem(entry.name)
    return PlateSource(
        plate_key=build_plate_key(stem, stem),
        dataset_name=stem,
        plate_name=stem,
        dataset_uri=tree.uri(entry.path),
        store_uris=(tree.uri(entry.path),),
        signature=signature.digest(),
        newest_mtime_s=signature.newest_mtime_s,
    )


def _dataset_sources(tree: Tree, dataset: Entry) -> Discovery:
    """Plates of one dataset folder: HCS stores, plate folders, and one partition for everything else."""
    children = _visible(tree.children(dataset.path))
    shared = _shared_signature(tree, children)
    measurements = _measurement_entries(tree, children)
    grouped: dict[str, list[Entry]] = {}
    for child in children:
        if child.is_folder and child.name.lower() in RESERVED_FOLDERS:
            continue
        if child.is_folder and _is_zarr(tree, child):
            plate = store_stem(child.name) if _is_plate_store(tree, child) else dataset.name
        elif _is_store_file(child):
            plate = (
                store_stem(child.name) if child.name.lower().endswith((".ozx", ".zarr.zip")) else dataset.name
            )
        elif child.is_folder and _holds_images(tree, child):
            plate = child.name
        else:
            continue
        grouped.setdefault(plate, []).append(child)
    loose_csvs = [child for child in children if not child.is_folder and child.name.lower() == "image.csv"]
    if loose_csvs and dataset.name in grouped and dataset.name not in measurements:
        measurements[dataset.name] = [Entry(dataset.name, dataset.path, True)]
        shared.extend(child for child in children if child.name.lower().endswith(".csv"))
    sources = [
        _plate_source(tree, dataset, plate, stores, measurements.pop(plate, []), shared)
        for plate, stores in sorted(grouped.items())
    ]
    return Discovery(tuple(sources), tuple(_unclaimed(tree, measurements)))


def _shared_signature(tree: Tree, children: Iterable[Entry]) -> _Signature:
    """Settings and platemaps belong to every plate of the dataset: a change of them is a change of all."""
    signature = _Signature()
    for child in children:
        if child.name == DATASET_FILE:
            signature.add(child)
        elif child.is_folder and child.name.lower() in ("platemaps", "metadata"):
            signature.extend(tree.walk(child.path))
    return signature


def _measurement_entries(tree: Tree, children: Iterable[Entry]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for child in children:
        if not (child.is_folder and child.name == MEASUREMENTS_FOLDER):
            continue
        for entry in _visible(tree.children(child.path)):
            lowered = entry.name.lower()
            if entry.is_folder:
                found.setdefault(entry.name, []).append(entry)
            else:
                for suffix in sorted(MEASUREMENT_SUFFIXES, key=len, reverse=True):
                    if lowered.endswith(suffix):
                        found.setdefault(entry.name[: -len(suffix)], []).append(entry)
                        break
    return found


def _holds_images(tree: Tree, folder: Entry) -> bool:
    """Tell whether a folder, or one of the two levels below it, holds TIFFs or Zarr stores."""
    pending = [(folder, 0)]
    while pending:
        current, depth = pending.pop()
        for child in _visible(tree.children(current.path)):
            if _is_store_file(child) or (child.is_folder and child.name.lower().endswith(ZARR_SUFFIXES)):
                return True
            if child.is_folder and depth < 2:
                pending.append((child, depth + 1))
    return False


def _plate_source(
    tree: Tree, dataset: Entry, plate: str, stores: list[Entry], measurements: list[Entry], shared: _Signature
) -> PlateSource:
    signature = _Signature(list(shared.parts), shared.newest_mtime_s)
    for entry in [*stores, *measurements]:
        if entry.path == dataset.path:  # loose measurement tables of the dataset folder: in `shared` already
            continue
        signature.extend(tree.walk(entry.path) if entry.is_folder else [entry])
    return PlateSource(
        plate_key=build_plate_key(dataset.name, plate),
        dataset_name=dataset.name,
        plate_name=plate,
        dataset_uri=tree.uri(dataset.path),
        store_uris=_store_uris(tree, dataset, stores),
        measurement_uris=tuple(tree.uri(entry.path) for entry in measurements),
        signature=signature.digest(),
        newest_mtime_s=signature.newest_mtime_s,
    )


def _store_uris(tree: Tree, dataset: Entry, stores: list[Entry]) -> tuple[str, ...]:
    """TIFFs that lie loose in the dataset folder are one file set: the folder is scanned, not each file."""
    loose = [entry for entry in stores if not entry.is_folder and entry.name.lower().endswith(TIFF_SUFFIXES)]
    uris = [tree.uri(entry.path) for entry in stores if entry not in loose]
    if len(loose) == 1:
        uris.append(tree.uri(loose[0].path))
    elif loose:
        uris.append(tree.uri(dataset.path))
    return tuple(sorted(uris))


def _unclaimed(tree: Tree, measurements: Mapping[str, list[Entry]]) -> list[Finding]:
    return [
        Finding(
            "unclaimed-measurements",
            "warning",
            entry.path,
            f"No plate is named {name!r}: expected a store '{name}.ome.zarr' or a folder '{name}/' beside "
            f"'{MEASUREMENTS_FOLDER}/'; rename the file or add the images.",
            tree.uri(entry.path),
        )
        for name, entries in sorted(measurements.items())
        for entry in entries
    ]


def _refuse_clashes(sources: list[PlateSource]) -> tuple[list[PlateSource], list[Finding]]:
    """Several stores of one name in a dataset would share ids: none of them is taken, all are named."""
    kept: list[PlateSource] = []
    findings: list[Finding] = []
    by_key: dict[str, list[PlateSource]] = {}
    for source in sources:
        by_key.setdefault(source.plate_key, []).append(source)
    for key, group in sorted(by_key.items()):
        plate_stores = group[0].store_uris
        if len(group) == 1 and (len(plate_stores) == 1 or group[0].plate_name == group[0].dataset_name):
            kept.append(group[0])
            continue
        uris = [uri for source in group for uri in source.store_uris]
        findings.append(
            Finding(
                "plate-name-clash",
                "error",
                key,
                f"{len(uris)} stores would be plate {key!r}: {', '.join(uris)}. Rename all but one; none was taken.",
                uris[0],
            )
        )
    return kept, findings
