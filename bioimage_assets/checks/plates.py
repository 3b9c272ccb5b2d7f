"""The checks of plates and campaigns, made from the specs of their tables: one factory."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module

import dagster as dg

from bioimage_assets.checks.verdict import Verdict, evaluate_plates
from bioimage_assets.core.model.identity import dimension_of
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.model.step_spec import CheckSpec, Dimension
from bioimage_assets.core.model.table_specs import STEPS, TABLES
from bioimage_assets.partitions import PARTITIONS, list_run_partitions
from bioimage_assets.resources.project import ProjectResource


def build_check(table_name: str, spec: CheckSpec, dimension: Dimension = "plate") -> dg.AssetChecksDefinition:
    """The asset check of one spec; a batch of plates gets a verdict for each of them."""

    @dg.asset_check(
        asset=table_name,
        name=spec.name,
        description=spec.summary,
        partitions_def=PARTITIONS[dimension],
        blocking=spec.is_blocking,
    )
    def check(context: dg.AssetCheckExecutionContext, project: ProjectResource) -> dg.AssetCheckResult:
        return evaluate_plates(context, build_judge(project, table_name, spec, list_run_partitions(context)))

    return check


def build_judge(
    project: ProjectResource, table_name: str, spec: CheckSpec, plate_keys: Sequence[str]
) -> Callable[[str], Verdict]:
    """What gives the verdict of a check on one plate, after one look at what is stored of all of them."""
    from bioimage_assets.checks.inputs import CheckInputs
    from bioimage_assets.core.storage.state import look_at_tables

    module, _, function = spec.check.partition(":")
    judge = getattr(import_module(module), function)
    tables = project.tables()
    state = look_at_tables(tables, {table_name}, list(plate_keys))

    @cache
    def list_sources() -> Mapping[str, PlateSource]:
        return project.plate_sources([key for key in plate_keys if dimension_of(key) == "plate"])

    def check_plate(key: str) -> Verdict:
        if table_name in TABLES and not state.is_stored(table_name, key):
            return Verdict.not_checked(f"{table_name} of {key} is not stored")
        judged: Verdict = judge(
            CheckInputs(project, tables, key, lambda: list_sources().get(key), table_name)
        )
        return judged

    return check_plate


PLATE_CHECKS = [
    build_check(table.name, check, step.dimension)
    for step in STEPS
    for table in step.tables
    for check in table.checks
]
