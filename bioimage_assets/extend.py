"""Names for assets, checks and sensors of your own, beside the project's or in a Dagster project without plates.

See docs/your-assets.md and examples/lab_assets.py. Importing it loads Dagster, and no library of tables.
"""

import dagster as dg

from bioimage_assets.assets.steps import IO_MANAGERS, STEP_ASSETS
from bioimage_assets.automation import follow_changes
from bioimage_assets.checks.verdict import Verdict, evaluate_plates
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.model.table_specs import HOMES
from bioimage_assets.core.near_names import suggest_name
from bioimage_assets.io_managers.iceberg import IcebergIOManager
from bioimage_assets.io_managers.parquet_warehouse import ParquetWarehouseIOManager
from bioimage_assets.partitions import CAMPAIGNS, DATASETS, PLATES, register_plates
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets.sensors.changes import PlateChange, PlateChanges, plate_changes

__all__ = [
    "CAMPAIGNS",
    "DATASETS",
    "PLATES",
    "IcebergIOManager",
    "ParquetWarehouseIOManager",
    "PlateChange",
    "PlateChanges",
    "ProjectResource",
    "Verdict",
    "build_resources",
    "evaluate_plates",
    "follow_changes",
    "plate_changes",
    "register_plates",
    "table_spec",
]


def build_resources(
    project: ProjectResource | None = None,
) -> dict[str, ProjectResource | dg.ConfigurableIOManager]:
    """Resources ``project``, ``warehouse_io`` and ``iceberg_io`` for definitions of your own; without a project, that of the environment.

    Examples
    --------
    >>> sorted(build_resources(ProjectResource(data_dir="my-data")))
    ['iceberg_io', 'project', 'warehouse_io']
    """
    project = project or ProjectResource()
    return {
        "project": project,
        "iceberg_io": IcebergIOManager(project=project),
        "warehouse_io": ParquetWarehouseIOManager(project=project),
    }


def table_spec(name: str) -> dg.AssetSpec:
    """A table of the project for a code location of your own: with it Dagster there knows its partitions and how it is loaded.

    In ``bioimage_assets/defs/`` the tables themselves are there. UsageError for a name that is none of them.

    Examples
    --------
    >>> table_spec("joined_profiles").partitions_def.name
    'plates'
    """
    for assets in STEP_ASSETS:
        for spec in assets.specs:
            if spec.key.path == [name]:
                table = dg.AssetSpec(
                    name,
                    description=spec.description,
                    group_name=spec.group_name,
                    kinds=spec.kinds,
                    partitions_def=assets.partitions_def,
                )
                return table.with_io_manager_key(IO_MANAGERS[HOMES[name]])
    known = sorted(key.path[-1] for assets in STEP_ASSETS for key in assets.keys)
    raise UsageError(
        f"{name!r} is no table of the project.{suggest_name(name, known)} Its tables are {', '.join(known)}."
    )
