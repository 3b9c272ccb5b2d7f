"""Checks of a plate's tables: identity, readability, completeness, accounting, QC, normalisation, storage."""

import dagster as dg

from bioimage_assets.checks.verdict import WARN, Verdict, evaluate_plates
from bioimage_assets.partitions import PLATES
from bioimage_assets.resources.project import ProjectResource

MIN_MATCHED_FRACTION = 0.95
MAX_QC_FAIL_FRACTION = 0.5


@dg.asset_check(asset="image_assets", partitions_def=PLATES, blocking=True)
def image_ids_are_unique(context: dg.AssetCheckExecutionContext, image_assets) -> dg.AssetCheckResult:
    """No two images of the plate share an id."""
    from bioimage_assets.checks.tables import check_unique_ids

    return evaluate_plates(context, lambda key: check_unique_ids(image_assets, key))


@dg.asset_check(asset="scan_findings", partitions_def=PLATES)
def stores_are_readable(context: dg.AssetCheckExecutionContext, scan_findings) -> dg.AssetCheckResult:
    """Every store of the plate could be read whole."""
    from bioimage_assets.checks.tables import check_findings

    return evaluate_plates(context, lambda key: check_findings(scan_findings, key))


@dg.asset_check(asset="plate_completeness", partitions_def=PLATES)
def plate_is_complete(
    context: dg.AssetCheckExecutionContext, project: ProjectResource
) -> dg.AssetCheckResult:
    """Every well holds what the plate promises, and what was measured on it."""
    from bioimage_assets.checks.tables import check_completeness

    return evaluate_plates(context, lambda key: check_completeness(project, key))


@dg.asset_check(asset="joined_profiles", partitions_def=PLATES, blocking=True)
def rows_in_are_rows_out(
    context: dg.AssetCheckExecutionContext, project: ProjectResource
) -> dg.AssetCheckResult:
    """The join gave exactly one row per measured cell."""
    from bioimage_assets.checks.tables import check_row_accounting

    return evaluate_plates(context, lambda key: check_row_accounting(project, key))


@dg.asset_check(asset="joined_profiles", partitions_def=PLATES)
def pixels_confirm_the_join(
    context: dg.AssetCheckExecutionContext, project: ProjectResource
) -> dg.AssetCheckResult:
    """Cells measured again from the pixels they are linked to have the intensities in their row."""
    from bioimage_assets.checks.pixels import check_pixels

    return evaluate_plates(context, lambda key: check_pixels(project, key))


@dg.asset_check(asset="join_report", partitions_def=PLATES)
def cells_found_their_image(
    context: dg.AssetCheckExecutionContext, project: ProjectResource
) -> dg.AssetCheckResult:
    """At least 95 % of the plate's cells are linked to an image, and no two rules disagree."""
    from bioimage_assets.checks.tables import check_join_coverage

    return evaluate_plates(context, lambda key: check_join_coverage(project, key, MIN_MATCHED_FRACTION))


@dg.asset_check(asset="cosmicqc_profiles", partitions_def=PLATES)
def qc_failures_are_few(
    context: dg.AssetCheckExecutionContext, project: ProjectResource
) -> dg.AssetCheckResult:
    """Few enough cells fail quality control; half of a plate failing is an error, a fifth a warning."""
    from bioimage_assets.checks.tables import check_qc_fail_rate

    sources = project.plate_sources(context.partition_keys)
    return evaluate_plates(
        context, lambda key: check_qc_fail_rate(project, key, sources.get(key), MAX_QC_FAIL_FRACTION)
    )


@dg.asset_check(asset="pycytominer_profiles", partitions_def=PLATES)
def normalisation_is_sane(
    context: dg.AssetCheckExecutionContext, project: ProjectResource
) -> dg.AssetCheckResult:
    """Well profiles are finite, and no feature is beyond all measure in units of its reference."""
    from bioimage_assets.checks.tables import check_normalization

    return evaluate_plates(context, lambda key: check_normalization(project, key))


@dg.asset_check(asset="cytomining_warehouse", partitions_def=PLATES)
def catalog_equals_warehouse(
    context: dg.AssetCheckExecutionContext, project: ProjectResource
) -> dg.AssetCheckResult:
    """The warehouse holds as many image and chunk rows of the plate as the catalog."""
    from bioimage_assets.checks.tables import check_catalog_equals_warehouse

    return evaluate_plates(context, lambda key: check_catalog_equals_warehouse(project, key))


@dg.asset_check(asset="cytomining_warehouse", partitions_def=PLATES)
def manifest_is_valid(
    context: dg.AssetCheckExecutionContext, project: ProjectResource
) -> dg.AssetCheckResult:
    """Everything that the warehouse manifest claims is true of the files."""
    from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest

    result = validate_warehouse_manifest(project.settings.warehouse_uri)
    text = "; ".join(result.errors[:5]) or "valid"
    verdict = Verdict(result.is_valid, text, {"warnings": result.warnings[:20]}, WARN)
    return evaluate_plates(context, lambda key: verdict)


PLATE_CHECKS = [
    image_ids_are_unique,
    stores_are_readable,
    plate_is_complete,
    rows_in_are_rows_out,
    pixels_confirm_the_join,
    cells_found_their_image,
    qc_failures_are_few,
    normalisation_is_sane,
    catalog_equals_warehouse,
    manifest_is_valid,
]
