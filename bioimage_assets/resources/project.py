"""The project as a Dagster resource: settings, stored tables and the plates of the watched roots."""

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

import dagster as dg

from bioimage_assets.core.settings.project import EMBEDDED_CATALOG, ProjectSettings, read_project_settings

if (
    TYPE_CHECKING
):  # Dagster reads the annotations of fields only, so those of methods may name heavy libraries
    from pyiceberg.catalog import Catalog

    from bioimage_assets.core.findings import Finding
    from bioimage_assets.core.model.plate_source import PlateSource
    from bioimage_assets.core.settings.dataset import DatasetSettings
    from bioimage_assets.core.warehouse.root import Warehouse


@lru_cache(maxsize=4)
def _read_settings(environ: tuple[tuple[str, str], ...]) -> ProjectSettings:
    """Settings of an environment; a run asks some eighty times per plate."""
    return read_project_settings(dict(environ))


class ProjectResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # what an asset gets is the resource itself
    """Where data, catalog, warehouse and reports lie.

    Every value comes from the environment (``BIOIMAGE_*``, see ``core.settings.project``) when it is
    asked for, not when the code is loaded. ``data_dir`` set here moves everything below one folder, as
    tests and notebooks like it.
    """

    data_dir: str | None = None

    @property
    def settings(self) -> ProjectSettings:
        """Settings in force now."""
        import os

        if self.data_dir is not None:
            return _read_settings((("BIOIMAGE_DATA_DIR", self.data_dir),))
        return _read_settings(tuple(item for item in os.environ.items() if item[0].startswith("BIOIMAGE_")))

    def warehouse(self) -> "Warehouse":
        """Open the Parquet warehouse root."""
        from bioimage_assets.core.warehouse.root import open_warehouse

        settings = self.settings
        return open_warehouse(
            settings.warehouse_uri,
            layout=settings.warehouse_layout,
            storage_options=dict(settings.storage_options),
        )

    def dataset_settings(self, dataset_uri: str) -> "DatasetSettings":
        """Settings beside a dataset, in a bucket too."""
        from bioimage_assets.core.discovery.dataset_file import read_dataset_settings

        return read_dataset_settings(dataset_uri, storage_options=self.settings.storage_options)

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
        from bioimage_assets.core.discovery.roots import discover_roots

        wanted, settings = set(plate_keys), self.settings
        found = discover_roots(
            settings.incoming_uris,
            storage_options=settings.storage_options,
            datasets={key.split("/", 1)[0] for key in wanted},
            plate_keys=wanted,
        )
        return {source.plate_key: source for source in found.sources}
