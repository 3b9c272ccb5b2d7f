"""Plates of one run, built one by one and stored so that a bad plate fails alone and the good ones are kept."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg

from bioimage_assets.assets.current import DATA_VERSION_TAG, find_current
from bioimage_assets.assets.older_inputs import mark_older_inputs
from bioimage_assets.assets.retrying import raise_failures
from bioimage_assets.assets.table_of_plate import PlateTable, Watch
from bioimage_assets.core.errors import BioimageError, MeasurementError
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.io_managers.written import WrittenPlates
from bioimage_assets.plate_at_work import at_work, find_lost_plates
from bioimage_assets.resources.project import ProjectResource

__all__ = ["PlateTable", "PlateTables", "build_plates", "publish_plates", "record_each", "run_plates"]


# So many plates of a run are in one commit, and in memory at a time; a killed run loses no more than these.
STORED_TOGETHER = 50


# Metadata of what was stored, by table and plate.
Recorded = dict[str, dict[str, dict[str, Any]]]


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
    plate_keys: Sequence[str] | None = None,
) -> PlateTables:
    """Call ``build`` for every plate of the run; a project error fails that plate, anything else the run.

    Plates of ``sources`` whose stored tables are current are not built, unless the run is forced.
    ``plate_keys``: only these plates of the run.
    """
    made = PlateTables({name: {} for name in table_names}, {})
    keys = context.partition_keys if plate_keys is None else plate_keys
    known = {key: sources[key] for key in keys if key in sources} if sources else {}
    current = find_current(context, context.resources.project, table_names, known)
    lost = find_lost_plates(context)

    def watched(plate_key: str) -> Mapping[str, PlateTable]:
        with at_work(context, plate_key, lost):
            return build(plate_key)

    for plate_key in keys:
        try:
            for name, table in (current.get(plate_key) or watched(plate_key)).items():
                made.tables[name][plate_key] = table
        except BioimageError as error:
            context.log.error(f"{plate_key}: {error}")
            made.failures[plate_key] = error
    return made


def run_plates(
    context: dg.AssetExecutionContext,
    project: ProjectResource,
    table_names: list[str],
    build: Callable[[str, PlateSource | None], Mapping[str, PlateTable]],
) -> Iterator[dg.Output]:
    """Build and store the tables of every plate of the run; ``build`` is given a plate's key and its source."""
    sources = mark_older_inputs(
        context, project, table_names[0], project.plate_sources(context.partition_keys)
    )
    from bioimage_assets.assets.presence import release_lost_tables

    release_lost_tables(context, project, table_names)
    keys = list(context.partition_keys)
    made = PlateTables({name: {} for name in table_names}, {})
    recorded: Recorded = {}
    for start in range(0, len(keys), STORED_TOGETHER):
        some = keys[start : start + STORED_TOGETHER]
        part = build_plates(context, table_names, lambda key: build(key, sources.get(key)), sources, some)
        stored = _store_plates(context, project, part)
        if start + STORED_TOGETHER < len(keys):  # what is stored stays done if the run is killed
            _record_plates(context, part, stored)
        for name in table_names:
            made.tables[name] |= {key: _without_data(table) for key, table in part.tables[name].items()}
            recorded[name] = {**recorded.get(name, {}), **stored[name]}
        made.failures |= part.failures
    yield from _give_outputs(context, made, recorded)


def _without_data(table: PlateTable) -> PlateTable:
    return replace(table, data=None, late_metadata=None, findings=None)


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
    yield from _give_outputs(context, made, _store_plates(context, project, made))


def _store_plates(context: dg.AssetExecutionContext, project: ProjectResource, made: PlateTables) -> Recorded:
    """Store all plates that were built; those that could not be stored are added to the failures.

    The tables of a plate build on each other: one that could not be stored is the last that is tried.
    """
    from bioimage_assets.assets.iceberg_plates import write_iceberg_plates
    from bioimage_assets.assets.warehouse_plates import write_warehouse_plates

    recorded: Recorded = {}
    for name, plates in made.tables.items():
        write = write_iceberg_plates if project.settings.is_in_catalog(name) else write_warehouse_plates
        changed = {
            key: table for key, table in plates.items() if not table.is_current and key not in made.failures
        }
        try:
            watch = _watch_streams(context, changed)
            written, failures = write(project, name, changed, run_id=context.run_id, watch=watch)
        except BioimageError as refusal:  # of the one commit of all these plates
            written, failures = {}, dict.fromkeys(changed, refusal)
        for plate_key, error in failures.items():
            context.log.error(f"{plate_key}: {error}")
        recorded[name] = {
            key: _describe_stored(table) if table.is_current else written[key]
            for key, table in plates.items()
            if table.is_current or key in written
        }
        made.failures.update(failures)
        made.failures |= _store_findings(context, project, name, {key: plates[key] for key in written})
    _store_findings_of_failures(context, project, next(iter(made.tables)), made.failures)
    return recorded


def _watch_streams(context: dg.AssetExecutionContext, plates: Mapping[str, PlateTable]) -> Watch:
    """There is work on a plate while it is written only where its data are read as they are written."""
    return lambda key: at_work(context, key) if plates[key].is_streamed else nullcontext()


def _give_outputs(
    context: dg.AssetExecutionContext, made: PlateTables, recorded: Recorded
) -> Iterator[dg.Output]:
    """Outputs of a step whose plates are stored; or its failure, with the good plates recorded."""
    from bioimage_assets.core.model.fingerprint import combine_fingerprints

    if made.failures:
        _record_plates(context, made, recorded)
        raise_failures(context, made.failures, len(context.partition_keys))
    is_batch = len(context.partition_keys) > 1
    # Dagster takes outputs of what was asked for only.
    asked = {key.to_user_string() for key in context.selected_asset_keys}
    for name, plates in made.tables.items():
        if name not in asked:
            continue
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
    # Tables made along with it, and the own versions and metadata of a batch's plates: Dagster gave all of them the same.
    _record_plates(
        context, made, {name: own for name, own in recorded.items() if is_batch or name not in asked}
    )


def record_each(
    context: dg.AssetExecutionContext, name: str, build: Callable[[str], Mapping[str, Any] | None]
) -> None:
    """Call ``build`` for every plate of the run and record what it tells, for steps that store by themselves.

    A project error fails that plate only; where plates failed, the good ones are recorded as materialised
    before the failure is raised. None: there is nothing new to tell.
    """
    recorded: dict[str, Mapping[str, Any]] = {}
    failures: dict[str, BioimageError] = {}
    lost = find_lost_plates(context)
    for plate_key in context.partition_keys:
        try:
            with at_work(context, plate_key, lost):
                recorded[plate_key] = build(plate_key) or {}
        except BioimageError as error:
            context.log.error(f"{plate_key}: {error}")
            failures[plate_key] = error
    for plate_key, metadata in recorded.items():
        if failures:
            context.log_event(dg.AssetMaterialization(asset_key=name, partition=plate_key, metadata=metadata))
        elif metadata:
            context.add_asset_metadata(metadata, asset_key=name, partition_key=plate_key)
    if failures:
        raise_failures(context, failures, len(context.partition_keys))


def _store_findings(
    context: dg.AssetExecutionContext, project: ProjectResource, name: str, plates: Mapping[str, PlateTable]
) -> dict[str, BioimageError]:
    """Store what was found about each plate; gives the errors of plates for which that failed."""
    from bioimage_assets.assets.findings import store_findings

    failures: dict[str, BioimageError] = {}
    for plate_key, table in plates.items():
        if table.findings is not None:
            found = table.findings() if callable(table.findings) else table.findings
            try:
                store_findings(project, plate_key, name, found, context.run_id)
            except BioimageError as error:
                context.log.error(f"{plate_key}: {error}")
                failures[plate_key] = error
    return failures


def _store_findings_of_failures(
    context: dg.AssetExecutionContext, project: ProjectResource, name: str, failures: dict[str, BioimageError]
) -> None:
    """Keep what is wrong with the data of plates that failed over it, where a query finds it."""
    told = {
        key: PlateTable(None, "", findings=error.findings)
        for key, error in failures.items()
        if isinstance(error, MeasurementError) and error.findings
    }
    _store_findings(context, project, name, told)


def _describe_stored(table: PlateTable) -> dict[str, Any]:
    return {
        **table.metadata,
        "dagster/partition_row_count": table.row_count or 0,
        "fingerprint": table.fingerprint,
    }


def _record_plates(context: dg.AssetExecutionContext, made: PlateTables, recorded: Recorded) -> None:
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
