"""What each column means, in words: the Iceberg field documentation, and the column panel of the UI."""

from __future__ import annotations

import re

COLUMN_DOCS = {
    "plate_key": "Partition, written dataset/plate",
    "dataset_id": "Experiment or batch the plate belongs to",
    "plate_id": "Plate name from the images' metadata, else the plate folder or store name",
    "well_id": "Well, normalised: A01 to AF48",
    "site_id": "Field of view inside the well, as stored",
    "acquisition_id": "Acquisition, where a plate has several",
    "image_id": "One field of view, unique in the dataset",
    "image_kind": "image, label or array",
    "source_image_id": "Image that a label image was made from",
    "format_family": "zarr or ome-tiff",
    "storage_variant": "Format version and layout the bytes are stored in",
    "format_version": "OME-NGFF or OME-XML version",
    "uri": "Store, file, or folder of a multi-file image",
    "array_path": "Path of the array inside the store; null for an array at the root",
    "axes": "Axis names in the order of the shape",
    "shape": "Pixels per axis of the full resolution",
    "dtype": "Pixel type",
    "byte_order": "little, big, or null for one-byte types",
    "chunk_shape": "Smallest unit that is read: inner chunk, tile or strip",
    "shard_shape": "Stored object, where it holds several chunks",
    "codec": "Compression as stored",
    "level_count": "Number of resolution levels",
    "levels": "Path, shape, chunking and scale of each resolution level",
    "channel_names": "Channels in the order of the channel axis",
    "files": "Files of an image that is spread over several, relative to uri",
    "pixel_size_x_um": "Pixel width in micrometres",
    "pixel_size_y_um": "Pixel height in micrometres",
    "pixel_size_z_um": "Distance of focal planes in micrometres",
    "time_increment_s": "Seconds between time points",
    "stored_bytes": "Bytes on disk, compressed",
    "file_md5": "MD5 of the file, where it was asked for",
    "fingerprint": "Changes exactly when the metadata that were read change",
    "scan_status": "ok, partial, or listed (named by a LoadData table, not opened)",
    "findings": "What was odd, missing or repaired",
    "level": "Resolution level, 0 being full resolution",
    "kind": "object, inner, tile or strip",
    "chunk_key": "Key of the chunk as it is stored",
    "chunk_coords": "Position of the chunk in the chunk grid",
    "strip_count": "Strips folded into this row",
    "nominal_bytes": "Bytes of the whole chunk, uncompressed",
    "stored_offset": "First byte inside the stored object",
    "is_present": "Whether the chunk was observed; null where nobody looked",
    "Metadata_ObjectID": "One segmented object, unique in the dataset",
    "join_rule": "Rule by which the profile found its image; null where it found none",
    "store_uri": "Store that the finding is about",
    "location": "Place inside the store",
    "code": "Kind of finding, stable for queries",
    "severity": "error, warning or info",
    "message": "What was found, in words",
    "first_seen": "Scan that found it first",
    "last_seen": "Scan that found it last",
    "well_path": "Path of the well inside the store",
    "sites": "Fields of view that the plate promises for the well",
    "field_count": "Number of fields of view that the plate promises for the well",
    "acquisitions": "Acquisitions that the plate promises for the well",
    "source": "Document that promises the well",
    "fields_declared": "Fields of view that the plate promises",
    "fields_found": "Fields of view on disk",
    "channels_declared": "Channels that the plate promises",
    "channels_found": "Channels that every field of view has",
    "levels_declared": "Resolution levels that the metadata name",
    "levels_found": "Resolution levels that are there",
    "chunks_expected": "Stored objects that the shapes ask for; absent ones may be empty on purpose",
    "chunks_found": "Stored objects that are there",
    "sites_measured": "Fields of view that were measured",
    "cells_claimed": "Cells that the measurement tool counted",
    "cells_found": "Cells in joined_profiles",
    "verdict": "complete, or what is missing",
    "reasons": "Why the well is not complete",
    "outcome": "What became of the rows: matched, ambiguous, without image, without profiles",
    "row_count": "Rows with this outcome",
    "sample_keys": "Some of the rows, to look them up",
    "byte_length": "Stored bytes, under the name of iceberg-bioimage",
    "chunk_coords_json": "Position of the chunk in the chunk grid, as JSON",
    "shape_json": "Pixels per axis, as JSON",
    "chunk_shape_json": "Chunk shape, as JSON",
    "metadata_json": "What iceberg-bioimage keeps besides, as JSON",
    "Metadata_Plate": "Plate as measured",
    "Metadata_Well": "Well as measured",
    "Metadata_Site": "Field of view as measured",
    "Metadata_ImageNumber": "Number of the image set in the measurement tool",
    "Metadata_ObjectNumber": "Number of the object in its image",
    "Metadata_Object_Count": "Cells that the profile stands for",
    "Metadata_QC_Failed_Count": "Cells of the well that quality control removed",
    "Metadata_Low_Cell_Count": "Whether too few cells are left to trust the profile",
    "Metadata_Normalized_To": "What the profile is relative to: controls, the whole plate, or mixed",
    "Metadata_Replicate_Count": "Wells that were combined",
    "Metadata_Plate_Count": "Plates that the wells come from",
    "Metadata_cqc_failed": "Whether any condition flags the cell",
    "Metadata_cqc_missing": "Whether a value that a condition needs is missing",
}

# Names made of a channel, a condition or a feature. The first pattern that fits speaks.
_PATTERNS = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"^Image_FileName_(?P<name>.+)", "File that the channel {name} was measured on"),
        (r"^Image_PathName_(?P<name>.+)", "Folder of the file that the channel {name} was measured on"),
        (r"^Image_MD5Digest_(?P<name>.+)", "MD5 of the file that the channel {name} was measured on"),
        (r"^Image_Count_(?P<name>.+)", "Objects of {name} that the measurement tool counted in the image"),
        (r"^Metadata_cqc_(?P<name>.+)_is_outlier$", "Whether the condition {name} flags the cell"),
        (r"^Metadata_cqc_(?P<name>.+)_zscore$", "Deviations from the plate's mean: {name}"),
        (r"^Metadata_(?P<name>.+)_as_written$", "Words that stand where {name} is no number"),
        (r"^Metadata_truth_(?P<name>.+)", "What the demo drew: {name}"),
        (r"^Metadata_(?P<name>\w+)_Parent_\w+$", "Number of the object that the {name} object belongs to"),
        (r"^profile_(?P<name>.+)", "Column {name} of the profiles, whose name an image column has"),
    )
)


def describe_column(name: str) -> str | None:
    """Words about a column, None where nothing is known about its name."""
    if name in COLUMN_DOCS:
        return COLUMN_DOCS[name]
    for pattern, words in _PATTERNS:
        found = pattern.match(name)
        if found:
            return words.format(**found.groupdict())
    return None
