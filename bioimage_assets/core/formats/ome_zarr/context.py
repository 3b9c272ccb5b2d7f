"""What all parts of one OME-Zarr scan share: the store, its nodes, the identity of its rows, what was found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from bioimage_assets.core.errors import StoreAccessError
from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.image_ids import PlatePosition
from bioimage_assets.core.formats.ome_zarr.model import Multiscale
from bioimage_assets.core.formats.ome_zarr.multiscales import ImageGroupParser
from bioimage_assets.core.formats.ome_zarr.pixel_order import PixelOrder
from bioimage_assets.core.formats.ome_zarr.templates import ImageTemplate
from bioimage_assets.core.formats.zarr.array import ZarrArray
from bioimage_assets.core.formats.zarr.nodes import GroupNode, NodeReader, ZarrFormat
from bioimage_assets.core.model.acquisition import AcquisitionFacts, PlaneFacts
from bioimage_assets.core.model.image import ImageKind
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.stores.base import DocumentResult, Store


class ImageTarget(NamedTuple):
    """One image group to read: ``node`` where its document was read already. A named tuple as ``PlatePosition`` is.

    ``source_image_id`` is set for labels, ``channel_names``, ``image_name``, ``acquisition``, ``planes`` and ``pixels`` where another document says them.
    """

    path: str
    zarr_format: ZarrFormat
    position: PlatePosition | None = None
    node: GroupNode | None = None
    kind: ImageKind = "image"
    source_image_id: str | None = None
    image_id: str | None = None
    channel_names: tuple[str | None, ...] | None = None
    image_name: str | None = None
    acquisition: AcquisitionFacts | None = None
    planes: tuple[PlaneFacts, ...] = ()
    pixels: PixelOrder | None = None


@dataclass(slots=True)
class ScanContext:
    """State of one scan; ``arrays`` keeps every array of an image for the chunk index.

    ``base_id`` is the id of an image without plate position, ``root_path`` where the store's root node is.
    ``xml_beside`` is the OME-XML beside the store, if any.
    ``denies_absent`` marks a bucket that may not be listed: it says "denied" of what it does not hold.
    """

    store: Store
    nodes: NodeReader
    log: FindingLog
    options: ScanOptions
    uri: str
    dataset_id: str
    base_id: str
    root_path: str = ""
    plate_key: str = ""
    denies_absent: bool = False
    xml_beside: DocumentResult = None
    parser: ImageGroupParser = field(default_factory=ImageGroupParser)
    arrays: dict[str, ZarrArray] = field(default_factory=dict)
    digests: list[str] = field(default_factory=list)
    ordered: dict[tuple[int, PixelOrder, tuple[int, ...]], tuple[Multiscale, Multiscale]] = field(
        default_factory=dict
    )
    templates: dict[tuple[object, ...], tuple[Multiscale, ImageTemplate]] = field(default_factory=dict)

    def is_absent(self, found: object) -> bool:
        """Tell whether something that need not be there is not there."""
        return found is None or (self.denies_absent and isinstance(found, StoreAccessError))

    def id_of(self, path: str) -> str:
        """Id of an image without plate position in a store that holds several."""
        inner = path.removeprefix(self.root_path).strip("/") if self.root_path else path
        return f"{self.base_id}:{inner}" if inner else self.base_id
