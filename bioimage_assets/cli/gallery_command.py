"""`gallery`: which plates a copy of the Cell Painting Gallery has, and what is missing or odd about each."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from bioimage_assets.cli.command import PLACE, argument, command, option
from bioimage_assets.cli.options import Json, get_storage_options
from bioimage_assets.cli.output import FAILED, OK, print_findings, print_json, print_table
from bioimage_assets.cli.progress import show_progress
from bioimage_assets.core.phrases import count_words

if TYPE_CHECKING:
    from bioimage_assets.core.discovery.gallery_check import GalleryCheck


@command
def gallery(
    uri: Annotated[
        str,
        argument(
            "URI", "a gallery, one of its projects or one source, local or in an object store", type=PLACE
        ),
    ],
    inventory: Annotated[
        str | None,
        option(
            "MANIFEST",
            "manifest.json of an S3 inventory, or a Parquet file of it, in place of a listing",
            type=PLACE,
        ),
    ] = None,
    as_json: Json = False,
) -> int:
    """Check the plates of a gallery: images against LoadData tables, wells against platemaps, plates against barcodes.

    The names are listed once, one request per 1,000, or taken from an inventory without any; each LoadData table and platemap is
    read once, images never. Exit code 1: something that should be there is not.

    Examples:
        bioimage-assets gallery s3://cellpainting-gallery/cpg0016-jump/source_4
    """
    from bioimage_assets.core.discovery.gallery_check import check_gallery
    from bioimage_assets.core.discovery.gallery_inventory import open_inventory
    from bioimage_assets.core.errors import UsageError
    from bioimage_assets.core.stores.key_tree import list_key_tree

    options = get_storage_options()
    with show_progress(f"Listing {uri}"):
        tree = list_key_tree(uri, options) if inventory is None else open_inventory(uri, inventory, options)
    with show_progress(f"Checking {count_words(len(tree), 'file')}"):
        found = check_gallery(tree, options)
    if not found.plates:
        raise UsageError(
            f"{uri}: no plate in the layout of the Cell Painting Gallery is found among {count_words(len(tree), 'file')}. Expected: "
            "[<project>/][<source>/]images/<batch>/images/<plate> or workspace/load_data_csv/<batch>/<plate>."
        )
    _print(found, as_json)
    return FAILED if any(one.severity == "error" for one in found.all_findings) else OK


def _print(found: GalleryCheck, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "plates": [asdict(plate) for plate in found.plates],
                "findings": [asdict(one) for one in found.findings],
            }
        )
        return
    rows = [
        (
            one.plate_key, one.batch, one.image_count, one.named_count, one.absent_count,
            ", ".join(path.rpartition("/")[2] for path in one.measurements) or None,
            one.platemap.rpartition("/")[2] or None,
        )
        for one in found.plates
    ]  # fmt: skip
    print_table(("plate", "batch", "images", "named", "absent", "measurements", "platemap"), rows)
    print_findings(found.all_findings)
