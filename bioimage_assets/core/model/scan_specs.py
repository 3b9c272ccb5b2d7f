"""Tables that one scan of a plate's stores makes: images, chunks, planes, layout, findings."""

from __future__ import annotations

from bioimage_assets.core.model.spec_parts import NOTHING_WRONG
from bioimage_assets.core.model.step_spec import CheckSpec, StepSpec, TableSpec

SCAN_STEPS: tuple[StepSpec, ...] = (
    StepSpec(
        "scan_plates",
        "bioimage_assets.assets.scanning:scan_plate_tables",
        group="images",
        details="Pixel data are never read. A store that cannot be read is a row of `scan_findings` and fails no plate; a plate "
        "whose store changed while it was scanned, or is gone, fails and keeps the rows it had.",
        files=("stores", "listing"),
        settings=("file_pattern", "follow_symlinks", "match_md5"),
        pool="iceberg_commit",
        tables=(
            TableSpec(
                "image_assets",
                "Every field of view of the plate: place, size, channels, pyramid levels, pixel size, acquisition.",
                version=2,
                home="catalog",
                kinds=("iceberg", "python"),
                grain="one image (field of view)",
                role="image_assets",
                namespace="images",
                join_keys=("dataset_id", "image_id"),
                unique_by=("dataset_id", "image_id"),
                analysis_level="image",
                object_type="image",
                checks=(
                    NOTHING_WRONG,
                    CheckSpec(
                        "image_ids_are_unique",
                        "No two images of the plate share an id.",
                        "bioimage_assets.checks.tables:check_unique_ids",
                        is_blocking=True,
                    ),
                ),
            ),
            TableSpec(
                "chunk_index",
                "Every stored chunk, shard, tile and strip of the plate, with its size and offset.",
                version=2,
                home="catalog",
                kinds=("iceberg", "python"),
                grain="one stored or addressable chunk at one level",
                role="chunk_index",
                namespace="images",
                join_keys=("dataset_id", "image_id", "array_path"),
                analysis_level="chunk",
                object_type="chunk",
            ),
            TableSpec(
                "acquisition_planes",
                "When, where and how long each plane was taken, as far as its metadata say.",
                home="catalog",
                kinds=("iceberg", "python"),
                grain="one plane (channel, z, t) of an image whose metadata say how it was taken",
                role="annotations",
                namespace="annotations",
                join_keys=("dataset_id", "image_id"),
                analysis_level="plane",
                object_type="plane",
            ),
            TableSpec(
                "plate_layout",
                "The wells and fields that the plate's own metadata promises.",
                home="catalog",
                kinds=("iceberg", "python"),
                grain="one well as the plate's own metadata declares it",
                role="reports",
                namespace="reports",
                join_keys=("dataset_id", "plate_id", "well_id"),
                analysis_level="well",
                object_type="well",
            ),
            TableSpec(
                "scan_findings",
                "What is odd, missing or repaired in the plate's stores.",
                version=2,
                home="catalog",
                kinds=("iceberg", "python"),
                grain="one finding of a scan or conversion",
                role="reports",
                namespace="reports",
                join_keys=("dataset_id", "store_uri"),
                analysis_level="store",
                object_type="finding",
                checks=(
                    CheckSpec(
                        "stores_are_readable",
                        "Every store of the plate could be read whole.",
                        "bioimage_assets.checks.tables:check_findings",
                    ),
                ),
            ),
        ),
    ),
)
