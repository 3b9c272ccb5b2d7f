"""Every table of the project, declared once: what it holds, what it is made of, where it is kept, how it is checked.

Assets, jobs, checks, versions, fingerprints, the lists of the command line and the table of tables in the docs are made
from these declarations. A new table is one spec here, one function that builds it and one test: see CONTRIBUTING.md.
Arrow schemas stand in ``core/tables/schemas.py``; nothing heavy is imported here, since every process of Dagster loads this module.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Dimension = Literal["plate", "dataset", "campaign"]
"""What one partition of a table is."""

Home = Literal["catalog", "warehouse", "copy", "page"]
"""Where a table is kept: ``catalog`` and ``warehouse`` as the settings say, ``copy`` is the plate's part of the catalog
in the warehouse, ``page`` an HTML file."""

Files = Literal["stores", "measurements", "platemaps", "listing"]
"""Files of a plate that a step reads; ``listing`` is what the listing of its dataset says about it."""


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """One check of a table: ``check`` is ``module:function``, called with the step inputs of a plate, gives a verdict."""

    name: str
    summary: str
    check: str
    is_blocking: bool = False


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One table. ``summary`` is the first line that a biologist reads, ``grain`` says what one row is.

    ``version`` is raised when the code of the table changes what it holds: the table, and what reads it, are then built
    again. ``role``, ``namespace``, ``join_keys`` and levels stand in the warehouse manifest. ``unique_by`` names the columns
    that no two rows share; ``partition_column`` holds the partition key of a row.
    """

    name: str
    summary: str
    version: int = 1
    home: Home = "warehouse"
    grain: str = ""
    role: str = "profiles"
    namespace: str = "profiles"
    join_keys: tuple[str, ...] = ("dataset_id",)
    unique_by: tuple[str, ...] = ()
    analysis_level: str | None = None
    object_type: str | None = None
    partition_column: str = "plate_key"
    kinds: tuple[str, ...] = ("parquet",)
    checks: tuple[CheckSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class StepSpec:
    """One step: the tables that are made from one look at their inputs, and exactly what they are made of.

    Parameters
    ----------
    build
        ``module:function``, called with :class:`~bioimage_assets.core.storage.step_inputs.StepInputs` of one partition. Gives an
        Arrow table, a ``PlateTable``, or a mapping of table name to either; None where the partition has no such table.
    inputs
        Tables of the same partition that the step reads; their stored fingerprints are a part of its own.
    of_plates
        Tables of all plates of the dataset, or of all datasets of the campaign, that a step of one reads.
    files
        Files that the step reads itself.
    settings
        Fields of ``DatasetSettings`` (of ``CampaignSettings``) that the step reads. A change of another one leaves its tables
        alone.
    after
        Tables that are built before, though they are not read.
    """

    name: str
    build: str
    tables: tuple[TableSpec, ...]
    group: str
    details: str = ""
    dimension: Dimension = "plate"
    inputs: tuple[str, ...] = ()
    of_plates: tuple[str, ...] = ()
    files: tuple[Files, ...] = ()
    settings: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    pool: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the step's tables."""
        return tuple(table.name for table in self.tables)

    @property
    def is_scan(self) -> bool:
        """Whether it reads stores: such a step makes only the tables that are asked for."""
        return "stores" in self.files


_NOTHING_WRONG = CheckSpec(
    "nothing_wrong_found",
    "The step found nothing wrong. Its errors and warnings are listed here; with `[checks] strict` errors stop what is made of the plate.",
    "bioimage_assets.checks.findings:check_step_findings",
    is_blocking=True,
)

# Which columns are features, whatever reads them.
_FEATURES = ("aliases", "compartments", "feature_compartments", "feature_exclude", "feature_include")
_MEASUREMENTS = (
    *_FEATURES,
    "duplicate_cells",
    "file_pattern",
    "follow_symlinks",
    "ignore_profile_plate",
    "measurement_engine",
    "missing_words",
    "profile_group_by",
)
_TREATMENTS = ("control_column", "control_values", "treatment_columns")
_REFERENCES = ("center_controls", "min_cells_per_well", "min_controls", "normalization_method")
_CAMPAIGN = ("name", "datasets", "disagreements")
# A page lists the settings that its tables were made with.
_ALL_SETTINGS = (
    *_MEASUREMENTS,
    *_TREATMENTS,
    *_REFERENCES,
    "match_md5",
    "mix_references",
    "path_rewrites",
    "pictures",
    "platemap_dir",
    "platemap_well_column",
    "profile_site_offset",
    "qc_max_fail_fraction",
    "qc_thresholds",
)

STEPS: tuple[StepSpec, ...] = (
    StepSpec(
        "scan_plates",
        "bioimage_assets.assets.scanning:scan_plate_tables",
        group="catalog",
        details="Pixel data are never read. A store that cannot be read is a row of `scan_findings` and fails no plate; a plate "
        "whose store changed while it was scanned, or is gone, fails and keeps the rows it had.",
        files=("stores", "listing"),
        settings=("file_pattern", "follow_symlinks", "match_md5"),
        pool="iceberg_commit",
        tables=(
            TableSpec(
                "image_assets",
                "Every field of view of the plate, with its place, size, channels, levels, pixel size and how it was taken.",
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
                    _NOTHING_WRONG,
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
    StepSpec(
        "measure_plates",
        "bioimage_assets.assets.cells:build_single_cells",
        group="profiles",
        details="CellProfiler CSV folders, SQLite files, CytoTable, DeepProfiler, IN Carta and AnnData output are converted; "
        "measurements that are one Parquet table already are used in place and only counted here.",
        files=("measurements", "listing"),
        settings=_MEASUREMENTS,
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
                checks=(_NOTHING_WRONG,),
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
            *_MEASUREMENTS,  # those that are used in place are read by the join
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
                    _NOTHING_WRONG,
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
        settings=(*_FEATURES, "qc_max_fail_fraction", "qc_thresholds"),
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
                    _NOTHING_WRONG,
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
            *_FEATURES,
            *_TREATMENTS,
            *_REFERENCES,
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
                    _NOTHING_WRONG,
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
        settings=_ALL_SETTINGS,
        tables=(
            TableSpec(
                "plate_report",
                "One page about the plate: plate maps, QC with thresholds, worst cells, counts at every step.",
                version=3,
                home="page",
                kinds=("html", "matplotlib"),
            ),
        ),
    ),
    StepSpec(
        "pycytominer_selected_features",
        "bioimage_assets.assets.rollups:build_selection",
        group="datasets",
        details="Selected across plates on purpose: plates selected one by one would end with different columns.",
        dimension="dataset",
        of_plates=("pycytominer_profiles",),
        settings=(*_FEATURES, *_TREATMENTS, "min_controls", "mix_references", "profile_group_by"),
        tables=(
            TableSpec(
                "pycytominer_selected_features",
                "The wells of all plates with the features that carry information over the whole dataset.",
                version=2,
                kinds=("parquet", "pycytominer"),
                grain="one well (and time point) with the features selected over the whole dataset",
                join_keys=("dataset_id", "plate_id", "well_id"),
                analysis_level="well",
                object_type="well",
                partition_column="dataset_id",
            ),
        ),
    ),
    StepSpec(
        "pycytominer_consensus",
        "bioimage_assets.assets.rollups:build_treatments",
        group="datasets",
        dimension="dataset",
        inputs=("pycytominer_selected_features",),
        settings=(*_FEATURES, *_TREATMENTS, "min_controls", "mix_references", "profile_group_by"),
        tables=(
            TableSpec(
                "pycytominer_consensus",
                "One profile per treatment of the dataset, with how well its replicates agree.",
                version=2,
                kinds=("parquet", "pycytominer"),
                grain="one treatment of a dataset",
                analysis_level="treatment",
                object_type="treatment",
                partition_column="dataset_id",
            ),
        ),
    ),
    StepSpec(
        "dataset_report",
        "bioimage_assets.assets.pages:build_dataset_page",
        group="reports",
        dimension="dataset",
        inputs=("pycytominer_selected_features", "pycytominer_consensus"),
        of_plates=(
            "scan_findings",
            "single_cells",
            "join_report",
            "cosmicqc_profiles",
            "pycytominer_profiles",
        ),
        settings=_ALL_SETTINGS,
        tables=(
            TableSpec(
                "dataset_report",
                "One page about the whole dataset: plates side by side, replicates, doses and treatments.",
                version=3,
                home="page",
                kinds=("html", "matplotlib"),
            ),
        ),
    ),
    StepSpec(
        "campaign_features",
        "bioimage_assets.assets.campaigns:build_campaign_features",
        group="campaigns",
        details="Selected over all plates of all datasets of the campaign. The wells themselves stay in `pycytominer_profiles`: "
        "join the names to them.",
        dimension="campaign",
        of_plates=("pycytominer_profiles",),
        settings=(
            *_CAMPAIGN,
            "correlation_limit",
            "min_controls",
            "mix_references",
            "outlier_limit",
            "profile_group_by",
        ),
        tables=(
            TableSpec(
                "campaign_features",
                "Every feature of the campaign's wells: on how many plates it is, and kept or removed by which operation.",
                kinds=("parquet", "pycytominer"),
                grain="one feature of a campaign",
                role="reports",
                namespace="reports",
                join_keys=("campaign_id", "feature"),
                unique_by=("campaign_key", "feature"),
                analysis_level="feature",
                object_type="feature",
                partition_column="campaign_key",
                checks=(_NOTHING_WRONG,),
            ),
        ),
    ),
    StepSpec(
        "campaign_consensus",
        "bioimage_assets.assets.campaigns:build_campaign_treatments",
        group="campaigns",
        dimension="campaign",
        inputs=("campaign_features",),
        of_plates=("pycytominer_profiles",),
        settings=(
            *_CAMPAIGN,
            *_TREATMENTS,
            "batches",
            "dataset_sources",
            "min_controls",
            "mix_references",
            "profile_group_by",
        ),
        tables=(
            TableSpec(
                "campaign_consensus",
                "One profile per treatment over all plates of all datasets, with how many wells, plates and datasets it is of.",
                kinds=("parquet", "pycytominer"),
                grain="one treatment of a campaign",
                join_keys=("campaign_id",),
                analysis_level="treatment",
                object_type="treatment",
                partition_column="campaign_key",
                checks=(_NOTHING_WRONG,),
            ),
            TableSpec(
                "campaign_replicates",
                "How alike the replicates of each treatment are within a batch, across batches and across sources.",
                kinds=("parquet", "numpy"),
                grain="one treatment and one kind of pairs of its wells: within one batch, across batches, across sources",
                role="reports",
                namespace="reports",
                join_keys=("campaign_id", "treatment"),
                unique_by=("campaign_key", "treatment", "pairs", "batch"),
                analysis_level="treatment",
                object_type="treatment",
                partition_column="campaign_key",
            ),
        ),
    ),
    StepSpec(
        "campaign_cell_profiles",
        "bioimage_assets.assets.campaigns:build_campaign_cells",
        group="campaigns",
        details="Made where `[cells] aggregate` of the campaign says so. Cells that failed quality control are left out.",
        dimension="campaign",
        inputs=("campaign_features",),
        of_plates=("joined_profiles", "cosmicqc_profiles"),
        settings=(*_CAMPAIGN, "cell_aggregate"),
        tables=(
            TableSpec(
                "campaign_cell_profiles",
                "The cells of every well of the campaign by median or mean of the selected features, as they were measured.",
                kinds=("parquet", "polars"),
                grain="one well of a campaign's plates; cells without an image apart",
                join_keys=("plate_key", "well_id"),
                analysis_level="well",
                object_type="well",
                partition_column="campaign_key",
            ),
        ),
    ),
    StepSpec(
        "campaign_report",
        "bioimage_assets.assets.campaign_page:build_campaign_page",
        group="reports",
        dimension="campaign",
        inputs=("campaign_features", "campaign_consensus", "campaign_replicates"),
        of_plates=("pycytominer_profiles",),
        settings=(
            *_CAMPAIGN,
            *_TREATMENTS,
            "batches",
            "correlation_limit",
            "dataset_sources",
            "min_controls",
            "mix_references",
            "outlier_limit",
            "pictures",
            "profile_group_by",
        ),
        tables=(
            TableSpec(
                "campaign_report",
                "One page about the campaign: batches side by side, replicates within and across them, what is missing.",
                home="page",
                kinds=("html",),
            ),
        ),
    ),
)

# Tables that every step may write to, beside those that it makes.
_SHARED_TABLES = (
    TableSpec(
        "plate_findings",
        "What the steps after the scan found about a plate or a dataset.",
        grain="one finding of a step after the scan, about a plate or a dataset: measurements, join, quality control, profiles",
        role="reports",
        namespace="reports",
        join_keys=("dataset_id", "step"),
        analysis_level="plate",
        object_type="finding",
        partition_column="step_key",
    ),
    TableSpec(
        "built_tables",
        "What was built of each plate and is not a part of this root: tables in the catalog, used in place, or without rows.",
        grain="one table of one plate or dataset that is kept in the catalog, used in place, or has no rows",
        role="reports",
        namespace="reports",
        join_keys=("dataset_id", "table_name"),
        analysis_level="plate",
        object_type="table",
        partition_column="step_key",
    ),
)

HOMES: dict[str, Home] = {
    table.name: table.home for table in (*(t for step in STEPS for t in step.tables), *_SHARED_TABLES)
}
TABLES: dict[str, TableSpec] = {
    table.name: table
    for table in (*(t for step in STEPS for t in step.tables), *_SHARED_TABLES)
    if table.home in ("catalog", "warehouse")
}
"""What has rows: pages and copies are not here."""


DIMENSIONS: dict[str, Dimension] = {table.name: step.dimension for step in STEPS for table in step.tables}
"""What one partition of a table is; tables that all steps write to are not here."""


def list_steps(dimension: Dimension) -> Iterator[StepSpec]:
    """Steps of plates, datasets or campaigns, each after the steps whose tables it reads."""
    return (step for step in STEPS if step.dimension == dimension)


def list_tables(dimension: Dimension) -> tuple[str, ...]:
    """Names of what is made of each plate, dataset or campaign, pages and copies included, in the order of the steps."""
    return tuple(name for step in list_steps(dimension) for name in step.names)


CATALOG_TABLES = tuple(table.name for step in STEPS for table in step.tables if table.home == "catalog")
"""Kept in the catalog unless the settings say otherwise: what a scan makes."""
