"""Retire plates: their stored rows are removed, then the partitions are forgotten."""

import dagster as dg

from bioimage_assets.partitions import PLATES
from bioimage_assets.resources.project import ProjectResource


def retire_plates(instance: dg.DagsterInstance, project: ProjectResource, plate_keys: list[str]) -> list[str]:
    """Remove all rows of the plates from catalog and warehouse, then forget the partitions. Idempotent."""
    from bioimage_assets.core.storage.remove_plates import remove_plates

    remove_plates(project.tables(), plate_keys)
    for key in plate_keys:
        instance.delete_dynamic_partition(PLATES.name or "", key)
    return sorted(plate_keys)
