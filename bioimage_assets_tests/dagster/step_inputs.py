"""Inputs of one step, as a run gives them, for tests that call the function of a step by hand."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from bioimage_assets.checks.inputs import CheckInputs
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.core.storage.step_inputs import StepInputs
from bioimage_assets.core.storage.write import replace_tables
from bioimage_assets.resources.project import ProjectResource

NOWHERE = Path("/nonexistent/scratch")


def give_inputs(
    project: ProjectResource, partition: str, scratch: Path = NOWHERE, asked: Sequence[str] = ()
) -> StepInputs:
    """Inputs of a plate, or of a dataset, as it is in the watched roots."""
    if "/" in partition:
        sources = [project.plate_sources([partition])[partition]]
    else:
        sources, _ = project.discover([partition])
    settings = project.dataset_settings(sources[0].dataset_uri)
    return StepInputs(project.tables(), partition, tuple(sources), settings, scratch, tuple(asked))


def give_check_inputs(project: ProjectResource, plate_key: str) -> CheckInputs:
    """What a check of a plate is given."""
    return CheckInputs(
        project, project.tables(), plate_key, project.plate_sources([plate_key]).get(plate_key)
    )


def store_table(project: ProjectResource, name: str, partition: str, table: PlateTable) -> None:
    """Store a table where the settings keep it."""
    _, failures = replace_tables(
        project.tables(), name, {partition: table}, run_id="run", watch=lambda key: nullcontext()
    )
    assert not failures
