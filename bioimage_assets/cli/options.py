"""Options that several commands share, and what their values mean here.

Defaults come from the project's settings (``BIOIMAGE_*``), so every option that the seeds require may be left out.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
from click.core import ParameterSource

from bioimage_assets.cli.command import PLACE, argument, flag, option
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.settings.project import EMBEDDED_CATALOG, NO_CATALOG, read_project_settings
from bioimage_assets.core.storage_options import FOLLOW_VARIABLE

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from bioimage_assets.core.model.scan import ScanOptions
    from bioimage_assets.core.warehouse.root import Warehouse


def get_storage_options() -> dict[str, str]:
    """What the settings pass to the object-store client."""
    return dict(read_project_settings().storage_options)


def _choose_catalog(_: click.Context, __: click.Parameter, name: str | None) -> str:
    return name or read_project_settings().catalog_name


def _choose_namespace(_: click.Context, __: click.Parameter, name: str | None) -> str:
    return name or read_project_settings().catalog_namespace


def _load_aliases(_: click.Context, __: click.Parameter, path: str | None) -> dict[str, Any] | None:
    if path is None:
        return None
    from bioimage_assets.core.joins.aliases import load_profile_column_aliases

    return dict(load_profile_column_aliases(path))


def _follow_symlinks(_: click.Context, __: click.Parameter, is_wanted: bool) -> bool:
    """Say it to this process and those that it starts, as the variable would have done."""
    if is_wanted:
        os.environ[FOLLOW_VARIABLE] = "on"
    return is_wanted


_CATALOG = "'embedded', or a catalog that PyIceberg knows (default: BIOIMAGE_CATALOG, else 'embedded')"
_NAMESPACE = "namespace of the tables (default: BIOIMAGE_NAMESPACE, else 'bioimage.cytotable')"
_WAREHOUSE = (
    "warehouse root, local or in an object store (default: BIOIMAGE_WAREHOUSE, else 'data/warehouse')"
)
_HEAD = "a web server cannot list: ask it for each chunk of a Zarr store of at most N (default: BIOIMAGE_MAX_HEAD_REQUESTS, else 0)"
_ALIASES = "file with [microscopy.aliases]: further names of the key columns"
_PROFILE_DATASET = "dataset of profile rows that do not name one themselves"

Json = Annotated[bool, flag("print JSON", "--json")]
Strict = Annotated[
    bool,
    flag(
        "exit code 1 where a finding of level error stands (default: BIOIMAGE_STRICT, or the dataset's [checks] strict)"
    ),
]
FollowSymlinks = Annotated[
    bool,
    flag(
        "follow links that lead out of a store, and links to folders (default: BIOIMAGE_FOLLOW_SYMLINKS)",
        callback=_follow_symlinks,
    ),
]
Store = Annotated[str, argument("URI", "store, local or in an object store", type=PLACE)]
Profiles = Annotated[str, argument("PROFILES", "Parquet or CSV file, folder or glob pattern", type=PLACE)]
DatasetId = Annotated[str | None, option("ID", "dataset of the store (default: its name)")]
MaxHeadRequests = Annotated[int | None, option("N", _HEAD, type=click.IntRange(min=0))]
TableName = Annotated[str, option("TABLE", "name of the table")]


@dataclass(frozen=True, slots=True)
class CatalogChoice:
    """The catalog and the namespace that a command works in."""

    name: Annotated[str, option("NAME", _CATALOG, "--catalog", default=None, callback=_choose_catalog)]
    namespace: Annotated[str, option("NAME", _NAMESPACE, default=None, callback=_choose_namespace)]

    @property
    def is_named(self) -> bool:
        """Whether the command line names it."""
        context = click.get_current_context()
        params = (param for param in context.command.params if "--catalog" in param.opts)
        return any(
            context.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE for param in params
        )

    def beside(self, warehouse: WarehouseChoice) -> CatalogChoice:
        """What a reader of this root asks: the catalog that is named, else the project's, for its own root only."""
        if self.is_named:
            return self
        return replace(self, name=read_project_settings().at_root(warehouse.root).catalog_name)

    @property
    def has_started(self) -> bool:
        """Whether it may hold tables; the embedded one is made by its first writer, not by a reader."""
        if self.name != EMBEDDED_CATALOG:
            return self.name != NO_CATALOG
        from bioimage_assets.core.catalog.session import sqlite_path

        path = sqlite_path(str(read_project_settings().catalog_properties.get("uri", "")))
        return path is None or path.exists()

    def require(self) -> tuple[str, str]:
        """Name and namespace, as the functions of ``core.catalog`` take them; UsageError where there is no catalog."""
        if self.name == NO_CATALOG:
            raise UsageError(
                "This project keeps no catalog (BIOIMAGE_CATALOG=none); name one with --catalog."
            )
        return self.name, self.namespace

    def open(self) -> Catalog:
        """Open it as a PyIceberg object."""
        from bioimage_assets.core.catalog.session import open_catalog

        return open_catalog(self.require()[0])


@dataclass(frozen=True, slots=True)
class WarehouseChoice:
    """The warehouse root that a command works in: the one it is given, else that of the settings."""

    warehouse_root: Annotated[str | None, option("ROOT", _WAREHOUSE, type=PLACE)] = None

    @property
    def root(self) -> str:
        """Path or URI."""
        return self.warehouse_root or read_project_settings().warehouse_uri

    def is_there(self) -> bool:
        """Whether there is a root to look into; UsageError where the command line names one that is not there."""
        is_there = "://" in self.root or Path(self.root).is_dir()
        if not is_there and self.warehouse_root is not None:
            raise UsageError(f"There is no warehouse root at {self.root}.")
        return is_there

    def open(self) -> Warehouse:
        """Open it; nothing is created."""
        from bioimage_assets.core.warehouse.root import open_warehouse

        return open_warehouse(self.root, storage_options=get_storage_options())

    def open_existing(self) -> Warehouse:
        """Open it; UsageError where a local one is not there."""
        if "://" not in self.root and not Path(self.root).is_dir():
            raise UsageError(
                f"There is no warehouse root at {self.root}; name one, or set BIOIMAGE_WAREHOUSE."
            )
        return self.open()


@dataclass(frozen=True, slots=True)
class ProfileKeys:
    """How the keys of a profile table are read."""

    profile_dataset_id: Annotated[str | None, option("ID", _PROFILE_DATASET)] = None
    alias_map: Annotated[
        dict[str, Any] | None, option("TOML", _ALIASES, "--aliases", type=PLACE, callback=_load_aliases)
    ] = None

    @property
    def keywords(self) -> dict[str, Any]:
        """The same as the functions of ``core.public_api`` take it."""
        return {"profile_dataset_id": self.profile_dataset_id, "alias_map": self.alias_map}


def build_scan_options(dataset_id: str | None = None, max_head_requests: int | None = None) -> ScanOptions:
    """Scan options of this environment, with what the command line says."""
    from bioimage_assets.core.model.scan import ScanOptions

    settings = read_project_settings()
    return ScanOptions(
        dataset_id=dataset_id,
        max_head_requests=settings.max_head_requests if max_head_requests is None else max_head_requests,
        follow_symlinks=settings.follow_symlinks,
        storage_options=dict(settings.storage_options),
    )
