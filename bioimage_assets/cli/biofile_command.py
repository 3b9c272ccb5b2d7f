"""`biofile-finder`: all images of a warehouse root as a data source that BioFile Finder opens."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from bioimage_assets.cli.command import PLACE, argument, command, flag, option
from bioimage_assets.cli.options import Json, WarehouseChoice
from bioimage_assets.cli.output import print_json, print_progress
from bioimage_assets.cli.progress import show_progress
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.phrases import count_words


@command
def biofile_finder(
    folder: Annotated[str, argument("FOLDER", "where to write; it is made", type=PLACE)],
    warehouse: WarehouseChoice,
    thumbnails: Annotated[bool, flag("make a small picture of each field, too")] = False,
    thumbnails_url: Annotated[
        str | None,
        option("URL", "address at which FOLDER is served; default: pictures are named by their path"),
    ] = None,
    as_json: Json = False,
) -> None:
    """List all images of a warehouse root as a Parquet and a CSV file for BioFile Finder.

    One row is one image file, or one field of a Zarr plate, with plate, well, channels, cell counts, QC and platemap. The
    same root gives the same files.

    Examples:
        bioimage-assets biofile-finder finder
        bioimage-assets biofile-finder finder --thumbnails
    """
    from bioimage_assets.cli.biofile_thumbnails import FieldThumbnails
    from bioimage_assets.core.settings.project import read_project_settings
    from bioimage_assets.core.warehouse.biofile_finder import write_biofile_manifest

    if thumbnails_url is not None and not thumbnails:
        raise UsageError("--thumbnails-url says where pictures are served: add --thumbnails.")
    root = warehouse.open_existing()
    settings = read_project_settings().at_root(warehouse.root)
    pictures = FieldThumbnails(settings, Path(folder), thumbnails_url) if thumbnails else None
    with ExitStack() as stack, show_progress(f"Listing the images of {warehouse.root}"):
        if pictures is not None:
            stack.callback(pictures.close)
        written = write_biofile_manifest(root, folder, settings.browse_url, pictures)
    if pictures is not None:
        pictures.remove_others()
        for reason in pictures.reasons:
            print_progress(f"Warning: {reason}")
    if as_json:
        print_json(
            {
                "parquet": written.parquet_path,
                "csv": written.csv_path,
                "plates": written.plate_count,
                "rows": written.row_count,
            }
        )
    else:
        print(
            f"{written.parquet_path}: {count_words(written.row_count, 'image')} of {count_words(written.plate_count, 'plate')}"
        )
