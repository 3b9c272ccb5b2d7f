"""OME-XML documents that lie beside TIFFs under any name: companions of the files they name, else what they say of the plate.

scanR writes ``data/metadata.ome.xml`` with a TiffData block per file. Others write one that names no file, or one of very
many: taken for a companion, it would tear fields apart whose file names say everything. Source of truth: ome.xsd 2016-06.
"""

from __future__ import annotations

from bioimage_assets.core.errors import StoreError
from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.ome_tiff.filesets import FileSet
from bioimage_assets.core.formats.ome_tiff.image_draft import PixelSizes
from bioimage_assets.core.formats.ome_tiff.ome_model import OmeDocument
from bioimage_assets.core.formats.ome_tiff.ome_xml import parse_ome_xml
from bioimage_assets.core.formats.parse_errors import foreign_file
from bioimage_assets.core.formats.plate_folders.listing import FolderListing
from bioimage_assets.core.formats.plate_folders.sidecar_facts import SidecarFacts
from bioimage_assets.core.stores.base import MAX_XML_BYTES, Store, StoredObject

_LEAST_SHARE = 0.5  # of the TIFFs in its folder that a companion names


def take_ome_documents(store: Store, listing: FolderListing, facts: SidecarFacts, log: FindingLog) -> None:
    """Make companions of the documents that name the folder's files; one request per document."""
    for item in listing.ome_documents:
        try:
            payload = store.get(item.key, max_bytes=MAX_XML_BYTES)
            with foreign_file(f"{store.uri}/{item.key}"):
                document = parse_ome_xml(payload, item.key)
        except StoreError as error:
            log.note(
                "sidecar-unreadable",
                "warning",
                item.key,
                f"The OME-XML beside the images gives nothing: {error}",
            )
            continue
        named, count = _count_named(item, document, listing)
        if named and named >= _LEAST_SHARE * count:
            facts.companions.append(item.key)
            continue
        facts.documents.append((item.key, payload))
        taken = _take_facts(document, facts)
        text = (
            f"The OME-XML names {named} of the {count} TIFFs in its folder, so fields are made of the file names; "
            f"of the document {' and '.join(taken) or 'nothing'} is used."
        )
        log.note("ome-xml-no-companion", "info", item.key, text)


def _count_named(item: StoredObject, document: OmeDocument, listing: FolderListing) -> tuple[int, int]:
    """How many of the TIFFs in and below a document's folder it names, and how many there are."""
    folder = item.key.rpartition("/")[0]
    beside = {image.key for image in listing.images if not folder or image.key.startswith(f"{folder}/")}
    names = {block.file_name for image in document.images for block in image.tiff_data if block.file_name}
    return sum(FileSet.neighbour(item.key, name) in beside for name in names), len(beside)


def _take_facts(document: OmeDocument, facts: SidecarFacts) -> list[str]:
    """Take pixel sizes and channel names on which all images of a document agree, where no other sidecar gives them."""
    taken: list[str] = []
    sizes = {(*image.pixel_sizes_um, image.time_increment_s) for image in document.images}
    if facts.sizes.x_um is None and len(sizes) == 1 and any(size is not None for size in next(iter(sizes))):
        facts.sizes = PixelSizes(*sizes.pop())
        taken.append("the pixel size")
    names = {image.channel_names for image in document.images}
    if not facts.channel_names and not facts.channels_in_order and len(names) == 1:
        found = tuple(name for name in names.pop() if name)
        if len(set(found)) == len(found) > 1:
            facts.channels_in_order = found
            taken.append("the channel names, where names of files count as many channels")
    return taken
