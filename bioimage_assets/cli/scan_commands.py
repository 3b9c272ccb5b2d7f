"""Commands that look at one store: its images, and a summary."""

from __future__ import annotations

from bioimage_assets.cli.command import command
from bioimage_assets.cli.options import DatasetId, FollowSymlinks, Json, Store, build_scan_options
from bioimage_assets.cli.output import print_coded, print_json
from bioimage_assets.cli.progress import show_progress


@command
def scan(
    uri: Store, dataset_id: DatasetId = None, follow_symlinks: FollowSymlinks = False, as_json: Json = False
) -> None:
    """List the images of an OME-Zarr, Zarr, OME-TIFF or TIFF store, or a folder of them.

    No dataset.toml is read: its file_pattern and other settings count when a plate is built ('materialize').

    Examples:
        bioimage-assets scan data/incoming/screen-a/SA-P1.ome.zarr
        bioimage-assets scan data/incoming/screen-b/SB-P1 --json
    """
    from bioimage_assets.core.public_api.scan import scan_store

    with show_progress(f"Scanning {uri}"):
        result = scan_store(uri, options=build_scan_options(dataset_id))
    if as_json:
        print_json(result.to_dict())
        return
    print(f"source_uri: {result.source_uri}")
    print(f"format_family: {result.format_family}")
    print(f"dataset_id: {result.dataset_id}")
    print(f"image_assets: {len(result.image_assets)}")
    for asset in result.image_assets:
        chunks = f" chunks={asset.chunk_shape}" if asset.chunk_shape else ""
        path = asset.array_path or "<root>"
        print(f"- {asset.image_id}: array={path} shape={asset.shape} dtype={asset.dtype}{chunks}")
    print_coded(result.warnings)


@command
def summarize(
    uri: Store, dataset_id: DatasetId = None, follow_symlinks: FollowSymlinks = False, as_json: Json = False
) -> None:
    """Sum a store up: images, shapes, types, axes, channels.

    Examples:
        bioimage-assets summarize data/incoming/screen-a/SA-P1.ome.zarr
    """
    from bioimage_assets.core.public_api.scan import summarize_store

    with show_progress(f"Scanning {uri}"):
        summary = summarize_store(uri, options=build_scan_options(dataset_id))
    values = summary.to_dict()
    if as_json:
        print_json(values)
        return
    del values["warnings"]
    paths = summary.array_paths
    values["array_paths"] = [*paths[:10], f"and {len(paths) - 10} more"] if len(paths) > 10 else paths
    for name, value in values.items():
        print(f"{name}: {_words(value)}")
    print_coded(summary.warnings)


def _words(value: object) -> str:
    return ", ".join(str(item) for item in value) or "-" if isinstance(value, list) else str(value)
