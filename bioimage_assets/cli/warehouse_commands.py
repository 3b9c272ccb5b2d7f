"""Commands that write, check and convert a Cytomining warehouse root."""

from __future__ import annotations

import argparse
from typing import Any

from bioimage_assets.cli.arguments import (
    add_catalog_flags,
    add_chunk_flag,
    add_command,
    add_dataset_flag,
    add_export_flags,
    add_warehouse_flag,
    build_scan_options,
    get_catalog_name,
    get_namespace,
    get_settings,
    get_warehouse_root,
    load_aliases,
    name_export_tables,
    open_existing_warehouse,
)
from bioimage_assets.cli.output import FAILED, OK, print_json, print_progress
from bioimage_assets.cli.progress import show_progress
from bioimage_assets.core.errors import UsageError


def add_commands(commands: Any) -> None:
    """Add the three exports, `validate-warehouse` and `convert-layout`."""
    export = add_command(
        commands, "export-cytomining", "write a store's tables into a warehouse root", run_export_store
    )
    export.add_argument("uri", metavar="URI", help="store, local or in an object store")
    export.add_argument("--profiles", metavar="TABLE", help="profile table to join to the images")
    export.add_argument("--skip-chunks", action="store_true", help="leave chunk_index out")
    add_chunk_flag(export)
    add_export_flags(export, mode="overwrite")
    add_dataset_flag(export)

    catalog = add_command(
        commands,
        "export-cytomining-catalog",
        "write the catalog's tables into a warehouse root",
        run_export_catalog,
    )
    catalog.add_argument("--profiles", metavar="TABLE", help="profile table to join to the images")
    catalog.add_argument(
        "--image-assets-table", default="image_assets", metavar="TABLE", help="default: image_assets"
    )
    catalog.add_argument(
        "--chunk-index-table", default="chunk_index", metavar="TABLE", help="default: chunk_index"
    )
    catalog.add_argument("--skip-chunks", action="store_true", help="leave chunk_index out")
    add_catalog_flags(catalog)
    add_export_flags(catalog, mode="overwrite")

    profiles = add_command(
        commands,
        "export-cytomining-profiles",
        "write a profile, QC or other table into a warehouse root",
        run_export_profiles,
    )
    profiles.add_argument("profiles", metavar="PROFILES", help="Parquet or CSV file, folder or glob pattern")
    profiles.add_argument("--table-name", default="profiles", metavar="TABLE", help="default: profiles")
    profiles.add_argument(
        "--role", help="role in the manifest (default: that of the project's own table, or profiles)"
    )
    add_export_flags(profiles, mode="append")

    validate = add_command(
        commands, "validate-warehouse", "compare a warehouse root with its manifest", run_validate
    )
    add_warehouse_flag(validate, is_positional=True)
    validate.add_argument(
        "--strict", action="store_true", help="check the Cytomining warehouse specification's rules, too"
    )

    validate.add_argument(
        "--deep",
        action="store_true",
        help="read every file, too, and compare digests and page checksums",
    )

    validate.add_argument(
        "--with-catalog",
        action="store_true",
        help="with --deep: read the data files of the catalog's tables, too",
    )

    convert = add_command(
        commands,
        "convert-layout",
        "move a warehouse root to the other layout, data and manifest",
        run_convert,
    )
    convert.add_argument("warehouse_root", metavar="ROOT", help="the root to convert")
    convert.add_argument("layout", choices=("flat", "namespaced"), help="the layout to have")
    convert.add_argument(
        "--table-namespace",
        action="append",
        default=[],
        metavar="TABLE=NAMESPACE",
        help="namespace of a table whose role does not tell; may be repeated",
    )


def run_export_store(arguments: argparse.Namespace) -> int:
    """Scan a store and write image_assets, chunk_index and joined_profiles."""
    from bioimage_assets.core.public_api.export import export_scan_result_to_cytomining_warehouse
    from bioimage_assets.core.public_api.scan import scan_store

    how, options = _how(arguments), build_scan_options(arguments)
    images, chunks, joined = name_export_tables(
        arguments, ("image_assets", "images"), ("chunk_index", "images"), ("joined_profiles", "profiles")
    )
    with show_progress(f"Exporting {arguments.uri}"):
        result = export_scan_result_to_cytomining_warehouse(
            scan_store(arguments.uri, options=options),
            get_warehouse_root(arguments),
            profiles=arguments.profiles,
            include_chunks=not arguments.skip_chunks,
            image_assets_table_name=images,
            chunk_index_table_name=chunks,
            joined_table_name=joined,
            options=options,
            **how,
        )
    return _print_export(result)


def run_export_catalog(arguments: argparse.Namespace) -> int:
    """Write the catalog's image tables, joined to profiles where some are given."""
    from bioimage_assets.core.public_api.export import export_catalog_to_cytomining_warehouse

    how = _how(arguments)
    images, chunks, joined = name_export_tables(
        arguments,
        (arguments.image_assets_table, "images"),
        (arguments.chunk_index_table, "images"),
        ("joined_profiles", "profiles"),
    )
    with show_progress("Exporting the catalog"):
        result = export_catalog_to_cytomining_warehouse(
            get_catalog_name(arguments),
            get_namespace(arguments),
            get_warehouse_root(arguments),
            profiles=arguments.profiles,
            image_assets_table_name=images,
            chunk_index_table_name=None if arguments.skip_chunks else chunks,
            joined_table_name=joined,
            **how,
        )
    return _print_export(result)


def run_export_profiles(arguments: argparse.Namespace) -> int:
    """Write one table made elsewhere, by default beside what the table holds already."""
    from bioimage_assets.core.public_api.export_tables import export_profiles_to_cytomining_warehouse
    from bioimage_assets.core.tables.schemas import TABLES
    from bioimage_assets.core.warehouse.manifest.layout import leaf_name

    how = _how(arguments)
    known = TABLES.get(leaf_name(arguments.table_name))
    role = arguments.role or (known.role if known is not None else "profiles")
    space = "quality_control" if role == "quality_control" else "profiles"
    (table_name,) = name_export_tables(arguments, (arguments.table_name, space))
    with show_progress(f"Exporting {arguments.profiles}"):
        result = export_profiles_to_cytomining_warehouse(
            arguments.profiles,
            get_warehouse_root(arguments),
            table_name=table_name,
            role=role,
            **how,
        )
    return _print_export(result)


def _how(arguments: argparse.Namespace) -> dict[str, Any]:
    """How profiles are keyed and the table is written, as every export function takes it."""
    return {
        "profile_dataset_id": arguments.profile_dataset_id,
        "alias_map": load_aliases(arguments),
        "mode": arguments.mode,
    }


def _print_export(result: Any) -> int:
    for warning in result.warnings:
        print_progress(f"Warning: {warning}")
    print_json(result.to_dict())
    return OK


def run_validate(arguments: argparse.Namespace) -> int:
    """Check a root; exit 1 when something is wrong with it."""
    from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest

    if arguments.with_catalog and not arguments.deep:
        raise UsageError("--with-catalog reads every data file, as --deep does: give both.")
    root = open_existing_warehouse(arguments).root
    with show_progress(f"Validating {root}"):
        result = validate_warehouse_manifest(
            root,
            strict=arguments.strict,
            deep=arguments.deep,
            storage_options=dict(get_settings().storage_options),
        )
    if arguments.with_catalog:
        result.errors.extend(_check_catalog())
    if arguments.json:
        print_json(result.to_dict())
    else:
        print(f"{result.warehouse_root}: {'valid' if result.is_valid else 'not valid'}")
        for kind, lines in (("error", result.errors), ("warning", result.warnings)):
            for line in lines:
                print(f"{kind}: {line}")
    return OK if result.is_valid else FAILED


def _check_catalog() -> list[str]:
    """What is lost or damaged of the tables that the settings keep in the catalog."""
    from bioimage_assets.assets.presence import check_catalog
    from bioimage_assets.resources.project import ProjectResource

    with show_progress("Reading the data files of the catalog"):
        return check_catalog(ProjectResource())


def run_convert(arguments: argparse.Namespace) -> int:
    """Move tables and manifest together; a second call does nothing."""
    from bioimage_assets.core.warehouse.convert import convert_layout

    namespaces: dict[str, str] = {}
    for pair in arguments.table_namespace:
        table, found, space = pair.partition("=")
        if not (table and found and space):
            raise UsageError(f"--table-namespace {pair!r}: expected TABLE=NAMESPACE.")
        namespaces[table] = space
    root = open_existing_warehouse(arguments).root
    moved = convert_layout(
        root, arguments.layout, namespaces=namespaces, storage_options=dict(get_settings().storage_options)
    )
    if arguments.json:
        print_json({"warehouse_root": root, "layout": arguments.layout, "moved": moved})
    else:
        for old, new in sorted(moved.items()):
            print(f"{old} -> {new}")
        print(f"{root}: {arguments.layout}, {len(moved)} tables moved")
    return OK
