"""The project as a Dagster resource: settings, stored tables and the plates of the watched roots."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from bioimage_assets.core.settings.project import (
    EMBEDDED_CATALOG,
    SETTINGS,
    ProjectSettings,
    read_project_settings,
)

if (
    TYPE_CHECKING
):  # Dagster reads the annotations of fields only, so those of methods may name heavy libraries
    from pyiceberg.catalog import Catalog

    from bioimage_assets.core.discovery.campaigns import CampaignPlates, FoundCampaigns
    from bioimage_assets.core.engines.engine import Engine
    from bioimage_assets.core.findings import Finding
    from bioimage_assets.core.model.plate_source import PlateSource
    from bioimage_assets.core.settings.campaign import CampaignSettings
    from bioimage_assets.core.settings.dataset import DatasetSettings
    from bioimage_assets.core.storage.tables import ProjectTables
    from bioimage_assets.core.warehouse.root import Warehouse


@lru_cache(maxsize=4)
def _read_settings(environ: tuple[tuple[str, str], ...]) -> ProjectSettings:
    """Settings of an environment; a run asks some eighty times per plate."""
    return read_project_settings(dict(environ))


def _setting(name: str) -> Any:
    variable, text = SETTINGS[name]
    return Field(default=None, description=f"{text} Without a value here: the variable {variable}.")


class ProjectResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # what an asset gets is the resource itself
    """Where data, catalog, warehouse and reports lie.

    A value that is not given here comes from the environment (``BIOIMAGE_*``) when it is asked for, not when the code
    is loaded: a run may be elsewhere than its launchpad. ``data_dir`` moves everything below one folder, whatever the
    environment says, as tests and notebooks like it. Whether sensors start switched on is settled when the code is
    loaded, so it is not a field.
    """

    data_dir: str | None = _setting("data_dir")
    incoming_uris: list[str] | None = _setting("incoming_uris")
    warehouse_uri: str | None = _setting("warehouse_uri")
    warehouse_layout: str | None = _setting("warehouse_layout")
    catalog_name: str | None = _setting("catalog_name")
    catalog_namespace: str | None = _setting("catalog_namespace")
    iceberg_tables: list[str] | None = _setting("iceberg_tables")
    reports_dir: str | None = _setting("reports_dir")
    browse_url: str | None = _setting("browse_url")
    virtual_plates_uri: str | None = _setting("virtual_plates_uri")
    quiet_period_s: float | None = _setting("quiet_period_s")
    max_hold_s: float | None = _setting("max_hold_s")
    completion_marker: str | None = _setting("completion_marker")
    storage_options: dict[str, str] | None = _setting("storage_options")
    max_head_requests: int | None = _setting("max_head_requests")
    max_plate_s: float | None = _setting("max_plate_s")
    keep_runs_days: float | None = _setting("keep_runs_days")
    strict: bool | None = _setting("strict")
    follow_symlinks: bool | None = _setting("follow_symlinks")
    pictures: bool | None = _setting("pictures")
    engine: str | None = _setting("engine")
    spark_remote: str | None = _setting("spark_remote")
    engine_memory_gb: float | None = _setting("engine_memory_gb")

    @property
    def settings(self) -> ProjectSettings:
        """Settings in force now."""
        import os

        given = dict(self._list_given())
        kept = {} if self.data_dir is not None else os.environ
        environ = {name: text for name, text in kept.items() if name.startswith("BIOIMAGE_")} | given
        return _read_settings(tuple(environ.items()))

    def _list_given(self) -> Iterator[tuple[str, str]]:
        """Fields that have a value as the variables that would say the same."""
        for name, (variable, _) in SETTINGS.items():
            value = getattr(self, name, None)
            if isinstance(value, dict):
                yield from ((variable.replace("*", key.upper()), text) for key, text in value.items())
            elif value is not None:
                yield variable, ",".join(value) if isinstance(value, list) else str(value)

    def warehouse(self) -> "Warehouse":
        """Open the Parquet warehouse root."""
        from bioimage_assets.core.warehouse.root import open_warehouse

        settings = self.settings
        return open_warehouse(
            settings.warehouse_uri,
            layout=settings.warehouse_layout,
            storage_options=dict(settings.storage_options),
        )

    def open_engine(self) -> "Engine":
        """Open what reduces tables over many plates."""
        from bioimage_assets.core.engines.open_engine import open_project_engine

        return open_project_engine(self.settings)

    def tables(self) -> "ProjectTables":
        """The door to all stored tables."""
        from bioimage_assets.core.storage.tables import ProjectTables

        return ProjectTables(self.settings, self.warehouse(), self.catalog)

    def dataset_settings(self, dataset_uri: str) -> "DatasetSettings":
        """Settings beside a dataset, in a bucket too; what they leave open and the project settles is filled in."""
        from bioimage_assets.core.discovery.of_project import read_filled_settings

        return read_filled_settings(self.settings, dataset_uri)

    def refused_settings(self, sources: "Iterable[PlateSource]") -> "dict[str, Finding]":
        """A finding for each dataset of these plates whose ``dataset.toml`` cannot be used."""
        from bioimage_assets.core.discovery.refused_settings import find_refused_settings

        return find_refused_settings(sources, self.dataset_settings)

    def campaigns(self) -> "FoundCampaigns":
        """The campaigns that the ``campaign.toml`` of each watched root defines, and what of them cannot be used."""
        from bioimage_assets.core.discovery.campaigns import read_campaigns

        settings = self.settings
        return read_campaigns(settings.incoming_uris, storage_options=settings.storage_options)

    def gather_campaign(
        self, campaign: "CampaignSettings", sources: "Iterable[PlateSource] | None" = None
    ) -> "CampaignPlates":
        """A campaign with its plates and the settings of its datasets; ``sources`` are all plates where they are known.

        SettingsError where the ``dataset.toml`` of one cannot be used.
        """
        from dataclasses import replace

        from bioimage_assets.core.discovery.campaigns import gather_campaign

        if sources is None:
            sources, _ = self.discover(campaign.datasets)
        found = gather_campaign(campaign, sources, self.dataset_settings)
        if found.settings.pictures is None and not self.settings.pictures:
            return replace(found, settings=replace(found.settings, pictures=False))
        return found

    def catalog(self) -> "Catalog":
        """Open the Iceberg catalog."""
        from bioimage_assets.core.catalog.session import open_catalog

        settings = self.settings
        if settings.catalog_name == EMBEDDED_CATALOG:
            return open_catalog(EMBEDDED_CATALOG, settings.catalog_properties)
        return open_catalog(settings.catalog_name)

    def discover(
        self, dataset_names: Iterable[str] | None = None
    ) -> "tuple[list[PlateSource], list[Finding]]":
        """Plates of all watched roots, sorted by key, and findings; a root that fails is a finding.

        Datasets are filtered by the dataset part of the partition key.
        """
        from bioimage_assets.core.discovery.roots import discover_roots

        settings = self.settings
        found = discover_roots(
            settings.incoming_uris, storage_options=settings.storage_options, datasets=dataset_names
        )
        return list(found.sources), list(found.findings)

    def plate_sources(self, plate_keys: Iterable[str]) -> "dict[str, PlateSource]":
        """Sources of the given plates; a plate whose store is gone is absent from the result."""
        from bioimage_assets.core.discovery.of_project import find_plate_sources

        return find_plate_sources(self.settings, plate_keys)
