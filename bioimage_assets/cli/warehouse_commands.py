"""Commands that write, check and convert a Cytomining warehouse root."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import click

from bioimage_assets.cli.command import PLACE, argument, command, flag, option
from bioimage_assets.cli.options import (
    CatalogChoice,
    DatasetId,
    FollowSymlinks,
    Json,
    MaxHeadRequests,
    ProfileKeys,
    Profiles,
    Store,
    TableName,
    WarehouseChoice,
    build_scan_options,
    get_storage_options,
)
from bioimage_assets.cli.output import FAILED, OK, print_coded, print_json
from bioimage_assets.cli.progress import show_progress
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.settings.project import read_project_settings

if TYPE_CHECKING:
    from bioimage_assets.core.warehouse.results import CytominingWarehouseResult

Layout = Literal["flat", "namespaced"]
Mode = Annotated[Literal["overwrite", "append"], option("", "replace the table, or add rows")]
JoinedProfiles = Annotated[
    str | None, option("TABLE", "profile table to join to the images", "--profiles", type=PLACE)
]
SkipChunks = Annotated[bool, flag("leave chunk_index out")]


@dataclass(frozen=True, slots=True)
class ExportChoice:
    """The root that is written, and how the keys of profiles are read."""

    warehouse: WarehouseChoice
    keys: ProfileKeys
    layout: Annotated[Layout | None, option("", "layout of a new root; an existing one keeps its own")] = None
    biofile_finder: Annotated[
        str | None, option("FOLDER", "list all images of the root there for BioFile Finder, too", type=PLACE)
    ] = None

    @property
    def root(self) -> str:
        """Path or URI of the root."""
        return self.warehouse.root

    def name_tables(self, *names: tuple[str, str]) -> list[str]:
        """Names for the export functions; a new namespaced root gets dotted ones.

        ``names`` are (table name, namespace) pairs. UsageError where ``--layout`` contradicts an existing root.
        """
        from bioimage_assets.core.warehouse.manifest.detect import detect_layout

        found = detect_layout(self.warehouse.open().files_at)
        if found is not None and self.layout not in (None, found):
            raise UsageError(
                f"The root {self.root} has the {found} layout; 'bioimage-assets convert-layout {self.root} "
                f"{self.layout}' moves data and manifest."
            )
        layout = found or self.layout or read_project_settings().warehouse_layout
        is_new_namespaced = found is None and layout == "namespaced"
        return [f"{space}.{name}" if is_new_namespaced and "." not in name else name for name, space in names]

    def print_export(self, result: CytominingWarehouseResult) -> None:
        """List the images where that was asked for, and print what was written."""
        from bioimage_assets.core.warehouse.biofile_finder import write_biofile_manifest

        if self.biofile_finder is not None:
            settings = read_project_settings()
            with show_progress(f"Listing the images of {self.root}"):
                write_biofile_manifest(
                    self.warehouse.open_existing(), self.biofile_finder, settings.browse_url, None
                )
        print_coded(result.warnings)
        print_json(result.to_dict())


@command
def export_cytomining(
    uri: Store,
    target: ExportChoice,
    profiles: JoinedProfiles = None,
    skip_chunks: SkipChunks = False,
    max_head_requests: MaxHeadRequests = None,
    follow_symlinks: FollowSymlinks = False,
    mode: Mode = "overwrite",
    dataset_id: DatasetId = None,
) -> None:
    """Write a store's tables into a warehouse root.

    Examples:
        bioimage-assets export-cytomining --warehouse-root data/one-plate data/incoming/screen-a/SA-P1.ome.zarr
    """
    from bioimage_assets.core.public_api.export import export_scan_result_to_cytomining_warehouse
    from bioimage_assets.core.public_api.scan import scan_store

    options = build_scan_options(dataset_id, max_head_requests)
    images, chunks, joined = target.name_tables(
        ("image_assets", "images"), ("chunk_index", "images"), ("joined_profiles", "profiles")
    )
    with show_progress(f"Exporting {uri}"):
        result = export_scan_result_to_cytomining_warehouse(
            scan_store(uri, options=options),
            target.root,
            profiles=profiles,
            include_chunks=not skip_chunks,
            image_assets_table_name=images,
            chunk_index_table_name=chunks,
            joined_table_name=joined,
            mode=mode,
            **target.keys.keywords,
            options=options,
        )
    target.print_export(result)


@command
def export_cytomining_catalog(
    catalog: CatalogChoice,
    target: ExportChoice,
    profiles: JoinedProfiles = None,
    image_assets_table: TableName = "image_assets",
    chunk_index_table: TableName = "chunk_index",
    skip_chunks: SkipChunks = False,
    mode: Mode = "overwrite",
) -> None:
    """Write the catalog's tables into a warehouse root.

    Examples:
        bioimage-assets export-cytomining-catalog --warehouse-root data/from-catalog
    """
    from bioimage_assets.core.public_api.export import export_catalog_to_cytomining_warehouse

    images, chunks, joined = target.name_tables(
        (image_assets_table, "images"), (chunk_index_table, "images"), ("joined_profiles", "profiles")
    )
    with show_progress("Exporting the catalog"):
        result = export_catalog_to_cytomining_warehouse(
            *catalog.require(),
            target.root,
            profiles=profiles,
            image_assets_table_name=images,
            chunk_index_table_name=None if skip_chunks else chunks,
            joined_table_name=joined,
            mode=mode,
            **target.keys.keywords,
        )
    target.print_export(result)


@command
def export_cytomining_profiles(
    profiles: Profiles,
    target: ExportChoice,
    table_name: TableName = "profiles",
    role: Annotated[
        str | None,
        option("ROLE", "role in the manifest (default: that of the project's own table, or profiles)"),
    ] = None,
    mode: Mode = "append",
) -> None:
    """Write a profile, QC or other table into a warehouse root.

    Examples:
        bioimage-assets export-cytomining-profiles --warehouse-root data/one-plate data/incoming/screen-a/measurements/SA-P1.parquet
    """
    from bioimage_assets.core.model.table_specs import TABLES
    from bioimage_assets.core.public_api.export_tables import export_profiles_to_cytomining_warehouse
    from bioimage_assets.core.warehouse.manifest.layout import leaf_name

    known = TABLES.get(leaf_name(table_name))
    role = role or (known.role if known is not None else "profiles")
    space = "quality_control" if role == "quality_control" else "profiles"
    (table_name,) = target.name_tables((table_name, space))
    with show_progress(f"Exporting {profiles}"):
        result = export_profiles_to_cytomining_warehouse(
            profiles,
            target.root,
            table_name=table_name,
            role=role,
            mode=mode,
            **target.keys.keywords,
        )
    target.print_export(result)


@command
def validate_warehouse(
    warehouse_root: Annotated[
        str | None,
        argument("[ROOT]", "the root (default: BIOIMAGE_WAREHOUSE, else 'data/warehouse')", type=PLACE),
    ] = None,
    strict: Annotated[bool, flag("check the Cytomining warehouse specification's rules, too")] = False,
    deep: Annotated[bool, flag("read every file, too, and compare digests and page checksums")] = False,
    with_catalog: Annotated[
        bool, flag("with --deep: read the data files of the catalog's tables, too")
    ] = False,
    as_json: Json = False,
) -> int:
    """Compare a warehouse root with its manifest.

    Exit code 1: something is wrong with it.

    Examples:
        bioimage-assets validate-warehouse
        bioimage-assets validate-warehouse data/warehouse --deep
    """
    from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest

    if with_catalog and not deep:
        raise UsageError("--with-catalog reads every data file, as --deep does: give both.")
    root = WarehouseChoice(warehouse_root).open_existing().root
    with show_progress(f"Validating {root}"):
        result = validate_warehouse_manifest(
            root, strict=strict, deep=deep, storage_options=get_storage_options()
        )
    if with_catalog:
        result.errors.extend(_check_catalog())
    if as_json:
        print_json(result.to_dict())
    else:
        print(f"{result.warehouse_root}: {'valid' if result.is_valid else 'not valid'}")
        for kind, lines in (("error", result.errors), ("warning", result.warnings)):
            for line in lines:
                print(f"{kind}: {line}")
    return OK if result.is_valid else FAILED


def _check_catalog() -> list[str]:
    """What is lost or damaged of the tables that the settings keep in the catalog."""
    from bioimage_assets.core.storage.state import check_catalog
    from bioimage_assets.resources.project import ProjectResource

    with show_progress("Reading the data files of the catalog"):
        return check_catalog(ProjectResource().tables())


def _read_namespaces(_: click.Context, __: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    namespaces: dict[str, str] = {}
    for pair in pairs:
        table, found, space = pair.partition("=")
        if not (table and found and space):
            raise UsageError(f"--table-namespace {pair!r}: expected TABLE=NAMESPACE.")
        namespaces[table] = space
    return namespaces


@command
def convert_layout(
    warehouse_root: Annotated[str, argument("ROOT", "the root to convert", type=PLACE)],
    layout: Annotated[Layout, argument("", "the layout to have")],
    table_namespace: Annotated[
        dict[str, str],
        option(
            "TABLE=NAMESPACE",
            "namespace of a table whose role does not tell; may be repeated",
            multiple=True,
            default=(),
            callback=_read_namespaces,
        ),
    ],
    as_json: Json = False,
) -> None:
    """Move a warehouse root to the other layout, data and manifest.

    A second call does nothing.

    Examples:
        bioimage-assets convert-layout data/one-plate namespaced
    """
    from bioimage_assets.core.warehouse import convert

    root = WarehouseChoice(warehouse_root).open_existing().root
    moved = convert.convert_layout(
        root, layout, namespaces=table_namespace, storage_options=get_storage_options()
    )
    if as_json:
        print_json({"warehouse_root": root, "layout": layout, "moved": moved})
    else:
        for old, new in sorted(moved.items()):
            print(f"{old} -> {new}")
        print(f"{root}: {layout}, {count_words(len(moved), 'table')} moved")
