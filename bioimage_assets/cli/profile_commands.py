"""Commands about profiles and their images: contract, join, pixels of a cell, completeness, dataset settings."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import click

from bioimage_assets.cli.command import PLACE, argument, command, flag, option
from bioimage_assets.cli.options import (
    CatalogChoice,
    DatasetId,
    Json,
    ProfileKeys,
    Profiles,
    Store,
    WarehouseChoice,
    build_scan_options,
    get_storage_options,
)
from bioimage_assets.cli.output import (
    FAILED,
    OK,
    print_findings,
    print_json,
    print_pairs,
    print_progress,
    print_table,
    staged_output,
)
from bioimage_assets.cli.progress import show_progress
from bioimage_assets.core.model.compartments import CELL_FIRST
from bioimage_assets.core.phrases import count_words

if TYPE_CHECKING:
    from bioimage_assets.core.pixels.location import PixelLocation

_OWN = "file or folder (default: the project's table"


@command
def validate_contract(profile_table: Profiles, keys: ProfileKeys, as_json: Json = False) -> int:
    """Check a profile table against the microscopy join contract.

    Exit code 1: the table does not fulfil it.

    Examples:
        bioimage-assets validate-contract data/warehouse/joined_profiles
    """
    from bioimage_assets.core.joins.contract import validate_microscopy_profile_columns
    from bioimage_assets.core.joins.sources import open_profiles

    result = validate_microscopy_profile_columns(
        open_profiles(profile_table, get_storage_options()).schema.names,
        target=profile_table,
        **keys.keywords,
    )
    if as_json:
        print_json(result.to_dict())
    else:
        print(f"target: {result.target}")
        print(f"is_valid: {result.is_valid}")
        for name in (
            "required_columns",
            "recommended_columns",
            "missing_required_columns",
            "missing_recommended_columns",
            "linking_rules",
        ):
            print(f"{name}: {', '.join(getattr(result, name)) or '-'}")
        for warning in result.warnings:
            print(f"warning: {warning}")
    return OK if result.is_valid else FAILED


@command
def join_profiles(
    uri: Store,
    profile_table: Profiles,
    keys: ProfileKeys,
    output: Annotated[str, option("FILE", "Parquet file to write", type=PLACE)],
    include_chunks: Annotated[
        bool, flag("repeat every row for each full-resolution chunk of its image")
    ] = False,
    how: Annotated[Literal["left", "inner"], option("", "inner drops rows without image")] = "left",
    dataset_id: DatasetId = None,
    profile_site_offset: Annotated[
        int | None,
        option("N", "site in the profiles minus site of the image; 0: they are the same", type=int),
    ] = None,
    ignore_profile_plate: Annotated[
        bool, flag("the plate that the profiles name is another name of the store's")
    ] = False,
) -> None:
    """Join profiles to the images of a store.

    What was found about the links is said on standard error, and is in the JSON, complete.

    Examples:
        bioimage-assets join-profiles data/incoming/screen-a/SA-P1.ome.zarr data/incoming/screen-a/measurements/SA-P1.parquet --output joined.parquet
    """
    from bioimage_assets.core.findings import Finding
    from bioimage_assets.core.parquet_checksums import write_parquet_table
    from bioimage_assets.core.public_api.join import REPORT_KEY, join_profiles_with_scan_result
    from bioimage_assets.core.public_api.scan import scan_store

    with staged_output(output) as staged, show_progress(f"Joining {profile_table}"):
        joined = join_profiles_with_scan_result(
            scan_store(uri, options=build_scan_options(dataset_id)),
            profile_table,
            include_chunks=include_chunks,
            **keys.keywords,
            how=how,
            storage_options=get_storage_options(),
            profile_site_offset=profile_site_offset,
            ignore_profile_plate=ignore_profile_plate,
        )
        write_parquet_table(joined, staged)
    report = json.loads(joined.schema.metadata[REPORT_KEY])
    findings = [Finding(**found).name_file("") for found in report["findings"]]
    print_findings([found for found in findings if found.severity != "info"])
    print_json(
        {
            "source_uri": uri,
            "profile_table": profile_table,
            "output": output,
            "rows_written": joined.num_rows,
            "profile_rows": report["profile_rows"],
            "matched_rows": report["matched_rows"],
            "findings": [asdict(found) for found in findings],
            "columns": list(joined.column_names),
        }
    )


@dataclass(frozen=True, slots=True)
class TableChoice:
    """Tables that are files, instead of the project's own."""

    joined: Annotated[
        str | None, option("TABLE", f"joined profiles: {_OWN} joined_profiles)", type=PLACE)
    ] = None
    image_assets: Annotated[str | None, option("TABLE", f"image table: {_OWN} image_assets)", type=PLACE)] = (
        None
    )
    chunk_index: Annotated[str | None, option("TABLE", f"chunk table: {_OWN} chunk_index)", type=PLACE)] = (
        None
    )


@command
def locate(
    object_id: Annotated[str, argument("OBJECT", "Metadata_ObjectID of a cell")],
    given: TableChoice,
    catalog: CatalogChoice,
    warehouse: WarehouseChoice,
    compartment: Annotated[
        str | None, option("", "default: the first with a box", type=click.Choice(CELL_FIRST))
    ] = None,
    channel: Annotated[
        tuple[str, ...], option("NAME", "only this channel; may be repeated", multiple=True)
    ] = (),
    level: Annotated[int, option("N", "pyramid level")] = 0,
    pad: Annotated[int, option("PIXELS", "pixels to add on each side")] = 0,
    as_json: Json = False,
) -> None:
    """Say where the pixels of one object are: store, array, slices and chunks.

    Examples:
        bioimage-assets locate screen-a/SA-P1/1/1
        bioimage-assets locate screen-a/SA-P1/1/1 --channel DNA --pad 10
    """
    from bioimage_assets.cli.located_tables import find_tables
    from bioimage_assets.cli.project_tables import open_project_tables
    from bioimage_assets.core.browse_link import build_browse_url
    from bioimage_assets.core.pixels import locate
    from bioimage_assets.core.settings.project import read_project_settings

    choice = locate.CropChoice(compartment=compartment, channels=channel or None, level=level, pad_px=pad)
    tables = find_tables(open_project_tables(catalog, warehouse), object_id, given)
    row = locate.find_object(tables.joined, object_id, get_storage_options())
    images, chunks = tables.of_image(row)
    location = locate.locate(
        row,
        image_assets=images,
        chunk_index=chunks,
        choice=choice,
        storage_options=get_storage_options(),
    )
    settings = read_project_settings()
    url = build_browse_url(settings.browse_url, location.plate_key, object_id=location.object_id or object_id)
    if as_json:
        print_json({**location.to_dict(), "browse_url": url})
    else:
        print_pairs({**_describe(location, object_id), "browse": url})


def _describe(location: PixelLocation, object_id: str) -> dict[str, object]:
    slices = ", ".join(
        f"{axis} {start}:{stop}" for axis, (start, stop) in zip(location.axes, location.slices, strict=True)
    )
    pairs: dict[str, object] = {
        "object": location.object_id or object_id,
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
    return pairs


@command
def completeness(
    catalog: CatalogChoice,
    warehouse: WarehouseChoice,
    plates: Annotated[
        tuple[str, ...],
        argument("[PLATE...]", "DATASET/PLATE, or a plate's store (default: all)", nargs=-1, type=PLACE),
    ] = (),
    all_wells: Annotated[bool, flag("list complete wells, too")] = False,
    as_json: Json = False,
) -> int:
    """Say which wells lack fields, channels, chunks or cells, or hold cells without image, and which plates were not measured.

    Exit code 1: a well is missing or incomplete.

    Examples:
        bioimage-assets completeness
        bioimage-assets completeness screen-a/SA-P1 --all-wells
    """
    from bioimage_assets.cli.plate_wells import list_not_measured, list_wells
    from bioimage_assets.core.tables.completeness import NOT_MEASURED

    with show_progress("Comparing plates"):
        wells = list_wells(plates, catalog, warehouse)
    not_measured = list_not_measured(wells)
    lacking = [well for well in wells if well["verdict"] in ("missing", "incomplete")]
    shown = wells if all_wells else [well for well in wells if well["verdict"] != "complete"]
    if as_json:
        counts: dict[str, Counter[str]] = {}
        for well in wells:
            counts.setdefault(well["plate_key"], Counter()).update([well["verdict"]])
        print_json({"plates": counts, "wells": shown, "not_measured": not_measured})
    else:
        print_table(
            ("plate", "well", "verdict", "reasons"),
            [
                (w["plate_key"], w["well_id"], w["verdict"], "; ".join(w["reasons"] or []) or None)
                for w in shown
            ],
        )
        print_progress(f"{count_words(len(wells), 'well')}, {len(lacking)} of them missing or incomplete.")
        for plate in not_measured:
            print_progress(f"{plate}: {NOT_MEASURED}; its images alone were compared.")
    return FAILED if lacking else OK


@command
def init_dataset(
    dataset: Annotated[str, argument("FOLDER", "the dataset's folder", type=PLACE)],
    overwrite: Annotated[bool, flag("replace the dataset.toml that is there")] = False,
    as_json: Json = False,
) -> None:
    """Write a commented dataset.toml into a folder.

    It says what the folder shows; all else is a comment.

    Examples:
        bioimage-assets init-dataset data/incoming/screen-a --overwrite
    """
    from bioimage_assets.core.discovery.dataset_template import write_dataset_template
    from bioimage_assets.core.settings.dataset import DATASET_FILE

    text = write_dataset_template(dataset, overwrite=overwrite)
    path = str(Path(dataset) / DATASET_FILE)
    if as_json:
        print_json({"path": path, "text": text})
    else:
        print(f"Written: {path}")
