"""Inputs of one step, as a run gives them, for tests that call the function of a step by hand; and what steps left."""

import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path

import dagster as dg
import pytest

from bioimage_assets.checks.inputs import CheckInputs
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.identity import dimension_of
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.core.storage.standing_findings import read_finding_rows
from bioimage_assets.core.storage.step_findings import NAME, list_step_keys
from bioimage_assets.core.storage.step_inputs import StepInputs
from bioimage_assets.core.storage.write import replace_tables
from bioimage_assets.core.warehouse.root import Warehouse
from bioimage_assets.headless import materialize_plates
from bioimage_assets.io_managers.partition_files import PartitionFiles, find_files
from bioimage_assets.resources.project import ProjectResource

NOWHERE = Path("/nonexistent/scratch")


def give_inputs(
    project: ProjectResource, partition: str, scratch: Path = NOWHERE, asked: Sequence[str] = ()
) -> StepInputs:
    """Inputs of a plate, of a dataset or of a campaign, as it is in the watched roots."""
    found = find_files(project, dimension_of(partition), [partition])[partition]
    assert isinstance(found, PartitionFiles), found
    return StepInputs(project.tables(), partition, found.sources, found.settings, scratch, tuple(asked))


def record_settings(settings: DatasetSettings) -> tuple[DatasetSettings, set[str]]:
    """The same settings, of a dataset or a campaign, and the names of those that are asked for from now on."""
    names, asked = {field.name for field in fields(settings)}, set()

    class Recorded(type(settings)):
        __slots__ = ()

        def __getattribute__(self, name: str):
            if name in names:
                asked.add(name)
            return super().__getattribute__(name)

    return Recorded(**{name: getattr(settings, name) for name in names}), asked


def give_check_inputs(project: ProjectResource, plate_key: str) -> CheckInputs:
    """What a check of a plate is given."""
    return CheckInputs(
        project, project.tables(), plate_key, lambda: project.plate_sources([plate_key]).get(plate_key)
    )


def store_table(project: ProjectResource, name: str, partition: str, table: PlateTable) -> None:
    """Store a table where the settings keep it."""
    _, failures = replace_tables(
        project.tables(), name, {partition: table}, run_id="run", watch=lambda key: nullcontext()
    )
    assert not failures


def read_findings(warehouse: Warehouse, partition: str) -> tuple[Finding, ...]:
    """What all steps found about a plate or dataset, as it is stored."""
    keys = list_step_keys(warehouse, NAME, partition)
    return tuple(read_finding_rows(warehouse.read(NAME, plate_keys=keys))) if keys else ()


def build_one_plate(screens: Path, folder: Path) -> Path:
    """Build a project of one plate of the demo's in ``folder``, beside its instance."""
    shutil.copytree(screens, folder / "incoming", ignore=shutil.ignore_patterns("screen-a", "SB-P1*"))
    (folder / "instance").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIOIMAGE_DATA_DIR", str(folder))
        assert materialize_plates(dg.DagsterInstance.local_temp(str(folder / "instance"))).is_ok
    return folder
