"""The assets of plates, datasets and campaigns, made from the specs of their tables: one multi-asset per step."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import dagster as dg

from bioimage_assets.assets.sources import OWNERS
from bioimage_assets.automation import follow_changes
from bioimage_assets.core.error_codes import say_error
from bioimage_assets.core.errors import MissingExtraError
from bioimage_assets.core.extras import say_install
from bioimage_assets.core.model.left_out import is_buildable, require_step
from bioimage_assets.core.model.step_spec import Home, StepSpec, TableSpec
from bioimage_assets.core.model.table_specs import STEPS
from bioimage_assets.partitions import PARTITIONS
from bioimage_assets.resources.project import ProjectResource

# Every plate of a run costs seconds, and a range runs in one process: a backfill is spread over runs of fifty. All steps
# have the same policy: Dagster puts tables of different ones into runs of their own, a run more for every stretch of plates.
HEAVY_BATCH = dg.BackfillPolicy.multi_run(max_partitions_per_run=50)
ONE_RUN = dg.BackfillPolicy.single_run()
IO_MANAGERS: dict[Home, str] = {
    "catalog": "iceberg_io",
    "warehouse": "warehouse_io",
    "copy": "warehouse_io",
    "page": "pages_io",
    "files": "pages_io",
}


def build_step_asset(step: StepSpec) -> dg.AssetsDefinition:
    """The asset, or assets, of a step. Any table may be selected; what else is made along with it is recorded, too."""
    is_for_plates = step.dimension == "plate"

    @dg.multi_asset(
        name=step.name,
        outs={
            table.name: dg.AssetOut.from_spec(
                _build_spec(step, table), io_manager_key=IO_MANAGERS[table.home], is_required=False
            )
            for table in step.tables
        },
        deps=_build_deps(step),
        partitions_def=PARTITIONS[step.dimension],
        can_subset=True,
        backfill_policy=HEAVY_BATCH if is_for_plates else ONE_RUN,
        pool=step.pool,
    )
    def run(context: dg.AssetExecutionContext, project: ProjectResource) -> Iterator[dg.Output[Any]]:
        yield from run_step(context, project, step)

    return run


def run_step(
    context: dg.AssetExecutionContext, project: ProjectResource, step: StepSpec
) -> Iterator[dg.Output[Any]]:
    """Give the tables of a step for every plate of the run; the IO managers have them built and store them.

    Raises
    ------
    dagster.Failure
        What the step needs is not installed; jobs leave such steps out, so it was asked for by name.
    """
    from bioimage_assets.core.scratch import open_scratch
    from bioimage_assets.io_managers.plate_batch import PlateBatch

    try:
        require_step(step)
    except MissingExtraError as error:
        raise dg.Failure(say_error(error), allow_retries=False) from error
    asked = [name for name in step.names if dg.AssetKey(name) in context.selected_asset_keys]
    # A scan makes what was asked for; other steps make all their tables, since what one says is what the others hold.
    names = asked if step.is_scan else step.names
    with open_scratch() as scratch:
        batch = PlateBatch(context, project, step, names, scratch)
        for name in asked:
            output = context.output_for_asset_key(dg.AssetKey(name))
            yield dg.Output(batch, output_name=output, data_version=batch.data_version(name))
        batch.record_own(asked)


def _build_spec(step: StepSpec, table: TableSpec) -> dg.AssetSpec:
    is_automatic = step.dimension == "plate" and not step.is_scan and is_buildable(step)
    missing = "" if is_buildable(step) else f"Not built here: {say_install(step.extra)}."
    metadata: dict[str, object] = {
        "dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[_find_code(step)])
    }
    if table.home == "catalog":
        metadata["dagster/storage_kind"] = "iceberg"
    return dg.AssetSpec(
        table.name,
        description="\n\n".join(text for text in (table.summary, missing, step.details) if text),
        group_name=step.group,
        kinds=set(table.kinds),
        owners=OWNERS,
        code_version=str(table.version),
        automation_condition=follow_changes() if is_automatic else None,
        metadata=metadata,
    )


def _find_code(step: StepSpec) -> dg.LocalFileCodeReference:
    """The file of the function that builds the step, found without importing it."""
    module, _, function = step.build.partition(":")
    found = find_spec(module)
    assert found is not None, f"{module} of step {step.name} is there"
    return dg.LocalFileCodeReference(file_path=found.origin or module, label=function)


def _build_deps(step: StepSpec) -> list[str | dg.AssetDep]:
    """Assets that a step waits for: the stores where it reads files of them, tables, and those of all plates."""
    reads_files = "stores" in step.files or "measurements" in step.files
    own = [*(("image_stores",) if reads_files else ()), *step.inputs, *step.after]
    # Dagster's UI and daemon know no mapping from a plate to its dataset (docs/architecture.md).
    of_plates = [dg.AssetDep(name, partition_mapping=dg.AllPartitionMapping()) for name in step.of_plates]
    return [*own, *of_plates]


STEP_ASSETS = [build_step_asset(step) for step in STEPS]
