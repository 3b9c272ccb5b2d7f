"""Retire plates and campaigns: their stored rows are removed, then the partitions are forgotten."""

import dagster as dg

from bioimage_assets.core.model.identity import dimension_of
from bioimage_assets.partitions import PARTITIONS
from bioimage_assets.resources.project import ProjectResource


def retire_plates(instance: dg.DagsterInstance, project: ProjectResource, plate_keys: list[str]) -> list[str]:
    """Remove all rows of the plates, or campaigns, from catalog and warehouse, then forget the partitions. Idempotent."""
    from bioimage_assets.core.storage.remove_plates import remove_plates

    remove_plates(project.tables(), plate_keys)
    for key in plate_keys:
        instance.delete_dynamic_partition(PARTITIONS[dimension_of(key)].name or "", key)
    return sorted(plate_keys)
