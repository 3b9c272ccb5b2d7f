"""Upkeep of the stored tables: old snapshots, small and unreferenced files, leftovers of killed writes."""

import dagster as dg

from bioimage_assets.assets.sources import OWNERS
from bioimage_assets.core.phrases import count_words
from bioimage_assets.resources.project import ProjectResource

DAY_S = 86_400.0


class MaintenanceConfig(dg.Config):
    """What to keep. A dry run says what would be done and does nothing."""

    dry_run: bool = False
    keep_snapshots: int = 20
    snapshot_days: float = 7.0
    orphan_days: float = 1.0


@dg.asset(group_name="maintenance", kinds={"iceberg"}, owners=OWNERS, pool="iceberg_commit")
def iceberg_maintenance(
    context: dg.AssetExecutionContext, config: MaintenanceConfig, project: ProjectResource
) -> dg.MaterializeResult[None]:
    """Old snapshots of the catalog expire, unreferenced files go, small files are joined; no row changes.

    Safe beside readers and writers, to be stopped and to be repeated. Tagged snapshots stay.
    """
    from bioimage_assets.core.catalog.maintain import MaintenanceOptions, maintain_table
    from bioimage_assets.core.catalog.session import list_leaf_names, parse_namespace
    from bioimage_assets.core.errors import BioimageError, CatalogError
    from bioimage_assets.metadata import build_counts_markdown
    from bioimage_assets.retrying import raise_failures

    settings = project.settings
    options = MaintenanceOptions(
        keep_snapshots=config.keep_snapshots,
        snapshot_age_s=config.snapshot_days * DAY_S,
        orphan_age_s=config.orphan_days * DAY_S,
    )
    if not settings.iceberg_tables or settings.catalog_name == "none":
        return dg.MaterializeResult(metadata={"note": "no table is kept in a catalog"})
    catalog = project.catalog()
    namespace = parse_namespace(settings.catalog_namespace)
    try:
        names = list_leaf_names(catalog, namespace)
    except CatalogError:  # nothing was stored yet
        names = []
    lines: dict[str, object] = {}
    failures: dict[str, BioimageError] = {}
    for name in names:
        try:
            report = maintain_table(catalog, (*namespace, name), options=options, dry_run=config.dry_run)
        except BioimageError as error:
            context.log.error(f"{name}: {error}")
            failures[name] = error
            continue
        lines[name] = (
            f"{len(report.expired_snapshots)} of {count_words(report.snapshot_count, 'snapshot')} expired, "
            f"{count_words(len(report.orphan_files), 'file')} ({report.orphan_bytes} bytes) removed, "
            f"{report.compacted_file_count} small files joined"
        )
    if failures:
        raise_failures(context, failures, len(names))
    return dg.MaterializeResult(
        metadata={
            "tables": build_counts_markdown(lines, ("table", "upkeep")),
            "dry_run": config.dry_run,
        }
    )


@dg.asset(group_name="maintenance", kinds={"parquet"}, owners=OWNERS)
def warehouse_maintenance(
    context: dg.AssetExecutionContext, project: ProjectResource
) -> dg.MaterializeResult[None]:
    """Leftovers of killed writes go from the warehouse root, and its manifest is compared with the files."""
    from bioimage_assets.core.errors import WarehouseError
    from bioimage_assets.core.warehouse.maintain import maintain_warehouse
    from bioimage_assets.retrying import raise_failures

    settings = project.settings
    try:
        report = maintain_warehouse(settings.warehouse_uri, storage_options=dict(settings.storage_options))
    except WarehouseError as error:
        raise_failures(context, {"warehouse": error}, 1)
        raise
    for problem in report.problems:
        context.log.warning(problem)
    return dg.MaterializeResult(
        metadata={
            "interrupted_change_finished": report.is_recovered,
            "leftovers_removed": report.leftovers_removed,
            "tables_corrected": list(report.tables_corrected),
            "problems": list(report.problems[:50]),
        }
    )
