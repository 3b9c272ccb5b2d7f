"""What a caller names (plates, datasets, a campaign) in; keys of the stored plates that are meant, and settings of their datasets, out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow.compute as pc

from bioimage_assets.core.anndata.plate_rows import CELLS, WELLS, Level
from bioimage_assets.core.discovery.campaigns import read_campaigns, require_campaign_named
from bioimage_assets.core.discovery.of_project import find_plate_sources, read_filled_settings
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.model.identity import build_campaign_key, dataset_of
from bioimage_assets.core.near_names import suggest_name, suggest_plate
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.storage.tables import ProjectTables

_SHOWN = 4  # keys in a message


@dataclass(frozen=True, slots=True)
class PlateChoice:
    """Plates by key, all of some datasets, all of a campaign's; nothing named is all that is stored."""

    plates: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    campaign: str | None = None


def choose_plates(tables: ProjectTables, level: Level, choice: PlateChoice) -> tuple[str, ...]:
    """Keys of the plates that have rows and are meant, and of those that were named themselves, each once.

    Raises
    ------
    UsageError
        No such dataset or campaign, or nothing of it is stored.
    """
    stored = _list_stored(tables, CELLS if level == "cells" else WELLS)
    datasets = list(choice.datasets)
    if choice.campaign is not None:
        datasets += _find_datasets(tables, choice.campaign)
    if not choice.plates and not datasets:
        return stored
    keys = list(choice.plates)
    if keys and not set(keys) & {*stored}:
        raise UsageError(
            f"No {level} of {', '.join(keys[:_SHOWN])} are stored; materialize them first.{suggest_plate(keys[0], stored)}"
        )
    for dataset in datasets:
        found = [key for key in stored if dataset_of(key) == dataset]
        if not found:
            known = sorted({dataset_of(key) for key in stored})
            raise UsageError(
                f"No {level} of dataset {dataset!r} are stored; datasets with {level}: {', '.join(known) or 'none'}."
                f"{suggest_name(dataset, known)}"
            )
        keys += found
    return tuple(dict.fromkeys(keys))


def find_settings(tables: ProjectTables, plate_keys: Sequence[str]) -> dict[str, DatasetSettings]:
    """Settings of the datasets of some plates by name; those that lie in no watched root any more are left out."""
    sources = find_plate_sources(tables.settings, plate_keys)
    places = {dataset_of(key): source.dataset_uri for key, source in sorted(sources.items())}
    return {name: read_filled_settings(tables.settings, uri) for name, uri in places.items()}


def _find_datasets(tables: ProjectTables, campaign: str) -> tuple[str, ...]:
    settings = tables.settings
    found = read_campaigns(settings.incoming_uris, storage_options=settings.storage_options)
    return require_campaign_named(found, build_campaign_key(campaign.removeprefix("campaign:"))).datasets


def _list_stored(tables: ProjectTables, name: str) -> tuple[str, ...]:
    """Keys of all plates that have rows of a table, sorted; none where nothing was ever stored."""
    if not tables.is_in_catalog(name):
        return tables.warehouse.partitions_with_rows(name) if tables.warehouse.has_table(name) else ()
    if not tables.is_catalog_there():
        return ()
    catalog, identifier = tables.identify(name)
    if not catalog.table_exists(identifier):
        return ()
    keys = catalog.load_table(identifier).scan(selected_fields=("plate_key",)).to_arrow()["plate_key"]
    return tuple(sorted(pc.unique(keys).to_pylist()))
