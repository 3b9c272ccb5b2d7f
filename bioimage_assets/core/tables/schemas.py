"""The project's tables, declared once as Arrow schemas with explicit nullability.

Iceberg schemas are derived from these. ``dictionary`` and ``null`` types never appear, so every
schema can be stored in Iceberg format version 2 and in Parquet alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


_TEXT = pa.string()
_INTS = pa.list_(pa.int64())

LEVEL_STRUCT = pa.struct(
    [
        _required("level", pa.int32()),
        _required("path", _TEXT),
        _required("shape", _INTS),
        pa.field("chunk_shape", _INTS),
        pa.field("shard_shape", _INTS),
        pa.field("scale", pa.list_(pa.float64())),
    ]
)

FILE_STRUCT = pa.struct(
    [
        _required("path", _TEXT),
        pa.field("channel", _TEXT),
        _required("role", _TEXT),
        pa.field("c", pa.int32()),
        pa.field("z", pa.int32()),
        pa.field("t", pa.int32()),
        pa.field("ifd", pa.int32()),
    ]
)

IMAGE_ASSETS = pa.schema(
    [
        _required("plate_key", _TEXT),
        _required("dataset_id", _TEXT),
        pa.field("plate_id", _TEXT),
        pa.field("well_id", _TEXT),
        pa.field("site_id", _TEXT),
        pa.field("acquisition_id", _TEXT),
        _required("image_id", _TEXT),
        _required("image_kind", _TEXT),
        pa.field("source_image_id", _TEXT),
        _required("format_family", _TEXT),
        _required("storage_variant", _TEXT),
        pa.field("format_version", _TEXT),
        _required("uri", _TEXT),
        pa.field("array_path", _TEXT),
        pa.field("axes", _TEXT),
        _required("shape", _INTS),
        _required("dtype", _TEXT),
        pa.field("byte_order", _TEXT),
        pa.field("chunk_shape", _INTS),
        pa.field("shard_shape", _INTS),
        pa.field("codec", _TEXT),
        _required("level_count", pa.int32()),
        pa.field("levels", pa.list_(LEVEL_STRUCT)),
        pa.field("channel_names", pa.list_(_TEXT)),
        pa.field("files", pa.list_(FILE_STRUCT)),
        pa.field("pixel_size_x_um", pa.float64()),
        pa.field("pixel_size_y_um", pa.float64()),
        pa.field("pixel_size_z_um", pa.float64()),
        pa.field("time_increment_s", pa.float64()),
        pa.field("stored_bytes", pa.int64()),
        pa.field("file_md5", _TEXT),
        _required("fingerprint", _TEXT),
        _required("scan_status", _TEXT),
        pa.field("findings", pa.list_(_TEXT)),
    ]
)

CHUNK_INDEX = pa.schema(
    [
        _required("plate_key", _TEXT),
        _required("dataset_id", _TEXT),
        pa.field("plate_id", _TEXT),
        _required("image_id", _TEXT),
        pa.field("array_path", _TEXT),
        _required("level", pa.int32()),
        _required("kind", _TEXT),
        _required("chunk_key", _TEXT),
        pa.field("chunk_coords", pa.list_(pa.int32())),
        pa.field("strip_count", pa.int32()),
        pa.field("nominal_bytes", pa.int64()),
        pa.field("stored_bytes", pa.int64()),
        pa.field("stored_offset", pa.int64()),
        pa.field("is_present", pa.bool_()),
    ]
)

SCAN_FINDINGS = pa.schema(
    [
        _required("plate_key", _TEXT),
        _required("dataset_id", _TEXT),
        _required("store_uri", _TEXT),
        pa.field("location", _TEXT),
        _required("code", _TEXT),
        _required("severity", _TEXT),
        _required("message", _TEXT),
        _required("first_seen", pa.timestamp("us", tz="UTC")),
        _required("last_seen", pa.timestamp("us", tz="UTC")),
    ]
)

PLATE_FINDINGS = pa.schema(
    [
        _required("step_key", _TEXT),
        _required("plate_key", _TEXT),
        _required("dataset_id", _TEXT),
        _required("step", _TEXT),
        _required("code", _TEXT),
        _required("severity", _TEXT),
        pa.field("location", _TEXT),
        _required("message", _TEXT),
        pa.field("store_uri", _TEXT),
    ]
)

PLATE_LAYOUT = pa.schema(
    [
        _required("plate_key", _TEXT),
        _required("dataset_id", _TEXT),
        _required("plate_id", _TEXT),
        _required("well_id", _TEXT),
        pa.field("well_path", _TEXT),
        pa.field("sites", pa.list_(_TEXT)),
        pa.field("field_count", pa.int32()),
        pa.field("acquisitions", pa.list_(_TEXT)),
        pa.field("channel_names", pa.list_(_TEXT)),
        pa.field("source", _TEXT),
    ]
)

PLATE_COMPLETENESS = pa.schema(
    [
        _required("plate_key", _TEXT),
        _required("dataset_id", _TEXT),
        pa.field("plate_id", _TEXT),
        _required("well_id", _TEXT),
        pa.field("fields_declared", pa.int32()),
        _required("fields_found", pa.int32()),
        pa.field("channels_declared", pa.int32()),
        pa.field("channels_found", pa.int32()),
        pa.field("levels_declared", pa.int32()),
        pa.field("levels_found", pa.int32()),
        pa.field("chunks_expected", pa.int64()),
        pa.field("chunks_found", pa.int64()),
        pa.field("sites_measured", pa.int32()),
        pa.field("cells_claimed", pa.int64()),
        pa.field("cells_found", pa.int64()),
        _required("verdict", _TEXT),
        pa.field("reasons", pa.list_(_TEXT)),
    ]
)

JOIN_REPORT = pa.schema(
    [
        _required("plate_key", _TEXT),
        _required("dataset_id", _TEXT),
        _required("outcome", _TEXT),
        pa.field("join_rule", _TEXT),
        _required("row_count", pa.int64()),
        pa.field("sample_keys", pa.list_(_TEXT)),
        pa.field("message", _TEXT),
    ]
)


@dataclass(frozen=True, slots=True)
class TableSpec:
    """What a table is for: its role in a warehouse manifest, its join keys and its namespace there.

    ``schema`` is None where the columns depend on the measurements. ``unique_by`` names the columns
    that no two rows share; ``grain`` says in words what one row is.
    ``partition_column`` holds the partition key of a row: its plate, or its dataset.
    """

    name: str
    role: str
    namespace: str
    join_keys: tuple[str, ...]
    grain: str
    schema: pa.Schema | None = None
    unique_by: tuple[str, ...] = ()
    analysis_level: str | None = None
    object_type: str | None = None
    partition_column: str = "plate_key"


TABLES: dict[str, TableSpec] = {
    spec.name: spec
    for spec in (
        TableSpec(
            "image_assets", "image_assets", "images", ("dataset_id", "image_id"), "one image (field of view)",
            IMAGE_ASSETS, ("dataset_id", "image_id"), "image", "image",
        ),
        TableSpec(
            "chunk_index", "chunk_index", "images", ("dataset_id", "image_id", "array_path"),
            "one stored or addressable chunk at one level", CHUNK_INDEX, (), "chunk", "chunk",
        ),
        TableSpec(
            "scan_findings", "reports", "reports", ("dataset_id", "store_uri"), "one finding of a scan or conversion",
            SCAN_FINDINGS, (), "store", "finding",
        ),
        TableSpec(
            "plate_findings", "reports", "reports", ("dataset_id", "step"),
            "one finding of a step after the scan, about a plate or a dataset: measurements, join, quality control, profiles",
            PLATE_FINDINGS, (), "plate", "finding", "step_key",
        ),
        TableSpec(
            "plate_layout", "reports", "reports", ("dataset_id", "plate_id", "well_id"),
            "one well as the plate's own metadata declares it", PLATE_LAYOUT, (), "well", "well",
        ),
        TableSpec(
            "plate_completeness", "reports", "reports", ("dataset_id", "plate_id", "well_id"), "one well",
            PLATE_COMPLETENESS, ("plate_key", "well_id"), "well", "well",
        ),
        TableSpec(
            "single_cells", "profiles", "profiles", ("dataset_id", "Metadata_ObjectID"), "one segmented cell",
            None, ("Metadata_ObjectID",), "single_cell", "cell",
        ),
        TableSpec(
            "measured_images", "annotations", "annotations", ("dataset_id", "Metadata_ImageNumber"),
            "one image as the measurement tool saw it, with its counts and files", None, (), "image", "image",
        ),
        TableSpec(
            "joined_profiles", "joined_profiles", "profiles", ("dataset_id", "image_id"),
            "one profile row with the image it was measured on", None, (), "single_cell", "cell",
        ),
        TableSpec(
            "join_report", "reports", "reports", ("dataset_id",), "one outcome of a plate's join",
            JOIN_REPORT, (), "plate", "outcome",
        ),
        TableSpec(
            "cosmicqc_profiles", "quality_control", "quality_control", ("dataset_id", "Metadata_ObjectID"),
            "one cell with its QC flags and scores", None, ("Metadata_ObjectID",), "single_cell", "cell",
        ),
        TableSpec(
            "pycytominer_profiles", "profiles", "profiles", ("dataset_id", "plate_id", "well_id"),
            "one well (and time point, where a plate has several), normalised to the controls of its plate", None,
            (), "well", "well",
        ),
        TableSpec(
            "pycytominer_selected_features", "profiles", "profiles", ("dataset_id", "plate_id", "well_id"),
            "one well (and time point) with the features selected over the whole dataset", None, (), "well", "well", "dataset_id",
        ),
        TableSpec(
            "pycytominer_consensus", "profiles", "profiles", ("dataset_id",),
            "one treatment of a dataset", None, (), "treatment", "treatment", "dataset_id",
        ),
    )
}  # fmt: skip
