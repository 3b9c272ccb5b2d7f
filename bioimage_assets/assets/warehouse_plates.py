"""Tables of plates into the warehouse root, one file per plate, with fingerprints that lead back to the run."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from bioimage_assets.assets.placed import add_text_columns, open_spooled
from bioimage_assets.assets.stored import remove_partition
from bioimage_assets.assets.table_of_plate import PlateTable, Watch
from bioimage_assets.core.errors import BioimageError
from bioimage_assets.resources.project import ProjectResource


def write_warehouse_plates(
    project: ProjectResource, name: str, plates: Mapping[str, PlateTable], *, run_id: str, watch: Watch
) -> tuple[dict[str, dict[str, Any]], dict[str, BioimageError]]:
    """Replace the plates' files; gives metadata per plate, and the errors of plates that keep the file they had.

    ``watch`` is entered for each plate while it is written.
    """
    written: dict[str, dict[str, Any]] = {}
    failures: dict[str, BioimageError] = {}
    for plate_key, table in plates.items():
        try:
            with watch(plate_key):
                rows = _replace(project, name, plate_key, table, run_id)
        except BioimageError as error:
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


def _replace(project: ProjectResource, name: str, plate_key: str, table: PlateTable, run_id: str) -> int:
    warehouse = project.warehouse()
    if table.data is None:
        remove_partition(warehouse, name, plate_key)
        return 0
    data = open_spooled(table.data() if callable(table.data) else table.data)
    result = warehouse.replace_partitions(
        name,
        add_text_columns(name, data),
        [plate_key],
        source_type="dagster_asset",
        source_ref=name,
        fingerprint=table.fingerprint,
        run_id=run_id,
        steps=table.steps,
    )
    return result.row_count
