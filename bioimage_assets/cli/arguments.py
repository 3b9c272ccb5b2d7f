"""Flags that several commands share, and what their values mean here.

Defaults come from the project's settings (``BIOIMAGE_*``), so every flag that the seeds require may be left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.settings.project import (
    EMBEDDED_CATALOG,
    NO_CATALOG,
    ProjectSettings,
    read_project_settings,
)

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from bioimage_assets.core.model.scan import ScanOptions

# Namespaces of the tables that the export commands write by themselves.
EXPORT_NAMESPACES = {"image_assets": "images", "chunk_index": "images", "joined_profiles": "profiles"}


def add_command(commands: Any, name: str, text: str, handler: Any) -> argparse.ArgumentParser:
    """Add one command with its handler and ``--json``."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=f"{_sentence(text)}.")
    parser.set_defaults(handler=handler)
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def add_catalog_flags(parser: argparse.ArgumentParser) -> None:
    """Add ``--catalog`` and ``--namespace``."""
    parser.add_argument(
        "--catalog",
        metavar="NAME",
        help="'embedded', or a catalog that PyIceberg knows (default: BIOIMAGE_CATALOG, else 'embedded')",
    )
    parser.add_argument(
        "--namespace",
        metavar="NAME",
        help="namespace of the tables (default: BIOIMAGE_NAMESPACE, else 'bioimage.cytotable')",
    )


def add_warehouse_flag(parser: argparse.ArgumentParser, *, is_positional: bool = False) -> None:
    """Add the warehouse root as a flag, or as an argument that may be left out."""
    text = "warehouse root, local or in an object store (default: BIOIMAGE_WAREHOUSE, else 'data/warehouse')"
    if is_positional:
        parser.add_argument("warehouse_root", nargs="?", metavar="ROOT", help=text)
    else:
        parser.add_argument("--warehouse-root", metavar="ROOT", help=text)


def add_export_flags(parser: argparse.ArgumentParser, *, mode: str) -> None:
    """Add what all exports take: root, layout, mode, dataset of the profiles, aliases."""
    add_warehouse_flag(parser)
    parser.add_argument(
        "--layout", choices=("flat", "namespaced"), help="layout of a new root; an existing one keeps its own"
    )
    parser.add_argument(
        "--mode",
        choices=("overwrite", "append"),
        default=mode,
        help=f"replace the table, or add rows (default: {mode})",
    )
    add_profile_flags(parser)


def add_profile_flags(parser: argparse.ArgumentParser) -> None:
    """Add how to read the keys of a profile table."""
    parser.add_argument(
        "--profile-dataset-id", metavar="ID", help="dataset of profile rows that do not name one themselves"
    )
    parser.add_argument(
        "--aliases", metavar="TOML", help="file with [microscopy.aliases]: further names of the key columns"
    )


def add_dataset_flag(parser: argparse.ArgumentParser) -> None:
    """Add ``--dataset-id``."""
    parser.add_argument("--dataset-id", metavar="ID", help="dataset of the store (default: its name)")


def add_chunk_flag(parser: argparse.ArgumentParser) -> None:
    """Add ``--max-head-requests``."""
    parser.add_argument(
        "--max-head-requests",
        type=int,
        metavar="N",
        help="a web server cannot list: ask it for each chunk of a Zarr store of at most N "
        "(default: BIOIMAGE_MAX_HEAD_REQUESTS, else 0)",
    )


def get_settings() -> ProjectSettings:
    """Settings of the project in this environment."""
    return read_project_settings()


def get_catalog_name(arguments: argparse.Namespace) -> str:
    """Name of the catalog that was asked for; UsageError where there is none."""
    name: str = arguments.catalog or get_settings().catalog_name
    if name == NO_CATALOG:
        raise UsageError("This project keeps no catalog (BIOIMAGE_CATALOG=none); name one with --catalog.")
    return name


def get_namespace(arguments: argparse.Namespace) -> str:
    """Namespace that was asked for."""
    return arguments.namespace or get_settings().catalog_namespace


def open_named_catalog(arguments: argparse.Namespace) -> Catalog:
    """Open the catalog that was asked for, as a PyIceberg object."""
    from bioimage_assets.core.catalog.session import open_catalog

    return open_catalog(get_catalog_name(arguments))


def is_catalog_started(name: str) -> bool:
    """Whether a catalog may hold tables; the embedded one is made by its first writer, not by a reader."""
    if name != EMBEDDED_CATALOG:
        return True
    from bioimage_assets.core.catalog.session import sqlite_path

    path = sqlite_path(str(get_settings().catalog_properties.get("uri", "")))
    return path is None or path.exists()


def get_warehouse_root(arguments: argparse.Namespace) -> str:
    """Root that was asked for."""
    return arguments.warehouse_root or get_settings().warehouse_uri


def open_existing_warehouse(arguments: argparse.Namespace) -> Any:
    """Open a root that must be there; UsageError where a local one is not."""
    from bioimage_assets.core.warehouse.root import open_warehouse

    root = get_warehouse_root(arguments)
    if "://" not in root and not Path(root).is_dir():
        raise UsageError(f"There is no warehouse root at {root}; name one, or set BIOIMAGE_WAREHOUSE.")
    return open_warehouse(root, storage_options=dict(get_settings().storage_options))


def name_export_tables(arguments: argparse.Namespace, *names: tuple[str, str]) -> list[str]:
    """Names for the export functions; a new namespaced root gets dotted ones.

    ``names`` are (table name, namespace) pairs. UsageError where ``--layout`` contradicts an existing root.
    """
    from bioimage_assets.core.warehouse.manifest.detect import detect_layout
    from bioimage_assets.core.warehouse.root import open_warehouse

    root = get_warehouse_root(arguments)
    settings = get_settings()
    found = detect_layout(open_warehouse(root, storage_options=dict(settings.storage_options)).files_at)
    if found is not None and arguments.layout not in (None, found):
        raise UsageError(
            f"The root {root} has the {found} layout; 'bioimage-assets convert-layout {root} {arguments.layout}' "
            "moves data and manifest."
        )
    layout: Literal["flat", "namespaced"] = found or arguments.layout or settings.warehouse_layout
    if found is None and layout == "namespaced":
        return [name if "." in name else f"{space}.{name}" for name, space in names]
    return [name for name, _ in names]


def load_aliases(arguments: argparse.Namespace) -> dict[str, object] | None:
    """Aliases of ``--aliases``, None without it."""
    if arguments.aliases is None:
        return None
    from bioimage_assets.core.joins.aliases import load_profile_column_aliases

    return dict(load_profile_column_aliases(arguments.aliases))


def build_scan_options(arguments: argparse.Namespace) -> ScanOptions:
    """Scan options of this environment, with ``--dataset-id`` and ``--max-head-requests`` where the command has them."""
    from bioimage_assets.core.model.scan import ScanOptions

    settings = get_settings()
    asked = getattr(arguments, "max_head_requests", None)
    if asked is not None and asked < 0:
        raise UsageError(f"--max-head-requests {asked}: expected 0 or more.")
    return ScanOptions(
        dataset_id=getattr(arguments, "dataset_id", None),
        max_head_requests=settings.max_head_requests if asked is None else asked,
        storage_options=dict(settings.storage_options),
    )
