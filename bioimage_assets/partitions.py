"""The partition dimensions: plates, the datasets that plates roll up into, and the campaigns that datasets are named in."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import dagster as dg

import bioimage_assets.beta_warnings  # noqa: F401
from bioimage_assets.core.model.identity import dataset_of
from bioimage_assets.core.model.step_spec import Dimension

PLATES = dg.DynamicPartitionsDefinition(name="plates")
DATASETS = dg.DynamicPartitionsDefinition(name="datasets")
CAMPAIGNS = dg.DynamicPartitionsDefinition(name="campaigns")
PARTITIONS: dict[Dimension, dg.DynamicPartitionsDefinition] = {
    "plate": PLATES,
    "dataset": DATASETS,
    "campaign": CAMPAIGNS,
}


class RunContext(Protocol):
    """What is asked of the context of an asset, a check or a list of plates."""

    @property
    def has_partition_key(self) -> bool: ...
    @property
    def partition_key(self) -> str: ...
    @property
    def partition_keys(self) -> Sequence[str]: ...


def list_run_partitions(context: RunContext) -> list[str]:
    """Partitions of a run; the one of a run of one is named by the run itself.

    ``partition_keys`` looks every key of the range up in the instance's database, twice, each time that it is asked:
    a seventh of the time of a small plate.
    """
    return [context.partition_key] if context.has_partition_key else list(context.partition_keys)


def register_plates(instance: dg.DagsterInstance, plate_keys: list[str]) -> list[str]:
    """Add plates and their datasets as partitions; gives the plate keys that were new, sorted.

    Keys are validated first and added sorted, because a range of dynamic partitions follows the order
    in which they were added. Idempotent.
    """
    from bioimage_assets.core.model.identity import PlateKey

    for key in plate_keys:
        PlateKey.parse(key)
    known = set(instance.get_dynamic_partitions(PLATES.name or ""))
    new = sorted(set(plate_keys) - known)
    known_datasets = set(instance.get_dynamic_partitions(DATASETS.name or ""))
    new_datasets = sorted({dataset_of(key) for key in plate_keys} - known_datasets)
    if new_datasets:
        instance.add_dynamic_partitions(DATASETS.name or "", new_datasets)
    if new:
        instance.add_dynamic_partitions(PLATES.name or "", new)
    return new


def register_campaigns(instance: dg.DagsterInstance, keys: Iterable[str]) -> list[str]:
    """Add campaigns as partitions; gives those that were new, sorted. Idempotent."""
    new = sorted(set(keys) - set(instance.get_dynamic_partitions(CAMPAIGNS.name or "")))
    if new:
        instance.add_dynamic_partitions(CAMPAIGNS.name or "", new)
    return new
