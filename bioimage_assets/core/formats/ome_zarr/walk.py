"""Walk a Zarr store: its root document decides the layout, its metadata name every path to read.

Source of truth: https://ngff.openmicroscopy.org/0.5/index.html#metadata ("plate" takes precedence over
bioformats2raw). Only groups without OME metadata are listed. Pixel data are never read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bioimage_assets.core.errors import (
    StoreAccessError,
    StoreChangedError,
    StoreError,
    UnsupportedStoreError,
)
from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.ome_zarr import bioformats2raw, hcs, members, spatial_data
from bioimage_assets.core.formats.ome_zarr.consolidated import check_consolidated
from bioimage_assets.core.formats.ome_zarr.context import ImageTarget, ScanContext
from bioimage_assets.core.formats.ome_zarr.images import scan_images
from bioimage_assets.core.formats.ome_zarr.plan import StorePlan
from bioimage_assets.core.formats.ome_zarr.positions import drop_zero_positions
from bioimage_assets.core.formats.ome_zarr.records import build_array_record
from bioimage_assets.core.formats.zarr.array import ZarrArray
from bioimage_assets.core.formats.zarr.documents import as_list, as_object, as_text
from bioimage_assets.core.formats.zarr.nodes import (
    ArrayNode,
    GroupNode,
    NodeReader,
    digest_document,
)
from bioimage_assets.core.model.file_kinds import ZARR_ROOT_DOCUMENTS
from bioimage_assets.core.model.fingerprint import combine_fingerprints
from bioimage_assets.core.model.identity import build_plate_key, store_stem
from bioimage_assets.core.model.image import ImageKind, ImageRecord
from bioimage_assets.core.model.scan import DeclaredPlate, ScanOptions, StoreScan
from bioimage_assets.core.model.store_paths import is_safe_path, join_path
from bioimage_assets.core.stores.base import MAX_CONSOLIDATED_BYTES, DocumentResult, Store

MAX_NESTING = 16  # groups that point to groups; plate, well, image and label are four


@dataclass(frozen=True, slots=True)
class ZarrScan:
    """A scan with the arrays its images consist of (by path in the store), for the chunk index.

    ``field_paths`` are the paths of all fields that plates list, present or not. ``denies_absent`` says that the
    store is a bucket that may not be listed.
    """

    scan: StoreScan
    arrays: Mapping[str, ZarrArray]
    root_documents: Mapping[str, DocumentResult]
    field_paths: frozenset[str] = frozenset()
    denies_absent: bool = False


def scan_zarr_store(
    store: Store,
    options: ScanOptions,
    *,
    uri: str,
    base_id: str | None = None,
    group_key: str | None = None,
    root_path: str = "",
    xml_beside: DocumentResult = None,
) -> ZarrScan:
    """Scan one store whose root is a Zarr node.

    Parameters
    ----------
    base_id
        Image id of an image without plate position; default the store's stem.
    group_key
        Plate key of a store that is not a plate, where the options set none; default ``<dataset>/<stem>``.
    root_path
        Where the root node is in the store; a zipped folder has it one level down.
    xml_beside
        OME-XML that lies beside the store and describes its images, as old versions of bioformats2raw left it.

    Raises
    ------
    UnsupportedStoreError
        The root holds no Zarr metadata.
    CorruptStoreError
        The root document cannot be read.
    StoreChangedError
        The root document changed or vanished while the store was scanned.
    """
    stem = store_stem(uri)
    dataset_id = options.dataset_id or stem
    context = ScanContext(
        store, NodeReader(store), FindingLog(uri), options, uri, dataset_id, base_id or stem, root_path
    )
    context.xml_beside = xml_beside
    root, documents = context.nodes.read_root(root_path)
    # No node at all: another reader may know what this is.
    if root is None:
        raise UnsupportedStoreError(
            f"{uri}: no Zarr metadata at its root (none of {', '.join(ZARR_ROOT_DOCUMENTS)})."
        )
    if isinstance(root, StoreError):
        raise root
    _note_root(context, documents)
    plan = StorePlan()
    _plan_node(context, plan, root_path, root, 0)
    # A plate is its own partition; a lone image belongs to the group it is scanned with.
    own_key = build_plate_key(dataset_id, stem)
    context.plate_key = options.plate_key or (own_key if plan.plates or not group_key else group_key)
    images = scan_images(context, _identify(context, plan), with_labels=options.include_labels)
    images = [*drop_zero_positions(images), *_scan_arrays(context, plan)]
    if isinstance(root, GroupNode):
        check_consolidated(context, root)
    # Last of all: what was read in between is of one state only where the root stayed.
    check_unchanged(store, documents, uri)
    scan = StoreScan(
        uri=uri,
        dataset_id=dataset_id,
        plate_key=context.plate_key,
        format_family="zarr",
        images=tuple(images),
        findings=context.log.findings(),
        fingerprint=combine_fingerprints([*context.digests, *_root_digests(documents)]),
        plates=_name_channels(plan.plates, images),
    )
    fields = frozenset(target.path for target in plan.targets if target.position is not None)
    return ZarrScan(scan, context.arrays, documents, fields, context.denies_absent)


def _name_channels(plates: list[DeclaredPlate], images: list[ImageRecord]) -> tuple[DeclaredPlate, ...]:
    """Give each plate the channel names of its first image that has some; a plate group has none of its own."""
    names: dict[str | None, tuple[str, ...]] = {}
    for image in images:
        if image.channel_names and image.plate_id not in names:
            names[image.plate_id] = tuple(name or "" for name in image.channel_names)
    return tuple(replace(plate, channel_names=names.get(plate.plate_id, ())) for plate in plates)


def _scan_arrays(context: ScanContext, plan: StorePlan) -> list[ImageRecord]:
    several = len(plan.targets) + len(plan.arrays) > 1
    return [
        build_array_record(context, path, node, context.id_of(path) if several else context.base_id)
        for path, node in plan.arrays.items()
    ]


def check_unchanged(store: Store, documents: Mapping[str, DocumentResult], uri: str) -> None:
    """Raise StoreChangedError unless the root documents (by key) are still those that were read first."""
    read = {key: raw for key, raw in documents.items() if isinstance(raw, bytes)}
    now = store.get_many(list(read), max_bytes=MAX_CONSOLIDATED_BYTES)
    changed = sorted(name for name, raw in read.items() if now[name] != raw)
    if changed:
        raise StoreChangedError(
            f"{uri}: {', '.join(changed)} changed or vanished during the scan. Scan it again."
        )


def _note_root(context: ScanContext, documents: Mapping[str, DocumentResult]) -> None:
    has = {key.rpartition("/")[2] for key, raw in documents.items() if isinstance(raw, bytes)}
    denied = [key for key, raw in documents.items() if isinstance(raw, StoreAccessError)]
    if denied and has and context.store.is_remote:
        context.denies_absent = True
        message = (
            "The store denies some documents and gives others, as buckets do that may not be listed: what it need not "
            "hold (labels, consolidated metadata) counts as absent where it is denied."
        )
        context.log.note("absent-is-denied", "info", denied[0], message)
    if "zarr.json" in has and has & {".zgroup", ".zarray"}:
        message = "The root has metadata of Zarr v3 and of v2; v3 counts."
        context.log.note("both-zarr-formats", "warning", "", message)
    elif ".zattrs" in has and not has & {".zgroup", ".zarray"} and (not denied or context.denies_absent):
        context.log.note(
            "missing-zgroup", "warning", "", "The root has .zattrs but no .zgroup; other readers refuse it."
        )


def _plan_node(
    context: ScanContext, plan: StorePlan, path: str, node: GroupNode | ArrayNode, depth: int
) -> None:
    """Add what one node holds, by the first layout that applies."""
    if isinstance(node, ArrayNode):
        plan.arrays[path] = node
        return
    ome = node.ome
    # The order is that of the specification, which has "plate" before bioformats2raw.
    if isinstance(ome.get("plate"), dict):
        hcs.plan_plate(context, plan, node, store_stem(path) if path else store_stem(context.uri))
        if "bioformats2raw.layout" in ome:
            bioformats2raw.name_plate_fields(context, plan.targets, node)
    elif "bioformats2raw.layout" in ome:
        bioformats2raw.plan_series(context, plan, node)
    elif isinstance(ome.get("multiscales"), list):
        # "image-label" makes a group a label, in whatever list it stands or none (SpatialData, a label opened on its own).
        kind: ImageKind = "label" if isinstance(ome.get("image-label"), dict) else "image"
        plan.targets.append(ImageTarget(path, node.zarr_format, node=node, kind=kind))
    elif isinstance(ome.get("well"), dict):
        _plan_listed(
            context,
            plan,
            node,
            [as_object(i).get("path") for i in as_list(as_object(ome["well"]).get("images"))],
        )
    elif isinstance(ome.get("labels"), list):
        _plan_listed(context, plan, node, as_list(ome["labels"]), is_label=True)
    elif depth and (other := spatial_data.describe_other(node)):
        message = f"The group holds {other}, and is not read as an image."
        context.log.note_repeated("not-an-image", "info", path, message)
    elif depth < MAX_NESTING and spatial_data.is_spatial_data(node):
        for child in spatial_data.plan_elements(context, plan, node):
            member, _ = context.nodes.read_root(child)
            if isinstance(member, (GroupNode, ArrayNode)):
                _plan_node(context, plan, child, member, depth + 1)
    elif depth < MAX_NESTING:
        _plan_members(context, plan, path, depth)


def _plan_members(context: ScanContext, plan: StorePlan, path: str, depth: int) -> None:
    """Plan what lies below a group that says nothing itself."""
    found = 0
    before = len(plan.targets)
    for child, member in members.read_members(context, path):
        found += 1
        _plan_node(context, plan, child, member, depth + 1)
    if not found:
        context.log.note("empty-group", "warning", path, "The group holds no image and no array.")
    if depth == 0:
        named = plan.targets[before:]
        bioformats2raw.name_numbered_groups(context, named, path)
        plan.targets[before:] = named


def _plan_listed(
    context: ScanContext, plan: StorePlan, node: GroupNode, paths: list[object], *, is_label: bool = False
) -> None:
    """Plan the images of a well or labels group that was opened on its own."""
    for item in paths:
        name = as_text(item)
        if name is None or not is_safe_path(name):
            context.log.note(
                "unsafe-path", "error", node.path, f"path {item!r:.80} is not below its group; ignored"
            )
            continue
        target = ImageTarget(join_path(node.path, name), node.zarr_format)
        plan.targets.append(target._replace(kind="label") if is_label else target)


def _identify(context: ScanContext, plan: StorePlan) -> list[ImageTarget]:
    """Give images without a plate position their id: the store's, with the path where it holds several."""
    several = len(plan.targets) + len(plan.arrays) > 1
    seen: set[str] = set()
    targets = []
    for target in plan.targets:
        if target.path in seen:
            context.log.note(
                "duplicate-image", "warning", target.path, "The image group is listed twice; read once."
            )
            continue
        seen.add(target.path)
        if target.position is None:
            target = target._replace(image_id=context.id_of(target.path) if several else context.base_id)
        targets.append(target)
    return targets


def _root_digests(documents: Mapping[str, DocumentResult]) -> list[str]:
    return [
        f"{name}:{digest_document(raw).hex()}" for name, raw in documents.items() if isinstance(raw, bytes)
    ]
