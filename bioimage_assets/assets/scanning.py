"""One plate's scan as Arrow tables: the bridge from the scanner to the catalog assets."""

import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bioimage_assets.assets.shared_root import find_other_project
from bioimage_assets.assets.shrunk_stores import find_gone_images
from bioimage_assets.core.discovery.gallery_channels import name_channels
from bioimage_assets.core.discovery.gallery_scan import ImageLists, find_list_gaps, read_lists
from bioimage_assets.core.errors import BioimageError, StoreNotFoundError
from bioimage_assets.core.formats.plate_folders.load_data import is_load_data
from bioimage_assets.core.model.image import LISTED
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.scan.scanner import PlateScan, scan_plate_source
from bioimage_assets.core.scratch import as_scratch_error
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.core.storage.step_inputs import StepInputs
from bioimage_assets.core.storage.tables import ProjectTables
from bioimage_assets.core.tables.findings import build_scan_findings
from bioimage_assets.core.tables.plate_layout import build_plate_layout
from bioimage_assets.metadata import build_counts_markdown, build_findings_markdown, build_table_schema

logger = logging.getLogger(__name__)


def require_images(tables: ProjectTables, source: PlateSource, images: pa.Table) -> None:
    """Say where images are gone of which only measurements or a LoadData table are left; stored rows are never lost so.

    Plates without images are wanted; but one that had them lost them, and nobody said that this is meant.
    """
    if any(not is_load_data(uri) for uri in source.store_uris) or _is_opened(images):
        return
    stored = tables.find("image_assets", source.plate_key, ["scan_status"])
    if stored is None or not (_is_opened(stored) or images.num_rows == 0 < stored.num_rows):
        return
    raise StoreNotFoundError(
        f"The images of plate {source.plate_key!r} are gone from the watched roots; its measurements are still there. The "
        f"{stored.num_rows} stored image rows are kept: bring the store back. If the plate is to go on as measurements "
        "alone, remove it with 'bioimage-assets partitions remove' and build it again."
    )


def count_lost_images(tables: ProjectTables, source: PlateSource) -> int:
    """Stored images of a plate of which only measurements are left in the watched roots; 0 where it never had any."""
    if source.store_uris:
        return 0
    stored = tables.find("image_assets", source.plate_key, ["scan_status"])
    return 0 if stored is None else stored.num_rows


def _is_opened(images: pa.Table) -> bool:
    """Whether any of the images was opened, and not only named by a table."""
    return any(status != LISTED for status in images["scan_status"].unique().to_pylist())


def build_scan_options(inputs: StepInputs) -> ScanOptions:
    """Scan options of a plate: identity from its place, file pattern from its dataset's settings."""
    return ScanOptions(
        dataset_id=inputs.dataset_id,
        plate_key=inputs.partition,
        dataset_root_uri=inputs.source.dataset_uri,
        file_pattern=inputs.settings.file_pattern,
        file_md5=inputs.settings.match_md5,
        max_head_requests=inputs.project.max_head_requests,
        follow_symlinks=bool(inputs.settings.follow_symlinks),
        storage_options=dict(inputs.storage_options),
    )


def scan_plate_tables(inputs: StepInputs) -> dict[str, PlateTable]:
    """Scan one plate; chunk rows are spooled to a file so that a plate of any size needs little memory."""
    source, key, dataset_id = inputs.source, inputs.partition, inputs.dataset_id
    has_chunks = "chunk_index" in inputs.asked
    options = build_scan_options(inputs)
    lists = ImageLists() if source.gallery is None else read_lists(source.gallery.image_list_uris, options)
    options = replace(options, channel_names=name_channels(lists.images))
    scan = scan_plate_source(source, options, with_chunks=has_chunks)
    require_images(inputs.tables, source, scan.images)
    # The chunk stream goes first: once it is read, it says how many bytes each image takes and which shards are broken.
    spooled = {"chunk_index": _spool_chunks(scan, key, inputs.scratch)} if has_chunks else {}
    other = find_other_project(inputs.tables, source, scan.images)
    gone = find_gone_images(inputs, scan.images)
    listed = find_list_gaps(source, scan.images, lists)
    found = (*scan.findings, *scan.chunk_findings(), *other, *gone, *listed)
    found = tuple(finding.name_file(inputs.source.dataset_uri) for finding in found)
    scan = replace(scan, images=scan.images_with_stored_bytes(), findings=found)
    layout = build_plate_layout(scan.plates, plate_key=key, dataset_id=dataset_id)
    findings = build_scan_findings(found, plate_key=key, dataset_id=dataset_id, seen=datetime.now(UTC))
    made = {
        "image_assets": PlateTable(scan.images, _image_metadata(scan, source)),
        **spooled,
        "acquisition_planes": PlateTable(scan.planes),
        "plate_layout": PlateTable(layout),
        "scan_findings": PlateTable(findings, {"findings": build_findings_markdown(found)}),
    }
    return {name: made[name] for name in inputs.asked}


def _image_metadata(scan: PlateScan, source: PlateSource) -> dict[str, object]:
    images = scan.images
    kinds = images["image_kind"].value_counts().to_pylist()
    wells = len(images["well_id"].drop_null().unique())
    counts: dict[str, object] = {f"{row['values']} rows": row["counts"] for row in kinds}
    sizes = images["stored_bytes"].drop_null().to_pylist()
    return {
        "images": build_counts_markdown({**counts, "wells": wells}),
        "stores": list(source.store_uris),
        "findings": build_findings_markdown(scan.findings),
        "dagster/column_schema": build_table_schema(images.schema),
        # Zarr stores are listed for their size only with the chunk index.
        **({"stored_bytes": dg.MetadataValue.int(sum(sizes))} if sizes else {}),
    }


def _spool_chunks(scan: PlateScan, plate_key: str, scratch: Path) -> PlateTable:
    path = scratch / f"{uuid4().hex}.parquet"
    reader = scan.chunks
    assert reader is not None, "chunks were asked for"
    rows = stored_bytes = 0
    try:
        with pq.ParquetWriter(path, reader.schema) as writer:
            for batch in reader:
                rows += batch.num_rows
                stored_bytes += pc.sum(batch["stored_bytes"]).as_py() or 0
                writer.write_batch(batch)
    except OSError as error:
        if isinstance(error, BioimageError):
            raise
        raise as_scratch_error(error) from error
    logger.debug("%s: %d chunk rows spooled", plate_key, rows)
    metadata = {
        "stored_bytes": dg.MetadataValue.int(stored_bytes),
        "dagster/column_schema": build_table_schema(reader.schema),
    }
    return PlateTable(path, metadata)
