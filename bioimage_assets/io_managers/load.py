"""Stored tables become what a parameter of an asset or check is annotated with; one that was never built is an error."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg

from bioimage_assets.core.errors import MissingTableError, UsageError
from bioimage_assets.core.model.table_specs import TABLES
from bioimage_assets.io_managers.asset_context import partition_column, partition_keys, table_name
from bioimage_assets.io_managers.frames import build_value
from bioimage_assets.resources.project import ProjectResource

_NAMED = 3  # partitions that a message names
_CATALOG_ONLY = ("where", "as_of")


def load_table(
    context: dg.InputContext, project: ProjectResource, *, is_in_catalog: bool, namespace: str | None = None
) -> Any:
    """Load the partitions that an asset depends on, or the whole table, as the annotated type.

    The project's own tables are where the settings place them, whoever asks.

    Raises
    ------
    MissingTableError
        A partition of the run was never built in this table: nothing is not the same as no rows.
    """
    upstream = context.upstream_output
    name = table_name(upstream if upstream is not None else context)
    keys = partition_keys(context)
    if name in TABLES:
        is_in_catalog = project.settings.is_in_catalog(name)
        _require_partitions(context, name, keys)
    namespace = namespace or project.settings.catalog_namespace
    if keys is not None:
        _require_built(context, project, name, keys, namespace if is_in_catalog else None)
    if is_in_catalog:
        open_table = _open_in_catalog(context, project, name, keys, namespace)
    else:
        open_table = _open_in_warehouse(context, project, name, keys)
    return build_value(open_table, context.dagster_type.typing_type)


def _open_in_warehouse(
    context: dg.InputContext, project: ProjectResource, name: str, keys: list[str] | None
) -> Callable[[Sequence[str] | None], Any]:
    asked = context.definition_metadata or {}
    for word in _CATALOG_ONLY:
        if word in asked:
            raise UsageError(
                f"The input {name} says {word!r}, which holds for tables of the catalog; {name} is in the warehouse root. "
                "Filter in the asset: a parameter annotated duckdb.DuckDBPyRelation or polars.LazyFrame reads what it uses."
            )
    warehouse = project.warehouse()
    return lambda columns: warehouse.batches(name, columns=columns or asked.get("columns"), plate_keys=keys)


def _open_in_catalog(
    context: dg.InputContext,
    project: ProjectResource,
    name: str,
    keys: list[str] | None,
    namespace: str,
) -> Callable[[Sequence[str] | None], Any]:
    from bioimage_assets.core.catalog.read import read_batches
    from bioimage_assets.core.catalog.session import resolve_identifier

    asked, upstream = context.definition_metadata or {}, context.upstream_output
    catalog = project.catalog()
    identifier = resolve_identifier(catalog, namespace, name)
    return lambda columns: read_batches(
        catalog,
        identifier,
        columns=columns or asked.get("columns"),
        plate_keys=keys,
        where=asked.get("where"),
        as_of=asked.get("as_of"),
        partition_column=asked.get("partition_column") or partition_column(upstream, keys or []),
    )


def _require_partitions(context: dg.InputContext, name: str, keys: list[str] | None) -> None:
    """A run of a plate that would be given all plates has an upstream that nobody declared as partitioned."""
    if keys is None and context.has_partition_key:
        raise UsageError(
            f"{context.asset_key.to_user_string()} is not known here as a table of partitions, so every plate of it would be "
            f"read. Add table_spec({name!r}) of bioimage_assets.extend to the assets of this code location."
        )


def _require_built(
    context: dg.InputContext, project: ProjectResource, name: str, keys: Sequence[str], namespace: str | None
) -> None:
    """Refuse a partition of the run that was never built; of a table of all partitions, say which are left out."""
    missing = _find_unbuilt(context, project, name, keys, namespace)
    if not missing:
        return
    named = ", ".join(missing[:_NAMED]) + (" …" if len(missing) > _NAMED else "")
    if not _is_of_run(context, keys):
        context.log.warning(
            f"{len(missing)} of {len(keys)} partitions of {name} are not built and left out here: {named}."
        )
        return
    raise MissingTableError(
        f"{name} of {named} is not stored; materialize it first. (A partition that was built without rows is there, and has none.)"
    )


def _is_of_run(context: dg.InputContext, keys: Sequence[str]) -> bool:
    """Whether the partitions are those of the run, not all that a mapping gives."""
    if context.has_partition_key:
        return list(keys) == [context.partition_key]
    step = context.step_context
    return step.has_partition_key_range and step.partition_key_range.start in keys


def _find_unbuilt(
    context: dg.InputContext, project: ProjectResource, name: str, keys: Sequence[str], namespace: str | None
) -> list[str]:
    """Partitions of which neither rows are stored nor is it written down that there are none; a namespace means the catalog."""
    from bioimage_assets.core.storage.state import look_at_tables

    suspects = list(keys)
    if namespace is None:
        stored = set(project.warehouse().find_partitions(name, keys))
        suspects = [key for key in keys if key not in stored]
    if not suspects:
        return []
    if name in TABLES:
        state = look_at_tables(project.tables(), {name}, suspects)
        unbuilt = [key for key in suspects if not state.is_stored(name, key)]
        if namespace is None:
            _refuse_used_in_place(state, name, [key for key in suspects if key not in unbuilt])
        return unbuilt
    unknown = _find_never_materialized(context, suspects)
    if not unknown or namespace is None:
        return unknown
    rows = _count_in_catalog(project, name, unknown, namespace)  # another instance may have made them
    return [key for key in unknown if not rows.get(key)]


def _refuse_used_in_place(state: Any, name: str, keys: Sequence[str]) -> None:
    """Rows that were never copied are not to pass for no rows."""
    for key in keys:
        if rows := state.row_count(name, key):
            raise MissingTableError(
                f"{name} of {key} is not copied: its {rows} rows stay in the file that was handed over. Depend on joined_profiles, "
                "which has them, or read that file."
            )


def _count_in_catalog(
    project: ProjectResource, name: str, keys: Sequence[str], namespace: str
) -> Mapping[str, int]:
    from bioimage_assets.core.catalog.lost_files import read_presence
    from bioimage_assets.core.catalog.session import resolve_identifier

    catalog = project.catalog()
    return read_presence(catalog, resolve_identifier(catalog, namespace, name), keys).rows


def _find_never_materialized(context: dg.InputContext, keys: Sequence[str]) -> list[str]:
    """Of an asset of a user the event log knows which partitions were built without rows."""
    known = context.instance.event_log_storage.get_latest_storage_id_by_partition(
        context.asset_key, dg.DagsterEventType.ASSET_MATERIALIZATION, set(keys)
    )
    return [key for key in keys if key not in known]
