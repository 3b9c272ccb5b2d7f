"""Commands that put stores and profiles into the Iceberg catalog, and take them out."""

from __future__ import annotations

import argparse
from typing import Any

from bioimage_assets.cli.arguments import (
    add_catalog_flags,
    add_chunk_flag,
    add_command,
    add_dataset_flag,
    build_scan_options,
    get_catalog_name,
    get_namespace,
    open_named_catalog,
)
from bioimage_assets.cli.output import FAILED, OK, print_json, print_progress
from bioimage_assets.cli.progress import show_progress
from bioimage_assets.core.errors import UsageError


def add_commands(commands: Any) -> None:
    """Add `register`, `ingest`, `publish-chunks`, `register-directory`, `register-profiles` and `deregister`."""
    register = add_command(commands, "register", "put the images of one store into the catalog", run_register)
    _add_store(register)
    _add_tables(register)
    register.add_argument("--publish-chunks", action="store_true", help="put its chunks there, too")
    add_chunk_flag(register)
    register.add_argument("--replace", action="store_true", help="take over what a moved store left")
    add_dataset_flag(register)

    ingest = add_command(
        commands, "ingest", "put several stores and their chunks into the catalog", run_ingest
    )
    ingest.add_argument("uris", nargs="+", metavar="URI", help="stores, local or in an object store")
    _add_tables(ingest)
    _add_skip_chunks(ingest)

    publish = add_command(
        commands, "publish-chunks", "put the chunks of one store into the catalog", run_publish_chunks
    )
    _add_store(publish)
    add_catalog_flags(publish)
    _add_table(publish, "chunk_index")
    add_chunk_flag(publish)
    add_dataset_flag(publish)

    directory = add_command(
        commands, "register-directory", "put every store below a folder into the catalog", run_directory
    )
    directory.add_argument("path", metavar="FOLDER", help="folder or bucket prefix")
    _add_tables(directory)
    directory.add_argument(
        "--glob", default="**/*.ome.zarr", metavar="PATTERN", help="default: **/*.ome.zarr"
    )
    _add_skip_chunks(directory)
    directory.add_argument("--replace", action="store_true", help="take over what moved stores left")

    profiles = add_command(
        commands,
        "register-profiles",
        "put a Parquet file of profiles into the catalog",
        run_register_profiles,
    )
    profiles.add_argument(
        "profile_table", metavar="PROFILES", help="Parquet or CSV file, folder or glob pattern"
    )
    add_catalog_flags(profiles)
    _add_table(profiles, "profiles")

    deregister = add_command(
        commands, "deregister", "remove a store, plates or a dataset from the catalog", run_deregister
    )
    deregister.add_argument(
        "uri", nargs="?", metavar="URI", help="the store to remove; images are not touched"
    )
    deregister.add_argument(
        "--plates", nargs="+", metavar="DATASET/PLATE", help="remove these plates instead"
    )
    deregister.add_argument("--dataset", metavar="ID", help="remove all plates of this dataset instead")
    _add_tables(deregister)


def _add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("uri", metavar="URI", help="store, local or in an object store")


def _add_table(parser: argparse.ArgumentParser, name: str, flag: str = "--table-name") -> None:
    parser.add_argument(flag, default=name, metavar="TABLE", help=f"default: {name}")


def _add_tables(parser: argparse.ArgumentParser) -> None:
    add_catalog_flags(parser)
    _add_table(parser, "image_assets")
    _add_table(parser, "chunk_index", "--chunk-table-name")


def _add_skip_chunks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--skip-chunks", action="store_true", help="leave the chunks out")
    add_chunk_flag(parser)


def _where(arguments: argparse.Namespace) -> tuple[str, str]:
    """Catalog and namespace, as every function of the catalog takes them."""
    return get_catalog_name(arguments), get_namespace(arguments)


def _what(arguments: argparse.Namespace, *, has_chunks: bool) -> dict[str, Any]:
    """Tables and scan options, as every function that registers stores takes them."""
    return {
        "image_assets_table": arguments.table_name,
        "chunk_index_table": arguments.chunk_table_name if has_chunks else None,
        "options": build_scan_options(arguments),
    }


def run_register(arguments: argparse.Namespace) -> int:
    """Register one store."""
    from bioimage_assets.core.catalog.publish import register_store

    with show_progress(f"Registering {arguments.uri}"):
        result = register_store(
            arguments.uri,
            *_where(arguments),
            replace=arguments.replace,
            **_what(arguments, has_chunks=arguments.publish_chunks),
        )
    payload = {
        "catalog": get_catalog_name(arguments),
        "namespace": get_namespace(arguments),
        "image_assets_table": arguments.table_name,
        **result.to_dict(),
        "source_uri": arguments.uri,
    }
    if arguments.publish_chunks:
        payload["chunk_table_name"] = arguments.chunk_table_name
    print_json(payload)
    return OK


def run_ingest(arguments: argparse.Namespace) -> int:
    """Register several stores; exit 1 when one of them could not be read."""
    from bioimage_assets.core.catalog.publish import ingest_stores_to_warehouse

    with show_progress(f"Registering {len(arguments.uris)} stores"):
        result = ingest_stores_to_warehouse(
            arguments.uris, *_where(arguments), **_what(arguments, has_chunks=not arguments.skip_chunks)
        )
    return _report_ingest(result, len(arguments.uris))


def run_directory(arguments: argparse.Namespace) -> int:
    """Register all stores of a folder; nothing found, or one unreadable, is exit 1."""
    from bioimage_assets.core.catalog.publish import register_directory

    with show_progress(f"Registering the stores of {arguments.path}"):
        result = register_directory(
            arguments.path,
            *_where(arguments),
            glob=arguments.glob,
            replace=arguments.replace,
            **_what(arguments, has_chunks=not arguments.skip_chunks),
        )
    return _report_ingest(result, None)


def _report_ingest(result: Any, asked: int | None) -> int:
    for warning in result.warnings:
        print_progress(f"Warning: {warning}")
    print_json(result.to_dict())
    if asked is None:
        return OK if result.dataset_count and not result.unreadable_count else FAILED
    return OK if result.dataset_count == asked else FAILED


def run_publish_chunks(arguments: argparse.Namespace) -> int:
    """Register the chunks of one store."""
    from bioimage_assets.core.catalog.publish import publish_chunk_index
    from bioimage_assets.core.scan.scanner import scan_store_records

    options = build_scan_options(arguments)
    with show_progress(f"Listing the chunks of {arguments.uri}"):
        scan = scan_store_records(arguments.uri, options)
        rows = publish_chunk_index(*_where(arguments), arguments.table_name, scan, options=options)
    print_json(
        {
            "catalog": get_catalog_name(arguments),
            "namespace": get_namespace(arguments),
            "table_name": arguments.table_name,
            "rows_published": rows,
            "source_uri": arguments.uri,
        }
    )
    return OK


def run_register_profiles(arguments: argparse.Namespace) -> int:
    """Register a profile table; again replaces what it had registered."""
    from bioimage_assets.core.catalog.profile_tables import register_profile_table

    with show_progress(f"Registering {arguments.profile_table}"):
        rows = register_profile_table(
            arguments.profile_table, *_where(arguments), table_name=arguments.table_name
        )
    print_json({"source_ref": arguments.profile_table, "rows_published": rows})
    return OK


def run_deregister(arguments: argparse.Namespace) -> int:
    """Remove a store's, plates' or a dataset's rows; what is not there is not an error."""
    from bioimage_assets.core.catalog.deregister import (
        deregister_dataset,
        deregister_plates,
        deregister_store,
    )

    chosen = [arguments.uri, arguments.plates, arguments.dataset]
    if sum(value is not None for value in chosen) != 1:
        raise UsageError("Say what to remove: one of a store's URI, --plates or --dataset.")
    catalog, namespace = open_named_catalog(arguments), get_namespace(arguments)
    if arguments.uri is not None:
        before = _count_rows(arguments, catalog, namespace)
        deregister_store(
            arguments.uri,
            catalog,
            namespace,
            image_assets_table=arguments.table_name,
            chunk_index_table=arguments.chunk_table_name,
        )
        after = _count_rows(arguments, catalog, namespace)
        removed = {name: before[name] - after[name] for name in before if before[name] != after[name]}
    elif arguments.plates is not None:
        removed = deregister_plates(catalog, namespace, arguments.plates)
    else:
        removed = deregister_dataset(catalog, namespace, arguments.dataset)
    print_json({"rows_removed": removed})
    return OK


def _count_rows(arguments: argparse.Namespace, catalog: Any, namespace: str) -> dict[str, int]:
    from bioimage_assets.core.catalog.browse import list_catalog_tables, load_catalog_table

    there = set(list_catalog_tables(catalog, namespace))
    names = [name for name in (arguments.table_name, arguments.chunk_table_name) if name in there]
    return {name: load_catalog_table(catalog, namespace, name).scan().count() for name in names}
