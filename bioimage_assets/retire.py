"""Retire plates and campaigns: what is stored of them is counted and removed, then the partitions are forgotten."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from bioimage_assets.core.model.identity import dataset_of, dimension_of
from bioimage_assets.partitions import PARTITIONS
from bioimage_assets.resources.project import ProjectResource

if TYPE_CHECKING:
    from bioimage_assets.core.storage.state import StorageState


@dataclass(frozen=True, slots=True)
class Retirement:
    """What is known of one plate or campaign, or of a dataset that goes with its last plate.

    Parameters
    ----------
    row_count, table_count
        Rows in catalog and warehouse, and tables that have any.
    has_page
        There is a report page.
    has_notes
        Steps noted something about it: why it failed, what they found, what they built.
    is_registered
        Dagster knows the partition.
    still_at
        Where its images, else its measurements, lie in a watched root; for a campaign the file that defines it.
    """

    partition: str
    row_count: int
    table_count: int
    has_page: bool
    has_notes: bool
    is_registered: bool
    still_at: tuple[str, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether there is anything to remove; a dataset goes with its last plate, not by its name."""
        is_named = dimension_of(self.partition) != "dataset"
        return is_named and bool(self.table_count or self.has_page or self.has_notes or self.is_registered)


@dataclass(frozen=True, slots=True)
class RetirementPlan:
    """What goes: the plates and campaigns that were asked for, and the datasets that are left without a plate.

    ``known`` are the keys of all plates and campaigns that there are.
    """

    asked: tuple[Retirement, ...]
    emptied: tuple[Retirement, ...]
    known: tuple[str, ...]


def plan_retirement(
    instance: dg.DagsterInstance, project: ProjectResource, keys: Sequence[str]
) -> RetirementPlan:
    """What retiring would remove of each key; changes nothing."""
    from bioimage_assets.core.storage.built_tables import NAME as BUILT
    from bioimage_assets.core.storage.pages import locate_page
    from bioimage_assets.core.storage.state import look_at_stored
    from bioimage_assets.core.storage.step_findings import NAME as FOUND
    from bioimage_assets.core.storage.step_findings import list_step_keys

    stored, warehouse = look_at_stored(project.tables()), project.warehouse()
    here = {
        source.plate_key: (*source.store_uris, *source.measurement_uris)[:1]
        for source in project.discover()[0]
    }
    here |= {key: (found.file_uri,) for key, found in project.campaigns().campaigns.items()}
    registered = _list_registered(instance)
    named = {*registered, *instance.get_dynamic_partitions(PARTITIONS["dataset"].name or "")}

    def describe(key: str) -> Retirement:
        counts = _count_rows(stored, key)
        has_page = locate_page(project.settings.reports_dir, key).exists()
        has_notes = any(list_step_keys(warehouse, name, key) for name in (FOUND, BUILT))
        return Retirement(
            key, sum(counts), sum(map(bool, counts)), has_page, has_notes, key in named, here.get(key, ())
        )

    emptied = _find_emptied(keys, {*stored.plates, *registered})
    return RetirementPlan(
        tuple(map(describe, keys)),
        tuple(map(describe, emptied)),
        tuple(sorted({*stored.plates, *registered})),
    )


def _list_registered(instance: dg.DagsterInstance) -> set[str]:
    names = [PARTITIONS[dimension].name or "" for dimension in ("plate", "campaign")]
    return {key for name in names for key in instance.get_dynamic_partitions(name)}


def _count_rows(stored: "StorageState", key: str) -> list[int]:
    """Rows of a partition in each table that has it, bookkeeping of steps aside."""
    in_catalog = [found.rows[key] for found in stored.catalog.values() if key in found.rows]
    return in_catalog + [parts[key].row_count for parts in stored.warehouse.listed.values() if key in parts]


def retire_plates(instance: dg.DagsterInstance, project: ProjectResource, plate_keys: list[str]) -> list[str]:
    """Remove all that is stored of the plates, or campaigns, then forget the partitions. Idempotent.

    A dataset that is left without a plate goes, too: before its last plate, so that a call that was stopped can be made
    again. The event log says that a plate was taken out, so that the sensor takes it as a new one where its files are
    there, or come back.
    """
    from bioimage_assets.core.storage.remove_plates import remove_plates
    from bioimage_assets.core.storage.state import look_at_stored
    from bioimage_assets.sensors.store_events import build_removed_event, read_version

    stored = look_at_stored(project.tables())
    emptied = _find_emptied(plate_keys, {*stored.plates, *_list_registered(instance)})
    for keys in (emptied, plate_keys):
        remove_plates(project.tables(), keys)
        for key in keys:
            _forget(instance, key)
            if dimension_of(key) == "plate" and read_version(instance, key) is not None:
                instance.report_runless_asset_event(build_removed_event(key))
    return sorted(plate_keys)


def _forget(instance: dg.DagsterInstance, key: str) -> None:
    instance.delete_dynamic_partition(PARTITIONS[dimension_of(key)].name or "", key)


def _find_emptied(plate_keys: Collection[str], known: Collection[str]) -> list[str]:
    """Datasets of some plates of which no other plate is known, that is stored or registered."""
    datasets = {dataset_of(key) for key in plate_keys if dimension_of(key) == "plate"}
    return sorted(datasets - {dataset_of(key) for key in known if key not in plate_keys})
