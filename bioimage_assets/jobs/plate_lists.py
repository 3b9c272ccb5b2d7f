"""The job that builds the plates of a list, whatever their order, in one run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from bioimage_assets.core.model.left_out import list_buildable
from bioimage_assets.core.model.step_spec import StepSpec
from bioimage_assets.resources.project import ProjectResource

JOB_NAME = "plates_by_list"
TAKE_OP = "take_list"
END_OP = "end_list"
# So many plates are stored together, and in a run that something of ours requests.
PLATES_PER_RUN = 50


class PlateListConfig(dg.Config):
    """Plates to build, or what failed last, and of which tables."""

    plates: list[str] = Field(default=[], description="Plates, in any order: <dataset>/<plate>.")
    failed: bool = Field(default=False, description="Plates that failed last or were left undone, too.")
    tables: list[str] = Field(default=[], description="Tables of plates; all where none is named.")


@dg.op(name=TAKE_OP, out={"stale": dg.Out(dg.Nothing, is_required=False)})
def take_list(
    context: dg.OpExecutionContext, config: PlateListConfig, project: ProjectResource
) -> Iterator[dg.Output[None]]:
    """Look which plates of the list need work. Where none does, the run ends here."""
    from bioimage_assets.plate_lists import begin_list, list_plates

    plates = list_plates(context, project, config.plates, with_failed=config.failed)
    if begin_list(context, project, plates, config.tables):
        yield dg.Output(None, "stale")


def _build_step_op(step: StepSpec) -> dg.OpDefinition:
    @dg.op(
        name=f"{step.name}_of_list",
        description=f"{', '.join(step.names)} of the plates of the list that need them.",
        ins={"before": dg.In(dg.Nothing)},
        out=dg.Out(dg.Nothing),
        pool=step.pool,
    )
    def run(context: dg.OpExecutionContext, project: ProjectResource) -> None:
        from bioimage_assets.plate_lists import run_listed_step

        run_listed_step(context, project, step)

    return run


@dg.op(name=END_OP, ins={"before": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing))
def end_list(context: dg.OpExecutionContext, project: ProjectResource) -> None:
    """Say which plates failed, and why; all others are built to the end."""
    from bioimage_assets import plate_lists

    plate_lists.end_list(context, project)


@dg.job(
    name=JOB_NAME,
    description="Plates of a list, in one run, whatever their order: those that are up to date are left alone, one that "
    "fails leaves the others. In the launchpad: ops: {take_list: {config: {plates: [screen/P1, screen/P7]}}}.",
)
def plates_by_list() -> None:
    """Step after step for all plates of the list."""
    done: Any = take_list()
    for step in list_buildable("plate"):
        # As the asset's step is called, so that words about a step are the same.
        done = _build_step_op(step).alias(step.name)(before=done)
    end_list(before=done)


def build_list_config(plates: Sequence[str], tables: Sequence[str] = ()) -> dict[str, object]:
    """Run configuration that names the plates and tables."""
    return {"ops": {TAKE_OP: {"config": {"plates": list(plates), "tables": list(tables)}}}}


def read_list_config(run: dg.DagsterRun) -> list[str]:
    """Plates that a run of the job was given; none for other runs."""
    given: Any = run.run_config
    for name in ("ops", TAKE_OP, "config", "plates"):
        given = given.get(name) if isinstance(given, Mapping) else None
    return [str(key) for key in given or ()] if run.job_name == JOB_NAME else []
