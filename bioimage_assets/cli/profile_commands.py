"""Commands about profiles and their images: contract, join, pixels of a cell, completeness, dataset settings."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from bioimage_assets.cli.arguments import (
    add_catalog_flags,
    add_command,
    add_dataset_flag,
    add_profile_flags,
    add_warehouse_flag,
    build_scan_options,
    get_settings,
    load_aliases,
)
from bioimage_assets.cli.output import FAILED, OK, print_json, print_pairs, print_progress, print_table
from bioimage_assets.cli.progress import show_progress
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.model.compartments import CELL_FIRST


def add_commands(commands: Any) -> None:
    """Add `validate-contract`, `join-profiles`, `locate`, `completeness` and `init-dataset`."""
    contract = add_command(
        commands,
        "validate-contract",
        "check a profile table against the microscopy join contract",
        run_contract,
    )
    contract.add_argument(
        "profile_table", metavar="PROFILES", help="Parquet or CSV file, folder or glob pattern"
    )
    add_profile_flags(contract)

    join = add_command(commands, "join-profiles", "join profiles to the images of a store", run_join)
    join.add_argument("uri", metavar="URI", help="store, local or in an object store")
    join.add_argument("profile_table", metavar="PROFILES", help="Parquet or CSV file, folder or glob pattern")
    join.add_argument("--output", required=True, metavar="FILE", help="Parquet file to write")
    join.add_argument(
        "--include-chunks",
        action="store_true",
        help="repeat every row for each full-resolution chunk of its image",
    )
    join.add_argument(
        "--how", choices=("left", "inner"), default="left", help="inner drops rows without image"
    )
    add_profile_flags(join)
    add_dataset_flag(join)

    locate = add_command(commands, "locate", "say where the pixels of one object are", run_locate)
    locate.add_argument("object_id", metavar="OBJECT", help="Metadata_ObjectID of a cell")
    for name, text in (
        ("joined", "joined profiles: file or folder (default: the project's table joined_profiles)"),
        ("image-assets", "image table: file or folder (default: the project's table image_assets)"),
        ("chunk-index", "chunk table: file or folder (default: the project's table chunk_index)"),
    ):
        locate.add_argument(f"--{name}", metavar="TABLE", help=text)
    locate.add_argument("--compartment", choices=CELL_FIRST, help="default: the first with a box")
    locate.add_argument(
        "--channel", action="append", metavar="NAME", help="only this channel; may be repeated"
    )
    locate.add_argument("--level", type=int, default=0, metavar="N", help="pyramid level (default: 0)")
    locate.add_argument("--pad", type=int, default=0, metavar="PIXELS", help="pixels to add on each side")
    add_catalog_flags(locate)
    add_warehouse_flag(locate)

    completeness = add_command(
        commands, "completeness", "say which wells lack fields, channels, chunks or cells", run_completeness
    )
    completeness.add_argument(
        "plates",
        nargs="*",
        metavar="PLATE",
        help="DATASET/PLATE, or a plate's store (default: all stored plates)",
    )
    completeness.add_argument("--all-wells", action="store_true", help="list complete wells, too")
    add_catalog_flags(completeness)
    add_warehouse_flag(completeness)

    template = add_command(
        commands, "init-dataset", "write a commented dataset.toml into a folder", run_init_dataset
    )
    template.add_argument("dataset", metavar="FOLDER", help="the dataset's folder")
    template.add_argument("--overwrite", action="store_true", help="replace the dataset.toml that is there")


def run_contract(arguments: argparse.Namespace) -> int:
    """Exit 1 when the table does not fulfil the contract, 2 when it cannot be read."""
    from bioimage_assets.core.joins.contract import validate_microscopy_profile_columns
    from bioimage_assets.core.joins.sources import open_profiles

    aliases = load_aliases(arguments)
    names = open_profiles(arguments.profile_table, get_settings().storage_options).schema.names
    result = validate_microscopy_profile_columns(
        names,
        target=arguments.profile_table,
        alias_map=aliases,
        profile_dataset_id=arguments.profile_dataset_id,
    )
    if arguments.json:
        print_json(result.to_dict())
    else:
        lists = {
            "required_columns": result.required_columns,
            "recommended_columns": result.recommended_columns,
            "missing_required_columns": result.missing_required_columns,
            "missing_recommended_columns": result.missing_recommended_columns,
            "linking_rules": result.linking_rules,
        }
        print(f"target: {result.target}")
        print(f"is_valid: {result.is_valid}")
        for name, values in lists.items():
            print(f"{name}: {', '.join(values) or '-'}")
        for warning in result.warnings:
            print(f"warning: {warning}")
    return OK if result.is_valid else FAILED


def run_join(arguments: argparse.Namespace) -> int:
    """Write the joined table; every profile row is in it once."""
    from bioimage_assets.core.parquet_checksums import write_parquet_table
    from bioimage_assets.core.public_api.join import join_profiles_with_scan_result
    from bioimage_assets.core.public_api.scan import scan_store

    output = Path(arguments.output)
    if not output.parent.is_dir():
        raise UsageError(f"--output {output}: there is no folder {output.parent}.")
    aliases = load_aliases(arguments)
    with show_progress(f"Joining {arguments.profile_table}"):
        joined = join_profiles_with_scan_result(
            scan_store(arguments.uri, options=build_scan_options(arguments)),
            arguments.profile_table,
            include_chunks=arguments.include_chunks,
            profile_dataset_id=arguments.profile_dataset_id,
            alias_map=aliases,
            how=arguments.how,
            storage_options=get_settings().storage_options,
        )
        staged = output.with_name(f".{output.name}.{os.getpid()}")
        try:
            write_parquet_table(joined, staged)
            os.replace(staged, output)
        finally:
            staged.unlink(missing_ok=True)
    print_json(
        {
            "source_uri": arguments.uri,
            "profile_table": arguments.profile_table,
            "output": arguments.output,
            "rows_written": joined.num_rows,
            "columns": list(joined.column_names),
        }
    )
    return OK


def run_locate(arguments: argparse.Namespace) -> int:
    """Print store, array, slices and chunks of an object's pixels."""
    from bioimage_assets.cli.located_tables import find_tables
    from bioimage_assets.core.pixels.locate import CropChoice, find_object, locate

    choice = CropChoice(
        compartment=arguments.compartment,
        channels=tuple(arguments.channel) if arguments.channel else None,
        level=arguments.level,
        pad_px=arguments.pad,
    )
    tables = find_tables(arguments)
    row = find_object(tables.joined, arguments.object_id, get_settings().storage_options)
    images, chunks = tables.of_image(row)
    location = locate(
        row,
        image_assets=images,
        chunk_index=chunks,
        choice=choice,
        storage_options=get_settings().storage_options,
    )
    if arguments.json:
        print_json(location.to_dict())
        return OK
    slices = ", ".join(
        f"{axis} {start}:{stop}" for axis, (start, stop) in zip(location.axes, location.slices, strict=True)
    )
    pairs: dict[str, object] = {
        "object": location.object_id or arguments.object_id,
        "image": location.image_id,
        "store": location.uri,
        "array": location.array_path or "<root>",
        "level": location.level,
        "slices": slices,
        "channels": ", ".join(str(name) for name in location.channel_names) or "-",
    }
    if location.box_um is not None:
        y_start, y_stop, x_start, x_stop = location.box_um
        pairs["box"] = f"y {y_start:.2f} to {y_stop:.2f} µm, x {x_start:.2f} to {x_stop:.2f} µm"
    if location.files:
        pairs["files"] = ", ".join(file.path for file in location.files)
    if location.chunks:
        pairs["chunks"] = ", ".join(chunk.chunk_key for chunk in location.chunks)
    print_pairs(pairs)
    return OK


def run_completeness(arguments: argparse.Namespace) -> int:
    """Exit 1 when a well is missing or incomplete."""
    from bioimage_assets.cli.plate_wells import list_wells

    with show_progress("Comparing plates"):
        wells = list_wells(arguments)
    lacking = [well for well in wells if well["verdict"] in ("missing", "incomplete")]
    shown = wells if arguments.all_wells else [well for well in wells if well["verdict"] != "complete"]
    if arguments.json:
        counts: dict[str, dict[str, int]] = {}
        for well in wells:
            plate = counts.setdefault(str(well["plate_key"]), {})
            plate[str(well["verdict"])] = plate.get(str(well["verdict"]), 0) + 1
        print_json({"plates": counts, "wells": shown})
    else:
        print_table(
            ("plate", "well", "verdict", "reasons"),
            [
                (w["plate_key"], w["well_id"], w["verdict"], "; ".join(w["reasons"] or []) or None)
                for w in shown
            ],
        )
        print_progress(f"{len(wells)} wells, {len(lacking)} of them missing or incomplete.")
    return FAILED if lacking else OK


def run_init_dataset(arguments: argparse.Namespace) -> int:
    """Write ``dataset.toml`` with what the folder shows, all else commented."""
    from bioimage_assets.core.discovery.dataset_template import write_dataset_template
    from bioimage_assets.core.settings.dataset import DATASET_FILE

    text = write_dataset_template(arguments.dataset, overwrite=arguments.overwrite)
    path = str(Path(arguments.dataset) / DATASET_FILE)
    if arguments.json:
        print_json({"path": path, "text": text})
    else:
        print(f"Written: {path}")
    return OK
