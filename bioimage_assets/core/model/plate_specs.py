"""Tables of a plate behind its scan: cells, their images, quality control, well profiles, the copy in the warehouse, the page."""

from __future__ import annotations

from bioimage_assets.core.model.spec_parts import (
    ALL_SETTINGS,
    FEATURES,
    MEASUREMENTS,
    NORMALIZATION,
    NOTHING_WRONG,
    REFERENCES,
    TREATMENTS,
)
from bioimage_assets.core.model.step_spec import CheckSpec, StepSpec, TableSpec

PLATE_STEPS: tuple[StepSpec, ...] = (
    StepSpec(
        "measure_plates",
        "bioimage_assets.assets.cells:build_single_cells",
        group="profiles",
        details="CellProfiler CSV folders, SQLite files, CytoTable, DeepProfiler, IN Carta and AnnData output are converted; "
        "measurements that are one Parquet table already are used in place and only counted here.",
        files=("measurements", "listing"),
        settings=MEASUREMENTS,
        tables=(
            TableSpec(
                "single_cells",
                "Every segmented cell of the plate with all its measured features, one row per cell.",
                version=2,
                kinds=("parquet", "duckdb"),
                grain="one segmented cell",
                join_keys=("dataset_id", "Metadata_ObjectID"),
                unique_by=("Metadata_ObjectID",),
                analysis_level="single_cell",
                object_type="cell",
                checks=(NOTHING_WRONG,),
            ),
            TableSpec(
                "measured_images",
                "Every image as the measurement tool saw it: position, counts, files and digests.",
                version=2,
                kinds=("parquet", "duckdb"),
                grain="one image as the measurement tool saw it, with its counts and files",
                role="annotations",
                namespace="annotations",
                join_keys=("dataset_id", "Metadata_ImageNumber"),
                analysis_level="image",
                object_type="image",
            ),
        ),
    ),
    StepSpec(
        "join_plates",
        "bioimage_assets.assets.cells:build_joined_profiles",
        group="profiles",
        details="Every row on both sides is accounted for.",
        inputs=("image_assets", "single_cells", "measured_images"),
        files=("listing",),
        settings=(
            *MEASUREMENTS,  # those that are used in place are read by the join
            "match_md5",
            "path_rewrites",
            "profile_site_offset",
        ),
        tables=(
            TableSpec(
                "joined_profiles",
                "Every cell of the plate with the image it was measured on; rows in = rows out.",
                version=3,
                kinds=("parquet", "duckdb"),
                grain="one profile row with the image it was measured on",
                role="joined_profiles",
                join_keys=("dataset_id", "image_id"),
                analysis_level="single_cell",
                object_type="cell",
                checks=(
                    NOTHING_WRONG,
                    CheckSpec(
                        "rows_in_are_rows_out",
                        "The join gave exactly one row per measured cell.",
                        "bioimage_assets.checks.tables:check_row_accounting",
                        is_blocking=True,
                    ),
                    CheckSpec(
                        "pixels_confirm_the_join",
                        "Cells are where, and as bright as, their row says in the pixels they are linked to.",
                        "bioimage_assets.checks.pixels:check_pixels",
                    ),
                ),
            ),
            TableSpec(
                "join_report",
                "How many cells found their image by which rule, and which did not, with examples.",
                version=3,
                kinds=("parquet", "duckdb"),
                grain="one outcome of a plate's join",
                role="reports",
                namespace="reports",
                analysis_level="plate",
                object_type="outcome",
                checks=(
                    CheckSpec(
                        "cells_found_their_image",
                        "At least 95 % of the plate's cells are linked to an image, and no two rules disagree.",
                        "bioimage_assets.checks.tables:check_join_coverage",
                    ),
                ),
            ),
        ),
    ),
    StepSpec(
        "plate_completeness",
        "bioimage_assets.assets.cells:build_completeness",
        group="catalog",
        inputs=(
            "image_assets",
            "plate_layout",
            "chunk_index",
            "measured_images",
            "joined_profiles",
            "join_report",
        ),
        files=("listing",),
        settings=("profile_site_offset",),
        tables=(
            TableSpec(
                "plate_completeness",
                "Per well: what the plate promises, what is on disk and what was measured, with reasons for every gap.",
                version=4,
                kinds=("parquet", "python"),
                grain="one well",
                role="reports",
                namespace="reports",
                join_keys=("dataset_id", "plate_id", "well_id"),
                unique_by=("plate_key", "well_id"),
                analysis_level="well",
                object_type="well",
                checks=(
                    CheckSpec(
                        "plate_is_complete",
                        "Every well holds what the plate promises, and what was measured on it.",
                        "bioimage_assets.checks.tables:check_completeness",
                    ),
                ),
            ),
        ),
    ),
    StepSpec(
        "cosmicqc_profiles",
        "bioimage_assets.assets.wells:build_qc",
        group="quality_control",
        inputs=("joined_profiles",),
        settings=(*FEATURES, "qc_max_fail_fraction", "qc_thresholds"),
        tables=(
            TableSpec(
                "cosmicqc_profiles",
                "Which cells of the plate are badly segmented, blurred or saturated, by coSMicQC z-scores within the plate.",
                version=2,
                kinds=("parquet", "cosmicqc"),
                grain="one cell with its QC flags and scores",
                role="quality_control",
                namespace="quality_control",
                join_keys=("dataset_id", "Metadata_ObjectID"),
                unique_by=("Metadata_ObjectID",),
                analysis_level="single_cell",
                object_type="cell",
                checks=(
                    NOTHING_WRONG,
                    CheckSpec(
                        "qc_failures_are_few",
                        "Few enough cells fail quality control; half of a plate failing is an error, a fifth a warning.",
                        "bioimage_assets.checks.tables:check_qc_fail_rate",
                    ),
                ),
            ),
        ),
    ),
    StepSpec(
        "pycytominer_profiles",
        "bioimage_assets.assets.wells:build_wells",
        group="profiles",
        inputs=("joined_profiles", "cosmicqc_profiles"),
        files=("platemaps",),
        settings=(
            *FEATURES,
            *TREATMENTS,
            *REFERENCES,
            "follow_symlinks",
            "missing_words",
            "platemap_dir",
            "platemap_well_column",
            "profile_group_by",
        ),
        tables=(
            TableSpec(
                "pycytominer_profiles",
                "One profile per well: cells that pass QC, normalised to the plate's controls, annotated and aggregated.",
                version=3,
                kinds=("parquet", "pycytominer"),
                grain="one well (and time point, where a plate has several), normalised to the controls of its plate",
                join_keys=("dataset_id", "plate_id", "well_id"),
                analysis_level="well",
                object_type="well",
                checks=(
                    NOTHING_WRONG,
                    CheckSpec(
                        "normalisation_is_sane",
                        "Well profiles are finite, and no feature is beyond all measure in units of its reference.",
                        "bioimage_assets.checks.tables:check_normalization",
                    ),
                ),
            ),
        ),
    ),
    StepSpec(
        "normalized_cells",
        "bioimage_assets.assets.normalized_cells:build_normalized_cells",
        group="profiles",
        details="Only where `[normalized_cells] write = true` asks for it; other plates have none. Every cell is there, in stored order; "
        "those that failed quality control define nothing.",
        inputs=("joined_profiles", "cosmicqc_profiles"),
        files=("platemaps",),
        settings=(
            *FEATURES,
            *TREATMENTS,
            *NORMALIZATION,
            "follow_symlinks",
            "missing_words",
            "platemap_dir",
            "platemap_well_column",
            "profile_group_by",
            "write_normalized_cells",
        ),
        tables=(
            TableSpec(
                "normalized_cells",
                "Every cell of the plate in deviations of the plate's control cells, feature by feature.",
                kinds=("parquet", "pycytominer"),
                grain="one cell, normalised to the control cells of its plate",
                join_keys=("dataset_id", "Metadata_ObjectID"),
                unique_by=("Metadata_ObjectID",),
                analysis_level="single_cell",
                object_type="cell",
                checks=(NOTHING_WRONG,),
            ),
        ),
    ),
    StepSpec(
        "cytomining_warehouse",
        "bioimage_assets.assets.export:build_copy",
        group="warehouse",
        inputs=("image_assets", "chunk_index"),
        after=("joined_profiles", "cosmicqc_profiles", "pycytominer_profiles"),
        tables=(
            TableSpec(
                "cytomining_warehouse",
                "The plate in the portable Parquet warehouse root that pycytominer, DuckDB and pandas open directly.",
                home="copy",
                checks=(
                    CheckSpec(
                        "catalog_equals_warehouse",
                        "The warehouse holds as many image and chunk rows of the plate as the catalog.",
                        "bioimage_assets.checks.tables:check_catalog_equals_warehouse",
                    ),
                    CheckSpec(
                        "manifest_is_valid",
                        "Everything that the warehouse manifest claims is true of the files.",
                        "bioimage_assets.checks.tables:check_manifest",
                    ),
                ),
            ),
        ),
    ),
    StepSpec(
        "virtual_plates",
        "bioimage_assets.assets.virtual:build_virtual_plate",
        group="catalog",
        details="Only where `[virtual_plates] write = true` asks for it; other plates have none. No pixel is copied: references name the "
        "bytes of the original files, and what these were like.",
        inputs=("image_assets", "chunk_index"),
        settings=("follow_symlinks", "virtual_plate_format", "virtual_plate_version", "write_virtual_plate"),
        tables=(
            TableSpec(
                "virtual_plates",
                "The plate as one OME-Zarr plate that napari, ngio, zarr and xarray open, whatever its files are.",
                home="files",
                kinds=("zarr", "python"),
                checks=(
                    CheckSpec(
                        "virtual_plate_opens",
                        "The virtual plate opens, and planes of a few of its fields have the pixels of the original files.",
                        "bioimage_assets.checks.virtual_plates:check_virtual_plate",
                    ),
                ),
            ),
        ),
    ),
    StepSpec(
        "plate_report",
        "bioimage_assets.assets.pages:build_plate_page",
        group="reports",
        inputs=(
            "image_assets",
            "scan_findings",
            "single_cells",
            "joined_profiles",
            "join_report",
            "plate_completeness",
            "cosmicqc_profiles",
            "pycytominer_profiles",
        ),
        files=("listing",),
        settings=ALL_SETTINGS,
        tables=(
            TableSpec(
                "plate_report",
                "One page about the plate: plate maps, QC with thresholds, worst cells, counts at every step.",
                version=4,
                home="page",
                kinds=("html", "matplotlib"),
            ),
        ),
    ),
)
