"""One partition as the listing of its dataset shows it."""

from __future__ import annotations

from dataclasses import dataclass

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.gallery import GalleryPlate
from bioimage_assets.core.stores.tree import Entry, Tree


@dataclass(frozen=True, slots=True)
class FoundPlate:
    """One partition as the listing shows it; its files have not been looked at.

    ``stores`` is empty for a plate of measurements alone, and may hold LoadData tables in place of images,
    which other plates use as well where ``shares_image_list``. ``shared`` are the dataset's settings and
    platemaps, a part of every plate of the dataset. ``findings`` is what the listing tells about this plate,
    ``plates_of_dataset`` the names of all stores and folders of its dataset, ``gallery`` what the layout of the Cell Painting
    Gallery says, where it is that, and ``image_lists`` the LoadData tables with which its images are compared there.
    """

    plate_key: str
    plate_name: str
    dataset: Entry
    stores: tuple[Entry, ...]
    measurements: tuple[Entry, ...]
    shared: tuple[Entry, ...]
    tree: Tree
    findings: tuple[Finding, ...] = ()
    shares_image_list: bool = False
    plates_of_dataset: frozenset[str] = frozenset()
    gallery: GalleryPlate | None = None
    image_lists: tuple[Entry, ...] = ()

    @property
    def dataset_name(self) -> str:
        """Name of the dataset's folder; for a lone store its stem."""
        return (
            self.dataset.name
            if self.dataset.is_folder and self.dataset not in self.stores
            else self.plate_name
        )

    @property
    def inputs(self) -> tuple[Entry, ...]:
        """What is the plate's own: stores and measurements."""
        return (*self.stores, *self.measurements)

    @property
    def uri(self) -> str:
        """Location that stands for the plate in messages."""
        return self.tree.uri(self.inputs[0].path)

    @property
    def circumstances(self) -> list[str]:
        """What else the plate depends on beside its own files: a plate is built again when this changes."""
        shared = ["shares-image-list"] if self.shares_image_list else []
        compared = [f"{one.path}\0{one.size_bytes}\0{one.version}" for one in self.image_lists]
        return sorted(finding.code for finding in self.findings) + shared + compared
