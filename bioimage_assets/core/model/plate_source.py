"""What one partition is made of: the stores, measurements and settings of a plate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.gallery import GalleryPlate

# Finding of a plate of measurements whose name is probably that of a plate of images, misspelt.
MEASUREMENTS_WITHOUT_IMAGES = "measurements-without-images"


@dataclass(frozen=True, slots=True)
class PlateSource:
    """The inputs of one plate partition, as found by listing a watched root; nothing was opened.

    ``plate_name`` is the store's stem or the plate folder's name (the plate part of the key before
    encoding), or that of its measurements where it has no images: ``store_uris`` is then empty. A LoadData
    table stands among the stores; ``shares_image_list`` where it may name images of other plates, too.
    ``signature`` digests names, sizes and change times of all listed files, ``signatures`` those of each kind:
    what a step reads, and nothing else, decides whether its tables are current. ``newest_mtime_s`` is the newest of
    those times (seconds since the epoch). ``findings`` is what the listing of the dataset says about this plate,
    ``plates_of_dataset`` the names of all stores and folders in it, ``gallery`` what the layout of the Cell Painting Gallery says.
    """

    plate_key: str
    dataset_name: str
    plate_name: str
    dataset_uri: str
    store_uris: tuple[str, ...]
    measurement_uris: tuple[str, ...] = ()
    signature: str = ""
    newest_mtime_s: float = 0.0
    findings: tuple[Finding, ...] = ()
    shares_image_list: bool = False
    signatures: Mapping[str, str] = field(default_factory=dict)
    plates_of_dataset: frozenset[str] = frozenset()
    gallery: GalleryPlate | None = None

    @property
    def is_imageless(self) -> bool:
        """Whether it is a plate of measurements alone, and nothing speaks against that being meant."""
        return not self.store_uris and all(f.code != MEASUREMENTS_WITHOUT_IMAGES for f in self.findings)
