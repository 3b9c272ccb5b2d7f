"""The plates of a watched root with their signatures: every file is listed, none is opened."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from bioimage_assets.core.discovery.followed_links import open_watched_root
from bioimage_assets.core.discovery.found_plate import FoundPlate
from bioimage_assets.core.discovery.layout import read_layout
from bioimage_assets.core.discovery.not_understood import note_links
from bioimage_assets.core.discovery.signatures import SharedMemory, read_deep
from bioimage_assets.core.errors import StoreError
from bioimage_assets.core.findings import Finding, find_names_not_utf8
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.stores.tree import Tree, find_refused_links


@dataclass(frozen=True, slots=True)
class Discovery:
    """Plates found below a root, sorted by key, and what was odd about the root."""

    sources: tuple[PlateSource, ...]
    findings: tuple[Finding, ...] = ()


def discover_plates(
    root_uri: str,
    *,
    storage_options: Mapping[str, object] | None = None,
    datasets: Iterable[str] | None = None,
    plate_keys: Collection[str] | None = None,
) -> Discovery:
    """List a watched root and tell its plates.

    Parameters
    ----------
    root_uri
        Local folder or object-store prefix.
    datasets
        Look only at these datasets (names as on disk, or as in partition keys); all where None.
    plate_keys
        Look at these plates only; all where None. Findings are then about them alone or meaningless.

    Raises
    ------
    StoreNotFoundError
        The root does not exist.
    StoreAccessError
        The root may not be listed.
    """
    tree = open_watched_root(root_uri, storage_options)
    return discover_tree(tree, datasets=datasets, plate_keys=plate_keys)


def discover_tree(
    tree: Tree, *, datasets: Iterable[str] | None = None, plate_keys: Collection[str] | None = None
) -> Discovery:
    """As discover_plates, of a root that is open already."""
    wanted = None if plate_keys is None else set(plate_keys)
    layout = read_layout(tree, datasets=None if datasets is None else set(datasets), plate_keys=wanted)
    shared: SharedMemory = {}
    sources: list[PlateSource] = []
    for plate in sorted(layout.plates, key=lambda plate: plate.plate_key):
        if wanted is not None and plate.plate_key not in wanted:
            continue
        try:
            sources.append(read_deep(plate, shared))
        except StoreError as error:
            layout.findings.append(unreadable_plate(plate, error))
    links = (*find_refused_links(tree), *note_links(tree))
    odd = (*find_names_not_utf8(sorted(tree.names_not_utf8), tree.root_uri), *links)
    return Discovery(tuple(sources), (*layout.findings, *odd))


def unreadable_plate(plate: FoundPlate, error: StoreError) -> Finding:
    """Finding about a plate whose files could not be listed."""
    return Finding("unreadable-plate", "error", plate.plate_key, str(error), plate.uri)
