"""Stored tables that were made from the inputs that lie there now: a repeated backfill records them and goes on."""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from bioimage_assets.assets.table_of_plate import PlateTable
from bioimage_assets.assets.versions import plate_fingerprint
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.resources.project import ProjectResource

DATA_VERSION_TAG = "dagster/data_version"
# Run tag: plates whose stored tables are current are built again.
FORCE_TAG = "bioimage/force"
# Metadata of a scanned table: signature of the files that it was scanned from.
SIGNATURE = "source_signature"
SCANNED_TABLES = ("image_assets", "chunk_index", "plate_layout", "scan_findings")
_NOTE = {"note": "unchanged: made from the same inputs by the same code; not built again"}


def is_forced(context: Any) -> bool:
    """Tell whether the run was told to build everything."""
    return context.run.tags.get(FORCE_TAG, "") in ("true", "1", "yes")


def find_current(
    context: Any, project: ProjectResource, names: Iterable[str], sources: Mapping[str, PlateSource]
) -> dict[str, dict[str, PlateTable]]:
    """Plates all of whose named tables are stored as they would be built now, by plate and table.

    One look at the manifest for all plates of the run. A plate that lacks one of the tables is not among them.
    """
    names = list(names)
    if is_forced(context) or not sources:
        return {}
    if all(name in SCANNED_TABLES for name in names):
        return _find_scanned(context, project, names, sources)
    parts = stored_parts(project, names)
    found: dict[str, dict[str, PlateTable]] = {}
    for key, source in sources.items():
        tables = {}
        for name in names:
            part, wanted = parts.get(name, {}).get(key), plate_fingerprint(source, name)
            if part is not None and part.fingerprint == wanted:
                tables[name] = PlateTable(None, wanted, _NOTE, row_count=part.row_count, is_current=True)
        if len(tables) == len(names):
            found[key] = tables
    return found


def find_exported(
    context: Any, project: ProjectResource, sources: Mapping[str, PlateSource]
) -> dict[str, dict[str, Any]]:
    """Plates whose copy in the warehouse is the one that would be made now, with its metadata."""
    if is_forced(context) or not sources:
        return {}
    exported = stored_parts(project, ["image_assets", "chunk_index"])
    return {
        key: {
            **_NOTE,
            "dagster/partition_row_count": exported["image_assets"][key].row_count,
            "chunk_index_rows": exported["chunk_index"][key].row_count,
        }
        for key, source in sources.items()
        if _is_exported(exported, key, source)
    }


def _is_exported(exported: Mapping[str, Mapping[str, Any]], key: str, source: PlateSource) -> bool:
    return all(
        key in parts and parts[key].fingerprint == plate_fingerprint(source, name)
        for name, parts in exported.items()
    )


def _find_scanned(
    context: Any, project: ProjectResource, names: list[str], sources: Mapping[str, PlateSource]
) -> dict[str, dict[str, PlateTable]]:
    """A scan is current where its export to the warehouse is, and the catalog still holds its rows.

    The data version of a scanned table is a digest of what was read, so it is taken from the event log.
    """
    exported = stored_parts(project, ["image_assets", "chunk_index"])
    keys = [
        key
        for key, source in sources.items()
        if _is_exported(exported, key, source)
        and read_recorded(context.instance, names[0], key, SIGNATURE) in (None, source.signature)
    ]
    if not keys or not all(project.settings.is_in_catalog(name) for name in names):
        return {}
    from bioimage_assets.assets.presence import read_catalog

    present = read_catalog(project, names, keys)
    versions = {name: _latest_versions(context.instance, name, keys) for name in names}
    return {
        key: {
            name: PlateTable(
                None,
                versions[name][key],
                {**_NOTE, SIGNATURE: sources[key].signature},
                row_count=present[name].rows.get(key, 0),
                is_current=True,
            )
            for name in names
        }
        for key in keys
        if all(key in versions[name] for name in names)
        and all(_is_present(found, key) for found in present.values())
        and all(
            name not in present or present[name].rows.get(key, 0) == parts[key].row_count
            for name, parts in exported.items()
        )
    }


def _is_present(found: Any, key: str) -> bool:
    return not found.is_missing and found.unreadable is None and key not in found.lost


def stored_parts(project: ProjectResource, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Partitions of warehouse tables as the manifest lists them, without those whose files are lost."""
    from bioimage_assets.assets.findings import NAME as FINDINGS_TABLE
    from bioimage_assets.core.warehouse.manifest.layout import leaf_name
    from bioimage_assets.core.warehouse.validation.lost_files import read_stored

    warehouse = project.warehouse()
    wanted = {name: warehouse.resolve(name) for name in names}
    stored = read_stored(warehouse.files_at, {*wanted.values(), warehouse.resolve(FINDINGS_TABLE)})
    findings = {key for table, key in stored.lost if leaf_name(table) == FINDINGS_TABLE}
    return {
        name: {
            key: part
            for key, part in stored.listed.get(table, {}).items()
            # What a step found is stored beside its table: lost, it is found again by the same step.
            if (table, key) not in stored.lost and f"{key}#{name}" not in findings
        }
        for name, table in wanted.items()
    }


def read_recorded(instance: dg.DagsterInstance, name: str, plate_key: str, label: str) -> Any:
    """What the last materialisation of a plate's table says under a label of its metadata, None where it does not."""
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(name), asset_partitions=[plate_key])
    for record in instance.fetch_materializations(wanted, limit=1).records:
        event = record.asset_materialization
        value = event.metadata.get(label) if event else None
        return None if value is None else value.value
    return None


def _latest_versions(instance: dg.DagsterInstance, name: str, keys: list[str]) -> dict[str, str]:
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        dg.AssetKey(name),
        dg.DagsterEventType.ASSET_MATERIALIZATION,
        [DATA_VERSION_TAG],
        asset_partitions=keys,
    )
    return {key: value[DATA_VERSION_TAG] for key, value in tags.items() if DATA_VERSION_TAG in value}
