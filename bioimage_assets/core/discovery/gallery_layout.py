"""Where a watched root holds sources of the Cell Painting Gallery, and what each source has of which batch and plate.

Names alone tell, as in https://broadinstitute.github.io/cellpainting-gallery/data_structure.html: nothing has to be set. Of ``analysis`` only
the folders of plates are listed, since millions of files lie below them; all other listings are one request per 1,000 names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from bioimage_assets.core.discovery.entry_kinds import without_hidden_entries
from bioimage_assets.core.model.gallery import is_gallery_project, name_gallery_dataset
from bioimage_assets.core.settings.dataset import DATASET_FILE
from bioimage_assets.core.stores.tree import Entry, Tree

IMAGES, WORKSPACE = "images", "workspace"
_KINDS = ("analysis", "backend", "load_data_csv")
_OTHER_FOLDERS = ("workspace_dl", "images_")

# Batch and plate, as the folders are called.
PlateFolder = tuple[str, str]


@dataclass(slots=True)
class GalleryEntries:
    """What one source holds. ``image_folders`` are the plates' by batch, under the full names of the microscope."""

    dataset: Entry
    source: str
    image_folders: dict[str, list[Entry]] = field(default_factory=dict)
    image_lists: dict[PlateFolder, list[Entry]] = field(default_factory=dict)
    backends: dict[PlateFolder, list[Entry]] = field(default_factory=dict)
    analyses: dict[PlateFolder, Entry] = field(default_factory=dict)
    platemaps: dict[str, Entry] = field(default_factory=dict)
    external_metadata: tuple[Entry, ...] = ()
    settings: tuple[Entry, ...] = ()
    batches_without_images: list[Entry] = field(default_factory=list)

    @property
    def plates(self) -> set[PlateFolder]:
        """Batch and plate of all that ``workspace`` has measurements or a LoadData table of."""
        return {*self.image_lists, *self.backends, *self.analyses}


def find_gallery_sources(tree: Tree, entry: Entry, children: Sequence[Entry]) -> list[Entry]:
    """Datasets that a folder at the top of a root is: a source itself, or a project with sources; none where it is no gallery.

    Entries are called like the datasets: ``<project>__<source>``, or like the source where it stands alone.
    """
    if is_gallery_source(tree, children):
        return [entry]
    if not is_gallery_project(entry.name):
        return []
    folders = [child for child in without_hidden_entries(children) if child.is_folder]
    return [
        Entry(name_gallery_dataset(entry.name, child.name), child.path, True, 0, child.mtime_s, child.version)
        for child in folders
        if is_gallery_source(tree, tree.children(child.path))
    ]


def is_gallery_source(tree: Tree, children: Sequence[Entry]) -> bool:
    """Tell a source by its folders: ``images/<batch>/images`` or ``workspace/<kind>/<batch>/<plate>``, and none of another name."""
    folders = {child.name: child for child in without_hidden_entries(children) if child.is_folder}
    if not folders.keys() & {IMAGES, WORKSPACE} or not all(_is_of_gallery(name) for name in folders):
        return False
    if WORKSPACE in folders and any(
        _holds_two_levels(tree, kind)
        for kind in tree.children(folders[WORKSPACE].path)
        if kind.name in _KINDS
    ):
        return True
    return IMAGES in folders and any(
        inner.is_folder and inner.name == IMAGES
        for batch in tree.children(folders[IMAGES].path)
        if batch.is_folder
        for inner in tree.children(batch.path)
    )


def _is_of_gallery(name: str) -> bool:
    return name in (IMAGES, WORKSPACE) or name.startswith(_OTHER_FOLDERS)


def _holds_two_levels(tree: Tree, kind: Entry) -> bool:
    return kind.is_folder and any(
        plate.is_folder
        for batch in tree.children(kind.path)
        if batch.is_folder
        for plate in tree.children(batch.path)
    )


def read_gallery(tree: Tree, dataset: Entry) -> GalleryEntries:
    """List one source; see the module about what it costs."""
    found = GalleryEntries(dataset, dataset.path.rpartition("/")[2] or dataset.name)
    children = tree.children(dataset.path)
    found.settings = tuple(entry for entry in children if entry.name == DATASET_FILE)
    for folder in (entry for entry in children if entry.is_folder):
        if folder.name == IMAGES:
            _read_images(tree, folder, found)
        elif folder.name == WORKSPACE:
            _read_workspace(tree, folder, found)
    return found


def _read_images(tree: Tree, folder: Entry, found: GalleryEntries) -> None:
    for batch in _folders(tree, folder.path):
        inner = [child for child in _folders(tree, batch.path) if child.name == IMAGES]
        if inner:
            found.image_folders[batch.name] = list(_folders(tree, inner[0].path))
        else:
            found.batches_without_images.append(batch)


def _read_workspace(tree: Tree, folder: Entry, found: GalleryEntries) -> None:
    for kind in _folders(tree, folder.path):
        if kind.name == "load_data_csv":
            found.image_lists = _walk_plates(tree, kind)
        elif kind.name == "backend":
            found.backends = _walk_plates(tree, kind)
        elif kind.name == "analysis":
            for batch in _folders(tree, kind.path):
                found.analyses |= {(batch.name, e.name): e for e in _folders(tree, batch.path)}
        elif kind.name == "metadata":
            _read_metadata(tree, kind, found)


def _read_metadata(tree: Tree, folder: Entry, found: GalleryEntries) -> None:
    for child in _folders(tree, folder.path):
        if child.name == "platemaps":
            found.platemaps = {batch.name: batch for batch in _folders(tree, child.path)}
        elif child.name == "external_metadata":
            found.external_metadata = (child,)


def _walk_plates(tree: Tree, kind: Entry) -> dict[PlateFolder, list[Entry]]:
    """Files of ``<kind>/<batch>/<plate>/``, sorted by path."""
    plates: dict[PlateFolder, list[Entry]] = {}
    for entry in sorted(_visible(tree.walk(kind.path)), key=lambda entry: entry.path):
        parts = entry.path[len(kind.path) + 1 :].split("/")
        if len(parts) >= 3:
            plates.setdefault((parts[0], parts[1]), []).append(entry)
    return plates


def _visible(entries: Iterable[Entry]) -> Iterator[Entry]:
    return (entry for entry in entries if not entry.name.startswith("."))


def _folders(tree: Tree, path: str) -> list[Entry]:
    return [entry for entry in without_hidden_entries(tree.children(path)) if entry.is_folder]
