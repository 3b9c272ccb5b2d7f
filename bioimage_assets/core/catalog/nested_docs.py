"""What the fields inside of nested columns mean, and columns whose name means something else in one table."""

from __future__ import annotations

from bioimage_assets.core.catalog.column_docs import describe_column

# A list of records is written with the name of the column, then that of the field.
_NESTED = {
    "levels.level": "Number of the level, 0 being full resolution",
    "levels.path": "Path of the level's array in a Zarr store; page (and sub-page) of a TIFF",
    "levels.shape": "Pixels per axis of the level",
    "levels.chunk_shape": "Smallest unit that is read: inner chunk, tile or strip",
    "levels.shard_shape": "Stored object, where it holds several chunks",
    "levels.scale": "Size of one pixel along each axis, in the units of the store",
    "files.path": "Path of the file, relative to uri",
    "files.channel": "Channel of the file",
    "files.role": "image, metadata (a companion or sidecar), or missing",
    "files.c": "Channel along the image's axis, from 0",
    "files.z": "Focal plane along the image's axis, from 0",
    "files.t": "Time point along the image's axis, from 0",
    "files.ifd": "Page of the file, from 0",
    "acquisition.source": "What said it: ome-xml, harmony-index, cellvoyager, xdce, jdce, metaxpress-tags, ngff-translation",
    "acquisition.stage_x_um": "Position of the field, of its first plane where planes differ",
    "acquisition.stage_y_um": "Position of the field, of its first plane where planes differ",
    "acquisition.stage_z_um": "Focus position of the field",
    "acquisition.acquired_at": "When the first plane was taken",
    "acquisition.exposures_s": "Exposure of each channel",
    "acquisition.excitation_nm": "Excitation wavelength of each channel",
    "acquisition.emission_nm": "Emission wavelength of each channel",
    "acquisition.contrast_methods": "Contrast method of each channel",
    "acquisition.objective": "Name of the objective",
    "acquisition.magnification": "Nominal magnification, else the calibrated one",
    "acquisition.numerical_aperture": "Numerical aperture of the objective",
    "acquisition.binning": "Binning, written 2x2; the distinct values of the channels",
    "acquisition.instrument": "Instrument, as its metadata name it",
}
_IN_TABLE = {
    ("built_tables", "row_count"): "Rows that the table has of this plate or dataset",
    (
        "built_tables",
        "fingerprint",
    ): "What the table was made of: its version, files, settings and input tables",
    ("built_tables", "plate_key"): "Plate, dataset or campaign that the table is of",
    ("plate_findings", "plate_key"): "Plate, dataset or campaign that the finding is about",
    ("plate_findings", "location"): "Well, file or column that the finding is about",
    (
        "image_quality",
        "source",
    ): "pixels: measured here; measured: by CellProfiler; not_read: beyond the budget",
    ("image_quality", "level"): "Resolution level that was measured, 0 being full resolution",
    ("image_quality", "channel"): "Channel of the field",
    ("image_quality", "reasons"): "Why the field is flagged, or why it was not measured",
    (
        "plate_layout",
        "source",
    ): "What promised the well: the store, or the kind of its sidecar file (htd, harmony-index …)",
    ("plate_completeness", "reasons"): "Why the well is not complete",
    ("acquisition_planes", "source"): "What said it, as acquisition.source of image_assets",
    ("hit_features", "p_value"): "Of the test that `[hits] test` names",
    ("hit_features", "q_value"): "p_value after Benjamini-Hochberg over the features of one treatment",
    ("hit_features", "well_count"): "Wells of the treatment",
    ("hit_features", "control_well_count"): "Control wells of the same plates",
    ("dose_responses", "p_value"): "F test of the curve against a flat line",
    ("dose_responses", "q_value"): "p_value after Benjamini-Hochberg over all curves",
    ("dose_responses", "compound"): "Words of the treatment's columns but the dose",
    ("dose_responses", "well_count"): "Wells of the compound",
    ("dose_responses", "control_well_count"): "Control wells of the group of the curve",
    ("correction_scores", "well_count"): "Wells that the number is of",
    (
        "pair_correlations",
        "pairs",
    ): "Which pairs: replicates of one treatment, or wells of different compounds",
}


def describe_field(table: str, path: str) -> str | None:
    """Words about a column of a table, or about a field inside of one (``levels.path``); None where nothing is known."""
    return _IN_TABLE.get((table, path)) or _NESTED.get(path) or describe_column(path)
