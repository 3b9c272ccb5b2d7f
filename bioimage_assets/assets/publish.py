"""Plates of one run, built one by one and stored so that a bad plate fails alone and the good ones are kept."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from bioimage_assets.assets.current import DATA_VERSION_TAG, find_current
from bioimage_assets.assets.retrying import raise_failures
from bioimage_assets.assets.table_of_plate import PlateTable
from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.io_managers.written import WrittenPlates
from bioimage_assets.resources.project import ProjectResource

__all__ = ["PlateTable", "PlateTables", "build_plates", "publish_plates"]


@dataclass
class PlateTables:
    """What a run made of its plates: tables by name and plate, and the errors of plates that failed."""

    tables: dict[str, dict[str, PlateTable]]
    failures: dict[str, BioimageError]


def build_plates(
    context: dg.AssetExecutionContext,
    table_names: list[str],
    build: Callable[[str], Mapping[str, PlateTable]],
    sources: Mapping[str, PlateSource] | None = None,
) -> PlateTables:
    """Call ``build`` for every plate of the run; a project error fails that plate, anything else the run.

    Plates of ``sources`` whose stored tables are current are not built, unless the run is forced.
    """
    made = PlateTables({name: {} for name in table_names}, {})
    current = find_current(context, context.resources.project, table_names, sources or {})
    for plate_key in context.partition_keys:
        try:
            for name, table in (current.get(plate_key) or build(plate_key)).items():
                made.tables[name][plate_key] = table
        except BioimageError as error:
            context.log.error(f"{plate_key}: {error}")
            made.failures[plate_key] = error
    return made


def publish_plates(
    context: dg.AssetExecutionContext,
    project: ProjectResource,
    made: PlateTables,
) -> Iterator[dg.Output]:
    """Store all plates that were built, then give the outputs, or fail with the plates that could not be.

    Where a table lies is a setting. Row counts, snapshot ids and fingerprints become metadata of each plate,
    its fingerprint its data version. Where plates failed, the good ones are recorded as materialised before
    the failure is raised.
    """
    from bioimage_assets.core.model.fingerprint import combine_fingerprints

    recorded: dict[str, dict[str, dict[str, Any]]] = {}
    for name, plates in made.tables.items():
        write = _write_iceberg if project.settings.is_in_catalog(name) else _write_warehouse
        changed = {key: table for key, table in plates.items() if not table.is_current}
        written, failures = write(context, project, name, changed)
        recorded[name] = {
            key: _describe_stored(table) if table.is_current else written[key]
            for key, table in plates.items()
            if table.is_current or key in written
        }
        _store_findings(context, project, name, {key: plates[key] for key in written})
        made.failures.update(failures)
    if made.failures:
        _record_plates(context, made, recorded)
        raise_failures(context, made.failures, len(context.partition_keys))
    is_batch = len(context.partition_keys) > 1
    for name, plates in made.tables.items():
        rows = sum(metadata["dagster/partition_row_count"] for metadata in recorded[name].values())
        if not is_batch:
            for plate_key, metadata in recorded[name].items():
                context.add_asset_metadata(metadata, asset_key=name, partition_key=plate_key)
        fingerprints = [table.fingerprint for table in plates.values()]
        version = fingerprints[0] if len(fingerprints) == 1 else combine_fingerprints(fingerprints)
        yield dg.Output(
            WrittenPlates(name, rows),
            output_name=context.output_for_asset_key(dg.AssetKey(name)),
            data_version=dg.DataVersion(version),
            metadata={"rows": rows},
        )
    if is_batch:
        # Dagster gave all plates of the batch one version and the same metadata; these are their own.
        _record_plates(context, made, recorded)


def _write_iceberg(
    context: dg.AssetExecutionContext, project: ProjectResource, name: str, plates: Mapping[str, PlateTable]
) -> tuple[dict[str, dict[str, Any]], dict[str, BioimageError]]:
    """All plates in one commit; one commit per run and table keeps the catalog small."""
    from bioimage_assets.assets.iceberg_plates import write_iceberg_plates

    return write_iceberg_plates(project, name, plates, run_id=context.run_id), {}


def _write_warehouse(
    context: dg.AssetExecutionContext, project: ProjectResource, name: str, plates: Mapping[str, PlateTable]
) -> tuple[dict[str, dict[str, Any]], dict[str, BioimageError]]:
    """One file per plate; a plate whose data fail while they stream leaves the file it had."""
    from bioimage_assets.assets.placed import add_text_columns, open_spooled
    from bioimage_assets.assets.stored import remove_partition
    from bioimage_assets.core.tables.schemas import TABLES

    warehouse, spec = project.warehouse(), TABLES[name]
    written: dict[str, dict[str, Any]] = {}
    failures: dict[str, BioimageError] = {}
    for plate_key, table in plates.items():
        try:
            if table.data is None:
                remove_partition(warehouse, name, plate_key)
                rows = 0
            else:
                result = warehouse.replace_partitions(
                    name,
                    add_text_columns(
                        name, open_spooled(table.data() if callable(table.data) else table.data)
                    ),
                    [plate_key],
                    role=spec.role,
                    join_keys=list(spec.join_keys),
                    source_type="dagster_asset",
                    source_ref=name,
                    analysis_level=spec.analysis_level,
                    object_type=spec.object_type,
                    partition_column=spec.partition_column,
                    fingerprint=table.fingerprint,
                    run_id=context.run_id,
                )
                rows = result.row_count
        except BioimageError as error:
            context.log.error(f"{plate_key}: {error}")
            failures[plate_key] = error
            continue
        written[plate_key] = {
            **table.metadata,
            **(table.late_metadata() if table.late_metadata else {}),
            "dagster/partition_row_count": rows if table.row_count is None else table.row_count,
            "dagster/uri": dg.MetadataValue.text(f"{project.settings.warehouse_uri}/{name}"),
            "fingerprint": table.fingerprint,
        }
    return written, failures


def _store_findings(
    context: dg.AssetExecutionContext, project: ProjectResource, name: str, plates: Mapping[str, PlateTable]
) -> None:
    from bioimage_assets.assets.findings import store_findings

    for plate_key, table in plates.items():
        if table.findings is not None:
            found = table.findings() if callable(table.findings) else table.findings
            store_findings(project, plate_key, name, found, context.run_id)


def _describe_stored(table: PlateTable) -> dict[str, Any]:
    return {
        **table.metadata,
        "dagster/partition_row_count": table.row_count or 0,
        "fingerprint": table.fingerprint,
    }


def _record_plates(
    context: dg.AssetExecutionContext, made: PlateTables, recorded: Mapping[str, Mapping[str, dict[str, Any]]]
) -> None:
    for name, plates in recorded.items():
        for plate_key, metadata in plates.items():
            if plate_key in made.failures:
                continue
            context.log_event(
                dg.AssetMaterialization(
                    asset_key=name,
                    partition=plate_key,
                    metadata=metadata,
                    tags={DATA_VERSION_TAG: made.tables[name][plate_key].fingerprint},
                )
            )
