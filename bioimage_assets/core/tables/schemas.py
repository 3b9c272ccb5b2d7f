"""Columns of the project's tables, as Arrow schemas with explicit nullability; what the tables are for stands in ``model/table_specs.py``.

Iceberg schemas are derived from these. ``dictionary`` and ``null`` types never appear, so every
schema can be stored in Iceberg format version 2 and in Parquet alike.
"""

from __future__ import annotations

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

_FLOATS = pa.list_(pa.float64())
_MOMENT = pa.timestamp("us", tz="UTC")

# No field of a struct that may be null itself is required: Arrow counts the nulls below a null struct as nulls.
ACQUISITION_STRUCT = pa.struct(
    [
        pa.field("source", _TEXT),
        pa.field("stage_x_um", pa.float64()),
        pa.field("stage_y_um", pa.float64()),
        pa.field("stage_z_um", pa.float64()),
        pa.field("acquired_at", _MOMENT),
        pa.field("exposures_s", _FLOATS),
        pa.field("excitation_nm", _FLOATS),
        pa.field("emission_nm", _FLOATS),
        pa.field("contrast_methods", pa.list_(_TEXT)),
        pa.field("objective", _TEXT),
        pa.field("magnification", pa.float64()),
        pa.field("numerical_aperture", pa.float64()),
        pa.field("binning", _TEXT),
        pa.field("instrument", _TEXT),
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
        pa.field("image_name", _TEXT),
        pa.field("acquisition", ACQUISITION_STRUCT),
    ]
)

ACQUISITION_PLANES = pa.schema(
    [
        _required("plate_key", _TEXT),
        _required("dataset_id", _TEXT),
        pa.field("plate_id", _TEXT),
        pa.field("well_id", _TEXT),
        pa.field("site_id", _TEXT),
        pa.field("acquisition_id", _TEXT),
        _required("image_id", _TEXT),
        pa.field("channel", _TEXT),
        _required("c", pa.int32()),
        _required("z", pa.int32()),
        _required("t", pa.int32()),
        pa.field("acquired_at", _MOMENT),
        pa.field("time_offset_s", pa.float64()),
        pa.field("exposure_s", pa.float64()),
        pa.field("stage_x_um", pa.float64()),
        pa.field("stage_y_um", pa.float64()),
        pa.field("stage_z_um", pa.float64()),
        pa.field("source", _TEXT),
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
        pa.field("strip_offsets", _INTS),
        pa.field("strip_bytes", _INTS),
        pa.field("codec", _TEXT),
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

IMAGE_QUALITY = pa.schema(
    [
        _required("plate_key", _TEXT),
        _required("dataset_id", _TEXT),
        pa.field("plate_id", _TEXT),
        pa.field("well_id", _TEXT),
        pa.field("site_id", _TEXT),
        pa.field("acquisition_id", _TEXT),
        pa.field("image_id", _TEXT),
        pa.field("channel", _TEXT),
        _required("source", _TEXT),
        pa.field("level", pa.int32()),
        pa.field("height_px", pa.int32()),
        pa.field("width_px", pa.int32()),
        pa.field("power_log_log_slope", pa.float64()),
        pa.field("focus_score", pa.float64()),
        pa.field("percent_maximal", pa.float64()),
        pa.field("percent_minimal", pa.float64()),
        pa.field("mean_intensity", pa.float64()),
        pa.field("median_intensity", pa.float64()),
        pa.field("std_intensity", pa.float64()),
        pa.field("mad_intensity", pa.float64()),
        pa.field("min_intensity", pa.float64()),
        pa.field("max_intensity", pa.float64()),
        pa.field("total_area_px", pa.float64()),
        pa.field("percent_at_type_maximum", pa.float64()),
        pa.field("laplacian_variance", pa.float64()),
        pa.field("detail_ratio", pa.float64()),
        pa.field("contrast", pa.float64()),
        pa.field("background", pa.float64()),
        pa.field("noise", pa.float64()),
        pa.field("snr", pa.float64()),
        pa.field("illumination_ratio", pa.float64()),
        pa.field("illumination_slope_share", pa.float64()),
        pa.field("bright_place", pa.float64()),
        pa.field("bright_percent", pa.float64()),
        pa.field("bright_ratio", pa.float64()),
        pa.field("flag_blurred", pa.bool_()),
        pa.field("flag_saturated", pa.bool_()),
        pa.field("flag_blank", pa.bool_()),
        pa.field("flag_debris", pa.bool_()),
        pa.field("flag_uneven", pa.bool_()),
        pa.field("is_flagged", pa.bool_()),
        pa.field("reasons", pa.list_(_TEXT)),
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

BUILT_TABLES = pa.schema(
    [
        _required("step_key", _TEXT),
        _required("plate_key", _TEXT),
        _required("dataset_id", _TEXT),
        _required("table_name", _TEXT),
        _required("kept_in", _TEXT),
        _required("row_count", pa.int64()),
        _required("fingerprint", _TEXT),
    ]
)

CAMPAIGN_FEATURES = pa.schema(
    [
        _required("campaign_key", _TEXT),
        _required("campaign_id", _TEXT),
        _required("feature", _TEXT),
        _required("plate_count", pa.int64()),
        _required("dataset_count", pa.int64()),
        pa.field("removed_by", _TEXT),
        _required("is_selected", pa.bool_()),
    ]
)

CAMPAIGN_REPLICATES = pa.schema(
    [
        _required("campaign_key", _TEXT),
        _required("campaign_id", _TEXT),
        _required("treatment", _TEXT),
        _required("pairs", _TEXT),
        pa.field("batch", _TEXT),
        _required("well_count", pa.int64()),
        _required("plate_count", pa.int64()),
        _required("pair_count", pa.int64()),
        _required("replicate_correlation", pa.float64()),
        pa.field("null_limit", pa.float64()),
        pa.field("is_replicating", pa.bool_()),
    ]
)

CORRECTION_SCORES = pa.schema(
    [
        _required("dataset_id", _TEXT),
        _required("measure", _TEXT),
        _required("stage", _TEXT),
        pa.field("batch", _TEXT),
        pa.field("value", pa.float64()),
        _required("well_count", pa.int64()),
        _required("method", _TEXT),
        _required("reference_batch", _TEXT),
        pa.field("note", _TEXT),
    ]
)

_HIT_COLUMNS = (
    _required("treatment", _TEXT),
    pa.field("compound", _TEXT),
    pa.field("dose", pa.float64()),
    pa.field("stratum", _TEXT),
    pa.field("rank", pa.int64()),
    _required("replicate_count", pa.int64()),
    _required("plate_count", pa.int64()),
    pa.field("strength", pa.float64()),
    pa.field("is_active", pa.bool_()),
    pa.field("mean_average_precision", pa.float64()),
    pa.field("p_value", pa.float64()),
    pa.field("q_value", pa.float64()),
    pa.field("distance", pa.float64()),
    pa.field("distance_null_limit", pa.float64()),
    pa.field("distance_p_value", pa.float64()),
    pa.field("distance_q_value", pa.float64()),
    pa.field("is_distant", pa.bool_()),
    pa.field("replicate_correlation", pa.float64()),
    pa.field("null_limit", pa.float64()),
    pa.field("is_replicating", pa.bool_()),
    _required("wells_compared", pa.int64()),
    _required("controls_ranked", pa.int64()),
    _required("control_well_count", pa.int64()),
    pa.field("control_correlation", pa.float64()),
    _required("average_precision_by", _TEXT),
)
HITS = pa.schema([_required("dataset_id", _TEXT), *_HIT_COLUMNS])
CAMPAIGN_HITS = pa.schema(
    [
        _required("campaign_key", _TEXT),
        _required("campaign_id", _TEXT),
        *_HIT_COLUMNS,
    ]
)

PAIR_CORRELATIONS = pa.schema(
    [
        _required("dataset_id", _TEXT),
        _required("pairs", _TEXT),
        _required("low", pa.float64()),
        _required("high", pa.float64()),
        _required("pair_count", pa.int64()),
        pa.field("percentile_95", pa.float64()),
    ]
)

DOSE_RESPONSES = pa.schema(
    [
        _required("dataset_id", _TEXT),
        _required("compound", _TEXT),
        _required("dose_column", _TEXT),
        _required("dose_count", pa.int64()),
        _required("well_count", pa.int64()),
        _required("control_well_count", pa.int64()),
        _required("status", _TEXT),
        pa.field("reason", _TEXT),
        pa.field("ec50", pa.float64()),
        pa.field("ec50_low", pa.float64()),
        pa.field("ec50_high", pa.float64()),
        pa.field("slope", pa.float64()),
        pa.field("bottom", pa.float64()),
        pa.field("top", pa.float64()),
        pa.field("effect", pa.float64()),
        pa.field("r_squared", pa.float64()),
        pa.field("p_value", pa.float64()),
        pa.field("q_value", pa.float64()),
        pa.field("spearman_rho", pa.float64()),
        pa.field("spearman_p_value", pa.float64()),
        pa.field("is_monotone", pa.bool_()),
        pa.field("control_low", pa.float64()),
        pa.field("control_median", pa.float64()),
        pa.field("control_high", pa.float64()),
        _required("doses", pa.list_(pa.float64())),
        _required("responses", pa.list_(pa.float64())),
    ]
)

HIT_FEATURES = pa.schema(
    [
        _required("dataset_id", _TEXT),
        _required("treatment", _TEXT),
        _required("feature", _TEXT),
        _required("well_count", pa.int64()),
        _required("control_well_count", pa.int64()),
        pa.field("mean_difference", pa.float64()),
        pa.field("effect_size", pa.float64()),
        pa.field("statistic", pa.float64()),
        pa.field("p_value", pa.float64()),
        pa.field("q_value", pa.float64()),
        pa.field("is_changed", pa.bool_()),
    ]
)

# Tables that are not here have the columns that were measured.
TABLE_SCHEMAS: dict[str, pa.Schema] = {
    "image_assets": IMAGE_ASSETS,
    "chunk_index": CHUNK_INDEX,
    "acquisition_planes": ACQUISITION_PLANES,
    "plate_layout": PLATE_LAYOUT,
    "scan_findings": SCAN_FINDINGS,
    "image_quality": IMAGE_QUALITY,
    "plate_findings": PLATE_FINDINGS,
    "plate_completeness": PLATE_COMPLETENESS,
    "join_report": JOIN_REPORT,
    "built_tables": BUILT_TABLES,
    "campaign_features": CAMPAIGN_FEATURES,
    "campaign_replicates": CAMPAIGN_REPLICATES,
    "correction_scores": CORRECTION_SCORES,
    "hits": HITS,
    "pair_correlations": PAIR_CORRELATIONS,
    "dose_responses": DOSE_RESPONSES,
    "hit_features": HIT_FEATURES,
    "campaign_hits": CAMPAIGN_HITS,
}
